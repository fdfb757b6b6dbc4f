"""What Npgsql 8 sends when it opens a connection and reads, by hand: there is no package of it here.

One Query message with several statements that load the types, then Parse/Bind/Describe/Execute/Sync
with binary results, batches with one Sync, and DISCARD ALL when a connection goes back to the pool.
"""

import socket
import struct

from tap import case, each_statement, main, server, show

SERVER = server()

LOAD_TYPES = """SELECT version();

SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
FROM (
    -- Arrays have typtype=b - this subquery identifies them by their typreceive and converts their typtype to a
    -- We first do this for the type (innerest-most subquery), and then for its element type
    -- This also returns the array element, range subtype and domain base type as elemtypoid
    SELECT
        typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
        elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
        CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype
        , typ.typcategory
    FROM (
        SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
            CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
            CASE
                WHEN proc.proname='array_recv' THEN typ.typelem
                WHEN typ.typtype='r' THEN rngsubtype
                WHEN typ.typtype='m' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = typ.oid)
                WHEN typ.typtype='d' THEN typ.typbasetype
            END AS elemtypoid
            , typ.typcategory
        FROM pg_type AS typ
        LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
        LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
        LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)
    ) AS typ
    LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
    LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
    LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
) AS t
JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
WHERE
    typtype IN ('b', 'r', 'm', 'e', 'd') OR -- Base, range, multirange, enum, domain
    (typtype = 'c' AND relkind='c') OR -- User-defined free-standing composites (not table composites) by default
    (typtype = 'p' AND typname IN ('record', 'void', 'unknown')) OR -- Some special supported pseudo-types
    (typtype = 'a' AND (  -- Array of...
        elemtyptype IN ('b', 'r', 'm', 'e', 'd') OR -- Array of base, range, multirange, enum, domain
        (elemtyptype = 'p' AND elemtypname IN ('record', 'void')) OR -- Arrays of special supported pseudo-types
        (elemtyptype = 'c' AND elemrelkind='c') -- Array of user-defined free-standing composites (not table composites) by default
    ))
ORDER BY CASE
       WHEN typtype IN ('b', 'e', 'p') THEN 0           -- First base types, enums, pseudo-types
       WHEN typtype = 'c' THEN 1                        -- Composites after (fields loaded later in 2nd pass)
       WHEN typtype = 'r' THEN 2                        -- Ranges after
       WHEN typtype = 'm' THEN 3                        -- Multiranges after
       WHEN typtype = 'd' AND elemtyptype <> 'a' THEN 4 -- Domains over non-arrays after
       WHEN typtype = 'a' THEN 5                        -- Arrays after
       WHEN typtype = 'd' AND elemtyptype = 'a' THEN 6  -- Domains over arrays last
END;

-- Load field definitions for (free-standing) composite types
SELECT typ.oid, att.attname, att.atttypid
FROM pg_type AS typ
JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace)
JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid)
WHERE
  (typ.typtype = 'c' AND cls.relkind='c') AND
  attnum > 0 AND     -- Don't load system attributes
  NOT attisdropped
ORDER BY typ.oid, att.attnum;

-- Load enum fields
SELECT pg_type.oid, enumlabel
FROM pg_enum
JOIN pg_type ON pg_type.oid=enumtypid
ORDER BY oid, enumsortorder;"""


class Wire:
    def __init__(self):
        self.socket = socket.create_connection((SERVER.host, SERVER.port), timeout=30)
        self.input = b""
        pairs = ["user", SERVER.user, "client_encoding", "UTF8", "database", SERVER.database, "TimeZone", "UTC"]
        body = struct.pack("!i", 196608) + b"".join(text.encode() + b"\0" for text in pairs) + b"\0"
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        self.answers()

    def send(self, *messages):
        self.socket.sendall(b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in messages))

    def answers(self):
        """Messages up to ReadyForQuery."""
        found = []
        while True:
            while len(self.input) < 5 or len(self.input) < 1 + struct.unpack("!i", self.input[1:5])[0]:
                part = self.socket.recv(65536)
                assert part, f"the connection was closed after {found[-3:]}"
                self.input += part
            end = 1 + struct.unpack("!i", self.input[1:5])[0]
            found.append((self.input[:1], self.input[5:end]))
            self.input = self.input[end:]
            if found[-1][0] == b"Z":
                return found


def text(value):
    return value.encode() + b"\0"


def columns(body):
    found, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        end = body.index(b"\0", at)
        _, _, kind, size, modifier, form = struct.unpack("!ihihih", body[end + 1:end + 19])
        found.append(f"{body[at:end].decode()}:{kind}:{size}:{modifier}:{form}")
        at = end + 19
    return ", ".join(found)


def values(body):
    found, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        (size,) = struct.unpack("!i", body[at:at + 4])
        at += 4
        found.append(None if size < 0 else body[at:at + size])
        at += max(size, 0)
    return found


def error(body):
    fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
    return f"{fields[b'C'].decode()} {fields[b'M'].decode()}"


