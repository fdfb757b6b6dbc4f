"""pg8000: pure Python, text format in the extended protocol, unnamed and named statements."""

import datetime
import decimal

import pg8000.dbapi
import pg8000.native

from tap import case, equal, main, raises, server

SERVER = server()


def native():
    return pg8000.native.Connection(
        SERVER.user, host=SERVER.host, port=SERVER.port, password=SERVER.password,
        database=SERVER.database,
    )


def dbapi():
    return pg8000.dbapi.connect(
        SERVER.user, host=SERVER.host, port=SERVER.port, password=SERVER.password,
        database=SERVER.database,
    )


@case
def connects():
    """Connects; ParameterStatus holds what the driver asks for."""
    connection = native()
    status = {str(k): str(v) for k, v in connection.parameter_statuses.items()}
    equal(status.get("client_encoding", "").upper().replace("-", ""), "UTF8")
    equal(connection.run("select 1"), [[1]])
    connection.close()


@case
def types():
    """Reads types."""
    row = native().run(
        "select true, 7::int2, 8, 9::int8, 2.5::float8, 1.50::numeric(5,2), 'ä'::text, "
        "date '2024-02-29', timestamp '2024-02-29 01:02:03', null::int4"
    )[0]
    equal(row, [
        True, 7, 8, 9, 2.5, decimal.Decimal("1.50"), "ä", datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3), None,
    ])


@case
def parameters():
    """Binds named parameters; types come from the context."""
    connection = native()
    equal(connection.run("select n_name from nation where n_nationkey = :k", k=7), [["GERMANY"]])
    equal(connection.run("select cast(:d as date)", d=datetime.date(2020, 1, 2)),
          [[datetime.date(2020, 1, 2)]])


@case
def prepared():
    """Runs a named prepared statement."""
    statement = native().prepare("select n_name from nation where n_nationkey = :k")
    equal([statement.run(k=key)[0][0] for key in (0, 24)], ["ALGERIA", "UNITED STATES"])
    statement.close()


@case
def cursor():
    """DB-API cursors describe their columns and fetch in parts."""
    cursor = dbapi().cursor()
    cursor.execute("select n_nationkey, n_name from nation order by 1 limit 3 offset %s", (2,))
    equal([column[0] for column in cursor.description], ["n_nationkey", "n_name"])
    equal(cursor.fetchmany(2)[0][0], 2)
    equal(len(cursor.fetchall()), 1)


@case
def errors():
    """Reports SQLSTATE and goes on."""
    connection = native()
    error = raises(pg8000.native.DatabaseError, lambda: connection.run("select * from missing"))
    equal(error.args[0]["C"], "42P01")
    equal(connection.run("select 1"), [[1]])


@case
def transactions():
    """DB-API transactions commit and roll back."""
    connection = dbapi()
    cursor = connection.cursor()
    cursor.execute("select count(*) from region")
    equal(list(cursor.fetchone()), [5])
    connection.commit()
    raises(pg8000.dbapi.DatabaseError, lambda: cursor.execute("select * from missing"))
    connection.rollback()
    cursor.execute("select 1")


main()
