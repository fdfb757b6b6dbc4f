"""Creates an empty Delta table: `create_table.py URL [KEY=VALUE…] COLUMN:TYPE…`.

The pairs are storage options, the types those of Delta (`long`, `string`, …).
"""

import json
import sys

from deltalake import DeltaTable
from deltalake.schema import Field, PrimitiveType, Schema

options = dict(pair.split("=", 1) for pair in sys.argv[2:] if "=" in pair)
columns = [pair.split(":") for pair in sys.argv[2:] if "=" not in pair]
schema = Schema([Field(name, PrimitiveType(kind), True) for name, kind in columns])
table = DeltaTable.create(sys.argv[1], schema, storage_options=options or None)
print(json.dumps({"version": table.version()}))
