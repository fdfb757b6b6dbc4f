use super::rewrite;
use crate::parser::{ParseLimits, parse};

fn check(sql: &str, expected: &str) {
    let statements = parse(sql, &ParseLimits::default()).expect("parses");
    let rewritten = rewrite(statements[0].ast()).expect("rewrites");
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
fn scalar_subqueries_become_aggregates() {
    check(
        "select (select b from u where u.a = t.a) from t",
        "SELECT (SELECT single_value(b) AS \"b\" FROM u WHERE u.a = t.a) AS \"b\" FROM t",
    );
    check("select (select max(b) from u)", "SELECT (SELECT max(b) AS \"max\" FROM u) AS \"max\"");
    check(
        "select array(select b from u order by b)",
        "SELECT (SELECT array_agg(b ORDER BY b) AS \"array\" FROM u) AS \"array\"",
    );
}

#[test]
fn catalog_functions_and_columns_in_from() {
    check(
        "select array(select 'x' || y from pg_catalog.unnest(t.a) y) from t",
        "SELECT array_transform(t.a, y -> 'x' || y) AS \"array\" FROM t",
    );
    check("select array(select y from unnest(a) as t(y)) from t", "SELECT a FROM t");
    check("select * from pg_catalog.pg_timezone_names()", "SELECT * FROM pg_timezone_names()");
    check(
        "select l.tableoid from pg_catalog.pg_language l",
        "SELECT to_regclass_oid('pg_catalog.pg_language') AS \"tableoid\" FROM pg_catalog.pg_language l",
    );
}

#[test]
fn conditions_on_outer_columns_filter_an_array() {
    check(
        "select (select c.n from c where c.id = a.id and c.x <> a.x and a.y) from a",
        "SELECT single_element(array_transform(array_filter(\
         (SELECT array_agg(named_struct('value', c.n, 'k0', c.x)) AS \"array\" FROM c WHERE c.id = a.id), \
         subquery_row -> get_field(subquery_row, 'k0') <> a.x AND a.y), \
         subquery_row -> get_field(subquery_row, 'value')), 'n') AS \"n\" FROM a",
    );
    check(
        "select array(select rolname from pg_roles where oid = any (polroles) order by 1) from pg_policy",
        "SELECT array_transform(array_filter(\
         (SELECT array_agg(named_struct('value', rolname, 'k0', oid) ORDER BY rolname) AS \"array\" FROM pg_roles), \
         subquery_row -> get_field(subquery_row, 'k0') = ANY(polroles)), \
         subquery_row -> get_field(subquery_row, 'value')) AS \"array\" FROM pg_policy",
    );
}
