"""What the tables of `interop.py` hold: each shape has columns, rows, and what it is about.

A shape's rows are the truth: writers have to write them by whatever means they have, and
readers have to find them.
"""

import datetime
import decimal

UTC = datetime.timezone.utc


def some(step, make, i):
    """A value, and null in every `step`th row."""
    return None if i % step == 0 else make(i)


class Shape:
    def __init__(self, about, columns, rows, partitions=()):
        self.about = about
        # Name to type in the words of Spark.
        self.columns = columns
        self.rows = rows
        self.partitions = partitions


TYPES = Shape(
    "numbers, decimals, text, dates, timestamps, booleans, nulls in each",
    {
        "id": "bigint", "small": "int", "price": "decimal(12,2)", "wide": "decimal(38,10)",
        "ratio": "double", "name": "string", "day": "date", "at": "timestamp", "flag": "boolean",
    },
    [
        (
            i,
            some(7, lambda i: i % 100 - 50, i),
            some(11, lambda i: decimal.Decimal(i) / 4, i),
            some(5, lambda i: decimal.Decimal(i) * decimal.Decimal("1234567890123.0000000001"), i),
            some(13, lambda i: i / 8, i),
            some(17, lambda i: f"näme '{i % 37}' \"\\", i),
            some(19, lambda i: datetime.date(1969, 12, 1) + datetime.timedelta(i * 3), i),
            some(23, lambda i: datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)
                 + datetime.timedelta(seconds=i * 61), i),
            some(3, lambda i: i % 2 == 0, i),
        )
        for i in range(60)
    ],
)

LOCAL_TIMES = Shape(
    "timestamps without time zone",
    {"id": "bigint", "at": "timestamp_ntz"},
    [
        (i, some(5, lambda i: datetime.datetime(2024, 3, 31, 2, 30) + datetime.timedelta(minutes=i), i))
        for i in range(20)
    ],
)

ODD = ["a b", "d/e=f", "ü%41", "x'y", None, "a:b", "{q}", "#1", "100%", "%2F"]
PARTITIONS = Shape(
    "partition values with odd characters, dates and nulls",
    {"id": "bigint", "part": "string", "day": "date"},
    [
        (i, ODD[i % len(ODD)], some(4, lambda i: datetime.date(2024, 1, 1 + i % 3), i))
        for i in range(60)
    ],
    ("part", "day"),
)

NESTED = Shape(
    "lists, structs and maps",
    {
        "id": "bigint", "list": "array<bigint>", "pair": "struct<x: bigint, y: string>",
        "keyed": "map<string, bigint>",
    },
    [
        (
            i,
            some(4, lambda i: [i, None, i + 1][: i % 4], i),
            some(5, lambda i: (i, some(2, str, i)), i),
            some(3, lambda i: {f"k{n}": n for n in range(i % 3)}, i),
        )
        for i in range(20)
    ],
)

# 0 to 99, without each tenth, and with another name in each seventh.
DELETED = Shape(
    "rows deleted and updated, with deletion vectors where the writer has them",
    {"id": "bigint", "name": "string"},
    [(i, "changed" if i % 7 == 0 else f"n{i}") for i in range(100) if i % 10 != 0],
)

# The column `title` was `name` when the first half was written.
RENAMED = Shape(
    "column mapping by name: a column was renamed",
    {"id": "bigint", "title": "string"},
    [(i, f"n{i}") for i in range(20)],
)

# As everybody sees them who does not know what is noted beside the columns: as texts.
SQL_TYPES = Shape(
    "types of SQL that Delta lacks: uuid, json, jsonb, time, interval, long numbers, arrays of uuid",
    {
        "id": "bigint", "u": "string", "j": "string", "b": "string", "t": "string",
        "i": "string", "n": "string", "us": "array<string>",
    },
    [
        (1, "01234567-89ab-cdef-0123-456789abcdef", '{"x":  1}', '{"a": 2, "b": [1, null]}',
         "12:30:00.5", "1 year 2 mons -3 days +04:05:06.789",
         "123456789012345678901234567890123456789012.345",
         ["01234567-89ab-cdef-0123-456789abcdef", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        (2, None, None, None, None, None, None, []),
        (3, "ffffffff-ffff-ffff-ffff-ffffffffffff", "null", "[]", "24:00:00", "-00:00:01", "-0.500", []),
    ],
)

SHAPES = {
    "types": TYPES, "local_times": LOCAL_TIMES, "partitions": PARTITIONS, "nested": NESTED,
    "deleted": DELETED, "renamed": RENAMED, "sql_types": SQL_TYPES,
}


def plain(value):
    """A value in the form in which all programs' values are compared."""
    if isinstance(value, datetime.datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return "decimal " + format(value.normalize(), "f")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return ["map"] + sorted([plain(k), plain(v)] for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def as_struct(value):
    """A struct that a library gives as a dictionary, as the tuple of its values."""
    return tuple(value.values()) if isinstance(value, dict) else value


def as_map(value):
    """A map that a library gives as pairs, as a dictionary."""
    return dict(value) if isinstance(value, list) else value


def normal(shape, rows):
    """Rows in order, with values that compare."""
    kinds = list(shape.columns.values())
    made = []
    for row in rows:
        values = []
        for kind, value in zip(kinds, row, strict=True):
            if kind.startswith("struct"):
                value = None if value is None else tuple(as_struct(value))
            elif kind.startswith("map"):
                value = as_map(value)
            values.append(plain(value))
        made.append(values)
    return sorted(made, key=lambda row: row[0])
