"""SQLAlchemy over psycopg 3 and psycopg2: reflection through pg_catalog, then pandas."""

import pandas
import sqlalchemy
from sqlalchemy import MetaData, Table, func, inspect, select, text

from tap import case, equal, main, raises, server, todo

SERVER = server()
TPCH = {"customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"}


def engine(driver="psycopg"):
    url = sqlalchemy.URL.create(
        f"postgresql+{driver}", SERVER.user, SERVER.password, SERVER.host, SERVER.port,
        SERVER.database,
    )
    return sqlalchemy.create_engine(url)


@case
def connects():
    """Connects with each driver; the dialect's first queries work."""
    for driver in ("psycopg", "psycopg2", "pg8000"):
        with engine(driver).connect() as connection:
            equal(connection.execute(text("select 1")).scalar(), 1)
            assert connection.dialect.server_version_info >= (15,), driver


@case
def names():
    """Lists schemas, tables and views."""
    inspector = inspect(engine())
    assert {"public", "information_schema"} <= set(inspector.get_schema_names())
    assert TPCH <= set(inspector.get_table_names(schema="public"))
    assert TPCH <= set(inspector.get_table_names())
    inspector.get_view_names(schema="public")
    assert inspector.has_table("nation") and not inspector.has_table("missing")


@case
def columns():
    """Reflects columns with types."""
    inspector = inspect(engine())
    found = {c["name"]: c["type"] for c in inspector.get_columns("orders")}
    equal(list(found)[:3], ["o_orderkey", "o_custkey", "o_orderstatus"])
    assert isinstance(found["o_orderkey"], sqlalchemy.BIGINT), found
    assert isinstance(found["o_totalprice"], sqlalchemy.NUMERIC), found
    equal((found["o_totalprice"].precision, found["o_totalprice"].scale), (15, 2))
    assert isinstance(found["o_orderdate"], sqlalchemy.DATE), found


@case
def constraints():
    """Asks for keys, indexes, comments and constraints without an error."""
    inspector = inspect(engine())
    inspector.get_pk_constraint("nation")
    inspector.get_foreign_keys("nation")
    inspector.get_indexes("nation")
    inspector.get_unique_constraints("nation")
    inspector.get_check_constraints("nation")
    inspector.get_table_comment("nation")


@case
def all_tables():
    """Reflects the whole schema, then queries through it."""
    metadata = MetaData()
    source = engine()
    metadata.reflect(source, only=sorted(TPCH))
    equal(TPCH, set(metadata.tables))
    nation, region = metadata.tables["nation"], metadata.tables["region"]
    query = (
        select(region.c.r_name, func.count())
        .join(nation, nation.c.n_regionkey == region.c.r_regionkey)
        .where(region.c.r_name.in_(["ASIA", "EUROPE"]))
        .group_by(region.c.r_name)
        .order_by(region.c.r_name)
    )
    with source.connect() as connection:
        equal([tuple(r) for r in connection.execute(query)], [("ASIA", 5), ("EUROPE", 5)])


@case
def autoload():
    """Loads one table and pages through it."""
    source = engine()
    nation = Table("nation", MetaData(), autoload_with=source)
    with source.connect() as connection:
        page = select(nation.c.n_name).order_by(nation.c.n_nationkey).limit(2).offset(5)
        equal(connection.execute(page).scalars().all(), ["ETHIOPIA", "FRANCE"])


@case
@todo("SQL cursors (DECLARE) are not supported")
def streams():
    """Streams with a server-side cursor."""
    with engine().connect().execution_options(stream_results=True, max_row_buffer=5) as connection:
        result = connection.execute(text("select n_nationkey from nation order by 1"))
        equal(sum(len(part) for part in result.partitions(4)), 25)


@case
def errors():
    """Wraps the driver's error and goes on after a rollback."""
    with engine().connect() as connection:
        error = raises(
            sqlalchemy.exc.ProgrammingError, lambda: connection.execute(text("select * from missing"))
        )
        equal(error.orig.sqlstate, "42P01")
        connection.rollback()
        equal(connection.execute(text("select 1")).scalar(), 1)


@case
def pandas_frames():
    """pandas reads queries and tables."""
    source = engine()
    frame = pandas.read_sql(
        text("select l_returnflag, sum(l_quantity) as q, count(*) as n from lineitem group by 1 order by 1"),
        source,
    )
    equal(list(frame["l_returnflag"]), ["A", "N", "R"])
    equal(str(frame["n"].dtype), "int64")
    equal(len(pandas.read_sql_table("nation", source, schema="public")), 25)
    chunks = pandas.read_sql(text("select * from nation"), source, chunksize=10)
    equal(sum(len(chunk) for chunk in chunks), 25)


main()
