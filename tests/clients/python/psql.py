"""psql: every backslash command that lists something, \\copy, \\bind, \\gdesc, FETCH_COUNT, output formats."""

import os
import re
import subprocess
import tempfile

from tap import case, each_statement, equal, main, server, show

SERVER = server()


def psql(*commands, options=(), check=True):
    """Runs psql with each command as a line of its input; returns what it printed."""
    arguments = ["psql", "-X", "-v", "ON_ERROR_STOP=1", *options,
                 f"host={SERVER.host} port={SERVER.port} user={SERVER.user} dbname={SERVER.database}"]
    done = subprocess.run(arguments, input="\n".join(commands) + "\n", capture_output=True, text=True, timeout=60)
    # tarn says where tables live; PostgreSQL has no such notice.
    notices = [line for line in done.stderr.splitlines(True) if "is kept in memory" not in line]
    text = done.stdout + "".join(notices)
    assert not check or done.returncode == 0, text
    return text


def lists(command):
    """Declares a case that compares the whole output of a command."""

    def run():
        # Unaligned: the width of a column depends on the database's name.
        show(psql(command, options=["-A", "-v", "ON_ERROR_STOP=0"], check=False))

    run.__doc__ = command
    case("metadata")(run)


SETUP = [
    "create table listed (id int primary key, name varchar(20) not null, price numeric(8,2) default 0, at timestamptz, tags text[]);",
    "create view listed_view as select id, upper(name) as name from listed where price > 0;",
]


@case("metadata")
def makes_tables():
    """Makes the table and the view that the commands list"""
    psql(*SETUP)


for command in (
    r"\d", r"\d listed", r"\d listed_view", r"\d orders", r"\d+ orders", r"\d+ listed", r"\d+ listed_view", r"\dt", r"\dt public.n*",
    r"\dv", r"\dm", r"\di", r"\ds", r"\dE", r"\dn", r"\dT", r"\dT int4", r"\dD", r"\db", r"\dg", r"\du", r"\dp listed", r"\z nation",
    r"\ddp", r"\drds", r"\dx", r"\df", r"\da", r"\da count", r"\df abs", r"\do =", r"\dC bool", r"\dc pg_catalog.utf8_to_win1250", r"\dd",
    r"\dO C", r"\dF english", r"\dFd simple", r"\dFp", r"\dFt simple", r"\dL", r"\dL+", r"\dA", r"\dAc btree int4", r"\dAf btree bool", r"\dAo btree bool_ops",
    r"\dAp btree bool_ops", r"\dRp", r"\dRs", r"\dy", r"\dX", r"\dP", r"\des", r"\det", r"\dew", r"\deu", r"\dl",
    r"\dconfig work_mem", r"\dconfig search_path", r"\dS pg_class", r"\d pg_type", r"\dtS pg_am", r"\dvS pg_v*", r"\d information_schema.tables", r"\sv listed_view",
    r"\encoding", r"\dt missing", r"\d missing",
):
    lists(command)


@case("metadata")
def databases():
    r"""\l lists this database, \conninfo tells the connection"""
    lines = psql(r"\l", options=["-At"]).splitlines()
    (own,) = [line.split("|") for line in lines if line.startswith(f"{SERVER.database}|")]
    show(own[0], own[1], own[2])
    assert f'database "{SERVER.database}"' in psql(r"\conninfo")
    psql(r"\l+", r"\dt+", r"\dn+", r"\di+", r"\du+", r"\dT+ text", r"\df+ abs", r"\dv+", r"\dbS+", r"\dp", r"\dS+ pg_type")


@case("simple")
def formats():
    """Output formats: aligned, unaligned, csv, html, expanded, tuples only"""
    sql = "select r_regionkey, r_name, null as nothing from region order by 1 limit 2"
    for options in ([], ["-A"], ["--csv"], ["-H"], ["-x"], ["-At", "-F;"], ["-P", "null=∅"]):
        show(psql(sql + ";", options=options))


@case("simple")
def variables():
    r"""\gset, \gexec, \watch, \if, \timing and several statements in a line"""
    show(psql("select 5 as five, 'x' as y \\gset", "\\echo :five :'y'", "select 'select ' || n from (values (1), (2)) as t(n) \\gexec",
              "\\if :five", "select 'yes';", "\\endif", "select 1\\; select 2;", options=["-At"]))
    show(psql("select 1, 2 \\gx", "select n_regionkey, n_nationkey, 1 from nation where n_nationkey < 4 \\crosstabview"))
    assert "Time: " in psql("\\timing on", "select 1;")


@case("simple")
def errors():
    """Errors show code and position"""
    for sql in ("select * from missing;", "select missing from nation;", "selec 1;", "select 1/0;", "select 'x'::int4;",
                "select n_name, count(*) from nation;", "select nofunction(1);"):
        show(psql(sql, options=["-v", "VERBOSITY=verbose", "-v", "ON_ERROR_STOP=0"], check=False).split("LOCATION")[0])


