"""Who reads whose Delta tables: `interop.py HOST PORT FOREIGN OWN`.

tarn listens on HOST:PORT and serves the folder FOREIGN, into which the other programs
write; tarn writes to OWN. Every program reads every table, and what it finds is compared
with what was meant. Prints one line a table and reader, then the matrix in Markdown
between two marks; exits with 1 if something that should hold does not.
"""

import os
import sys
import traceback

import programs
from shapes import SHAPES, normal

# What other programs get wrong or cannot do: (writer or *, shape or *, reader) to the reason.
KNOWN = {
    ("*", "nested", "chdb"): "has no null for lists, structs and maps",
}


def start(host, port, foreign):
    """All programs; tarn last, because it copies a table of another."""
    makers = [
        programs.Deltalake, programs.DuckDB, lambda: programs.ClickHouse("/"), programs.Sail,
        lambda: programs.Tarn(host, port),
    ]
    return [make() for make in makers]


def known(writer, shape, reader):
    for key in ((writer, shape, reader), ("*", shape, reader), (writer, "*", reader)):
        if key in KNOWN:
            return KNOWN[key]
    return None


def difference(expected, found):
    if len(expected) != len(found):
        return f"{len(found)} rows instead of {len(expected)}"
    for want, have in zip(expected, found):
        if want != have:
            return f"{have} instead of {want}"
    return None


def attempt(action):
    """None, or why it failed."""
    try:
        return action()
    except programs.Absent:
        raise
    except Exception as error:
        if os.environ.get("INTEROP_TRACE"):
            traceback.print_exc()
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"


def main():
    host, port, foreign, own = sys.argv[1:5]
    os.makedirs(own, exist_ok=True)
    everyone = start(host, int(port), foreign)
    failures, rows = [], []
    for name, shape in SHAPES.items():
        expected = normal(shape, shape.rows)
        for writer in everyone:
            folder = own if writer.name == "tarn" else foreign
            path = os.path.join(folder, f"{writer.name}_{name}")
            try:
                problem = attempt(lambda: writer.write(name, shape, path))
            except programs.Absent as reason:
                print(f"# {writer.name} does not write {name}: {reason}")
                continue
            if problem:
                failures.append(f"{writer.name} writes {name}: {problem}")
                print(f"not ok {failures[-1]}")
                continue
            cells = []
            for reader in everyone:
                problem = attempt(lambda: difference(expected, normal(shape, reader.read(shape, path))))
                reason = known(writer.name, name, reader.name)
                line = f"{reader.name} reads {name} of {writer.name}"
                if problem is None and reason is None:
                    cells.append("yes")
                    print(f"ok {line}")
                elif problem is None:
                    failures.append(f"{line}: holds, delete it from KNOWN")
                    print(f"not ok {failures[-1]}")
                elif reason is None:
                    failures.append(f"{line}: {problem}")
                    print(f"not ok {failures[-1]}")
                    cells.append("NO")
                else:
                    cells.append(f"no: {reason}")
                    print(f"ok {line} # TODO {reason}: {problem}")
            rows.append(f"| {name} | {writer.name} | " + " | ".join(cells) + " |")
    print("<matrix>")
    print("Programs: " + ", ".join(f"{p.name} {p.version}" for p in everyone if p.name != "tarn") + ".\n")
    print("| table | written by | " + " | ".join(f"read by {p.name}" for p in everyone) + " |")
    print("|---|---|" + "---|" * len(everyone))
    print("\n".join(rows))
    print("</matrix>")
    for failure in failures:
        print(f"FAILED {failure}")
    sys.stdout.flush()
    # Sail's server leaves threads behind that would keep the process alive.
    os._exit(1 if failures else 0)


main()
