"""Every type as bytes on the wire: bound and read as text and in binary, through libpq."""

import importlib.metadata

from psycopg import pq

from tap import case, main, server, show

SERVER = server()

# Type, its number, and values in text form; the binary forms come from the server itself.
TYPES = [
    ("bool", 16, ["t", "f"]),
    ("bytea", 17, ["\\x", "\\x00ff41"]),
    ('"char"', 18, ["a"]),
    ("name", 19, ["a name"]),
    ("int8", 20, ["0", "-1", "9223372036854775807", "-9223372036854775808"]),
    ("int2", 21, ["32767", "-32768"]),
    ("int4", 23, ["2147483647", "-2147483648"]),
    ("text", 25, ["", "a", "é€😀", "a\nb"]),
    ("oid", 26, ["0", "4294967295"]),
    ("json", 114, ['{"b":  1, "a":[1,2.50]}', "null"]),
    ("float4", 700, ["1.5", "NaN", "Infinity", "-Infinity", "1e-30"]),
    ("float8", 701, ["0.1", "-0", "NaN", "Infinity", "-Infinity", "1e300"]),
    ("bpchar", 1042, ["ab"]),
    ("varchar", 1043, ["ab"]),
    ("date", 1082, ["2024-02-29", "0044-03-15 BC", "infinity", "-infinity", "1999-12-31"]),
    ("time", 1083, ["00:00:00", "23:59:59.999999", "24:00:00"]),
    ("timestamp", 1114, ["2024-01-05 10:00:00.5", "0044-03-15 12:00:00 BC", "infinity", "-infinity"]),
    ("timestamptz", 1184, ["2024-01-05 10:00:00+05", "0044-03-15 12:00:00+00 BC", "infinity"]),
    ("interval", 1186, ["1 year 2 mons 3 days 04:05:06.789", "-1 days", "00:00:00"]),
    ("numeric", 1700, ["0", "1.10", "-123456789012345678.123456789", "0.000001", "1e20", "10000"]),
    ("uuid", 2950, ["550e8400-e29b-41d4-a716-446655440000"]),
    ("jsonb", 3802, ['{"b":  1, "a":[1,2.50]}', "12", '"x"']),
    ("int4[]", 1007, ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "{{{1}}}"]),
    ("int8[]", 1016, ["{1}"]),
    ("int2[]", 1005, ["{1}"]),
    ("bool[]", 1000, ["{t,f,NULL}"]),
    ("text[]", 1009, ['{a,"b c",NULL,"NULL","","x\\"y","\\\\"}', "{{a,b},{c,d}}"]),
    ("varchar[]", 1015, ["{a,b}"]),
    ("float8[]", 1022, ["{1.5,NaN,NULL}"]),
    ("date[]", 1182, ["{2024-01-01,NULL}"]),
    ("timestamp[]", 1115, ['{"2024-01-01 10:00:00"}']),
    ("timestamptz[]", 1185, ['{"2024-01-01 10:00:00+00"}']),
    ("interval[]", 1187, ['{"1 day"}']),
    ("numeric[]", 1231, ["{1.50,2.25}"]),
    ("uuid[]", 2951, ["{550e8400-e29b-41d4-a716-446655440000,NULL}"]),
    ("jsonb[]", 3807, ['{"{\\"a\\": 1}",NULL}']),
    ("json[]", 199, ['{"[1,2]"}']),
    ("bytea[]", 1001, ['{"\\\\x41"}']),
    ("oid[]", 1028, ["{1,2}"]),
]

# Results without parameters.
RESULTS = [
    "select 1.5::numeric(10,2), 'a'::varchar(3), 'a'::char(3), now()::timestamp(3) is null",
    "select row(1, 'a'::text, null::int4), array[row(1, true)]",
    "select indkey, indclass from pg_index where false",
    "select null::uuid, null::jsonb, null::int4[], null::interval, null::numeric",
    "select null::int2vector",
    "select 1::int2, 2::int4, 3::int8, 4.5::float4, 5.5::float8, true, 'x'::name, 7::oid",
]


def connect():
    password = f" password='{SERVER.password}'" if SERVER.password else ""
    connection = pq.PGconn.connect(
        f"host='{SERVER.host}' port={SERVER.port} user='{SERVER.user}'"
        f" dbname='{SERVER.database}'{password}".encode()
    )
    assert connection.status == pq.ConnStatus.OK, connection.error_message
    connection.exec_(b"set timezone = 'Etc/GMT-5'")
    return connection


def run(connection, sql, value=None, oid=0, sent=0, wanted=0):
    values = None if value is None else [value]
    types = None if value is None else [oid]
    formats = None if value is None else [sent]
    result = connection.exec_params(sql.encode(), values, types, formats, wanted)
    if result.status != pq.ExecStatus.TUPLES_OK:
        state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
        return f"error {state.decode()}", None
    columns = [(result.ftype(i), result.fmod(i), result.fsize(i)) for i in range(result.nfields)]
    rows = [
        [result.get_value(row, column) for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]
    shown = [[None if cell is None else bytes(cell).hex() for cell in row] for row in rows]
    return f"{columns} {shown}", rows


def registered(name, oid, value):
    @case("types on the wire")
    def check():
        connection = connect()
        cast = f"select $1::{name}"
        for wanted in (0, 1):
            shown, rows = run(connection, cast, value.encode(), oid, 0, wanted)
            show(f"text to {'binary' if wanted else 'text'} {shown}")
        if rows:
            for wanted in (0, 1):
                shown, _ = run(connection, cast, bytes(rows[0][0]), oid, 1, wanted)
                show(f"binary to {'binary' if wanted else 'text'} {shown}")
        # Without a declared type, and as a literal.
        shown, _ = run(connection, cast, value.encode(), 0, 0, 0)
        show(f"undeclared {shown}")
        literal = value.replace("'", "''")
        shown, _ = run(connection, f"select '{literal}'::{name}, '{literal}'::{name}::text")
        show(f"literal {shown}")
        connection.finish()

    check.__doc__ = f"{name} {value}"
    return check


for type_name, number, values in TYPES:
    for value in values:
        function = registered(type_name, number, value)


@case("types on the wire")
def results():
    """Modifiers, records, vectors, NULLs."""
    connection = connect()
    for sql in RESULTS:
        for wanted in (0, 1):
            show(f"{sql} {run(connection, sql, wanted=wanted)[0]}")
    connection.finish()


main(f"libpq through psycopg {importlib.metadata.version('psycopg')}")
