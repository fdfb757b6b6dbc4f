//! `json` and `jsonb`: reading, printing, comparing.
//!
//! Numbers keep all their digits: they are never floats here.
//! Rules: <https://www.postgresql.org/docs/15/datatype-json.html>.

use std::cmp::Ordering;
use std::fmt;

mod number;
pub(crate) mod order;
mod read;
mod write;

pub use number::compare_numbers;
pub use read::{Children, children, text_of};
pub use write::quoted;

/// How deep values may be nested; PostgreSQL's bound is its stack.
const DEPTH_MAX: usize = 1_000;

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The digits.
    Number(String),
    /// The text without quotes and escapes.
    String(String),
    /// `[…]`.
    Array(Vec<Value>),
    /// `{…}`; for `jsonb` sorted by length and bytes of the keys, each once.
    Object(Vec<(String, Value)>),
}

/// Why a text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// The SQLSTATE.
    pub code: &'static str,
    /// The primary message.
    pub message: &'static str,
    /// What was found where.
    pub detail: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

/// Checks a `json` text, in which escapes and duplicate keys stay as they are.
///
/// # Errors
/// 22P02.
pub fn check(text: &str) -> Result<(), JsonError> {
    read::Reader::new(text, false).read_all().map(drop)
}

/// Reads a `json` text, keys in order and as often as they are there.
///
/// # Errors
/// 22P02, and 22P05 for escapes that text cannot hold.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    read::Reader::new(text, true).read_all()
}

/// Reads a text as `jsonb`.
///
/// # Errors
/// 22P02, and 22P05 for escapes that text cannot hold.
pub fn parse_binary(text: &str) -> Result<Value, JsonError> {
    let mut value = parse(text)?;
    value.normalize();
    Ok(value)
}

/// The text of a `jsonb` value as PostgreSQL prints it.
///
/// # Errors
/// 22P02, and 22P05 for escapes that text cannot hold.
pub fn normalized(text: &str) -> Result<String, JsonError> {
    parse_binary(text).map(|value| value.to_string())
}

/// A text that two values share exactly when they are equal: numbers without zeros at the end.
///
/// # Errors
/// As [`normalized`].
pub(crate) fn comparable(text: &str) -> Result<String, JsonError> {
    let mut value = parse_binary(text)?;
    value.shorten_numbers();
    Ok(value.to_string())
}

impl Value {
    fn shorten_numbers(&mut self) {
        match self {
            Self::Number(digits) if digits.contains('.') => {
                digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
            }
            Self::Array(elements) => elements.iter_mut().for_each(Self::shorten_numbers),
            Self::Object(pairs) => pairs.iter_mut().for_each(|(_, value)| value.shorten_numbers()),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => {}
        }
    }

    /// Sorts keys, drops all but the last of equal ones, and writes numbers in full.
    pub fn normalize(&mut self) {
        match self {
            Self::Number(digits) => *digits = number::plain(digits),
            Self::Array(elements) => elements.iter_mut().for_each(Self::normalize),
            Self::Object(pairs) => {
                pairs.iter_mut().for_each(|(_, value)| value.normalize());
                sort_keys(pairs);
            }
            Self::Null | Self::Bool(_) | Self::String(_) => {}
        }
    }

    /// The name that `jsonb_typeof` has for it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The value of a key; of equal keys the last one counts.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(pairs) => {
                pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// An element by its number; negative ones count from the end.
    #[must_use]
    pub fn at(&self, index: i64) -> Option<&Self> {
        match self {
            Self::Array(elements) => elements.get(position(index, elements.len())?),
            _ => None,
        }
    }

    /// What a path of keys and numbers leads to.
    #[must_use]
    pub fn path<'a>(&'a self, steps: impl IntoIterator<Item = &'a str>) -> Option<&'a Self> {
        let mut value = self;
        for step in steps {
            value = match value {
                Self::Object(_) => value.get(step)?,
                Self::Array(_) => value.at(step.trim().parse().ok()?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The text that `->>` gives: strings without quotes, and `None` for null.
    #[must_use]
    pub fn into_text(self, compact: bool) -> Option<String> {
        match self {
            Self::Null => None,
            Self::String(text) => Some(text),
            other if compact => Some(other.compact()),
            other => Some(other.to_string()),
        }
    }

    /// Whether `self @> other`.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            // A scalar on the right may be an element of an array on the left, at the top only.
            (Self::Array(elements), scalar) if scalar.is_scalar() => {
                elements.iter().any(|element| element.equals(scalar))
            }
            _ => self.contains_strictly(other),
        }
    }

    fn contains_strictly(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(_), Self::Object(wanted)) => wanted.iter().all(|(key, value)| {
                self.get(key).is_some_and(|found| found.contains_strictly(value))
            }),
            (Self::Array(elements), Self::Array(wanted)) => wanted.iter().all(|value| {
                elements.iter().any(|element| {
                    if value.is_scalar() {
                        element.equals(value)
                    } else {
                        element.contains_strictly(value)
                    }
                })
            }),
            _ => self.equals(other),
        }
    }

    /// Whether it is neither an array nor an object.
    #[must_use]
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// Equality of `jsonb`: numbers count by their value.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal
    }

    /// The order of `jsonb`.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let is_empty = |value: &Self| matches!(value, Self::Array(all) if all.is_empty());
        match (is_empty(self), is_empty(other)) {
            // An empty array at the top sorts before all else, for historical reasons.
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            _ => self.compare_inside(other),
        }
    }

    fn compare_inside(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => compare_numbers(a, b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => {
                let elements = || {
                    let orders = a.iter().zip(b).map(|(a, b)| a.compare_inside(b));
                    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
                };
                a.len().cmp(&b.len()).then_with(elements)
            }
            (Self::Object(a), Self::Object(b)) => {
                let pairs = || {
                    // Keys are stored by their length, and compared without it.
                    let orders = a
                        .iter()
                        .zip(b)
                        .map(|((ka, a), (kb, b))| ka.cmp(kb).then_with(|| a.compare_inside(b)));
                    orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
                };
                a.len().cmp(&b.len()).then_with(pairs)
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::String(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }
}

/// The place of an element by its number; negative ones count from the end.
#[must_use]
pub fn position(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => length.checked_sub(usize::try_from(index.checked_neg()?).ok()?),
    }
}

/// Sorts by length and bytes of the keys; of equal keys the last one stays.
pub fn sort_keys(pairs: &mut Vec<(String, Value)>) {
    pairs.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    // The sort is stable, so that the last of equal keys is behind the others.
    pairs.reverse();
    pairs.dedup_by(|(later, _), (kept, _)| later == kept);
    pairs.reverse();
}

#[cfg(test)]
mod tests;
