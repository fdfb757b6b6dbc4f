"""Writes Delta tables for `delta_check.py` into the folder that the command line names.

The Python package `deltalake` writes the plain ones. It cannot write deletion
vectors or column mapping, so those logs are written here by the letter of the Delta
protocol (sections "Deletion Vectors", "Column Mapping"), and `delta_check.py` asks
DuckDB's delta extension whether they say what they should.
"""

import datetime
import decimal
import json
import os
import struct
import sys
import uuid
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

N_ROWS = 1000


def rows(first, count):
    """A table with the types that people keep in lakes, nulls in each nullable column."""
    index = range(first, first + count)

    def some(make, step):
        return [None if i % step == 0 else make(i) for i in index]

    utc = datetime.timezone.utc
    return pa.table({
        "id": pa.array(index, pa.int64()),
        "small": pa.array(some(lambda i: i % 100, 7), pa.int32()),
        "price": pa.array(some(lambda i: decimal.Decimal(i) / 4, 11), pa.decimal128(12, 2)),
        "ratio": pa.array(some(lambda i: i / 8, 13), pa.float64()),
        "name": pa.array(some(lambda i: f"näme {i % 37}", 17), pa.string()),
        "day": pa.array(some(lambda i: datetime.date(2024, 1, 1) + datetime.timedelta(i % 400), 19), pa.date32()),
        "at": pa.array(
            some(lambda i: datetime.datetime(2024, 1, 1, tzinfo=utc) + datetime.timedelta(seconds=i * 61), 23),
            pa.timestamp("us", tz="UTC"),
        ),
        "flag": pa.array(some(lambda i: i % 3 == 0, 5), pa.bool_()),
        "part": pa.array([["a", "b c", "d/e=f", None][i % 4] for i in index], pa.string()),
    })


def plain(folder):
    for first in range(0, N_ROWS, 250):
        write_deltalake(folder, rows(first, 250), mode="append")


def partitioned(folder):
    for first in range(0, N_ROWS, 500):
        write_deltalake(folder, rows(first, 500), mode="append", partition_by=["part", "day"])


def versions(folder):
    """Appends, a delete, an overwrite, a checkpoint in the middle."""
    write_deltalake(folder, rows(0, 100))
    write_deltalake(folder, rows(100, 100), mode="append")
    DeltaTable(folder).delete("id < 50")
    DeltaTable(folder).create_checkpoint()
    write_deltalake(folder, rows(500, 10), mode="overwrite")
    write_deltalake(folder, rows(600, 10), mode="append")


def empty(folder):
    DeltaTable.create(folder, schema=rows(0, 1).schema)


Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def z85(data):
    data += b"\0" * (-len(data) % 4)
    text = ""
    for (word,) in struct.iter_unpack(">I", data):
        text += "".join(Z85[word // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text


def roaring(positions):
    """Positions as a 64-bit roaring bitmap in the portable form, array containers only."""
    containers = {}
    for position in sorted(positions):
        containers.setdefault(position >> 16, []).append(position & 0xFFFF)
    body = struct.pack("<IQI", 1681511377, 1, 0) + struct.pack("<II", 12346, len(containers))
    offset = 8 + 8 * len(containers)
    values = b""
    for key, members in containers.items():
        body += struct.pack("<HH", key, len(members) - 1)
        values += struct.pack(f"<{len(members)}H", *members)
    for members in containers.values():
        body += struct.pack("<I", offset)
        offset += 2 * len(members)
    return body + values


def vector(folder, positions, inline):
    """The descriptor of a deletion vector; one on disk also writes its file."""
    data = roaring(positions)
    descriptor = {"sizeInBytes": len(data), "cardinality": len(positions)}
    if inline:
        return {"storageType": "i", "pathOrInlineDv": z85(data), **descriptor}
    name = uuid.uuid4()
    with open(os.path.join(folder, f"deletion_vector_{name}.bin"), "wb") as file:
        file.write(b"\x01" + struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data)))
    return {"storageType": "u", "pathOrInlineDv": z85(name.bytes), "offset": 1, **descriptor}


DELTA_TYPES = {
    "int64": "long", "int32": "integer", "double": "double", "string": "string",
    "date32[day]": "date", "bool": "boolean", "timestamp[us, tz=UTC]": "timestamp",
    "decimal128(12, 2)": "decimal(12,2)",
}


