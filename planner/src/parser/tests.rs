use super::{ParseLimits, parse};
use crate::error::PlannerError;

fn check_position(sql: &str, message: &str, position: usize) {
    match parse(sql, &ParseLimits::default()) {
        Err(PlannerError::Syntax { message: found, position: at }) => {
            assert_eq!(found, message, "{sql}");
            assert_eq!(at, Some(position), "{sql}");
        }
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn syntax_errors_name_the_token_and_its_place() {
    check_position("selec 1", "syntax error at or near \"selec\"", 1);
    check_position("select 1;\nselect a b c", "syntax error at or near \"c\"", 22);
    check_position("select (1", "syntax error at end of input", 10);
}

#[test]
fn text_is_split_at_semicolons_outside_of_literals() {
    let texts = |sql: &str| -> Vec<String> {
        let statements = parse(sql, &ParseLimits::default()).expect("parses");
        statements.iter().map(|s| s.text().to_owned()).collect()
    };
    assert_eq!(texts(""), Vec::<String>::new());
    assert_eq!(texts(" ; -- nothing\n;"), Vec::<String>::new());
    assert_eq!(texts("select ';' ; select 2;"), ["select ';'", "select 2"]);
    assert_eq!(texts("select $$a;b$$"), ["select $$a;b$$"]);
}

#[test]
fn statements_beyond_the_limits_are_refused_before_they_are_parsed() {
    let too_complex = |sql: String| {
        matches!(parse(&sql, &ParseLimits::default()), Err(PlannerError::TooComplex { .. }))
    };
    assert!(too_complex(format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000))));
    assert!(too_complex(format!("select 1 where 1=1{}", " or 1=2".repeat(20_000))));
    assert!(too_complex(format!("select 1{}", " union all select 1".repeat(5_000))));
    assert!(too_complex(format!("select 1{}", " + 1".repeat(50_000))));
    assert!(!too_complex(format!("select 1 where 1 in (1{})", ",2".repeat(50_000))));
}

#[test]
fn versions_are_read_and_aliases_still_work() {
    for sql in [
        "select * from t version as of 2",
        "select * from t version as of 2 as old",
        "select * from t timestamp as of '2026-01-01' x join t y on x.a = y.a",
        "select version from t version",
    ] {
        assert!(parse(sql, &ParseLimits::default()).is_ok(), "{sql}");
    }
}
