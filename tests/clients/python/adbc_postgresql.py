"""ADBC's PostgreSQL driver: reads pg_type at start, then COPY (query) TO STDOUT in binary."""

import datetime
import importlib.metadata
import threading
from urllib.parse import quote

import adbc_driver_postgresql.dbapi as adbc
import pyarrow

from tap import case, each_statement, equal, main, raises, server, show, show_rows

SERVER = server()


def connect():
    password = f":{quote(SERVER.password)}" if SERVER.password else ""
    return adbc.connect(
        f"postgresql://{SERVER.user}{password}@{SERVER.host}:{SERVER.port}/{SERVER.database}"
    )


@case("connect")
def connects():
    """Connects; the driver loads the types first."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        equal(cursor.fetchall(), [(1,)])


@case("copy out")
def arrow_tables():
    """Reads a table as Arrow."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("select n_nationkey, n_name from nation order by n_nationkey")
        table = cursor.fetch_arrow_table()
        equal(table.num_rows, 25)
        equal(table.column("n_name")[7].as_py(), "GERMANY")


@case("simple")
def errors():
    """Reports SQLSTATE."""
    with connect() as connection, connection.cursor() as cursor:
        error = raises(adbc.Error, lambda: cursor.execute("select * from missing"))
        equal(error.sqlstate, "42P01")


@case("metadata")
def tables():
    """Lists tables."""
    with connect() as connection:
        objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        names = {
            table["table_name"]
            for catalog in objects
            for schema in catalog["catalog_db_schemas"] or []
            for table in schema["db_schema_tables"] or []
        }
        assert {"nation", "region"} <= names, names


@case("copy out")
def typed_columns():
    """Arrow types of many columns, with nulls"""
    sql = """
    select i::int2 as a, i::int4 as b, i::int8 as c, i::float4 as d, i::float8 as e, (i / 4.0)::numeric(8,2) as f,
           'v' || i as g, i > 2 as h, date '2024-02-29' + i as k, timestamp '2024-02-29 01:02:03' as l,
           timestamptz '2024-02-29 01:02:03+00' as m, time '01:02:03' as n, interval '1 day 2 hours' as o,
           '\\x0102'::bytea as p, case when i = 1 then null else i end as q, array[i, 2]::int4[] as r,
           array['a', null] as s, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as t, '{"a": 1}'::jsonb as u
    from (values (1), (2), (3)) as v(i) order by 1
    """
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
        show(table.schema.remove_metadata(), *table.to_pylist())


@case("prepared")
def parameters():
    """Binds parameters"""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("select n_name from nation where n_nationkey = $1", (7,))
        show(cursor.fetchall())
        cursor.execute("select $1::text, $2::float8, $3::bool", ("ä", 0.5, True))
        show(cursor.fetchall())


@case("batch")
def execute_many():
    """executemany inserts"""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("create table adbc_many (a int8, b text)")
        cursor.executemany("insert into adbc_many values ($1, $2)", [(n, str(n)) for n in range(5)])
        connection.commit()
        cursor.execute("select count(*), sum(a)::int8 from adbc_many")
        show(cursor.fetchall())
        cursor.execute("drop table adbc_many")
        connection.commit()


@case("copy in")
def ingests():
    """Ingests Arrow tables: create, append, replace"""
    data = pyarrow.table({
        "a": pyarrow.array([1, None, 3], pyarrow.int64()), "b": ["x", "y", None],
        "c": pyarrow.array([0.5, 1.5, None], pyarrow.float64()), "d": [True, None, False],
        "e": pyarrow.array([datetime.date(2024, 2, 29)] * 3, pyarrow.date32()),
        "f": pyarrow.array([datetime.datetime(2024, 2, 29, 1, 2, 3)] * 3, pyarrow.timestamp("us")),
    })
    with connect() as connection, connection.cursor() as cursor:
        show(cursor.adbc_ingest("adbc_ingested", data, mode="create"))
        show(cursor.adbc_ingest("adbc_ingested", data, mode="append"))
        cursor.execute("select * from adbc_ingested order by a, b")
        show(*cursor.fetch_arrow_table().to_pylist())
        show(cursor.adbc_ingest("adbc_ingested", data.slice(0, 1), mode="replace"))
        cursor.execute("select count(*) from adbc_ingested")
        show(cursor.fetchall())
        cursor.execute("drop table adbc_ingested")
        connection.commit()


@case("metadata")
def objects():
    """get_objects with columns, table types and a table's schema"""
    with connect() as connection:
        show(sorted(connection.adbc_get_table_types()))
        show(connection.adbc_get_table_schema("orders").remove_metadata())
        objects = connection.adbc_get_objects(
            depth="all", db_schema_filter="public", table_name_filter="nation"
        ).read_all().to_pylist()
        for catalog in objects:
            if catalog["catalog_name"] != SERVER.database:
                continue
            for schema in catalog["catalog_db_schemas"]:
                for table in schema["db_schema_tables"]:
                    show(schema["db_schema_name"], table["table_name"], table["table_type"], table["table_constraints"])
                    show(*sorted(table["table_columns"], key=lambda column: column["ordinal_position"]))
        show(connection.adbc_current_catalog == SERVER.database, connection.adbc_current_db_schema)


@case("transactions")
def transactions():
    """Commit, rollback, autocommit"""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("create table adbc_saved (a int)")
        connection.commit()
        cursor.execute("insert into adbc_saved values (1)")
        connection.rollback()
        cursor.execute("select count(*) from adbc_saved")
        show(cursor.fetchall())
        cursor.execute("drop table adbc_saved")
        connection.commit()


@case("cancel")
def cancels():
    """adbc_cancel stops a running statement"""
    sql = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"
    with connect() as connection, connection.cursor() as cursor:
        timer = threading.Timer(0.3, cursor.adbc_cancel)
        timer.start()

        def read():
            cursor.execute(sql)
            cursor.fetchall()

        error = raises(adbc.Error, read)
        timer.join()
        show(error.sqlstate)


def run_statement(sql):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
        show(table.schema.remove_metadata(), *table.to_pylist())


each_statement(run_statement)

main(f"ADBC postgresql {importlib.metadata.version('adbc-driver-postgresql')}")
