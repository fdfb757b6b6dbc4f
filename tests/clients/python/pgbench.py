"""pgbench: its three protocols with a script of SELECTs, and pipelines."""

import glob
import re
import subprocess
import tempfile

from tap import case, main, server, show

SERVER = server()

SCRIPT = r"""\set key random(0, 24)
\set n random(1, 1000)
select n_name from nation where n_nationkey = :key;
select count(*), sum(r_regionkey) from region where r_regionkey < :n;
select :n::int4 + 1 as m, 'text ' || :key::text as t \gset
select :m - 1 - :n as zero;
"""


def pgbench(script, *options):
    (program, *_) = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench")) or ["pgbench"]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        arguments = [program, "-n", "-h", SERVER.host, "-p", str(SERVER.port), "-U", SERVER.user, "-f", file.name,
                     *options, SERVER.database]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stdout + done.stderr
    show(*re.findall(r"(?:query mode|number of transactions actually processed|number of failed transactions): .*", done.stdout))


def protocol(capability, mode):
    def run():
        pgbench(SCRIPT, "-M", mode, "-c", "4", "-j", "2", "-t", "25")

    run.__doc__ = f"-M {mode} with four clients"
    case(capability)(run)


protocol("simple", "simple")
protocol("prepared", "extended")
protocol("prepared", "prepared")


@case("batch")
def pipelines():
    """A pipeline in a transaction"""
    script = "begin;\n\\startpipeline\nselect 1;\nselect n_name from nation where n_nationkey = 3;\nselect 2;\n\\endpipeline\ncommit;\n"
    for mode in ("extended", "prepared"):
        pgbench(script, "-M", mode, "-t", "20")


@case("connect")
def reconnects():
    """-C connects for each transaction"""
    pgbench("select 1;\n", "-C", "-t", "20")


main("pgbench 15")
