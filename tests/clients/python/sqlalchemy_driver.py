"""SQLAlchemy over psycopg 3 and psycopg2: reflection through pg_catalog, the ORM."""

import datetime
import decimal
import uuid

import sqlalchemy
from sqlalchemy import MetaData, Table, func, inspect, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tap import case, each_statement, equal, main, raises, server, show, show_rows

SERVER = server()
TPCH = {"customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"}


def engine(driver="psycopg"):
    url = sqlalchemy.URL.create(
        f"postgresql+{driver}", SERVER.user, SERVER.password, SERVER.host, SERVER.port,
        SERVER.database,
    )
    return sqlalchemy.create_engine(url)


@case("connect")
def connects():
    """Connects with each driver; the dialect's first queries work."""
    for driver in ("psycopg", "psycopg2", "pg8000"):
        with engine(driver).connect() as connection:
            equal(connection.execute(text("select 1")).scalar(), 1)
            assert connection.dialect.server_version_info >= (15,), driver


@case("metadata")
def names():
    """Lists schemas, tables and views."""
    inspector = inspect(engine())
    assert {"public", "information_schema"} <= set(inspector.get_schema_names())
    assert TPCH <= set(inspector.get_table_names(schema="public"))
    assert TPCH <= set(inspector.get_table_names())
    inspector.get_view_names(schema="public")
    assert inspector.has_table("nation") and not inspector.has_table("missing")


@case("metadata")
def columns():
    """Reflects columns with types."""
    inspector = inspect(engine())
    found = {c["name"]: c["type"] for c in inspector.get_columns("orders")}
    equal(list(found)[:3], ["o_orderkey", "o_custkey", "o_orderstatus"])
    assert isinstance(found["o_orderkey"], sqlalchemy.BIGINT), found
    assert isinstance(found["o_totalprice"], sqlalchemy.NUMERIC), found
    equal((found["o_totalprice"].precision, found["o_totalprice"].scale), (15, 2))
    assert isinstance(found["o_orderdate"], sqlalchemy.DATE), found


@case("metadata")
def constraints():
    """Asks for keys, indexes, comments and constraints without an error."""
    inspector = inspect(engine())
    inspector.get_pk_constraint("nation")
    inspector.get_foreign_keys("nation")
    inspector.get_indexes("nation")
    inspector.get_unique_constraints("nation")
    inspector.get_check_constraints("nation")
    inspector.get_table_comment("nation")


@case("metadata")
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


@case("metadata")
def autoload():
    """Loads one table and pages through it."""
    source = engine()
    nation = Table("nation", MetaData(), autoload_with=source)
    with source.connect() as connection:
        page = select(nation.c.n_name).order_by(nation.c.n_nationkey).limit(2).offset(5)
        equal(connection.execute(page).scalars().all(), ["ETHIOPIA", "FRANCE"])


@case("cursors")
def streams():
    """Streams with a server-side cursor."""
    with engine().connect().execution_options(stream_results=True, max_row_buffer=5) as connection:
        result = connection.execute(text("select n_nationkey from nation order by 1"))
        equal(sum(len(part) for part in result.partitions(4)), 25)


@case("transactions")
def errors():
    """Wraps the driver's error and goes on after a rollback."""
    with engine().connect() as connection:
        error = raises(
            sqlalchemy.exc.ProgrammingError, lambda: connection.execute(text("select * from missing"))
        )
        equal(error.orig.sqlstate, "42P01")
        connection.rollback()
        equal(connection.execute(text("select 1")).scalar(), 1)


