//! Literals of bit strings: `B'101'` and `X'1F'`.

use sqlparser::ast::{CastKind, DataType, Expr, Ident, ObjectName, Value};

use super::checks::Misuse;
use crate::types::bits;

/// Makes a cast of the bits to `bit` without a length out of a literal.
///
/// # Errors
/// 22P02 for what is no digit.
pub(super) fn rewrite(expr: &mut Expr) -> Result<(), Misuse> {
    let Expr::Value(value) = expr else { return Ok(()) };
    let at = value.span.start;
    let read = match &value.value {
        // A letter in front would be read as in a text.
        Value::SingleQuotedByteStringLiteral(digits) => bits::read(&format!("b{digits}")),
        Value::HexStringLiteral(digits) => bits::hexadecimal(digits),
        _ => return Ok(()),
    };
    let text = read.map_err(|(code, message)| Misuse {
        code,
        message,
        at: Some(at).filter(|at| at.line > 0),
    })?;
    *expr = Expr::Cast {
        kind: CastKind::DoubleColon,
        expr: Box::new(Expr::value(Value::SingleQuotedString(text))),
        // The name in quotes has no length, `bit` is `bit(1)`.
        data_type: DataType::Custom(ObjectName::from(vec![Ident::with_quote('"', "bit")]), vec![]),
        array: false,
        format: None,
    };
    Ok(())
}
