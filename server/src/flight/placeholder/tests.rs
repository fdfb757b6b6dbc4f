use super::*;

fn check(input: &str, expected: &str) {
    assert_eq!(number_placeholders(input).as_deref(), Ok(expected), "{input}");
}

#[test]
fn numbers_question_marks_from_left_to_right() {
    check("", "");
    check("select 1", "select 1");
    check("select ?", "select $1");
    check("?,?,?", "$1,$2,$3");
    check(
        "select a from t where b=? and c in (?, ?)",
        "select a from t where b=$1 and c in ($2, $3)",
    );
    check("selectäöü ?", "selectäöü $1");
}

#[test]
fn leaves_strings_alone() {
    check("select '?', ?", "select '?', $1");
    check("select 'it''s ?', ?", "select 'it''s ?', $1");
    check(r"select 'a\', ?", r"select 'a\', $1");
    check(r"select e'a\'?', ?", r"select e'a\'?', $1");
    check(r"select E'\\', ?", r"select E'\\', $1");
    check("select $$?$$, ?", "select $$?$$, $1");
    check("select $q$ ? $$ ? $q$, ?", "select $q$ ? $$ ? $q$, $1");
    check("select 'open ?", "select 'open ?");
    check("select $q$ open ?", "select $q$ open ?");
    check(r"select e'open \", r"select e'open \");
}

#[test]
fn leaves_identifiers_and_comments_alone() {
    check("select \"a?\"\"?\", ?", "select \"a?\"\"?\", $1");
    check("select a$b$?", "select a$b$$1");
    check("select 1 -- ?\n, ?", "select 1 -- ?\n, $1");
    check("select /* ? /* ? */ ? */ ?", "select /* ? /* ? */ ? */ $1");
    check("select /* open ?", "select /* open ?");
    check("select 4 - ? / ? * ?", "select 4 - $1 / $2 * $3");
    check("select the'?' ?", "select the'?' $1");
}

#[test]
fn keeps_operators() {
    check("select a ?? 'k', ?", "select a ? 'k', $1");
    check("select a ? 'k' from t where b = $1", "select a ? 'k' from t where b = $1");
    check("select '$1', ?", "select '$1', $1");
    check("select $, ?", "select $, $1");
}

#[test]
fn stops_at_the_limit() {
    assert!(number_placeholders(&"?,".repeat(PARAMETERS_MAX)).is_ok());
    assert_eq!(number_placeholders(&"?,".repeat(PARAMETERS_MAX + 1)), Err(TooManyPlaceholders));
}
