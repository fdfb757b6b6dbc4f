"""DuckDB's postgres extension: attaches a database, scans by COPY in binary, writes."""

import glob
import os

import duckdb
import duckdb_extension_postgres_scanner

from tap import case, main, raises, server, show

SERVER = server()


def attach(read_only=True):
    connection = duckdb.connect()
    folder = os.path.dirname(duckdb_extension_postgres_scanner.__file__)
    (extension,) = glob.glob(f"{folder}/extensions/*/postgres_scanner.duckdb_extension")
    connection.execute(f"load '{extension}'")
    connection.execute("set timezone = 'UTC'")
    source = f"host={SERVER.host} port={SERVER.port} user={SERVER.user} dbname={SERVER.database}"
    mode = ", read_only" if read_only else ""
    connection.execute(f"attach '{source}' as pg (type postgres{mode})")
    return connection


def show_result(connection, sql):
    result = connection.execute(sql)
    show([(c[0], str(c[1])) for c in result.description], *result.fetchall())


@case("connect")
def connects():
    """Attaches the database"""
    show_result(attach(), "select count(*) from pg.public.nation")


@case("metadata")
def tables():
    """Lists tables and columns"""
    connection = attach()
    show_result(connection, "select table_schema, table_name from information_schema.tables where table_catalog = 'pg' and table_schema = 'public' order by 1, 2")
    show_result(connection, "describe pg.public.orders")


@case("copy out")
def scans():
    """Scans tables with filters and joins"""
    connection = attach()
    show_result(connection, "select * from pg.public.region order by 1")
    show_result(connection, "select count(*), sum(l_quantity), min(l_shipdate), max(l_comment) from pg.public.lineitem")
    show_result(connection, "select n_name, count(*) from pg.public.nation join pg.public.customer on n_nationkey = c_nationkey where c_acctbal > 5000 group by 1 order by 2 desc, 1 limit 3")


@case("simple")
def queries():
    """postgres_query runs SQL on the server"""
    show_result(attach(), "select * from postgres_query('pg', 'select r_regionkey, r_name, r_regionkey / 2.0 as half from region order by 1')")
    show(str(raises(duckdb.Error, lambda: attach().execute("select * from postgres_query('pg', 'select * from missing')")))[:20])


@case("types")
def types():
    """Types by COPY in binary"""
    connection = attach(read_only=False)
    columns = "a int2, b int4, c int8, d float4, e float8, f numeric(8,2), g text, h varchar(5), i bool, k date, l timestamp, m timestamptz, n bytea"
    connection.execute(f"call postgres_execute('pg', 'create table duck_types ({columns})')")
    values = "7, 70000, 9000000000, 0.5, -1e300, 1.50, ''ä'', ''v'', true, date ''2024-02-29'', timestamp ''2024-02-29 01:02:03.5'', timestamptz ''2024-02-29 01:02:03+00'', ''\\x00ff''::bytea"
    connection.execute(f"call postgres_execute('pg', 'insert into duck_types values ({values}), ({', '.join(['null'] * 13)})')")
    show_result(attach(), "select * from pg.public.duck_types order by a")
    connection.execute("call postgres_execute('pg', 'drop table duck_types')")


@case("json")
def json_and_uuid():
    """json, jsonb and uuid columns"""
    connection = attach(read_only=False)
    connection.execute("call postgres_execute('pg', 'create table duck_json (a json, b jsonb, c uuid)')")
    connection.execute("call postgres_execute('pg', 'insert into duck_json values (''{\"a\": 1}'', ''[1]'', ''a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'')')")
    show_result(attach(), "select * from pg.public.duck_json")
    connection.execute("call postgres_execute('pg', 'drop table duck_json')")


@case("arrays")
def arrays():
    """Array columns"""
    connection = attach(read_only=False)
    connection.execute("call postgres_execute('pg', 'create table duck_arrays (a int4[], b text[])')")
    connection.execute("call postgres_execute('pg', 'insert into duck_arrays values (array[1, null, 3], array[''x'', null])')")
    show_result(attach(), "select * from pg.public.duck_arrays")
    connection.execute("call postgres_execute('pg', 'drop table duck_arrays')")


@case("copy in")
def writes():
    """CREATE TABLE AS and INSERT through the extension"""
    connection = attach(read_only=False)
    connection.execute("create table pg.public.duck_made as select range::int as a, 'v' || range as b from range(100)")
    connection.execute("insert into pg.public.duck_made values (1000, null)")
    show_result(connection, "select count(*), sum(a), max(b) from pg.public.duck_made")
    connection.execute("drop table pg.public.duck_made")


@case("transactions")
def transactions():
    """A transaction of DuckDB is one on the server"""
    connection = attach(read_only=False)
    connection.execute("create table pg.public.duck_saved (a int)")
    connection.execute("begin")
    connection.execute("insert into pg.public.duck_saved values (1)")
    connection.execute("rollback")
    show_result(connection, "select count(*) from pg.public.duck_saved")
    connection.execute("drop table pg.public.duck_saved")


main(f"DuckDB postgres {duckdb.__version__}")