def show_answers(answers, keep=lambda row: True):
    for kind, body in answers:
        if kind == b"T":
            show("columns " + columns(body))
        elif kind == b"D":
            if keep(values(body)):
                show(f"row {values(body)}")
        elif kind == b"C":
            show(f"done {body[:-1].decode()}")
        elif kind == b"E":
            show(f"error {error(body)}")
        elif kind == b"t":
            show(f"parameters {struct.unpack('!%di' % ((len(body) - 2) // 4), body[2:])}")
        elif kind not in (b"S", b"N", b"K", b"R"):
            show(f"message {kind}")


def extended(sql, parameters=(), types=(), name=""):
    """The messages for one statement with binary parameters and results."""
    parse = text(name) + text(sql) + struct.pack("!h", len(types)) + b"".join(struct.pack("!i", oid) for oid in types)
    bind = text("") + text(name) + struct.pack("!hh", 1, 1) + struct.pack("!h", len(parameters))
    for value in parameters:
        bind += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    bind += struct.pack("!hh", 1, 1)
    return [(b"P", parse), (b"B", bind), (b"D", b"P" + text("")), (b"E", text("") + struct.pack("!i", 0))]


@case("metadata")
def loads_types():
    """The type loading query: four statements in one message"""
    wire = Wire()
    wire.send((b"Q", text(LOAD_TYPES)))
    answers = wire.answers()
    # Only types that tarn has; which others there are is not the same on both.
    known = {b"bool", b"int2", b"int4", b"int8", b"float4", b"float8", b"numeric", b"text", b"varchar", b"bpchar", b"bytea",
             b"date", b"time", b"timetz", b"timestamp", b"timestamptz", b"interval", b"uuid", b"json", b"jsonb", b"oid", b"_int4",
             b"_text", b"_numeric", b"_timestamptz", b"_uuid", b"record", b"void", b"unknown", b"name", b"char"}
    rows = sorted(str(values(body)) for kind, body in answers if kind == b"D" and len(values(body)) == 6 and values(body)[2] in known)
    show(*[columns(body) for kind, body in answers if kind == b"T"][1:], *rows)
    show(*[error(body) for kind, body in answers if kind == b"E"])


@case("prepared")
def binary_parameters():
    """Parameters and results in binary"""
    wire = Wire()
    wire.send(*extended("SELECT $1 + 1, $2, $3", [struct.pack("!i", 41), "ä".encode(), struct.pack("!d", 0.5)], [23, 25, 701]), (b"S", b""))
    show_answers(wire.answers())
    wire.send(*extended("SELECT n_name FROM nation WHERE n_nationkey = $1", [struct.pack("!q", 7)], [20]), (b"S", b""))
    show_answers(wire.answers())


@case("prepared")
def named_statements():
    """Prepare: Parse and Describe of a named statement, then many executions, then Close"""
    wire = Wire()
    sql = "SELECT $1::int4 * 2 AS n, n_name FROM nation WHERE n_nationkey = $2"
    wire.send((b"P", text("_p1") + text(sql) + struct.pack("!h", 0)), (b"D", b"S" + text("_p1")), (b"S", b""))
    show_answers(wire.answers())
    for n in range(3):
        messages = extended("", [struct.pack("!i", n), struct.pack("!q", n)], name="_p1")[1:]
        wire.send(*messages, (b"S", b""))
        show_answers(wire.answers())
    wire.send((b"C", b"S" + text("_p1")), (b"S", b""))
    show_answers(wire.answers())


@case("batch")
def batches():
    """Several statements with one Sync, and one that fails in the middle"""
    wire = Wire()
    wire.send(*extended("SELECT 1"), *extended("SELECT 'x' AS t"), *extended("SELECT count(*) FROM region"), (b"S", b""))
    show_answers(wire.answers())
    wire.send(*extended("SELECT 1"), *extended("SELECT * FROM missing"), *extended("SELECT 2"), (b"S", b""))
    show_answers(wire.answers())


@case("connect")
def pool():
    """DISCARD ALL when a connection goes back to the pool, then the next use in one go"""
    wire = Wire()
    wire.send((b"Q", text("SET application_name = 'pooled'")))
    show_answers(wire.answers())
    wire.send((b"Q", text("DISCARD ALL")))
    show_answers(wire.answers())
    wire.send(*extended("SHOW application_name"), (b"S", b""))
    show_answers(wire.answers())


@case("transactions")
def transactions():
    """BEGIN with an isolation level in front of the first statement, then COMMIT"""
    wire = Wire()
    wire.send(*extended("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED"), *extended("SELECT 1"), (b"S", b""))
    show_answers(wire.answers())
    wire.send((b"Q", text("SAVEPOINT one")))
    show_answers(wire.answers())
    wire.send((b"Q", text("ROLLBACK TO SAVEPOINT one")))
    show_answers(wire.answers())
    wire.send((b"Q", text("COMMIT")))
    show_answers(wire.answers())


def run_statement(sql):
    wire = Wire()
    wire.send(*extended(sql), (b"S", b""))
    show_answers(wire.answers())


each_statement(run_statement)

main("Npgsql (replayed) 8")
