"""ADBC's PostgreSQL driver: reads pg_type at start, then COPY (query) TO STDOUT in binary."""

import adbc_driver_postgresql.dbapi as adbc
from urllib.parse import quote

from tap import case, equal, main, raises, server, todo

SERVER = server()


def connect():
    password = f":{quote(SERVER.password)}" if SERVER.password else ""
    return adbc.connect(
        f"postgresql://{SERVER.user}{password}@{SERVER.host}:{SERVER.port}/{SERVER.database}"
    )


@case
@todo("COPY (query) TO STDOUT is not supported")
def connects():
    """Connects; the driver loads the types first."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        equal(cursor.fetchall(), [(1,)])


@case
@todo("COPY (query) TO STDOUT is not supported")
def arrow_tables():
    """Reads a table as Arrow."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("select n_nationkey, n_name from nation order by n_nationkey")
        table = cursor.fetch_arrow_table()
        equal(table.num_rows, 25)
        equal(table.column("n_name")[7].as_py(), "GERMANY")


@case
def errors():
    """Reports SQLSTATE."""
    with connect() as connection, connection.cursor() as cursor:
        error = raises(adbc.Error, lambda: cursor.execute("select * from missing"))
        equal(error.sqlstate, "42P01")


@case
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


main()
