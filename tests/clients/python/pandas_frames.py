"""pandas over SQLAlchemy and over ADBC: reads queries and tables, writes frames."""

import datetime

import adbc_driver_postgresql.dbapi as adbc
import pandas
import sqlalchemy
from sqlalchemy import text

from tap import case, equal, main, server, show

SERVER = server()


def engine():
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", SERVER.user, SERVER.password, SERVER.host, SERVER.port, SERVER.database
    )
    return sqlalchemy.create_engine(url)


def show_frame(frame):
    show({name: str(kind) for name, kind in frame.dtypes.items()})
    for row in frame.itertuples(index=False):
        show(tuple(row))


def frame():
    return pandas.DataFrame({
        "i": [1, 2, 3], "f": [0.5, None, -1.5], "s": ["a", None, "ä"], "b": [True, False, True],
        "d": pandas.to_datetime(["2024-02-29 00:00:00", None, "1999-12-31 23:59:59"]),
        "t": [datetime.date(2024, 2, 29), None, datetime.date(2000, 1, 1)],
    })


@case("simple")
def queries():
    """read_sql of an aggregate, of a table and in chunks"""
    source = engine()
    sql = "select l_returnflag, sum(l_quantity) as q, avg(l_tax) as t, count(*) as n, max(l_shipdate) as d from lineitem group by 1 order by 1"
    show_frame(pandas.read_sql(text(sql), source))
    chunks = pandas.read_sql(text("select * from nation"), source, chunksize=10)
    equal(sum(len(chunk) for chunk in chunks), 25)


@case("metadata")
def tables():
    """read_sql_table reflects and reads"""
    show_frame(pandas.read_sql_table("nation", engine(), schema="public", columns=["n_nationkey", "n_name"]))


@case("types")
def types():
    """Column types become NumPy's"""
    sql = "select o_orderkey, o_totalprice, o_orderdate, o_comment, o_orderkey / 2.0 as half, o_orderdate::timestamp as ts, o_orderkey > 5 as flag from orders order by 1 limit 5"
    show_frame(pandas.read_sql(text(sql), engine()))
    show_frame(pandas.read_sql(text(sql), engine(), dtype_backend="pyarrow"))


@case("prepared")
def parameters():
    """Parameters by name"""
    show_frame(pandas.read_sql(text("select * from region where r_regionkey >= :k order by 1"), engine(), params={"k": 3}))


@case("batch")
def writes():
    """to_sql creates, appends and replaces"""
    source = engine()
    frame().to_sql("frames", source, index=False)
    show_frame(pandas.read_sql_table("frames", source))
    frame().to_sql("frames", source, index=False, if_exists="append", method="multi")
    show(pandas.read_sql("select count(*), sum(i) from frames", source).values.tolist())
    frame().to_sql("frames", source, index=True, if_exists="replace")
    show_frame(pandas.read_sql_table("frames", source))
    with source.begin() as connection:
        connection.execute(text("drop table frames"))


def connect():
    return adbc.connect(f"postgresql://{SERVER.user}@{SERVER.host}:{SERVER.port}/{SERVER.database}")


@case("copy out")
def adbc_reads():
    """read_sql over ADBC"""
    with connect() as connection:
        show_frame(pandas.read_sql("select n_nationkey, n_name from nation order by 1 limit 5", connection))


@case("copy in")
def adbc_writes():
    """to_sql over ADBC"""
    with connect() as connection:
        data = frame()[["i", "f", "s", "b"]]
        data.to_sql("adbc_frames", connection, index=False)
        show_frame(pandas.read_sql("select * from adbc_frames order by i", connection))
        with connection.cursor() as cursor:
            cursor.execute("drop table adbc_frames")
        connection.commit()


main(f"pandas {pandas.__version__}")