def write_log(folder, commits):
    os.makedirs(os.path.join(folder, "_delta_log"), exist_ok=True)
    for version, actions in enumerate(commits):
        with open(os.path.join(folder, "_delta_log", f"{version:020}.json"), "w") as file:
            file.writelines(json.dumps(action) + "\n" for action in actions)


def protocol(features):
    return {"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7,
        "readerFeatures": features, "writerFeatures": features,
    }}


def metadata(schema, mapping=None, partition=()):
    fields = []
    for index, field in enumerate(schema, 1):
        extra = {}
        if mapping:
            extra = {"delta.columnMapping.id": index, "delta.columnMapping.physicalName": mapping[field.name]}
        fields.append({
            "name": field.name, "type": DELTA_TYPES[str(field.type)], "nullable": True, "metadata": extra,
        })
    configuration = {"delta.enableDeletionVectors": "true"}
    if mapping:
        configuration = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": str(len(fields))}
    return {"metaData": {
        "id": str(uuid.uuid4()), "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": list(partition), "configuration": configuration, "createdTime": 1700000000000,
    }}


def write_file(folder, name, table, mapping=None, partition=None):
    """Writes one data file (several row groups) and returns its add action."""
    if mapping:
        fields = [
            pa.field(mapping[f.name], f.type, True, {"PARQUET:field_id": str(i)})
            for i, f in enumerate(table.schema, 1)
        ]
        table = pa.Table.from_arrays(table.columns, schema=pa.schema(fields))
        table = table.drop_columns([mapping[c] for c in partition or {}])
    path = os.path.join(folder, name)
    os.makedirs(folder, exist_ok=True)
    pq.write_table(table, path, row_group_size=150)
    ids = table.column(0)
    statistics = {
        "numRecords": table.num_rows, "tightBounds": True,
        "minValues": {table.schema[0].name: ids[0].as_py()},
        "maxValues": {table.schema[0].name: ids[-1].as_py()},
    }
    values = {(mapping or {}).get(k, k): v for k, v in (partition or {}).items()}
    return {
        "path": name, "partitionValues": values, "size": os.path.getsize(path),
        "modificationTime": 1700000000000, "dataChange": True, "stats": json.dumps(statistics),
    }


def deleted(add, descriptor):
    """The remove and add actions that put a deletion vector on a file."""
    statistics = json.loads(add["stats"])
    statistics["tightBounds"] = False
    remove = {"path": add["path"], "deletionTimestamp": 1700000001000, "dataChange": True}
    return [
        {"remove": remove},
        {"add": {**add, "stats": json.dumps(statistics), "deletionVector": descriptor}},
    ]


def deletion_vectors(folder):
    """Version 0 has all rows, version 1 an inline vector, version 2 one on disk as well."""
    adds = [write_file(folder, f"part-{n}.parquet", rows(n * 500, 500)) for n in range(2)]
    inline = vector(folder, [0, 1, 149, 150, 299, 499], True)
    on_disk = vector(folder, list(range(100, 400, 3)), False)
    write_log(folder, [
        [protocol(["deletionVectors"]), metadata(rows(0, 1).schema), *({"add": a} for a in adds)],
        deleted(adds[0], inline),
        deleted(adds[1], on_disk),
    ])


def column_mapped(folder):
    """Physical names differ from the logical ones; the partition column too."""
    schema = rows(0, 1).schema
    mapping = {f.name: f"col-{uuid.uuid4()}" for f in schema}
    adds = []
    for n, part in enumerate(["a", "b c"]):
        table = rows(n * 500, 500)
        # The partition column holds one value a file.
        table = table.set_column(8, "part", pa.array([part] * 500))
        adds.append(write_file(folder, f"part-{n}.parquet", table, mapping, {"part": part}))
    write_log(folder, [[
        protocol(["columnMapping"]), metadata(schema, mapping, ["part"]), *({"add": a} for a in adds),
    ]])


TABLES = {
    "plain": plain, "partitioned": partitioned, "versions": versions, "empty": empty,
    "deletion_vectors": deletion_vectors, "column_mapped": column_mapped,
}

if __name__ == "__main__":
    for name, write in TABLES.items():
        write(os.path.join(sys.argv[1], name))
