"""The programs that write and read Delta tables: what each can do, by its own means.

`write(shape_name, shape, path)` makes a table, `read(shape, path)` returns its rows in
the order of the shape's columns. `Absent` says that a program has no way to do something;
any other error is a failure.
"""

import glob
import os
import time

os.environ["TZ"] = "UTC"
time.tzset()

import pyarrow as pa

from shapes import ODD


class Absent(Exception):
    """The program has no such feature, with the reason."""


ARROW = {
    "bigint": pa.int64(), "int": pa.int32(), "decimal(12,2)": pa.decimal128(12, 2),
    "decimal(38,10)": pa.decimal128(38, 10), "double": pa.float64(), "string": pa.string(),
    "date": pa.date32(), "timestamp": pa.timestamp("us", tz="UTC"),
    "timestamp_ntz": pa.timestamp("us"), "boolean": pa.bool_(),
    "array<bigint>": pa.list_(pa.int64()), "array<string>": pa.list_(pa.string()),
    "struct<x: bigint, y: string>": pa.struct([("x", pa.int64()), ("y", pa.string())]),
    "map<string, bigint>": pa.map_(pa.string(), pa.int64()),
}


def arrow(shape):
    columns = {}
    for index, (name, kind) in enumerate(shape.columns.items()):
        values = [row[index] for row in shape.rows]
        if kind.startswith("struct"):
            values = [None if v is None else {"x": v[0], "y": v[1]} for v in values]
        elif kind.startswith("map"):
            values = [None if v is None else list(v.items()) for v in values]
        columns[name] = pa.array(values, ARROW[kind])
    return pa.table(columns)


def before_deletes():
    return pa.table({
        "id": pa.array(range(100), pa.int64()),
        "name": pa.array([f"n{i}" for i in range(100)]),
    })


