//! Arrays of any number of dimensions up to PostgreSQL's six.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use datafusion::scalar::ScalarValue;
use tarn_catalog::pg_type;

use super::number::{Decimal, parse_integer};
use super::{ParamError, null_of, parse_text_in, unsupported};
use tarn_planner::calendar::Zone;

const DIMENSIONS_MAX: usize = 6;
const NUMERIC: u32 = 1700;

/// Reads `{1,NULL,"a b"}`.
pub(super) fn parse(
    element_oid: u32,
    text: &str,
    time_zone: &Zone,
) -> Result<ScalarValue, ParamError> {
    let malformed = || ParamError::new("22P02", format!("malformed array literal: \"{text}\""));
    if shifted(text) {
        return Err(shifted_bounds());
    }
    let mut literal =
        Literal { rest: skip_bounds(text).ok_or_else(malformed)?, ..Literal::default() };
    literal.skip_spaces();
    literal.read_list(0).ok_or_else(malformed)?;
    literal.skip_spaces();
    if !literal.rest.is_empty() {
        return Err(malformed());
    }
    let sizes: Vec<usize> = literal.sizes.iter().map_while(|size| *size).collect();
    if element_oid == NUMERIC {
        let parse = |text: Option<String>| text.map(|text| Decimal::parse(&text)).transpose();
        let decimals = literal.elements.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        return build(element_oid, decimal_scalars(decimals)?, &sizes);
    }
    let parse = |text: Option<String>| match text {
        Some(text) => parse_text_in(element_oid, &text, time_zone),
        None => null_of(element_oid),
    };
    let elements = literal.elements.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    build(element_oid, elements, &sizes)
}

/// Reads `1 2 3`, the form of `int2vector` and `oidvector`.
pub(super) fn parse_vector(oid: u32, text: &str) -> Result<ScalarValue, ParamError> {
    let element_oid = if oid == 22 { 21 } else { 26 };
    let parse = |word: &str| match element_oid {
        21 => parse_integer(word, "smallint").map(|value| ScalarValue::Int16(Some(value))),
        _ => parse_integer(word, "oid").map(|value| ScalarValue::UInt32(Some(value))),
    };
    let elements = text.split_ascii_whitespace().map(parse).collect::<Result<Vec<_>, _>>()?;
    let size = elements.len();
    build(element_oid, elements, &[size])
}

/// Takes `[2:3][0:1]=` away: Arrow's lists all begin at the same place.
fn skip_bounds(text: &str) -> Option<&str> {
    let text = super::trim(text);
    if !text.starts_with('[') {
        return Some(text);
    }
    let (bounds, rest) = text.split_once('=')?;
    let known = |c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | ':' | '-' | '+' | ' ');
    bounds.chars().all(known).then_some(rest)
}

/// Whether an array literal has bounds that do not begin at one.
fn shifted(text: &str) -> bool {
    let Some((bounds, _)) = super::trim(text).split_once('=') else { return false };
    if !bounds.starts_with('[') {
        return false;
    }
    bounds.split('[').skip(1).any(|bound| {
        let lower = bound.split_once(':').map(|(lower, _)| lower.trim());
        lower.is_some_and(|lower| lower.parse::<i64>() != Ok(1))
    })
}

/// Lists in Arrow have no bounds, and other subscripts would find other elements.
pub(super) fn shifted_bounds() -> ParamError {
    ParamError::new("0A000", "arrays whose subscripts do not begin at 1 are not supported")
}

/// What is left of an array literal and what was read of it.
#[derive(Default)]
struct Literal<'a> {
    rest: &'a str,
    /// In order, without regard to dimensions.
    elements: Vec<Option<String>>,
    /// The size of each dimension once its first list is complete.
    sizes: [Option<usize>; DIMENSIONS_MAX],
}

