"""asyncpg: binary only, introspects pg_type for types it does not know, named statements."""

import asyncio
import datetime
import decimal
import io
import json
import uuid

import asyncpg

from tap import case, each_statement, equal, main, raises, server, show, show_rows

SERVER = server()


async def connect(**options):
    return await asyncpg.connect(
        host=SERVER.host,
        port=SERVER.port,
        user=SERVER.user,
        password=SERVER.password,
        database=SERVER.database,
        ssl=False,
        **options,
    )


async def fails(kind, awaitable):
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


@case("connect")
async def connects(connection):
    """Connects and reads the server's version."""
    assert connection.get_server_version().major >= 15
    equal(await connection.fetchval("select 1"), 1)


@case("types")
async def types(connection):
    """Reads types in binary."""
    row = await connection.fetchrow(
        "select true, 7::int2, 8::int4, 9::int8, 1.5::float4, 2.5::float8, 1.50::numeric(5,2), "
        "'ä'::text, date '2024-02-29', timestamp '2024-02-29 01:02:03', null::text"
    )
    equal(tuple(row), (
        True, 7, 8, 9, 1.5, 2.5, decimal.Decimal("1.50"), "ä", datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3), None,
    ))


@case("types")
async def times(connection):
    """Reads timestamptz and interval."""
    row = await connection.fetchrow(
        "select timestamptz '2024-02-29 01:02:03+00', interval '1 day'"
    )
    utc = datetime.timezone.utc
    equal(tuple(row), (
        datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=utc), datetime.timedelta(days=1),
    ))


@case("arrays")
async def arrays(connection):
    """Reads an array."""
    equal(await connection.fetchval("select array[1, 2, 3]::int8[]"), [1, 2, 3])


@case("types")
async def bytes_from_text(connection):
    """Reads bytes that were written in hex."""
    equal(await connection.fetchval("select '\\x00ff'::bytea"), b"\x00\xff")


@case("prepared")
async def parameters(connection):
    """Binds parameters in binary, with casts and from context."""
    row = await connection.fetchrow(
        "select $1::int4 + 1, $2::text, $3::numeric(10,2), $4::date, $5::bool, $6::timestamp",
        41, "x", decimal.Decimal("2.50"), datetime.date(2020, 1, 2), True,
        datetime.datetime(2020, 1, 2, 3, 4, 5),
    )
    equal(tuple(row), (
        42, "x", decimal.Decimal("2.50"), datetime.date(2020, 1, 2), True,
        datetime.datetime(2020, 1, 2, 3, 4, 5),
    ))
    name = await connection.fetchval("select n_name from nation where n_nationkey = $1", 7)
    equal(name, "GERMANY")


@case("prepared")
async def prepared(connection):
    """Prepares once, describes, runs often."""
    statement = await connection.prepare("select n_name from nation where n_nationkey = $1")
    equal([a.name for a in statement.get_attributes()], ["n_name"])
    assert statement.get_parameters()[0].name in ("int8", "int4"), statement.get_parameters()
    names = [await statement.fetchval(key) for key in range(25)]
    equal((names[0], names[24]), ("ALGERIA", "UNITED STATES"))


@case("cursors")
async def cursors(connection):
    """Fetches through a portal in parts inside a transaction."""
    async with connection.transaction():
        cursor = await connection.cursor("select n_nationkey from nation order by 1")
        equal(len(await cursor.fetch(10)), 10)
        equal((await cursor.fetchrow())[0], 10)
        rows = [row[0] async for row in connection.cursor("select r_regionkey from region order by 1", prefetch=2)]
        equal(rows, [0, 1, 2, 3, 4])


@case("simple")
async def errors(connection):
    """Reports SQLSTATE and goes on."""
    error = await fails(asyncpg.UndefinedTableError, connection.fetch("select * from missing"))
    equal(error.sqlstate, "42P01")
    await fails(asyncpg.PostgresSyntaxError, connection.fetch("selec 1"))
    await fails(asyncpg.UndefinedColumnError, connection.fetch("select missing from nation"))
    equal(await connection.fetchval("select 1"), 1)


@case("transactions")
async def transactions(connection):
    """Commits and rolls back."""
    async with connection.transaction(readonly=True):
        equal(await connection.fetchval("select count(*) from region"), 5)
    transaction = connection.transaction()
    await transaction.start()
    await connection.fetchval("select 1")
    await transaction.rollback()
    assert not connection.is_in_transaction()


@case("cancel")
async def timeouts(connection):
    """A timeout of the client cancels the statement on the server."""
    sql = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"
    await fails(asyncio.TimeoutError, connection.fetchval(sql, timeout=0.3))
    equal(await connection.fetchval("select 1"), 1)


@case("connect")
async def concurrent(connection):
    """A pool of connections answers in parallel."""
    pool = await asyncpg.create_pool(
        host=SERVER.host, port=SERVER.port, user=SERVER.user, password=SERVER.password,
        database=SERVER.database, ssl=False, min_size=4, max_size=4,
    )
    async with pool:
        # Returning a connection to the pool sends asyncpg's reset statements.
        answers = await asyncio.gather(*(pool.fetchval("select $1::int4", n) for n in range(40)))
    equal(answers, list(range(40)))


@case("arrays")
async def array_parameters(connection):
    """Lists of many types as parameters"""
    utc = datetime.timezone.utc
    for kind, value in [
        ("int2", [1, None]), ("int4", [1, 2]), ("int8", [2**40]), ("float8", [0.5]), ("text", ["a", None, 'q"']),
        ("bool", [True, False]), ("numeric", [decimal.Decimal("1.50")]), ("date", [datetime.date(2024, 2, 29)]),
        ("timestamptz", [datetime.datetime(2024, 1, 2, tzinfo=utc)]), ("uuid", [uuid.UUID(int=7)]),
        ("int4", [[1, 2], [3, 4]]), ("text", []),
    ]:
        show(await connection.fetchval(f"select $1::{kind}[]", value))
    show(await connection.fetch("select n_name from nation where n_nationkey = any($1) order by 1", [1, 2]))


