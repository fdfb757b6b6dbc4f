"""tarn's rows of the tables of `delta_tables.py` beside those of DuckDB and of `deltalake`.

Takes `host port user password database FOLDER`.
"""

import datetime
import glob
import os
import sys

import duckdb
import duckdb_extension_delta
import psycopg
from deltalake import DeltaTable, QueryBuilder

from delta_tables import TABLES
from tap import case, equal, main, server

SERVER = server()
FOLDER = sys.argv[6]

SUMMARY = """
select count(*), sum(id), sum(small), sum(price), sum(ratio), count(name), min(name), max(name),
       min(day), max(day), min("at"), max("at"), sum(case when flag then 1 else 0 end),
       count(distinct part), count(part)
from {table} {where}
"""
ALL_ROWS = "select id, small, price, name, day, part from {table} {where} order by id"
FILTERS = [
    "", "where id between 140 and 160", "where small = 42 and flag", "where part = 'b c'",
    "where part is null", "where day >= date '2024-06-01' and price > 100", "where name like '%36'",
    "where id > 100000",
]


def tarn(sql):
    with psycopg.connect(
        host=SERVER.host, port=SERVER.port, user=SERVER.user, password=SERVER.password,
        dbname=SERVER.database, autocommit=True,
    ) as connection:
        return [tuple(map(plain, row)) for row in connection.execute(sql).fetchall()]


def plain(value):
    """Values that compare across libraries."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc) if value.tzinfo else value
    if hasattr(value, "as_tuple") or isinstance(value, float):
        return round(float(value), 6)
    return value


def duck(sql):
    connection = duckdb.connect()
    folder = os.path.dirname(duckdb_extension_delta.__file__)
    (extension,) = glob.glob(f"{folder}/extensions/*/delta.duckdb_extension")
    connection.execute(f"load '{extension}'")
    connection.execute("set timezone = 'UTC'")
    return [tuple(map(plain, row)) for row in connection.execute(sql).fetchall()]


def scan(table):
    return f"delta_scan('{os.path.join(FOLDER, table)}')"


def delta_rs(sql, table):
    """Rows by the Python package `deltalake`, which names the table `t`."""
    engine = QueryBuilder().register("t", DeltaTable(os.path.join(FOLDER, table)))
    batches = engine.execute(sql)
    rows = []
    for batch in batches:
        columns = [[plain(value.as_py()) for value in column] for column in batch.columns]
        rows.extend(zip(*columns))
    return rows


def compare(table, other):
    """Summaries under several filters, then all rows."""
    for where in FILTERS:
        found = tarn(SUMMARY.format(table=table, where=where))
        equal((where, found), (where, other(SUMMARY, where)))
    found = tarn(ALL_ROWS.format(table=table, where=""))
    equal(found, other(ALL_ROWS, ""))


def declare(table):
    def against_duckdb():
        compare(table, lambda sql, where: duck(sql.format(table=scan(table), where=where)))

    def against_deltalake():
        compare(table, lambda sql, where: delta_rs(sql.format(table="t", where=where), table))

    against_duckdb.__doc__ = f"{table} equals DuckDB's delta_scan"
    against_deltalake.__doc__ = f"{table} equals the package deltalake"
    # DuckDB's extension 1.5.5 reads partition columns of a column-mapped table as NULL.
    if table != "column_mapped":
        case("lake")(against_duckdb)
    case("lake")(against_deltalake)


for name in TABLES:
    declare(name)


@case("lake")
def history():
    """Each version equals deltalake's reading of that version."""
    for table in ("versions", "plain"):
        latest = DeltaTable(os.path.join(FOLDER, table)).version()
        for version in range(latest + 1):
            delta = DeltaTable(os.path.join(FOLDER, table), version=version)
            batches = QueryBuilder().register("t", delta).execute("select count(*) as n, sum(id) as s from t")
            row = [tuple(column[0].as_py() for column in batch.columns) for batch in batches]
            sql = f"select count(*), sum(id) from {table} version as of {version}"
            equal((version, tarn(sql)), (version, row))


@case("lake")
def history_of_deletion_vectors():
    """Versions before a deletion vector still have the rows."""
    for version, n_rows in enumerate([1000, 994, 894]):
        sql = f"select count(*), count(name) <= count(*) from deletion_vectors version as of {version}"
        equal(tarn(sql), [(n_rows, True)])


@case("lake")
def history_by_time():
    """TIMESTAMP AS OF finds the version that was the latest then."""
    delta = DeltaTable(os.path.join(FOLDER, "versions"))
    for commit in delta.history():
        # A millisecond may hold two commits; the last one counts.
        then = datetime.datetime.fromtimestamp(commit["timestamp"] / 1e3, datetime.timezone.utc)
        delta.load_as_version(then)
        (expected,) = tarn(f"select count(*), sum(id) from versions version as of {delta.version()}")
        sql = f"select count(*), sum(id) from versions timestamp as of '{then.isoformat()}'"
        equal(tarn(sql), [expected])


@case("lake")
def new_commits():
    """A new commit is seen by the next statement."""
    import shutil

    from deltalake import write_deltalake

    from delta_tables import rows

    path = os.path.join(FOLDER, "plain")
    (before,) = tarn("select count(*) from plain")
    write_deltalake(path, rows(5000, 5), mode="append")
    equal(tarn("select count(*) from plain"), [(before[0] + 5,)])
    equal(tarn(f"select count(*) from plain version as of {DeltaTable(path).version() - 1}"), [before])
    # A table that appears is found as well.
    shutil.copytree(os.path.join(FOLDER, "versions"), os.path.join(FOLDER, "appeared"))
    equal(tarn("select count(*) from appeared"), tarn("select count(*) from versions"))


main("deltalake and DuckDB")
