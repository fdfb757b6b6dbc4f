"""Checks a tarn server over Flight SQL with ADBC and with pyarrow's own Flight client.

    python flight_sql.py URI [USER PASSWORD]

URI is grpc://host:port, or grpc+tls://host:port. Without USER the server has to trust the address.
Prints a line for each check, `ok 1 - …` or `not ok 1 - …`, and ends with 1 if one fails.
Needs the packages adbc-driver-flightsql, adbc-driver-manager and pyarrow.
"""

import base64
import datetime
import decimal
import sys
import threading
import time
import traceback

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager
import pyarrow
import pyarrow.flight

CHECKS = []


def check(capability):
    def register(function):
        CHECKS.append((capability, function))
        return function

    return register


class Target:
    def __init__(self, uri, user=None, password=None):
        self.uri, self.user, self.password = uri, user, password

    def connect(self, **options):
        database = {}
        if self.user is not None:
            database = {"username": self.user, "password": self.password}
        if self.uri.startswith("grpc+tls"):
            database["adbc.flight.sql.client_option.tls_skip_verify"] = "true"
        options.setdefault("autocommit", True)
        return dbapi.connect(self.uri, db_kwargs=database, **options)

    def flight(self):
        """Returns pyarrow's client and the options that authenticate its calls."""
        insecure = {"disable_server_verification": True} if "tls" in self.uri else {}
        client = pyarrow.flight.connect(self.uri, **insecure)
        if self.user is None:
            return client, pyarrow.flight.FlightCallOptions()
        token = client.authenticate_basic_token(self.user, self.password)
        return client, pyarrow.flight.FlightCallOptions(headers=[token])


def rows(target, sql, parameters=None):
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def equal(got, expected):
    assert got == expected, f"got {got!r}, expected {expected!r}"


def fails(call, *texts):
    """Runs a call that has to fail with a message that has all of the texts."""
    try:
        call()
    except (adbc_driver_manager.Error, pyarrow.ArrowException) as error:
        for text in texts:
            assert text in str(error), f"{text!r} is not in {error}"
        return
    raise AssertionError("it did not fail")


# Protobuf by hand, for what no client lets one send.
def field(number, value):
    def varint(value):
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    return varint(number << 3 | 2) + varint(len(value)) + value


def command(name, body):
    url = f"type.googleapis.com/arrow.flight.protocol.sql.{name}"
    return field(1, url.encode()) + field(2, body)


def query(sql):
    return pyarrow.flight.FlightDescriptor.for_command(
        command("CommandStatementQuery", field(1, sql.encode()))
    )


@check("connect")
def connects(target):
    equal(rows(target, "select 1"), [(1,)])


@check("types")
def reads_all_types(target):
    utc = datetime.timezone.utc
    values = {
        "true": True,
        "7::smallint": 7,
        "8::integer": 8,
        "9::bigint": 9,
        "0.5::real": 0.5,
        "0.25::double precision": 0.25,
        "'Infinity'::double precision": float("inf"),
        "12.34::numeric(10,2)": decimal.Decimal("12.34"),
        "'-99999999999999999999999999999999999.99'::numeric(38,2)": decimal.Decimal(
            "-99999999999999999999999999999999999.99"
        ),
        "'a\u00e9\U0001f600'::text": "a\u00e9\U0001f600",
        "''": "",
        "'2024-02-29'::date": datetime.date(2024, 2, 29),
        "'12:34:56'::time": datetime.time(12, 34, 56),
        "'2024-02-29 12:34:56.789'::timestamp": datetime.datetime(
            2024, 2, 29, 12, 34, 56, 789000
        ),
        "'2024-02-29 12:34:56+02'::timestamptz": datetime.datetime(
            2024, 2, 29, 10, 34, 56, tzinfo=utc
        ),
        "array[1,2,null]": [1, 2, None],
        "null": None,
        "null::integer": None,
    }
    for sql, expected in values.items():
        [(got,)] = rows(target, f"select {sql} as c")
        if isinstance(got, datetime.datetime) and got.tzinfo is not None:
            got = got.astimezone(utc)
        assert got == expected, f"{sql}: got {got!r}, expected {expected!r}"


@check("simple")
def reads_no_rows(target):
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select 1 as a, 'x' as b where false")
        table = cursor.fetch_arrow_table()
    equal(table.num_rows, 0)
    equal(table.column_names, ["a", "b"])


