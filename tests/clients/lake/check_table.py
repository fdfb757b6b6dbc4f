"""What the package `deltalake` finds in a table: `check_table.py URL [KEY=VALUE…] [--rows]`.

The pairs are storage options. Prints one JSON object: the version, the versions in the
log in order, and with `--rows` all rows in the order of their columns' values.
"""

import json
import sys

from deltalake import DeltaTable, QueryBuilder

arguments = [a for a in sys.argv[2:] if a != "--rows"]
options = dict(pair.split("=", 1) for pair in arguments)
table = DeltaTable(sys.argv[1], storage_options=options or None)
found = {
    "version": table.version(),
    "versions": sorted(int(entry["version"]) for entry in table.history()),
}
if "--rows" in sys.argv:
    batches = QueryBuilder().register("t", table).execute("select * from t")
    rows = []
    for batch in batches:
        rows.extend(zip(*[[value.as_py() for value in column] for column in batch.columns]))
    found["rows"] = sorted(rows)
print(json.dumps(found, default=str))