def sql_value(value):
    """A scalar as a literal that Spark, PostgreSQL and DuckDB take."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)) or type(value).__name__ == "Decimal":
        return str(value)
    if hasattr(value, "hour"):
        zone = "+00:00" if value.tzinfo else ""
        kind = "timestamptz" if value.tzinfo else "timestamp"
        return f"{kind} '{value.replace(tzinfo=None)}{zone}'"
    if hasattr(value, "year"):
        return f"date '{value}'"
    return "'" + str(value).replace("'", "''") + "'"


class Deltalake:
    name = "deltalake"

    def __init__(self):
        import deltalake

        self.library = deltalake
        self.version = deltalake.__version__

    def write(self, name, shape, path):
        if name == "renamed":
            raise Absent("renames no columns")
        if name == "sql_types":
            raise Absent("has no types of SQL")
        if name == "deleted":
            self.library.write_deltalake(path, before_deletes())
            table = self.library.DeltaTable(path)
            table.delete("id % 10 = 0")
            table.update(updates={"name": "'changed'"}, predicate="id % 7 = 0")
            return
        table = arrow(shape)
        for first in range(0, table.num_rows, 25):
            self.library.write_deltalake(
                path, table.slice(first, 25), mode="append", partition_by=list(shape.partitions) or None,
            )

    def read(self, shape, path):
        table = self.library.DeltaTable(path)
        engine = self.library.QueryBuilder().register("t", table)
        names = ", ".join(f'"{name}"' for name in shape.columns)
        rows = []
        for batch in engine.execute(f"select {names} from t"):
            rows.extend(zip(*[[v.as_py() for v in column] for column in batch.columns]))
        return rows


class DuckDB:
    name = "duckdb"

    def __init__(self):
        import duckdb
        import duckdb_extension_delta

        self.library = duckdb
        self.version = duckdb.__version__
        folder = os.path.dirname(duckdb_extension_delta.__file__)
        (self.extension,) = glob.glob(f"{folder}/extensions/*/delta.duckdb_extension")

    def connect(self):
        """A database of its own: after a fatal error nothing more can be asked of one."""
        connection = self.library.connect()
        connection.execute(f"load '{self.extension}'")
        connection.execute("set timezone = 'UTC'")
        return connection

    def write(self, name, shape, path):
        """The extension creates no tables, it appends to those of others."""
        import deltalake

        if name in ("deleted", "renamed"):
            raise Absent("only appends")
        if name == "sql_types":
            raise Absent("its types of SQL have no words in Delta")
        if name == "partitions":
            raise Absent("inserts into partitioned tables are an internal error in 1.5.5")
        if name == "nested":
            raise Absent("maps that come from Arrow cannot be inserted in 1.5.5")
        made = arrow(shape)
        deltalake.write_deltalake(path, made.slice(0, 0), partition_by=list(shape.partitions) or None)
        connection = self.connect()
        connection.execute(f"attach '{path}' as target (type delta)")
        connection.register("made", made)
        connection.execute("insert into target select * from made")

    def read(self, shape, path):
        names = ", ".join(f'"{name}"' for name in shape.columns)
        return self.connect().execute(f"select {names} from delta_scan('{path}')").fetchall()


CLICKHOUSE = {
    "bigint": "Nullable(Int64)", "int": "Nullable(Int32)", "decimal(12,2)": "Nullable(Decimal(12, 2))",
    "decimal(38,10)": "Nullable(Decimal(38, 10))", "double": "Nullable(Float64)",
    "string": "Nullable(String)", "date": "Nullable(Date32)", "timestamp": "Nullable(DateTime64(6))",
    "boolean": "Nullable(Bool)",
}


class ClickHouse:
    name = "chdb"

    def __init__(self, folder):
        import chdb

        self.library = chdb
        self.version = chdb.__version__
        # Paths below the working folder only.
        os.chdir(folder)

    def write(self, name, shape, path):
        """It creates plain tables; it appends to those that it cannot create."""
        import deltalake
        import pyarrow.parquet

        if name in ("deleted", "renamed"):
            raise Absent("only appends")
        if name == "sql_types":
            raise Absent("its types of SQL have no words in Delta")
        if name == "nested":
            raise Absent("has no null for lists, structs and maps")
        made = arrow(shape)
        if name == "types":
            columns = ", ".join(f"`{c}` {CLICKHOUSE[kind]}" for c, kind in shape.columns.items())
            self.library.query(
                f"create table made_{name} ({columns}) engine = DeltaLakeLocal('{path}') "
                "settings allow_delta_lake_create_table = 1, allow_delta_lake_writes = 1"
            )
        else:
            deltalake.write_deltalake(path, made.slice(0, 0), partition_by=list(shape.partitions) or None)
        # Beside the served folder, so that nobody takes the file for a table.
        source = f"{os.path.dirname(os.path.dirname(path))}/chdb_{name}.source"
        pyarrow.parquet.write_table(made, source)
        names = ", ".join(f"`{column}`" for column in shape.columns)
        self.library.query(
            f"insert into function deltaLakeLocal('{path}') select {names} from file('{source}', Parquet) "
            "settings allow_delta_lake_writes = 1, session_timezone = 'UTC'"
        )

    def read(self, shape, path):
        names = ", ".join(f"`{name}`" for name in shape.columns)
        sql = f"select {names} from deltaLakeLocal('{path}') settings session_timezone = 'UTC'"
        table = pa.ipc.open_file(pa.BufferReader(self.library.query(sql, "Arrow").bytes())).read_all()
        columns = []
        for column in table.columns:
            # ClickHouse sends text as bytes.
            columns.append([v.decode() if isinstance(v, bytes) else v for v in column.to_pylist()])
        return list(zip(*columns))


class Sail:
    name = "sail"

    def __init__(self):
        import pysail
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession

        self.version = pysail.__version__
        self.server = SparkConnectServer("127.0.0.1", 0)
        self.server.start(background=True)
        _, port = self.server.listening_address
        self.spark = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
        self.spark.conf.set("spark.sql.session.timeZone", "UTC")

    def sql(self, text):
        return self.spark.sql(text).collect()

    def write(self, name, shape, path):
        if name == "renamed":
            raise Absent("renames no columns")
        if name == "sql_types":
            raise Absent("has no types of SQL")
        columns = ", ".join(f"`{c}` {kind}" for c, kind in shape.columns.items())
        by = f"partitioned by ({', '.join(shape.partitions)})" if shape.partitions else ""
        properties = "tblproperties ('delta.enableDeletionVectors' = 'true')" if name == "deleted" else ""
        self.sql(f"create table sail_{name} ({columns}) using delta {by} location '{path}' {properties}")
        made = before_deletes() if name == "deleted" else arrow(shape)
        self.spark.createDataFrame(made).createOrReplaceTempView("made")
        casts = ", ".join(f"cast(`{c}` as {kind}) as `{c}`" for c, kind in shape.columns.items())
        self.sql(f"insert into sail_{name} select {casts} from made")
        if name == "deleted":
            self.sql(f"delete from sail_{name} where id % 10 = 0")
            self.sql(f"update sail_{name} set name = 'changed' where id % 7 = 0")

    def read(self, shape, path):
        names = [f"`{name}`" for name in shape.columns]
        frame = self.spark.read.format("delta").load(path).select(*names)
        columns = [column.to_pylist() for column in frame.toArrow().columns]
        return list(zip(*columns))


TARN_TYPES = {
    "string": "text", "double": "double precision", "timestamp": "timestamptz",
    "timestamp_ntz": "timestamp", "array<bigint>": "bigint[]", "decimal(12,2)": "numeric(12,2)",
    "decimal(38,10)": "numeric(38,10)",
}


class Tarn:
    """tarn over the wire; it finds the tables of the others by itself, in the folder it serves."""

    name = "tarn"

    def __init__(self, host, port):
        import psycopg

        self.connection = psycopg.connect(
            host=host, port=port, user="tarn", dbname="tarn", autocommit=True, options="-c timezone=UTC",
        )
        (text,) = self.connection.execute("select version()").fetchone()
        self.version = text.split("tarn ")[-1].split(")")[0].split(",")[0] if "tarn" in text else text
        self.own = set()

    def sql(self, text):
        self.connection.execute(text)

    def create(self, name, columns, path, more=""):
        listed = ", ".join(f'"{c}" {TARN_TYPES.get(kind, kind)}' for c, kind in columns.items())
        table = os.path.basename(path)
        self.sql(f"create table {table} ({listed}) using delta {more} location '{path}'")
        self.own.add(table)

    def write(self, name, shape, path):
        table = os.path.basename(path)
        if name == "nested":
            # Structs and maps have no words in PostgreSQL: the rows come from another table.
            self.sql(f"create table {table} using delta location '{path}' as select * from deltalake_nested")
            self.own.add(table)
            return
        if name == "deleted":
            self.create(name, shape.columns, path, "tblproperties ('delta.enableDeletionVectors' = 'true')")
            self.sql(f"insert into {table} select i, 'n' || i from generate_series(0, 99) as s(i)")
            self.sql(f"delete from {table} where id % 10 = 0")
            self.sql(f"update {table} set name = 'changed' where id % 7 = 0")
            return
        if name == "sql_types":
            types = ["bigint", "uuid", "json", "jsonb", "time", "interval", "numeric(45,3)", "uuid[]"]
            listed = ", ".join(f"{c} {kind}" for c, kind in zip(shape.columns, types, strict=True))
            self.sql(f"create table {table} ({listed}) using delta location '{path}'")
            self.own.add(table)
            for row in shape.rows:
                values = [f"array[{', '.join(map(sql_value, v))}]::uuid[]" if isinstance(v, list) else sql_value(v)
                          for v in row]
                self.sql(f"insert into {table} values ({', '.join(values)})")
            return
        if name == "renamed":
            before = {"id": "bigint", "name": "string"}
            self.create(name, before, path, "tblproperties ('delta.columnMapping.mode' = 'name')")
            self.sql(f"insert into {table} select i, 'n' || i from generate_series(0, 9) as s(i)")
            self.sql(f"alter table {table} rename column name to title")
            self.sql(f"insert into {table} select i, 'n' || i from generate_series(10, 19) as s(i)")
            return
        by = f"partitioned by ({', '.join(shape.partitions)})" if shape.partitions else ""
        self.create(name, shape.columns, path, by)
        for first in range(0, len(shape.rows), 25):
            rows = [f"({', '.join(map(sql_value, row))})" for row in shape.rows[first : first + 25]]
            self.sql(f"insert into {table} values {', '.join(rows)}")

    def read(self, shape, path):
        # What others see as texts.
        is_text = {"string": "::text", "array<string>": "::text[]"}
        names = ", ".join(f'"{name}"{is_text.get(kind, "")}' for name, kind in shape.columns.items())
        rows = self.connection.execute(f"select {names} from {os.path.basename(path)}").fetchall()
        kinds = list(shape.columns.values())
        return [[self.value(kind, value) for kind, value in zip(kinds, row)] for row in rows]

    def value(self, kind, value):
        # The driver knows nothing of the fields of a row: it gives them as text.
        if kind.startswith("struct") and value is not None:
            return (int(value[0]), value[1])
        return value