@check("cursors")
def reads_many_rows(target):
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select * from generate_series(1, 300000) as t(i)")
        n_rows = total = 0
        for batch in cursor.fetch_record_batch():
            n_rows += batch.num_rows
            total += sum(batch.column(0).to_pylist())
    equal((n_rows, total), (300000, 300000 * 300001 // 2))


@check("metadata")
def sends_the_schema_it_announces(target):
    client, options = target.flight()
    for sql in [
        "select 1 as a, 'x' as b, 1.5::numeric(5,1) as c, array['y'] as d, null as e",
        "select count(*) as n, max(i) as m from generate_series(1, 3) as t(i)",
        "select table_name from information_schema.tables where false",
    ]:
        info = client.get_flight_info(query(sql), options)
        schema = client.get_schema(query(sql), options).schema
        assert info.schema.equals(schema, check_metadata=True), sql
        reader = client.do_get(info.endpoints[0].ticket, options)
        assert info.schema.equals(reader.schema, check_metadata=True), sql
        assert reader.read_all().schema.equals(info.schema, check_metadata=True), sql


@check("metadata")
def describes_columns(target):
    client, options = target.flight()
    schema = client.get_schema(query("select 1.5::numeric(5,1) as c"), options).schema
    metadata = schema.field("c").metadata
    equal(metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"], b"numeric")
    equal(metadata[b"ARROW:FLIGHT:SQL:PRECISION"], b"5")
    equal(metadata[b"ARROW:FLIGHT:SQL:SCALE"], b"1")
    equal([key for key in metadata if key.startswith(b"tarn")], [])


@check("prepared")
def binds_parameters(target):
    day = datetime.date(2024, 2, 29)
    equal(rows(target, "select ? + 1", (41,)), [(42,)])
    equal(rows(target, "select ?, '?', ?", ("a'b", None)), [("a'b", "?", None)])
    equal(rows(target, "select $2::integer - $1::integer", (1, 5)), [(4,)])
    sql = "select i from generate_series(1, 9) as t(i) where i > ? and i <= ? order by i"
    equal(rows(target, sql, (3, 5)), [(4,), (5,)])
    equal(rows(target, "select ?::date + 1 > ?::date", (day, day)), [(True,)])
    equal(rows(target, "select ? /* ? */ -- ?\n", (2.5,)), [(2.5,)])


@check("prepared")
def orders_parameters_by_number(target):
    with target.connect() as connection, connection.cursor() as cursor:
        sql = "select " + ", ".join(f"${number}::integer" for number in range(1, 13))
        schema = cursor.adbc_prepare(sql)
        equal(schema.names, [f"${number}" for number in range(1, 13)])
        cursor.execute(sql, tuple(range(12)))
        equal(cursor.fetchall(), [tuple(range(12))])


@check("prepared")
def refuses_wrong_parameters(target):
    fails(lambda: rows(target, "select ?::integer", ()), "08P01")
    fails(lambda: rows(target, "select ?::integer", (1, 2)), "08P01")
    fails(lambda: rows(target, "select ?::integer + 1", ("x",)), "22P02")


@check("prepared")
def runs_prepared_statements_again(target):
    with target.connect() as connection, connection.cursor() as cursor:
        for number in range(5):
            cursor.execute("select ?::integer * 2 as double", (number,))
            equal(cursor.fetchall(), [(number * 2,)])


@check("cursors")
def runs_statements_side_by_side(target):
    with target.connect() as connection:
        first, second = connection.cursor(), connection.cursor()
        first.execute("select * from generate_series(1, 200000) as t(i)")
        second.execute("select 2")
        equal(second.fetchall(), [(2,)])
        equal(len(first.fetchall()), 200000)
        first.close()
        second.close()


@check("simple")
def reports_errors(target):
    with target.connect() as connection, connection.cursor() as cursor:
        fails(lambda: cursor.execute("select * from no_such_table"), "no_such_table", "42P01")
        fails(lambda: cursor.execute("selec 1"), "42601")
        fails(lambda: cursor.execute("select no_such_column"), "42703")
        fails(lambda: cursor.execute("-- nothing"), "42601")
        fails(lambda: cursor.execute("select 1; select 2"), "42601")
        fails(lambda: (cursor.execute("select 1 / (1 - 1)"), cursor.fetchall()), "22012")
        cursor.execute("select 'still here'")
        equal(cursor.fetchall(), [("still here",)])


@check("connect")
def keeps_settings_in_the_session(target):
    with target.connect() as connection, connection.cursor() as cursor:
        cursor.executescript("set application_name to 'flight_sql.py'")
        cursor.execute("show application_name")
        equal(cursor.fetchall(), [("flight_sql.py",)])
    [(other,)] = rows(target, "show application_name")
    assert other != "flight_sql.py", other


@check("metadata")
def lists_objects(target):
    with target.connect() as connection:
        types = connection.adbc_get_table_types()
        equal(sorted(types), ["SYSTEM TABLE", "TABLE", "VIEW"])
        catalogs = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        [catalog] = catalogs
        schemas = {s["db_schema_name"]: s["db_schema_tables"] for s in catalog["catalog_db_schemas"]}
        assert "public" in schemas, schemas.keys()
        found = {t["table_name"]: t for t in schemas["pg_catalog"]}
        columns = [column["column_name"] for column in found["pg_class"]["table_columns"]]
        assert columns[:2] == ["oid", "relname"], columns
        pattern = connection.adbc_get_objects(depth="tables", table_name_filter="pg\\_cl%")
        names = {
            table["table_name"]
            for catalog in pattern.read_all().to_pylist()
            for schema in catalog["catalog_db_schemas"]
            for table in schema["db_schema_tables"]
        }
        assert names and all(name.startswith("pg_cl") for name in names), names
        schema = connection.adbc_get_table_schema("pg_class", db_schema_filter="pg_catalog")
        equal(schema.names, columns)
        info = connection.adbc_get_info()
        equal(info["vendor_name"], "tarn")


@check("metadata")
def has_a_current_schema(target):
    with target.connect() as connection:
        equal(connection.adbc_current_catalog, "tarn")
        connection.adbc_current_db_schema = "pg_catalog"
        equal(connection.adbc_current_db_schema, "pg_catalog")
        with connection.cursor() as cursor:
            cursor.execute("select count(*) > 0 from pg_class")
            equal(cursor.fetchall(), [(True,)])


@check("transactions")
def runs_transactions(target):
    with target.connect(autocommit=False) as connection, connection.cursor() as cursor:
        for end in [connection.commit, connection.rollback]:
            cursor.execute("select 1")
            equal(cursor.fetchall(), [(1,)])
            end()


@check("cancel")
def cancels_statements(target):
    endless = (
        "select count(*) from generate_series(1, 100000000) as a(i), "
        "generate_series(1, 100000) as b(j) where i % 7 = j % 11"
    )
    with target.connect() as connection, connection.cursor() as cursor:
        timer = threading.Timer(1.0, cursor.adbc_cancel)
        started = time.monotonic()
        timer.start()
        fails(lambda: (cursor.execute(endless), cursor.fetchall()), "cancel")
        seconds = time.monotonic() - started
        assert seconds < 20, f"it took {seconds:.1f} s"
    equal(rows(target, "select 'alive'"), [("alive",)])


@check("cancel")
def cancels_by_flight_info(target):
    client, options = target.flight()
    info = client.get_flight_info(query("select * from generate_series(1, 1000000000)"), options)
    reader = client.do_get(info.endpoints[0].ticket, options)
    reader.read_chunk()
    body = field(1, info.serialize())
    action = pyarrow.flight.Action("CancelFlightInfo", body)
    [result] = list(client.do_action(action, options))
    equal(result.body.to_pybytes(), b"\x08\x01")


    def read_all():
        # Not reader.read_all(): pyarrow 26 turns a cancelled call into KeyboardInterrupt there.
        while True:
            reader.read_chunk()

    fails(read_all, "57014")
    fails(lambda: client.do_get(info.endpoints[0].ticket, options), "not known")


@check("connect")
def refuses_forged_tickets(target):
    client, options = target.flight()
    for handle in [b"", b"select 1", bytes(32)]:
        ticket = pyarrow.flight.Ticket(command("TicketStatementQuery", field(1, handle)))
        fails(lambda ticket=ticket: client.do_get(ticket, options).read_all(), "not known")
    garbage = pyarrow.flight.Ticket(b"\xff\xff\xff")
    fails(lambda: client.do_get(garbage, options).read_all(), "08P01")


@check("connect")
def refuses_forged_tokens(target):
    client, _ = target.flight()
    for header in [b"Bearer " + base64.urlsafe_b64encode(bytes(32)), b"Bearer x", b"Magic x"]:
        options = pyarrow.flight.FlightCallOptions(headers=[(b"authorization", header)])
        fails(lambda options=options: client.get_flight_info(query("select 1"), options), "28000")


@check("connect")
def closes_sessions(target):
    client, options = target.flight()
    info = client.get_flight_info(query("select 1"), options)
    [result] = list(client.do_action(pyarrow.flight.Action("CloseSession", b""), options))
    equal(result.body.to_pybytes(), b"\x08\x01")
    fails(lambda: client.do_get(info.endpoints[0].ticket, options).read_all())


@check("connect")
def refuses_wrong_passwords(target):
    if target.user is None:
        print("# the server trusts this address: passwords are not checked")
        return
    wrong = Target(target.uri, target.user, "not " + target.password)
    fails(lambda: rows(wrong, "select 1"))
    fails(lambda: rows(Target(target.uri), "select 1"), "28000")


@check("simple")
def refuses_bulk_ingestion(target):
    with target.connect() as connection, connection.cursor() as cursor:
        table = pyarrow.table({"a": [1, 2]})
        fails(lambda: cursor.adbc_ingest("t", table), "0A000")


def main(arguments):
    if len(arguments) not in (1, 3):
        print(__doc__, file=sys.stderr)
        return 2
    target = Target(*arguments)
    print(f"1..{len(CHECKS)}")
    print(f"# client: ADBC Flight SQL {adbc_driver_flightsql.__version__}")
    n_failed = 0
    for number, (capability, function) in enumerate(CHECKS, start=1):
        name = f"{capability}: " + function.__name__.replace("_", " ")
        try:
            function(target)
            print(f"ok {number} - {name}", flush=True)
        except Exception:
            n_failed += 1
            print(f"not ok {number} - {name}", flush=True)
            for line in traceback.format_exc(limit=-2).splitlines():
                print(f"#   {line}", flush=True)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
