//! The expected texts were taken from PostgreSQL 15.

use std::cmp::Ordering;

use super::{check, normalized, parse_binary};

#[test]
fn jsonb_prints_as_postgresql_does() {
    let cases = [
        (r#"{"b":1,"a":2,"aa":3,"b":4}"#, r#"{"a": 2, "b": 4, "aa": 3}"#),
        (r#" [1 ,2.50,-0,1e3,1.5e-2,1E+2] "#, "[1, 2.50, 0, 1000, 0.015, 100]"),
        (r#""A\n\u00e9\ud83d\ude00\u0001""#, "\"A\\né😀\\u0001\""),
        ("{}", "{}"),
        ("[[],{}]", "[[], {}]"),
        (
            "12345678901234567890.123456789012345678901",
            "12345678901234567890.123456789012345678901",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(normalized(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    for text in ["", "{", "[1,]", "{\"a\"}", "{a:1}", "01", "1.", "tru", "\"a", "[1] 2", "'a'"] {
        let error = check(text).unwrap_err();
        assert_eq!(error.code, "22P02", "{text}: {}", error.detail);
    }
    assert_eq!(check("x").unwrap_err().detail, "Token \"x\" is invalid.");
    assert_eq!(check("[1").unwrap_err().detail, "The input string ended unexpectedly.");
    assert!(check("\"\\u0000\"").is_ok());
    assert_eq!(normalized("\"\\u0000\"").unwrap_err().code, "22P05");
    let deep = "[".repeat(100_000);
    assert_eq!(check(&deep).unwrap_err().code, "54001");
}

#[test]
fn jsonb_is_ordered_and_contained_as_in_postgresql() {
    let value = |text: &str| parse_binary(text).unwrap();
    let compare = |a: &str, b: &str| value(a).compare(&value(b));
    assert_eq!(compare("1.0", "1"), Ordering::Equal);
    assert_eq!(compare("[]", "null"), Ordering::Less);
    assert_eq!(compare("{}", "[1]"), Ordering::Greater);
    assert_eq!(compare("10", "9"), Ordering::Greater);
    assert_eq!(compare("-10", "-9"), Ordering::Less);
    assert_eq!(compare("0.10", "0.1"), Ordering::Equal);
    let contains = |a: &str, b: &str| value(a).contains(&value(b));
    assert!(contains(r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1}}"#));
    assert!(contains("[1,2,3]", "[3,1]"));
    assert!(contains("[1,2]", "1"));
    assert!(!contains("1", "[1]"));
    assert!(!contains(r#"{"a":[1]}"#, r#"{"a":1}"#));
}
