"""asyncpg: binary only, introspects pg_type for types it does not know, named statements."""

import asyncio
import datetime
import decimal

import asyncpg

from tap import case, equal, main, server, todo

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


@case
async def connects(connection):
    """Connects and reads the server's version."""
    assert connection.get_server_version().major >= 15
    equal(await connection.fetchval("select 1"), 1)


@case
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


@case
async def times(connection):
    """Reads timestamptz and interval."""
    row = await connection.fetchrow(
        "select timestamptz '2024-02-29 01:02:03+00', interval '1 day'"
    )
    utc = datetime.timezone.utc
    equal(tuple(row), (
        datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=utc), datetime.timedelta(days=1),
    ))


@case
@todo("asyncpg does not understand pg_type's rows for arrays")
async def arrays(connection):
    """Reads an array."""
    equal(await connection.fetchval("select array[1, 2, 3]::int8[]"), [1, 2, 3])


@case
@todo("text to bytea keeps the escapes as they are")
async def bytes_from_text(connection):
    """Reads bytes that were written in hex."""
    equal(await connection.fetchval("select '\\x00ff'::bytea"), b"\x00\xff")


@case
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


@case
async def prepared(connection):
    """Prepares once, describes, runs often."""
    statement = await connection.prepare("select n_name from nation where n_nationkey = $1")
    equal([a.name for a in statement.get_attributes()], ["n_name"])
    assert statement.get_parameters()[0].name in ("int8", "int4"), statement.get_parameters()
    names = [await statement.fetchval(key) for key in range(25)]
    equal((names[0], names[24]), ("ALGERIA", "UNITED STATES"))


@case
async def cursors(connection):
    """Fetches through a portal in parts inside a transaction."""
    async with connection.transaction():
        cursor = await connection.cursor("select n_nationkey from nation order by 1")
        equal(len(await cursor.fetch(10)), 10)
        equal((await cursor.fetchrow())[0], 10)
        rows = [row[0] async for row in connection.cursor("select r_regionkey from region order by 1", prefetch=2)]
        equal(rows, [0, 1, 2, 3, 4])


@case
async def errors(connection):
    """Reports SQLSTATE and goes on."""
    error = await fails(asyncpg.UndefinedTableError, connection.fetch("select * from missing"))
    equal(error.sqlstate, "42P01")
    await fails(asyncpg.PostgresSyntaxError, connection.fetch("selec 1"))
    await fails(asyncpg.UndefinedColumnError, connection.fetch("select missing from nation"))
    equal(await connection.fetchval("select 1"), 1)


@case
async def transactions(connection):
    """Commits and rolls back."""
    async with connection.transaction(readonly=True):
        equal(await connection.fetchval("select count(*) from region"), 5)
    transaction = connection.transaction()
    await transaction.start()
    await connection.fetchval("select 1")
    await transaction.rollback()
    assert not connection.is_in_transaction()


@case
async def timeouts(connection):
    """A timeout of the client cancels the statement on the server."""
    sql = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"
    await fails(asyncio.TimeoutError, connection.fetchval(sql, timeout=0.3))
    equal(await connection.fetchval("select 1"), 1)


@case
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


def run(function):
    async def body():
        connection = await connect()
        try:
            await function(connection)
        finally:
            await connection.close()

    asyncio.run(asyncio.wait_for(body(), timeout=120))


main(run)
