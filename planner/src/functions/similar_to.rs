//! `similar_to(text, pattern, escape)`: SQL's regular expressions.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use regex::Regex;

use super::fault::fault;

/// The call for `x SIMILAR TO pattern ESCAPE c`.
pub(crate) fn similar_to(like: Like) -> Transformed<Expr> {
    let escape = like.escape_char.map_or_else(|| "\\".to_owned(), String::from);
    let escape = Expr::Literal(ScalarValue::Utf8(Some(escape)), None);
    let args = vec![*like.expr, *like.pattern, escape];
    let function = Arc::clone(&SIMILAR_TO);
    let call = Expr::ScalarFunction(ScalarFunction::new_udf(function, args));
    Transformed::yes(if like.negated { Expr::Not(Box::new(call)) } else { call })
}

pub(crate) static SIMILAR_TO: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::from(SimilarTo { signature: Signature::any(3, Volatility::Immutable) }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct SimilarTo {
    signature: Signature,
}

impl ScalarUDFImpl for SimilarTo {
    fn name(&self) -> &'static str {
        "similar_to"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, pattern, escape] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("similar_to needs three arguments"));
        };
        let escape = match escape {
            ColumnarValue::Scalar(value) => {
                value.try_as_str().flatten().unwrap_or("").chars().next()
            }
            ColumnarValue::Array(_) => {
                return Err(exec_datafusion_err!("ESCAPE must be a constant"));
            }
        };
        let constant = matches!(text, ColumnarValue::Scalar(_));
        let constant = constant && matches!(pattern, ColumnarValue::Scalar(_));
        let n_rows = if constant { 1 } else { args.number_rows };
        let texts = cast(&text.to_array(n_rows)?, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        let result: BooleanArray = match pattern {
            ColumnarValue::Scalar(pattern) => match pattern.try_as_str().flatten() {
                None => BooleanArray::new_null(n_rows),
                Some(pattern) => {
                    let regex = compile(pattern, escape)?;
                    texts.iter().map(|text| text.map(|text| regex.is_match(text))).collect()
                }
            },
            ColumnarValue::Array(patterns) => {
                let patterns = cast(patterns, &DataType::Utf8)?;
                let rows = texts.iter().zip(patterns.as_string::<i32>().iter());
                let rows = rows.map(|(text, pattern)| match (text, pattern) {
                    (Some(text), Some(pattern)) => {
                        Ok(Some(compile(pattern, escape)?.is_match(text)))
                    }
                    _ => Ok(None),
                });
                rows.collect::<Result<_>>()?
            }
        };
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        let result: ArrayRef = Arc::new(result);
        debug_assert_eq!(result.len(), n_rows, "one answer for each row");
        Ok(ColumnarValue::Array(result))
    }
}

fn compile(pattern: &str, escape: Option<char>) -> Result<Regex> {
    let regex = translate(pattern, escape)?;
    Regex::new(&regex).map_err(|error| {
        let reason = error.to_string();
        let reason =
            reason.lines().last().unwrap_or("not understood").trim_start_matches("error: ");
        fault("2201B", format!("invalid regular expression: {reason}"))
    })
}

/// The pattern of `substring(text SIMILAR pattern ESCAPE escape)`: the part between two marks, such
/// as `#"`, is the group `part`, and what is before it is as short as can be.
pub(crate) fn substring_pattern(pattern: &str, escape: &str) -> Result<Regex> {
    let mut letters = escape.chars();
    let (Some(letter), None) = (letters.next(), letters.next()) else {
        return Err(fault("22025", "invalid escape string"));
    };
    let mark = format!("{letter}\"");
    let parts: Vec<&str> = pattern.split(mark.as_str()).collect();
    let inner = |part: &str| -> Result<String> {
        let whole = translate(part, Some(letter))?;
        let inner = whole.strip_prefix(START).and_then(|rest| rest.strip_suffix(END));
        Ok(inner.unwrap_or_default().to_owned())
    };
    let regex = match parts.as_slice() {
        [whole] => translate(whole, Some(letter))?,
        [before, part, after] => {
            let before = inner(before)?.replace(".*", ".*?");
            format!("(?s)^(?:{before})(?P<part>{})(?:{})$", inner(part)?, inner(after)?)
        }
        _ => {
            let message = "SQL regular expression may not contain more than two escape-double-quote \
                           separators";
            return Err(fault("2200C", message));
        }
    };
    Regex::new(&regex).map_err(|_| fault("2201B", "invalid regular expression"))
}

const START: &str = "(?s)^(?:";
const END: &str = ")$";

/// The pattern as a regular expression that matches the whole text.
///
/// `%` and `_` are any text and any character; `| * + ? {n,m} ( ) [ ]` mean what they mean in
/// regular expressions; `. ^ $` are themselves.
fn translate(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut regex = String::with_capacity(pattern.len() + 12);
    regex.push_str(START);
    let mut in_brackets = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let next = chars.next();
            let next = next.ok_or_else(|| fault("22025", "invalid escape sequence"))?;
            regex.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
        } else if in_brackets {
            match c {
                ']' => {
                    in_brackets = false;
                    regex.push(']');
                }
                '[' if chars.peek() == Some(&':') => {
                    regex.push('[');
                    // A class such as [:alpha:], up to its own bracket.
                    for c in chars.by_ref() {
                        regex.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                }
                '[' | '\\' | '&' | '~' => {
                    regex.push('\\');
                    regex.push(c);
                }
                c => regex.push(c),
            }
        } else {
            match c {
                '%' => regex.push_str(".*"),
                '_' => regex.push('.'),
                '(' => regex.push_str("(?:"),
                '[' => {
                    in_brackets = true;
                    regex.push('[');
                    if chars.peek() == Some(&'^') {
                        chars.next();
                        regex.push('^');
                    }
                    if chars.peek() == Some(&']') {
                        chars.next();
                        regex.push_str("\\]");
                    }
                }
                '.' | '^' | '$' | '\\' => {
                    regex.push('\\');
                    regex.push(c);
                }
                c => regex.push(c),
            }
        }
    }
    regex.push_str(END);
    Ok(regex)
}

#[cfg(test)]
mod tests {
    use super::compile;

    fn matches(text: &str, pattern: &str) -> bool {
        compile(pattern, Some('\\')).is_ok_and(|regex| regex.is_match(text))
    }

    #[test]
    fn a_pattern_matches_the_whole_text() {
        assert!(matches("abc", "abc"));
        assert!(!matches("abc", "b"));
        assert!(!matches("abc", "a"));
        assert!(matches("abc", "a%"));
        assert!(matches("abc", "%(b|d)%"));
        assert!(!matches("abc", "(b|c)%"));
        assert!(matches("abc", "x|a_c"));
        assert!(!matches("a+c", "a.c"));
        assert!(matches("a.c", "a.c"));
        assert!(matches("a\nc", "a_c"));
    }

    #[test]
    fn brackets_and_escapes() {
        assert!(matches("a_c", "a\\_c"));
        assert!(!matches("abc", "a\\_c"));
        assert!(matches("x%", "x[%]"));
        assert!(matches("7x", "[[:digit:]][^0-9]"));
        assert!(matches("aaa", "a{3}"));
        assert!(compile("a\\", Some('\\')).is_err());
        assert!(compile("(a", Some('\\')).is_err());
    }
}