impl Literal<'_> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    }

    fn take(&mut self, expected: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// Reads a list in braces; `None` where it is malformed or its shape is not that of the others.
    fn read_list(&mut self, depth: usize) -> Option<()> {
        let known_size = *self.sizes.get(depth)?;
        self.take('{')?;
        self.skip_spaces();
        let mut size = 0_usize;
        let mut inner_lists = None;
        while !self.rest.starts_with('}') {
            if size > 0 {
                self.take(',')?;
                self.skip_spaces();
            }
            let inner = self.rest.starts_with('{');
            // Lists and plain elements do not stand side by side.
            if *inner_lists.get_or_insert(inner) != inner {
                return None;
            }
            if inner {
                self.read_list(depth + 1)?;
            } else {
                // A dimension below has been seen in another list.
                if self.sizes.get(depth + 1).copied().flatten().is_some() {
                    return None;
                }
                let element = self.read_element()?;
                self.elements.push(element);
            }
            size += 1;
            self.skip_spaces();
        }
        self.take('}')?;
        if known_size.is_some_and(|known| known != size) {
            return None;
        }
        *self.sizes.get_mut(depth)? = Some(size);
        Some(())
    }

    /// Reads an element in quotes or up to the next comma or brace.
    fn read_element(&mut self) -> Option<Option<String>> {
        let mut value = String::new();
        let quoted = self.rest.starts_with('"');
        let mut chars = self.rest.char_indices();
        if quoted {
            chars.next();
        }
        let mut escaped_any = false;
        // Spaces at the end count only when they were escaped.
        let mut significant = 0_usize;
        loop {
            let (at, c) = chars.next()?;
            match c {
                '\\' => {
                    value.push(chars.next()?.1);
                    escaped_any = true;
                    significant = value.len();
                }
                '"' if quoted => {
                    self.rest = self.rest.get(at + 1..)?;
                    return Some(Some(value));
                }
                '"' | '{' if !quoted => return None,
                ',' | '}' if !quoted => {
                    self.rest = self.rest.get(at..)?;
                    break;
                }
                c => {
                    value.push(c);
                    if !c.is_ascii_whitespace() {
                        significant = value.len();
                    }
                }
            }
        }
        value.truncate(significant);
        if value.is_empty() {
            return None;
        }
        let null = !escaped_any && value.eq_ignore_ascii_case("null");
        Some((!null).then_some(value))
    }
}

/// Decimals of one type that holds them all.
pub(super) fn decimal_scalars(
    decimals: Vec<Option<Decimal>>,
) -> Result<Vec<ScalarValue>, ParamError> {
    let n_whole = decimals.iter().flatten().map(Decimal::n_whole).max().unwrap_or(0);
    let scale = decimals.iter().flatten().map(Decimal::scale).max().unwrap_or(0);
    let precision = (n_whole + scale).max(1);
    let zero = || Decimal::from_digits(false, Vec::new(), 0)?.into_scalar_of(precision, scale);
    let convert = |decimal: Option<Decimal>| match decimal {
        Some(decimal) => decimal.into_scalar_of(precision, scale),
        None => {
            let null = ScalarValue::try_from(&zero()?.data_type());
            null.map_err(|_| unsupported(NUMERIC))
        }
    };
    decimals.into_iter().map(convert).collect()
}

/// Makes a list, or a list of lists, of elements in order.
pub(super) fn build(
    element_oid: u32,
    elements: Vec<ScalarValue>,
    sizes: &[usize],
) -> Result<ScalarValue, ParamError> {
    let failed = || unsupported(element_oid);
    let mut values: ArrayRef = if elements.is_empty() {
        new_empty_array(&pg_type::arrow_type_of(element_oid).ok_or_else(failed)?)
    } else {
        ScalarValue::iter_to_array(elements).map_err(|_| failed())?
    };
    // As in PostgreSQL an array without elements has no dimensions.
    let innermost = [values.len()];
    let sizes = if values.is_empty() { innermost.as_slice() } else { sizes };
    for (depth, size) in sizes.iter().enumerate().rev() {
        let n_lists: usize = sizes.iter().take(depth).product();
        let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(*size, n_lists));
        let field = Field::new("item", values.data_type().clone(), true);
        let list = ListArray::try_new(field.into(), offsets, values, None);
        values = Arc::new(list.map_err(|_| failed())?);
    }
    let list = values.as_any().downcast_ref::<ListArray>().ok_or_else(failed)?;
    Ok(ScalarValue::List(Arc::new(list.clone())))
}
