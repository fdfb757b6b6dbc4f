"""What tarn tells of the past of the tables of `history_tables.py`, beside what `deltalake` tells.

Takes `host port user password database FOLDER`.
"""

import collections
import datetime
import os
import sys

import psycopg
from deltalake import DeltaTable, QueryBuilder

from tap import case, equal, main, server

SERVER = server()
FOLDER = sys.argv[6]
COLUMNS = "id, small, price, name, day, part"


def connect():
    return psycopg.connect(
        host=SERVER.host, port=SERVER.port, user=SERVER.user, password=SERVER.password,
        dbname=SERVER.database, autocommit=True,
    )


def tarn(sql):
    with connect() as connection:
        return [tuple(map(plain, row)) for row in connection.execute(sql).fetchall()]


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc) if value.tzinfo else value
    return round(float(value), 6) if hasattr(value, "as_tuple") else value


def path(table):
    return os.path.join(FOLDER, table)


def recorded(table, columns, first, last):
    """The change data feed as deltalake reads it."""
    reader = DeltaTable(path(table)).load_cdf(starting_version=first, ending_version=last)
    names = [name.strip() for name in columns.split(",")] + ["_change_type", "_commit_version"]
    found = []
    for batch in reader:
        values = [[plain(v.as_py()) for v in batch.column(batch.schema.names.index(n))] for n in names]
        found.extend(zip(*values))
    return collections.Counter(found)


def feed(table, columns, first, last):
    sql = f"select {columns}, _change_type, _commit_version from table_changes('{table}', {first}, {last})"
    return collections.Counter(tarn(sql))


def declare(table, columns, since=0):
    def changes():
        newest = DeltaTable(path(table)).version()
        for first in range(newest + 1):
            for last in range(max(first, since), newest + 1):
                equal(feed(table, columns, first, last), recorded(table, columns, first, last))

    changes.__doc__ = f"the change data feed of {table} is deltalake's, between all its versions"
    case("history")(changes)

    def differences():
        """Added up, what the feed says leads from one version to the other."""
        newest = DeltaTable(path(table)).version()
        for first in range(newest):
            before, after = at(table, columns, first), at(table, columns, newest)
            sign = {"insert": 1, "update_postimage": 1, "delete": -1, "update_preimage": -1}
            for *row, change, _version in expand(feed(table, columns, first + 1, newest)):
                before[tuple(row)] += sign[change]
            equal(+before, after)

    differences.__doc__ = f"the feed of {table} leads from each version to the newest"
    case("history")(differences)


def expand(counter):
    return counter.elements()


def at(table, columns, version):
    """The rows of a version as deltalake reads them, NULL for columns that it lacks."""
    delta = DeltaTable(path(table), version=version)
    have = [field.name for field in delta.schema().fields]
    names = [name.strip() for name in columns.split(",")]
    found = collections.Counter()
    for batch in QueryBuilder().register("t", delta).execute("select * from t"):
        n_rows = batch.num_rows
        rows = [
            [plain(v.as_py()) for v in batch.column(batch.schema.names.index(name))]
            if name in have else [None] * n_rows
            for name in names
        ]
        found.update(zip(*rows))
    return found


for name in ("recorded", "recorded_parts"):
    declare(name, COLUMNS)
# The feed has the columns of its last version: the second one comes with version 1.
declare("recorded_wider", "id, name", since=1)


@case("history")
def versions():
    """DESCRIBE HISTORY has deltalake's versions, operations and times"""
    for table in ("recorded", "recorded_parts", "versions"):
        expected = [
            (commit.get("version"), commit.get("operation"), commit.get("operationParameters"))
            for commit in DeltaTable(path(table)).history()
        ]
        sql = f"select version, operation, operation_parameters from table_history('{table}')"
        equal(tarn(sql), expected)
        described = tarn(f"describe history {table}")
        equal([row[0] for row in described], [row[0] for row in expected])
        equal(tarn(f"describe history {table} limit 2"), described[:2])


@case("history")
def differences_without_a_record():
    """table_diff leads from each version to each other one, deletion vectors included"""
    for table in ("recorded_parts", "versions"):
        newest = DeltaTable(path(table)).version()
        for first in range(newest + 1):
            for last in range(newest + 1):
                found = at(table, COLUMNS, first)
                sql = f"select {COLUMNS}, _change_type from table_diff('{table}', {first}, {last})"
                for *row, change in tarn(sql):
                    found[tuple(row)] += 1 if change == "insert" else -1
                equal(+found, at(table, COLUMNS, last))
                equal(-found, collections.Counter())


@case("history")
def deletion_vectors():
    """table_diff compares deletion vectors"""
    for first, last in ((0, 1), (1, 2), (0, 2), (2, 0), (2, 1)):
        sql = f"select id, _change_type from table_diff('deletion_vectors', {first}, {last})"
        found = sorted(tarn(sql))
        low, high = min(first, last), max(first, last)
        gone = tarn(
            f"select id from deletion_vectors version as of {low} where id not in "
            f"(select id from deletion_vectors version as of {high})"
        )
        change = "delete" if first < last else "insert"
        equal(found, sorted((*row, change) for row in gone))
        assert found, "no difference"


@case("history")
def not_recorded():
    """Versions without a record are an error, those after it are read"""
    with connect() as connection:
        for first, missing in ((0, 0), (1, 1)):
            try:
                connection.execute(f"select * from table_changes('recorded_later', {first})").fetchall()
                raise AssertionError("no error")
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                assert f"were not recorded in version {missing}" in str(error), str(error)
    equal(tarn("select id, _change_type, _commit_version from table_changes('recorded_later', 2)"),
          [(5, "delete", 3)])


@case("history")
def times():
    """Points of time name versions in table_changes and table_diff"""
    history = tarn("select version, timestamp from table_history('recorded') order by version")
    for version, at_time in history[1:]:
        text = at_time.isoformat()
        first = f"select count(*), min(_commit_version) from table_changes('recorded', '{text}', {version})"
        (found,) = tarn(first)
        # Commits of one millisecond are one moment.
        assert found[1] is None or found[1] <= version, found
        named = tarn(f"select count(*) from table_diff('recorded', 0, '{text}')")
        newest_then = max(v for v, t in history if t <= at_time)
        equal(named, tarn(f"select count(*) from table_diff('recorded', 0, {newest_then})"))


@case("history")
def snapshots():
    """SET snapshot and READ ONLY transactions see one moment while others commit"""
    from deltalake import write_deltalake

    from delta_tables import rows

    newest = DeltaTable(path("versions")).version()
    with connect() as connection, connect() as other:
        (before,) = connection.execute("select count(*) from versions").fetchone()
        connection.execute(f"set snapshot = 'versions={newest}'")
        other.execute("begin read only")
        write_deltalake(path("versions"), rows(9000, 7), mode="append")
        equal(connection.execute("select count(*) from versions").fetchone(), (before,))
        # The first statement of the transaction comes after the commit.
        equal(other.execute("select count(*) from versions").fetchone(), (before,))
        connection.execute("reset snapshot")
        equal(connection.execute("select count(*) from versions").fetchone(), (before + 7,))
        equal(other.execute("select count(*) from versions").fetchone(), (before,))
        other.execute("commit")
        equal(other.execute("select count(*) from versions").fetchone(), (before + 7,))


main("deltalake")