@case("prepared")
def binds():
    r"""\gdesc describes; PREPARE and EXECUTE"""
    show(psql(r"select 1 as a, 'x' as b, 1.5::numeric(4,2) as c, now() as d, array[1] as e, n_name from nation \gdesc"))
    show(psql("prepare p (int, text) as select $1 + 1, $2 || '!';", "execute p(1, 'a');", "execute p(2, 'b');", "deallocate p;"))


@case("cursors")
def fetch_count():
    """FETCH_COUNT reads through a cursor"""
    text = psql("select l_orderkey, l_linenumber from lineitem;", options=["-At", "-v", "FETCH_COUNT=1000"])
    equal(len(text.splitlines()), 60175)
    show(psql("select n_name from nation order by 1;", options=["-At", "-v", "FETCH_COUNT=4"]))


@case("cursors")
def cursors():
    """DECLARE, FETCH in all directions, MOVE, CLOSE"""
    show(psql("begin;", "declare c scroll cursor for select n_nationkey from nation order by 1;", "fetch 2 from c;", "fetch next from c;",
              "fetch prior from c;", "fetch absolute 20 from c;", "fetch relative -3 from c;", "move forward 2 in c;", "fetch backward 2 from c;",
              "fetch last from c;", "fetch first from c;", "move all in c;", "close c;", "commit;"))


def copied(command):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "data")
        tag = psql(command.replace("FILE", path))
        with open(path, "rb") as file:
            return tag, file.read()


@case("copy out")
def copies_out():
    r"""\copy to a file as text, csv and binary"""
    for command in (r"\copy region to 'FILE'", r"\copy (select * from nation order by 1) to 'FILE' with (format csv, header)",
                    r"\copy region (r_name) to 'FILE' csv quote '|' force quote r_name", r"\copy region to 'FILE' binary"):
        show(*copied(command))
    show(psql("copy (select 1, null, 'a') to stdout;", "copy region to stdout with (delimiter '|', null 'none');"))


@case("copy in")
def copies_in():
    r"""\copy from a file and COPY FROM STDIN"""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write('a,b,c\n1,"x, y",1.5\n2,,\n')
        file.flush()
        show(psql("create table psql_copied (a int, b text, c numeric(6,2));", rf"\copy psql_copied from '{file.name}' csv header",
                  "copy psql_copied (a, b) from stdin;", "3\tz", "4\t\\N", r"\.", "select * from psql_copied order by a;",
                  "drop table psql_copied;"))


@case("transactions")
def transactions():
    """Transactions, savepoints, the prompt's state"""
    show(psql("create table psql_saved (a int);", "begin;", "insert into psql_saved values (1);", "savepoint s;",
              "insert into psql_saved values (2);", "rollback to s;", "release s;", "commit;", "table psql_saved;",
              "begin;", "drop table psql_saved;", "rollback;", "select count(*) from psql_saved;", "drop table psql_saved;"))
    options = ["-v", "ON_ERROR_ROLLBACK=on", "-v", "ON_ERROR_STOP=0"]
    show(psql("begin;", "select * from missing;", "select 1;", "commit;", options=options))


@case("batch")
def one_transaction():
    """--single-transaction and a script"""
    show(psql("create table psql_one (a int);", "insert into psql_one select 1;", "select * from psql_one;", options=["--single-transaction"]))
    show(psql("drop table psql_one;"))


@case("cancel")
def cancels():
    """Ctrl-C cancels the statement"""
    arguments = ["timeout", "-s", "INT", "1", "psql", "-X", "-v", "VERBOSITY=sqlstate",
                 f"host={SERVER.host} port={SERVER.port} user={SERVER.user} dbname={SERVER.database}", "-c",
                 "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    show(sorted(set(re.findall(r"57014", done.stdout + done.stderr))))


@case("connect")
def connects():
    r"""Options in PGOPTIONS, \c, \encoding, \password's statement"""
    environment = dict(os.environ, PGOPTIONS="-c statement_timeout=7s -c search_path=pg_catalog", PGAPPNAME="named")
    arguments = ["psql", "-XAt", f"host={SERVER.host} port={SERVER.port} user={SERVER.user} dbname={SERVER.database}",
                 "-c", "show statement_timeout", "-c", "show search_path", "-c", "show application_name"]
    show(subprocess.run(arguments, capture_output=True, text=True, timeout=60, env=environment).stdout)
    assert "You are now connected" in psql(f"\\c {SERVER.database}")


def run_statement(sql):
    show(psql(sql + ";", rf"{sql} \gdesc"))


each_statement(run_statement, "simple", "arrays")

version = subprocess.run(["psql", "--version"], capture_output=True, text=True).stdout.split()[2]
main(f"psql {version.split('.')[0]}")
