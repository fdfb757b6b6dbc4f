//! `like_any(text, patterns)` and its kin: `x LIKE ANY (a)` for an array that is not written out.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::frame::Kind::{Bool, Text, Texts};
use super::frame::{Call, Form, Function, Value, form};

/// The functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    const LIKE_ANY: &[Form] = &[form(&[Text, Texts], Bool, |c, row| test(c, row, true, false))];
    const LIKE_ALL: &[Form] = &[form(&[Text, Texts], Bool, |c, row| test(c, row, false, false))];
    const ILIKE_ANY: &[Form] = &[form(&[Text, Texts], Bool, |c, row| test(c, row, true, true))];
    const ILIKE_ALL: &[Form] = &[form(&[Text, Texts], Bool, |c, row| test(c, row, false, true))];
    vec![
        Function::immutable("like_any", LIKE_ANY).into_udf(),
        Function::immutable("like_all", LIKE_ALL).into_udf(),
        Function::immutable("ilike_any", ILIKE_ANY).into_udf(),
        Function::immutable("ilike_all", ILIKE_ALL).into_udf(),
    ]
}

/// The function of an operator and quantifier, and whether its result has to be negated: `x NOT
/// LIKE ANY (a)` is `NOT x LIKE ALL (a)`.
pub(crate) fn function(op: &str, any: bool) -> Option<(Arc<ScalarUDF>, bool)> {
    let (name, negated) = match (op, any) {
        ("~~", true) => ("like_any", false),
        ("~~", false) => ("like_all", false),
        ("!~~", true) => ("like_all", true),
        ("!~~", false) => ("like_any", true),
        ("~~*", true) => ("ilike_any", false),
        ("~~*", false) => ("ilike_all", false),
        ("!~~*", true) => ("ilike_all", true),
        ("!~~*", false) => ("ilike_any", true),
        _ => return None,
    };
    functions().into_iter().find(|function| function.name() == name).map(|f| (f, negated))
}

fn test(call: &Call, row: usize, any: bool, insensitive: bool) -> Result<Value> {
    let text: Vec<char> = folded(call.text(0, row)?, insensitive);
    let mut unknown = false;
    for pattern in call.texts(1, row)? {
        match pattern {
            None => unknown = true,
            Some(pattern) => {
                let pattern = folded(&pattern, insensitive);
                if matches(&text, &pattern) == any {
                    return Ok(Value::Bool(any));
                }
            }
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!any) })
}

fn folded(text: &str, insensitive: bool) -> Vec<char> {
    if insensitive { text.to_lowercase().chars().collect() } else { text.chars().collect() }
}

/// LIKE in time that grows with the product of the lengths, not with a power.
fn matches(text: &[char], pattern: &[char]) -> bool {
    let (mut at, mut from) = (0, 0);
    // Where the last `%` stands, and what of the text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(c) = text.get(at) {
        let (matched, width) = match pattern.get(from) {
            Some('%') => {
                star = Some((from, at));
                from += 1;
                continue;
            }
            Some('_') => (true, 1),
            Some('\\') => (pattern.get(from + 1) == Some(c), 2),
            Some(expected) => (expected == c, 1),
            None => (false, 0),
        };
        if matched {
            (at, from) = (at + 1, from + width);
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            (at, from) = (taken + 1, star_at + 1);
        } else {
            return false;
        }
    }
    pattern.get(from..).is_some_and(|rest| rest.iter().all(|c| *c == '%'))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let check = |text: &str, pattern: &str, expected: bool| {
            let (t, p): (Vec<char>, Vec<char>) =
                (text.chars().collect(), pattern.chars().collect());
            assert_eq!(matches(&t, &p), expected, "{text} LIKE {pattern}");
        };
        check("abc", "a%", true);
        check("abc", "%c", true);
        check("abc", "a_c", true);
        check("abc", "b%", false);
        check("a%c", "a\\%c", true);
        check("abc", "a\\%c", false);
        check("", "%", true);
        check("aXbXc", "%X%c", true);
        check("abc", "abcd", false);
    }
}
