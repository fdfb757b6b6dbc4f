"""Test Anything Protocol for the driver programs.

A program declares cases with `@case`, then calls `main(case_context)`. It takes
`host port user password database`, prints one TAP line a case and exits with 1
when any failed. Every case, also one marked `@todo`, holds on PostgreSQL 15 with the
TPC-H tables.
"""

import sys
import traceback
from collections import namedtuple

Server = namedtuple("Server", "host port user password database")

_cases = []


def case(function):
    """Registers a case; the first line of its docstring is its name."""
    _cases.append(function)
    return function


def todo(reason):
    """Marks a case that tarn does not pass yet: it runs, and its failure does not count.

    Written below `@case`. A case that passes all the same fails the program, so that
    the mark goes away with the gap.
    """

    def mark(function):
        function.todo = reason
        return function

    return mark


def server():
    """The server that the command line names."""
    if len(sys.argv) < 6:
        sys.exit(f"usage: {sys.argv[0]} host port user password database")
    host, port, user, password, database = sys.argv[1:6]
    return Server(host, int(port), user, password, database)


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


def main(run=lambda function: function()):
    """Runs all cases through `run` and ends the program."""
    print(f"1..{len(_cases)}")
    n_failed = 0
    for number, function in enumerate(_cases, 1):
        name = (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")
        reason = getattr(function, "todo", None)
        try:
            run(function)
        except Exception:
            if reason:
                print(f"not ok {number} - {name} # TODO {reason}", flush=True)
                continue
            n_failed += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
        else:
            if reason:
                n_failed += 1
                print(f"not ok {number} - {name}: passes, remove its mark: {reason}", flush=True)
            else:
                print(f"ok {number} - {name}", flush=True)
    sys.exit(1 if n_failed else 0)
