"""Test Anything Protocol for the programs of Python drivers.

A program declares cases with `@case("capability")`, then calls `main(client, run)`. It
takes `host port user password database STATEMENTS`, prints one TAP line a case and exits
with 1 when any failed. Lines `# = …` in front of a case's line are what has to be the
same on tarn and on PostgreSQL 15; `tests/it/clients` compares them.
"""

import os
import sys
import traceback
from collections import namedtuple

Server = namedtuple("Server", "host port user password database")

_cases = []


def case(capability):
    """Registers a case; the first line of its docstring is its name."""

    def register(function):
        name = (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")
        _cases.append((f"{capability}: {name}", function, ()))
        return function

    return register


def each_statement(function, *capabilities, skip=lambda sql: False):
    """Registers `function(…, sql)` for each statement of `statements.txt`."""
    for capability, sql in statements():
        if (not capabilities or capability in capabilities) and not skip(sql):
            _cases.append((f"{capability}: {sql}", function, (sql,)))


def statements():
    """Capability and text of each statement that all drivers run."""
    path = sys.argv[6] if len(sys.argv) > 6 else os.path.join(os.path.dirname(__file__), "..", "statements.txt")
    found, capability = [], ""
    with open(path, encoding="utf-8") as file:
        for line in map(str.rstrip, file):
            if line.startswith("["):
                capability = line.strip("[]")
            elif line and not line.startswith("#"):
                found.append((capability, line))
    return found


def server():
    """The server that the command line names."""
    if len(sys.argv) < 6:
        sys.exit(f"usage: {sys.argv[0]} host port user password database [statements]")
    host, port, user, password, database = sys.argv[1:6]
    return Server(host, int(port), user, password, database)


def show(*values):
    """Prints what has to be the same on both servers."""
    for value in values:
        for line in str(value).splitlines() or [""]:
            print(f"# = {line.rstrip()}")


def show_rows(columns, rows):
    """Prints column names with types, then rows."""
    show("columns " + ", ".join(f"{name}:{kind}" for name, kind in columns))
    for row in rows:
        show("row " + ", ".join(map(printed, row)))


def printed(value):
    """A value as text that does not name an address in memory."""
    return repr(bytes(value) if isinstance(value, memoryview) else value)


def equal(found, expected):
    """Fails the case unless both are equal."""
    assert found == expected, f"found {found!r}, expected {expected!r}"


def raises(kind, function):
    """Runs `function`, which must raise `kind`, and returns the exception."""
    try:
        function()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def main(client, run=lambda function, *arguments: function(*arguments)):
    """Runs all cases through `run` and ends the program."""
    print(f"# client: {client}")
    print(f"1..{len(_cases)}")
    n_failed = 0
    # A copy: dbt imports the program once more while it runs.
    for number, (name, function, arguments) in enumerate(list(_cases), 1):
        try:
            run(function, *arguments)
        except Exception:
            n_failed += 1
            print(f"not ok {number} - {name}")
            for line in filter(str.strip, traceback.format_exc(limit=-3).splitlines()):
                print(f"# | {line}", flush=True)
        else:
            print(f"ok {number} - {name}", flush=True)
    sys.stdout.flush()
    os._exit(1 if n_failed else 0)
