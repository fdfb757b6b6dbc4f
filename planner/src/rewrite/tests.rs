use super::rewrite;
use crate::parser::{ParseLimits, parse};

fn check(sql: &str, expected: &str) {
    let statements = parse(sql, &ParseLimits::default()).expect("parses");
    let rewritten = rewrite(statements[0].ast(), sql).expect("rewrites");
    assert_eq!(rewritten.ast.to_string().replace('\u{1}', "^"), expected, "{sql}");
}

#[test]
fn outputs_are_named_as_in_postgresql() {
    check("select a, t.b from t", "SELECT a, t.b FROM t");
    check("select 1, 2", "SELECT 1 AS \"?column?\", 2 AS \"?column?^1\"");
    check(
        "select count(*), Count(*) from t",
        "SELECT count(*) AS \"count\", Count(*) AS \"count^1\" FROM t",
    );
    check("select a, a from t", "SELECT a, a AS \"a^1\" FROM t");
    check("select 1::int, x::text", "SELECT 1::INT AS \"int4\", x::TEXT AS \"x\"");
    check("select case when a then 1 end", "SELECT CASE WHEN a THEN 1 END AS \"case\"");
}

#[test]
fn versions_move_into_the_name() {
    check("select * from t version as of 2", "SELECT * FROM \"t@version 2\" AS \"t\"");
    check("select * from s.t version as of 2 x", "SELECT * FROM \"s\".\"t@version 2\" x");
}

#[test]
fn catalog_casts_become_functions() {
    check("select 't'::regclass", "SELECT to_regclass_oid('t') AS \"regclass\"");
    check(
        "select 1 from t where a operator(pg_catalog.~) 'x' collate pg_catalog.default",
        "SELECT 1 AS \"?column?\" FROM t WHERE a ~ 'x'",
    );
    check("select pg_catalog.version()", "SELECT version() AS \"version\"");
}

#[test]
fn arrays_of_subqueries_become_aggregates() {
    check("select (select max(b) from u)", "SELECT (SELECT max(b) AS \"max\" FROM u) AS \"max\"");
    check(
        "select array(select b from u order by b)",
        "SELECT list_or_empty((SELECT array_agg(b ORDER BY b) AS \"array\" FROM u)) AS \"array\"",
    );
}

#[test]
fn catalog_functions_and_columns_in_from() {
    check(
        "select array(select 'x' || y from pg_catalog.unnest(t.a) y) from t",
        "SELECT array_transform(t.a, y -> 'x' || y) AS \"array\" FROM t",
    );
    check("select array(select y from unnest(a) as t(y)) from t", "SELECT a AS \"array\" FROM t");
    check("select * from pg_catalog.pg_timezone_names()", "SELECT * FROM pg_timezone_names()");
    check(
        "select l.tableoid from pg_catalog.pg_language l",
        "SELECT to_regclass_oid('pg_catalog.pg_language') AS \"tableoid\" FROM pg_catalog.pg_language l",
    );
}

#[test]
fn sets_become_lists_and_unnest() {
    check(
        "select generate_series(1, a) from t",
        "SELECT unnest(series(1, a)) AS \"generate_series\" FROM t",
    );
    check(
        "select * from t, generate_series(1, t.a) g",
        "SELECT * FROM t, LATERAL (SELECT unnest(series(1, t.a)) AS g) AS g",
    );
}

#[test]
fn rows_are_compared_item_by_item() {
    check(
        "select 1 from t where (a, b) < (1, 2)",
        "SELECT 1 AS \"?column?\" FROM t WHERE (a < 1 OR (a = 1 AND (b < 2)))",
    );
    check("select (t).a from t", "SELECT t.a AS \"a\" FROM t");
}
