"""OPTIMIZE, VACUUM, RESTORE and ANALYZE on tables of `deltalake`, which reads them afterwards.

Takes `host port user password database FOLDER`.
"""

import collections
import os
import sys
import threading
import time

import psycopg
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from delta_tables import rows
from tap import case, equal, main, server

SERVER = server()
FOLDER = sys.argv[6]
COLUMNS = "id, small, name, part"


def connect():
    return psycopg.connect(
        host=SERVER.host, port=SERVER.port, user=SERVER.user, password=SERVER.password,
        dbname=SERVER.database, autocommit=True,
    )


def tarn(*statements):
    """The rows of the last statement."""
    with connect() as connection:
        for sql in statements:
            cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def done(sql, *before):
    """What a command says of the one table that it was about."""
    names = ["table", "operation", "version", "files_added", "files_removed", "bytes_added",
             "bytes_removed", "rows", "ms"]
    (row,) = tarn(*before, sql)
    return collections.namedtuple("Done", names)(*row)


def path(table):
    return os.path.join(FOLDER, table)


def files(table):
    return DeltaTable(path(table)).file_uris()


def seen(table, version=None):
    """All rows as deltalake reads them."""
    delta = DeltaTable(path(table), version=version)
    found = collections.Counter()
    for batch in QueryBuilder().register("t", delta).execute(f"select {COLUMNS} from t"):
        found.update(zip(*[[v.as_py() for v in column] for column in batch.columns]))
    return found


def ours(table):
    return collections.Counter(tarn(f"select {COLUMNS} from {table}"))


@case("maintenance")
def compaction():
    """OPTIMIZE leaves the rows as they are, in fewer files"""
    before = seen("small")
    told = done("optimize small")
    equal((told.files_removed, told.files_added, told.rows), (12, 1, 1200))
    equal((seen("small"), ours("small")), (before, before))
    equal(len(files("small")), 1)
    equal(done("optimize small").version, told.version)
    equal(DeltaTable(path("small")).history()[0]["operation"], "OPTIMIZE")


@case("maintenance")
def partitions():
    """OPTIMIZE keeps to partitions, odd values and NULL included"""
    before = seen("small_parts")
    told = done("optimize small_parts where part = 'd/e=f' or part is null")
    equal((told.files_removed, told.files_added), (12, 2))
    told = done("optimize small_parts")
    equal((told.files_removed, told.files_added), (12, 2))
    equal((seen("small_parts"), ours("small_parts")), (before, before))


@case("maintenance")
def order():
    """ZORDER BY brings rows that are near in both columns into the same file"""
    before = seen("large")
    told = done("optimize large zorder by (small, day)", "set tarn.optimize_file_bytes = 200000")
    equal(told.rows, 400_000)
    assert told.files_added >= 8, told
    equal(seen("large"), before)
    stats = pa.table(DeltaTable(path("large")).get_add_actions(flatten=True)).to_pydict()
    # Of 100 values of one column, a file has at most half on average.
    spread = [high - low for low, high in zip(stats["min.small"], stats["max.small"])]
    assert sum(spread) / len(spread) < 60, spread


@case("maintenance")
def purge():
    """OPTIMIZE takes rows out that deletion vectors list"""
    (count,) = tarn("select count(*) from deletion_vectors")
    told = done("optimize deletion_vectors")
    equal((told.rows,), count)
    equal(sum(seen("deletion_vectors").values()), told.rows)


@case("maintenance")
def appends_do_not_conflict():
    """OPTIMIZE and appends of others both land"""
    failures = []

    def append():
        try:
            for first in range(5000, 6000, 100):
                write_deltalake(path("contended"), rows(first, 100), mode="append")
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=append)
    writer.start()
    n_versions = 0
    while writer.is_alive() or n_versions == 0:
        n_versions += done("optimize contended").files_removed > 0
    writer.join()
    equal(failures, [])
    equal(sorted(row[0] for row in seen("contended").elements()),
          [*range(1200), *range(5000, 6000)])


@case("maintenance")
def deletes_conflict():
    """Of a delete and an OPTIMIZE of the same files, one wins and no row comes back"""
    failures = collections.Counter()

    def delete():
        for first in range(0, 100, 10):
            for _ in range(100):
                try:
                    DeltaTable(path("contended")).delete(f"id >= {first} and id < {first + 10}")
                    break
                except Exception as error:
                    failures[type(error).__name__] += 1

    deleter = threading.Thread(target=delete)
    deleter.start()
    while deleter.is_alive():
        try:
            tarn("set tarn.optimize_file_bytes = 100000000", "optimize contended zorder by id")
        except psycopg.errors.SerializationFailure:
            failures["40001"] += 1
    deleter.join()
    equal(sorted(row[0] for row in seen("contended").elements()),
          [*range(100, 1200), *range(5000, 6000)])


