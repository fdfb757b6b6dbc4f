"""A peer engine of the benchmark, driven by JSON lines on stdin and stdout.

One process holds one engine, so that engines do not share threads or memory:

    peer.py duckdb-parquet | duckdb-memory | datafusion | delta

Requests and answers, one JSON object a line:

    {"op": "version"}                                    -> {"version": "..."}
    {"op": "open", "tables": {name: [files]}, "threads"} -> {"ms": ...}
    {"op": "run", "sql": "...", "rows": false}           -> {"ms", "n_rows", "kinds"?, "rows"?}
    {"op": "delta_files", "path": "..."}                 -> {"files": [...], "version": n}
    {"op": "rss"}                                        -> {"bytes": ...}

An error answers {"error": "..."}. The time covers parsing to the last row as
Arrow data in this process; turning rows to text happens after the clock stopped.
A value travels as text (null stays null), with the kind of its column:
int, decimal:SCALE, float, or other.
"""

import datetime
import json
import os
import sys
import time
from urllib.parse import unquote, urlparse


class DuckDB:
    """DuckDB over Parquet files (views) or over its own in-memory tables."""

    def __init__(self, in_memory):
        import duckdb

        self.in_memory = in_memory
        self.version = "duckdb " + duckdb.__version__
        self.connection = duckdb.connect(":memory:")

    def open(self, tables, threads):
        self.connection.execute(f"set threads to {int(threads)}")
        kind = "table" if self.in_memory else "view"
        for name, files in tables.items():
            listed = ", ".join("'" + f.replace("'", "''") + "'" for f in files)
            self.connection.execute(
                f'create {kind} "{name}" as select * from read_parquet([{listed}])'
            )

    def run(self, sql):
        return self.connection.execute(sql).to_arrow_table()


class DataFusion:
    """DataFusion in process, with the settings of its own Parquet benchmarks."""

    def __init__(self):
        import datafusion

        self.module = datafusion
        self.version = "datafusion " + datafusion.__version__

    def open(self, tables, threads):
        config = (
            self.module.SessionConfig()
            .with_target_partitions(int(threads))
            .set("datafusion.execution.parquet.pushdown_filters", "false")
            .set("datafusion.sql_parser.dialect", "PostgreSQL")
        )
        self.context = self.module.SessionContext(config)
        for name, files in tables.items():
            self.context.register_parquet(name, common_folder(files))

    def run(self, sql):
        import pyarrow

        frame = self.context.sql(sql)
        batches = frame.collect()
        schema = batches[0].schema if batches else frame.schema()
        return pyarrow.Table.from_batches(batches, schema=schema)


class Delta:
    """No engine: only answers `delta_files`."""

    version = "delta"

    def open(self, tables, threads):
        pass


def common_folder(files):
    """The folder of `files`; DataFusion reads it whole, so nothing else may be in it."""
    folders = {os.path.dirname(f) for f in files}
    if len(folders) != 1:
        raise ValueError("the files of a table lie in several folders")
    folder = folders.pop()
    present = {f for f in os.listdir(folder) if f.endswith(".parquet")}
    if present != {os.path.basename(f) for f in files}:
        raise ValueError(f"{folder} holds Parquet files that the table version does not")
    return folder + "/"


def delta_files(path):
    """The live Parquet files of the Delta table at `path`, as local paths."""
    import deltalake

    table = deltalake.DeltaTable(path)
    uris = table.file_uris()
    return {
        "files": [unquote(urlparse(u).path) if "://" in u else u for u in uris],
        "version": table.version(),
        "library": "deltalake " + deltalake.__version__,
    }


def kind_of(arrow_type):
    import pyarrow.types as t

    if t.is_integer(arrow_type):
        return "int"
    if t.is_decimal(arrow_type):
        return f"decimal:{arrow_type.scale}"
    if t.is_floating(arrow_type):
        return "float"
    return "other"


def text_of(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, float):
        return repr(value)
    # DuckDB turns date arithmetic into timestamps: midnight is written as the date.
    if isinstance(value, datetime.datetime):
        text = value.isoformat(sep=" ")
        return text[:-9] if text.endswith(" 00:00:00") else text
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return format(value, "f") if type(value).__name__ == "Decimal" else str(value)


def answer(engine, request):
    op = request["op"]
    if op == "version":
        return {"version": engine.version}
    if op == "delta_files":
        return delta_files(request["path"])
    if op == "rss":
        with open("/proc/self/statm") as file:
            return {"bytes": int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")}
    started = time.perf_counter()
    if op == "open":
        engine.open(request["tables"], request["threads"])
        return {"ms": (time.perf_counter() - started) * 1e3}
    if op == "run":
        table = engine.run(request["sql"])
        reply = {"ms": (time.perf_counter() - started) * 1e3, "n_rows": table.num_rows}
        if request.get("rows"):
            reply["kinds"] = [kind_of(field.type) for field in table.schema]
            columns = [[text_of(v) for v in column.to_pylist()] for column in table.columns]
            reply["rows"] = [list(row) for row in zip(*columns)]
        return reply
    raise ValueError(f"unknown op {op}")


def main():
    name = sys.argv[1]
    engines = {
        "duckdb-parquet": lambda: DuckDB(False),
        "duckdb-memory": lambda: DuckDB(True),
        "datafusion": DataFusion,
        "delta": Delta,
    }
    engine = engines[name]()
    for line in sys.stdin:
        try:
            reply = answer(engine, json.loads(line))
        except Exception as error:  # the benchmark decides what an error means
            reply = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