@case("metadata")
def reflection():
    """Everything that the inspector tells about tables, columns, keys, indexes and comments"""
    with engine().begin() as connection:
        connection.execute(text("create table reflected (id int primary key, name varchar(20) not null, price numeric(8,2) default 0, at timestamptz, tags text[])"))
        connection.execute(text("create view reflected_view as select id, name from reflected"))
    inspector = inspect(engine())
    show(inspector.default_schema_name, sorted(inspector.get_table_names()), inspector.get_view_names())
    for table in ("orders", "reflected", "reflected_view"):
        for column in inspector.get_columns(table):
            show(f"{table}: {column!r}")
        show(inspector.get_pk_constraint(table), inspector.get_foreign_keys(table), inspector.get_indexes(table),
             inspector.get_unique_constraints(table), inspector.get_check_constraints(table),
             inspector.get_table_options(table))
        # tarn's comment says where the table lies, PostgreSQL has none.
        inspector.get_table_comment(table)
    show(inspector.get_view_definition("reflected_view"))
    show(inspector.get_sequence_names(), inspector.get_temp_table_names(), inspector.get_enums(),
         inspector.get_materialized_view_names())
    with engine().begin() as connection:
        connection.execute(text("drop view reflected_view"))
        connection.execute(text("drop table reflected"))


@case("metadata")
def reflection_by_drivers():
    """Reflects through psycopg2, pg8000 and asyncpg's sibling dialects"""
    for driver in ("psycopg2", "pg8000"):
        inspector = inspect(engine(driver))
        show([(c["name"], str(c["type"])) for c in inspector.get_columns("lineitem")])
        show(sorted(inspector.get_multi_columns(filter_names=["nation", "region"])))


@case("batch")
def orm():
    """The unit of work of the ORM: create, insert, update, delete, query"""

    class Base(DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "orm_item"
        id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
        name: Mapped[str] = mapped_column(sqlalchemy.String(30))
        price: Mapped[float] = mapped_column(sqlalchemy.Numeric(8, 2))

    source = engine()
    Base.metadata.create_all(source)
    with Session(source) as session:
        session.add_all(Item(id=n, name=f"n{n}", price=n) for n in range(5))
        session.commit()
        session.get(Item, 3).name = "changed"
        session.delete(session.get(Item, 4))
        session.commit()
        for item in session.scalars(select(Item).order_by(Item.id)):
            show((item.id, item.name, item.price))
        show(session.execute(select(func.count(), func.sum(Item.price))).all())
    Base.metadata.drop_all(source)


@case("transactions")
def savepoints():
    """begin_nested is a savepoint; isolation levels are set"""
    with engine().connect() as connection:
        connection.execute(text("create table saved5 (a int)"))
        connection.commit()
        with connection.begin():
            connection.execute(text("insert into saved5 values (1)"))
            nested = connection.begin_nested()
            connection.execute(text("insert into saved5 values (2)"))
            nested.rollback()
        show(connection.execute(text("select * from saved5")).all())
        connection.execute(text("drop table saved5"))
        connection.commit()
    for level in ("AUTOCOMMIT", "SERIALIZABLE", "READ COMMITTED"):
        with engine().connect().execution_options(isolation_level=level) as connection:
            show(connection.get_isolation_level(), connection.execute(text("show transaction_isolation")).scalar())


@case("types")
def typed_values():
    """Types of the dialect both ways"""
    from sqlalchemy.dialects import postgresql as pg

    values = [
        (sqlalchemy.Integer(), 7), (sqlalchemy.BigInteger(), 2**40), (sqlalchemy.Numeric(10, 2), decimal.Decimal("1.50")),
        (sqlalchemy.String(), "ä"), (sqlalchemy.Boolean(), True), (sqlalchemy.Date(), datetime.date(2024, 2, 29)),
        (sqlalchemy.DateTime(), datetime.datetime(2024, 2, 29, 1, 2, 3)), (pg.UUID(), uuid.UUID(int=7)),
        (pg.JSONB(), {"a": [1]}), (pg.ARRAY(sqlalchemy.Integer), [1, 2]), (sqlalchemy.LargeBinary(), b"\x00\x01"),
        (pg.INTERVAL(), datetime.timedelta(days=1)),
    ]
    with engine().connect() as connection:
        for kind, value in values:
            query = select(sqlalchemy.cast(sqlalchemy.bindparam("v", value, kind), kind))
            show(f"{kind}: {connection.execute(query).scalar()!r}")


def run_statement(sql):
    with engine().connect() as connection:
        result = connection.exec_driver_sql(sql)
        show_rows([(name, "") for name in result.keys()], result.all())


each_statement(run_statement, "simple")

main(f"SQLAlchemy {sqlalchemy.__version__}")
