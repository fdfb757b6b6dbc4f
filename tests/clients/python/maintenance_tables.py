"""Writes Delta tables of many small files for `maintenance_check.py` into the folder given."""

import os
import sys

from deltalake import write_deltalake

import delta_tables
from delta_tables import rows


def small(folder):
    for first in range(0, 1200, 100):
        write_deltalake(folder, rows(first, 100), mode="append")


def small_parts(folder):
    for first in range(0, 600, 100):
        write_deltalake(folder, rows(first, 100), mode="append", partition_by=["part"])


def watched(folder):
    small(folder)


def contended(folder):
    small(folder)


def restored(folder):
    small(folder)


def pinned(folder):
    small(folder)


def large(folder):
    for first in range(0, 400_000, 100_000):
        write_deltalake(folder, rows(first, 100_000), mode="append")


TABLES = [small, small_parts, watched, contended, restored, pinned, large,
          delta_tables.deletion_vectors]

if __name__ == "__main__":
    for write in TABLES:
        write(os.path.join(sys.argv[1], write.__name__))
