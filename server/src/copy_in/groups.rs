//! Groups of lines, read column by column.
//!
//! A column's values are parsed in one loop that knows their type. That is the way of lines
//! without surprises; what is out of the ordinary goes line by line, which also finds the first
//! error in the order of the lines.

use arrow::array::{ArrowPrimitiveType, PrimitiveBuilder};

use super::columns::{Column, Plain};
use super::fields::{Fields, Value};
use super::values;

/// Lines that are taken together: their fields' places fit into a core's cache.
pub(super) const N_ROWS_PER_GROUP: usize = 512;

/// Which fields of a column are NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NullRule {
    /// The string that stands for NULL does not.
    pub(super) force_not_null: bool,
    /// It does in quotes, too.
    pub(super) force_null: bool,
}

impl NullRule {
    /// Whether this field is NULL.
    pub(super) fn is_null(self, value: &Value<'_>) -> bool {
        match (value.is_null, value.is_quoted_null) {
            (true, _) => !self.force_not_null,
            (false, true) => self.force_null,
            (false, false) => false,
        }
    }
}

/// One column of a group of lines.
#[derive(Clone, Copy)]
pub(super) struct GroupColumn<'a> {
    /// The fields of all lines, a line's after another's.
    pub(super) fields: &'a Fields,
    /// The number of columns.
    pub(super) width: usize,
    /// The column's number.
    pub(super) at: usize,
    pub(super) n_rows: usize,
    /// What the fields were read from.
    pub(super) text: &'a str,
    pub(super) rule: NullRule,
}

impl<'a> GroupColumn<'a> {
    /// The values; `None` is NULL.
    fn bytes(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        (0..self.n_rows).map(move |row| {
            let value = self.fields.get(row * self.width + self.at, self.text.as_bytes())?;
            (!self.rule.is_null(&value)).then_some(value.bytes)
        })
    }

    /// The value of each row as text; nothing where one of them is none.
    fn text(self) -> Option<Vec<Option<&'a str>>> {
        let texts = (0..self.n_rows).map(|row| {
            let at = row * self.width + self.at;
            let is_null = self.rule.is_null(&self.fields.get(at, self.text.as_bytes())?);
            let text = self.fields.text(at, self.text)?;
            Some((!is_null).then_some(text))
        });
        texts.collect()
    }

    /// The fields one by one.
    pub(super) fn values(self) -> impl Iterator<Item = Option<Value<'a>>> {
        let bytes = self.text.as_bytes();
        (0..self.n_rows).map(move |row| self.fields.get(row * self.width + self.at, bytes))
    }
}

/// Adds a group's values to a column; false, with nothing added, where one of them is not in the
/// plain form of its type.
pub(super) fn extend(column: &mut Column, plain: Plain, group: GroupColumn<'_>) -> bool {
    let done = match (column, plain) {
        (Column::Int16(column), Plain::Int16) => {
            numbers(column, group, |bytes| i16::try_from(values::integer(bytes)?).ok())
        }
        (Column::Int32(column), Plain::Int32) => {
            numbers(column, group, |bytes| i32::try_from(values::integer(bytes)?).ok())
        }
        (Column::Int64(column), Plain::Int64) => numbers(column, group, values::integer),
        (Column::Decimal(column), Plain::Decimal(precision, scale)) => {
            numbers(column, group, |bytes| values::decimal(bytes, precision, scale))
        }
        (Column::Float64(column), Plain::Float64) => numbers(column, group, values::float),
        (Column::Date(column), Plain::Date) => numbers(column, group, values::date),
        (Column::Timestamp(column), Plain::Timestamp) => numbers(column, group, values::timestamp),
        (Column::Text(column), Plain::Text) => {
            group.text().map(|texts| texts.into_iter().for_each(|t| column.append_option(t)))
        }
        (Column::TextView(column), Plain::Text) => {
            group.text().map(|texts| texts.into_iter().for_each(|t| column.append_option(t)))
        }
        _ => None,
    };
    done.is_some()
}

fn numbers<T: ArrowPrimitiveType>(
    column: &mut PrimitiveBuilder<T>,
    group: GroupColumn<'_>,
    read: impl Fn(&[u8]) -> Option<T::Native>,
) -> Option<()> {
    let mut numbers = Vec::with_capacity(group.n_rows);
    let mut is_valid = Vec::new();
    for bytes in group.bytes() {
        match bytes {
            Some(bytes) => numbers.push(read(bytes)?),
            None => {
                is_valid.resize(numbers.len(), true);
                is_valid.push(false);
                numbers.push(T::default_value());
            }
        }
    }
    if is_valid.is_empty() {
        column.append_slice(&numbers);
    } else {
        is_valid.resize(numbers.len(), true);
        column.append_values(&numbers, &is_valid);
    }
    Some(())
}