@case("maintenance")
def cancelled():
    """A cancelled OPTIMIZE leaves the table as it was"""
    version = DeltaTable(path("watched")).version()
    with connect() as connection:
        connection.execute("set statement_timeout = 1")
        try:
            connection.execute("optimize watched zorder by (id, day)")
            ended = True
        except psycopg.errors.QueryCanceled:
            ended = False
    if not ended:
        equal(DeltaTable(path("watched")).version(), version)
    equal(sum(seen("watched").values()), 1200)
    with connect() as connection:
        running = connection.execute("select count(*) from tarn.queries where sql like 'optimize%'")
        equal(running.fetchall(), [(0,)])


@case("maintenance")
def restore():
    """RESTORE goes back and forth"""
    then = seen("restored", 4)
    now = seen("restored")
    newest = DeltaTable(path("restored")).version()
    told = done("restore restored to version as of 4")
    equal((told.version, told.rows), (newest + 1, 500))
    equal((seen("restored"), ours("restored")), (then, then))
    done(f"restore table restored to version as of {newest}")
    equal((seen("restored"), ours("restored")), (now, now))
    gone = DeltaTable(path("restored"), version=0).file_uris()[0]
    done("restore restored to version as of 4")
    tarn("truncate restored")
    os.rename(gone, gone + ".away")
    try:
        tarn("restore restored to version as of 4")
        raise AssertionError("no error")
    except psycopg.Error as error:
        equal(error.sqlstate, "58P01")
        assert os.path.basename(gone) in error.diag.message_detail, error.diag.message_detail
    os.rename(gone + ".away", gone)
    done("restore restored to version as of 4")
    equal(seen("restored"), then)


@case("maintenance")
def vacuum():
    """VACUUM deletes what no version needs, spares young strangers and what readers hold"""
    for name, age_hours in (("young.parquet", 1), ("old.parquet", 48)):
        file = os.path.join(path("pinned"), name)
        with open(file, "wb") as out:
            out.write(b"not known")
        then = time.time() - age_hours * 3600
        os.utime(file, (then, then))
    now = seen("pinned")
    with connect() as reader:
        reader.execute("begin")
        equal(reader.execute("select count(*) from pinned").fetchone(), (1200,))
        done("optimize pinned")
        kept = done("vacuum pinned retain 0 hours", "set tarn.vacuum_retention_check = off")
        # The reader's twelve files and the young one stay.
        equal(kept.files_removed, 1)
        equal(collections.Counter(reader.execute(f"select {COLUMNS} from pinned").fetchall()), now)
        reader.execute("commit")
    listed = tarn("set tarn.vacuum_retention_check = off", "vacuum pinned retain 0 hours dry run")
    equal(len(listed), 12)
    told = done("vacuum pinned retain 0 hours", "set tarn.vacuum_retention_check = off")
    equal((told.files_removed, told.bytes_removed), (12, sum(row[2] for row in listed)))
    left = [name for name in os.listdir(path("pinned")) if name.endswith(".parquet")]
    equal(sorted(left), sorted(["young.parquet", *map(os.path.basename, files("pinned"))]))
    equal((seen("pinned"), ours("pinned")), (now, now))


@case("maintenance")
def vacuum_by_default():
    """VACUUM without a time keeps what was removed in the last week"""
    tarn("delete from small where id < 10")
    equal(tarn("vacuum small dry run"), [])
    equal(done("vacuum small").files_removed, 0)
    equal(sum(seen("small", 0).values()), 100)


@case("maintenance")
def analyze():
    """ANALYZE writes a file that others overlook, and its numbers are right"""
    told = done("analyze large")
    equal(told.rows, 400_000)
    found = dict(tarn("select attname, n_distinct from pg_stats where tablename = 'large'"))
    equal((found["id"], found["flag"]), (-1.0, 2.0))
    assert 98 <= found["small"] <= 102, found
    (nulls,) = tarn("select null_frac from pg_stats where tablename = 'large' and attname = 'name'")
    assert abs(nulls[0] - 1 / 17) < 0.001, nulls
    equal(sum(seen("large").values()), 400_000)
    delta = DeltaTable(path("large"))
    equal([f for f in delta.vacuum(0, dry_run=True, enforce_retention_duration=False) if "_tarn" in f], [])


main("deltalake")
