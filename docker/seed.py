"""Makes the bucket and writes one Delta table with history into it, once."""

import os
import time
import urllib.error
import urllib.request

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
BUCKET = os.environ["BUCKET"]
TABLE = f"s3://{BUCKET}/lake/events"
OPTIONS = {"AWS_ALLOW_HTTP": "true", "AWS_ENDPOINT_URL": ENDPOINT}


def make_bucket():
    """Creates the bucket; moto takes the request without a signature."""
    request = urllib.request.Request(f"{ENDPOINT}/{BUCKET}", method="PUT")
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except urllib.error.HTTPError as error:
            if error.code == 409:  # it exists
                return
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


make_bucket()
if DeltaTable.is_deltatable(TABLE, OPTIONS):
    print(f"{TABLE} exists")
else:
    for day in range(3):
        ids = range(day * 1000, day * 1000 + 1000)
        rows = pa.table({
            "id": pa.array(ids, pa.int64()),
            "day": [f"2026-01-0{day + 1}"] * 1000,
            "amount": [(i * 37 % 1000) / 10 for i in ids],
        })
        write_deltalake(TABLE, rows, mode="append", partition_by=["day"], storage_options=OPTIONS)
    print(f"{TABLE} written")
