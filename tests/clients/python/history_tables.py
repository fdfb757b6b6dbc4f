"""Writes Delta tables with a past for `history_check.py` into the folder of the command line."""

import os
import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

import delta_tables
from delta_tables import rows

RECORDED = {"delta.enableChangeDataFeed": "true"}


def _change(folder):
    """Each kind of change once, on the columns of `rows`."""
    table = DeltaTable(folder)
    table.update(predicate="id between 10 and 19", updates={"name": "'changed'", "small": "small + 1"})
    table.delete("id % 50 = 3")
    source = pa.concat_tables([rows(90, 5), rows(1000, 5)])
    (
        table.merge(source, predicate="t.id = s.id", source_alias="s", target_alias="t")
        .when_matched_update({"name": "'merged'"})
        .when_not_matched_insert_all()
        .execute()
    )
    write_deltalake(folder, rows(2000, 10), mode="append")
    DeltaTable(folder).optimize.compact()
    DeltaTable(folder).delete("id >= 2000")


def recorded(folder):
    write_deltalake(folder, rows(0, 100), configuration=RECORDED)
    _change(folder)


def recorded_parts(folder):
    # deltalake 1.6.6 does not find change files of partitions with odd characters again.
    write_deltalake(folder, rows(0, 100), configuration=RECORDED, partition_by=["flag", "day"])
    _change(folder)


def recorded_later(folder):
    """Changes are recorded from version 2 on."""
    write_deltalake(folder, rows(0, 10))
    write_deltalake(folder, rows(10, 10), mode="append")
    DeltaTable(folder).alter.set_table_properties(RECORDED)
    DeltaTable(folder).delete("id = 5")


def recorded_wider(folder):
    """A column is added on the way."""
    write_deltalake(folder, pa.table({"id": [1, 2]}), configuration=RECORDED)
    more = pa.table({"id": [3, 4], "name": ["c", "d"]})
    write_deltalake(folder, more, mode="append", schema_mode="merge")
    DeltaTable(folder).delete("id = 1")


TABLES = [recorded, recorded_parts, recorded_later, recorded_wider,
          delta_tables.versions, delta_tables.deletion_vectors]

if __name__ == "__main__":
    for write in TABLES:
        path = os.path.join(sys.argv[1], write.__name__)
        write(path)
