"""dbt: a seed, a view, a table, an incremental model, tests, and the catalog for its documentation."""

import importlib.metadata
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "python"))

import psycopg2
from dbt.cli.main import dbtRunner

from tap import case, main, server, show

SERVER = server()
FOLDER = tempfile.mkdtemp(prefix="dbt-")
FILES = {
    "dbt_project.yml": "name: shop\nversion: '1.0.0'\nconfig-version: 2\nprofile: shop\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": f"shop:\n  target: here\n  outputs:\n    here:\n      type: postgres\n      host: {SERVER.host}\n      port: {SERVER.port}\n"
                    f"      user: {SERVER.user}\n      password: '{SERVER.password}'\n      dbname: {SERVER.database}\n      schema: dbt_shop\n      threads: 2\n",
    "seeds/prices.csv": "product,price,day\napple,1.50,2024-02-29\npear,2.25,2024-03-01\n,0.10,\n",
    "models/big_orders.sql": "{{ config(materialized='view') }}\nselect o_orderkey, o_totalprice from {{ source('demo', 'orders') }} where o_totalprice > 400000",
    "models/totals.sql": "{{ config(materialized='table') }}\nselect count(*) as n, sum(o_totalprice) as total from {{ ref('big_orders') }}",
    "models/growing.sql": "{{ config(materialized='incremental', unique_key='product') }}\nselect product, price from {{ ref('prices') }} where product is not null",
    "models/schema.yml": "version: 2\nsources:\n  - name: demo\n    schema: public\n    tables: [{name: orders}]\nmodels:\n  - name: growing\n    columns:\n      - name: product\n        data_tests: [unique, not_null]\n",
}
for name, text in FILES.items():
    path = os.path.join(FOLDER, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def dbt(*arguments):
    """Runs dbt and shows what it says of each node; fails with its messages."""
    where = ["--project-dir", FOLDER, "--profiles-dir", FOLDER]
    done = dbtRunner().invoke(["--quiet", *arguments, *where])
    results = getattr(done.result, "results", None) or []
    problems = [f"{r.node.name}: {r.message}" for r in results if str(r.status) not in ("success", "pass")]
    assert done.success, "\n".join(problems) or repr(done.exception or done.result)
    show(*sorted(f"{r.node.name} {r.status}" for r in results))


def rows(sql):
    with psycopg2.connect(host=SERVER.host, port=SERVER.port, user=SERVER.user, password=SERVER.password, dbname=SERVER.database) as connection:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            show([column.name for column in cursor.description], *cursor.fetchall())


@case("connect")
def debug():
    """dbt debug"""
    dbt("debug")


@case("batch")
def seeds():
    """dbt seed loads a file"""
    dbt("seed")
    rows("select * from dbt_shop.prices order by price")


@case("metadata")
def views():
    """dbt run makes a view"""
    dbt("run", "--select", "big_orders")
    rows("select count(*) from dbt_shop.big_orders")


@case("transactions")
def tables():
    """dbt run makes a table and swaps it in by renaming"""
    dbt("run", "--select", "totals")
    rows("select * from dbt_shop.totals")


@case("transactions")
def increments():
    """dbt run of an incremental model"""
    dbt("run", "--select", "growing")
    rows("select * from dbt_shop.growing order by product")


@case("transactions")
def again():
    """dbt run of everything once more"""
    dbt("run")
    rows("select * from dbt_shop.growing order by product")
    rows("select * from dbt_shop.totals")


@case("simple")
def tests():
    """dbt test"""
    dbt("test")


@case("metadata")
def documentation():
    """dbt docs generate reads the catalog"""
    dbt("docs", "generate")


# dbt starts processes that import this file.
if __name__ == "__main__":
    main(f"dbt-postgres {importlib.metadata.version('dbt-postgres')}")