@case("json")
async def json_values(connection):
    """json, jsonb and uuid both ways"""
    row = await connection.fetchrow(
        "select $1::json, $2::jsonb, $3::uuid", '{"a": [1, null]}', '{"b":1.5}', uuid.UUID(int=7)
    )
    show(tuple(row))
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    show(await connection.fetchval("select $1::jsonb", {"a": [1, "ä"]}))


@case("types")
async def parameter_types(connection):
    """Every type as a binary parameter"""
    utc = datetime.timezone.utc
    for kind, value in [
        ("bool", True), ("int2", -7), ("int4", 70000), ("int8", 2**40), ("float4", 0.5), ("float8", -1e300),
        ("numeric", decimal.Decimal("-12345678901234567890.123456789")), ("text", "ä€"), ("varchar", "v"),
        ("bytea", b"\x00\xff"), ("date", datetime.date(1, 1, 1)), ("time", datetime.time(1, 2, 3, 4)),
        ("timestamp", datetime.datetime(2024, 1, 2, 3, 4, 5, 6)),
        ("timestamptz", datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=utc)),
        ("interval", datetime.timedelta(days=3, seconds=4, microseconds=5)), ("oid", 26), ("\"char\"", b"c"),
        ("timetz", datetime.time(1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))),
        ("numeric", decimal.Decimal("NaN")), ("float8", float("-inf")), ("inet", "10.0.0.1"),
    ]:
        show(f"{kind} {await connection.fetchval(f'select $1::{kind}', value)!r}")


@case("copy out")
async def copy_out(connection):
    """copy_from_query and copy_from_table"""
    for options in ({}, {"format": "csv", "header": True}, {"format": "binary"}):
        buffer = io.BytesIO()
        query = "select n_nationkey, n_name from nation where n_nationkey > $1 order by 1"
        show(await connection.copy_from_query(query, 20, output=buffer, **options), buffer.getvalue())
    buffer = io.BytesIO()
    show(await connection.copy_from_table("region", output=buffer, columns=["r_name"]), buffer.getvalue())


@case("copy in")
async def copy_in(connection):
    """copy_records_to_table and copy_to_table"""
    await connection.execute("create table copied3 (a int, b text, c timestamptz, d numeric(6,2))")
    utc = datetime.timezone.utc
    records = [(n, f"v{n}", datetime.datetime(2024, 1, 1 + n, tzinfo=utc), decimal.Decimal(n) / 4) for n in range(5)]
    show(await connection.copy_records_to_table("copied3", records=records))
    source = io.BytesIO(b"10,x\n11,\n")
    show(await connection.copy_to_table("copied3", source=source, columns=["a", "b"], format="csv"))
    for row in await connection.fetch("select * from copied3 order by a"):
        show(tuple(row))
    await connection.execute("drop table copied3")


@case("transactions")
async def savepoints(connection):
    """Nested transactions are savepoints"""
    await connection.execute("create table saved3 (a int)")
    async with connection.transaction():
        await connection.execute("insert into saved3 values (1)")
        try:
            async with connection.transaction():
                await connection.execute("insert into saved3 values (2)")
                await connection.execute("select * from missing")
        except asyncpg.UndefinedTableError:
            show("rolled back")
    show(await connection.fetch("select a from saved3"))
    await connection.execute("drop table saved3")
    for level in ("serializable", "repeatable_read", "read_committed"):
        async with connection.transaction(isolation=level):
            show(await connection.fetchval("show transaction_isolation"))


@case("batch")
async def execute_many(connection):
    """executemany inserts in one go"""
    await connection.execute("create table many3 (a int, b text)")
    await connection.executemany("insert into many3 values ($1, $2)", [(n, str(n)) for n in range(50)])
    show(await connection.fetch("select count(*), sum(a), max(b) from many3"))
    await connection.execute("drop table many3")


@case("simple")
async def tags(connection):
    """execute returns the command's tag"""
    for sql in ("select 1", "create table tagged (a int)", "insert into tagged values (1), (2)",
                "update tagged set a = 3", "delete from tagged where a = 3", "drop table tagged", "set work_mem = '8MB'",
                "select 1; select 2", "begin", "rollback"):
        show(f"{sql}: {await connection.execute(sql)}")


@case("metadata")
async def statement_attributes(connection):
    """A statement describes its parameters and columns"""
    for sql in (
        "select * from orders where o_orderkey = $1 and o_orderdate > $2 and o_comment like $3",
        "select $1::numeric(10,2) + 1, $2 || 'x', $3::text[]",
        "select count(*), sum(l_quantity), l_shipdate + 1 from lineitem group by 3",
    ):
        statement = await connection.prepare(sql)
        show([p.name for p in statement.get_parameters()])
        show([(a.name, a.type.name, a.type.schema) for a in statement.get_attributes()])


async def run_statement(connection, sql):
    statement = await connection.prepare(sql)
    rows = await statement.fetch()
    show_rows([(a.name, a.type.name) for a in statement.get_attributes()], [tuple(row) for row in rows])


each_statement(run_statement)


def run(function, *arguments):
    async def body():
        connection = await connect()
        try:
            await function(connection, *arguments)
        finally:
            await connection.close()

    asyncio.run(asyncio.wait_for(body(), timeout=120))


main(f"asyncpg {asyncpg.__version__}", run)
