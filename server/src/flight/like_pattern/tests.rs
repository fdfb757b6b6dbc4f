use super::*;

fn check(pattern: &str, name: &str, expected: bool) {
    assert_eq!(LikePattern::new(pattern).matches(name), expected, "{name:?} like {pattern:?}");
}

#[test]
fn matches_as_sql_like() {
    check("", "", true);
    check("", "a", false);
    check("%", "", true);
    check("%", "orders", true);
    check("orders", "orders", true);
    check("orders", "Orders", false);
    check("ord", "orders", false);
    check("ord%", "orders", true);
    check("%ers", "orders", true);
    check("%r%r%", "orders", true);
    check("%r%r%r%", "orders", false);
    check("o_ders", "orders", true);
    check("o_ders", "oders", false);
    check("_", "ä", true);
    check("__", "ä", false);
    check("%ab", "aab", true);
    check("%aab%", "aaab", true);
    check("a%%%b", "ab", true);
}

#[test]
fn takes_escaped_characters_literally() {
    check(r"line\_item", "line_item", true);
    check(r"line\_item", "lineXitem", false);
    check(r"100\%", "100%", true);
    check(r"100\%", "1000", false);
    check(r"a\\b", r"a\b", true);
    check(r"a\", r"a\", true);
}

#[test]
fn is_not_exponential() {
    check(&"%a".repeat(2_000), &"a".repeat(1_999), false);
    check(&"%a%b".repeat(500), &"a".repeat(5_000), false);
}
