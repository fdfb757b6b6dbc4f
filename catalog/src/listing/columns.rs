//! One schema for many files: columns are matched by name and widened where nothing is lost.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

/// Two files that have different ideas of a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) column: String,
    pub(super) file_index: usize,
    pub(super) types: (DataType, DataType),
}

/// Merges schemas in order; a column that some file lacks becomes nullable.
///
/// `as_text` says that the files are texts, in which any two simple types meet in `Utf8`.
pub(super) fn merge<'a>(
    schemas: impl IntoIterator<Item = &'a SchemaRef>,
    as_text: bool,
) -> Result<Schema, Mismatch> {
    let mut merged: Vec<Field> = Vec::new();
    let mut n_seen: Vec<usize> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut n_schemas = 0;
    let mut last: Option<(&SchemaRef, Vec<usize>)> = None;
    for (file_index, schema) in schemas.into_iter().enumerate() {
        n_schemas += 1;
        // Thousands of files mostly have one and the same schema.
        let unchanged = last.take().filter(|(before, _)| *before == schema);
        let at = match unchanged {
            Some((_, at)) => at,
            None => {
                let mut at = Vec::with_capacity(schema.fields().len());
                for field in schema.fields() {
                    let place = *places.entry(field.name().clone()).or_insert_with(|| {
                        merged.push(field.as_ref().clone());
                        n_seen.push(0);
                        merged.len() - 1
                    });
                    at.push(place);
                    if let Some(known) = merged.get_mut(place) {
                        widen(known, field, as_text, file_index)?;
                    }
                }
                at
            }
        };
        for place in &at {
            if let Some(n) = n_seen.get_mut(*place) {
                *n += 1;
            }
        }
        last = Some((schema, at));
    }
    let settled = |(field, n): (Field, usize)| {
        let data_type = match field.data_type() {
            // Other programs mean bytes by it, not a time of day.
            DataType::FixedSizeBinary(12) => DataType::Binary,
            data_type if as_text => settle(data_type),
            data_type => data_type.clone(),
        };
        let nullable = field.is_nullable() || n < n_schemas;
        field.with_data_type(data_type).with_nullable(nullable)
    };
    Ok(Schema::new(merged.into_iter().zip(n_seen).map(settled).collect::<Vec<_>>()))
}

fn widen(
    known: &mut Field,
    field: &Field,
    as_text: bool,
    file_index: usize,
) -> Result<(), Mismatch> {
    let joined = join(known.data_type(), field.data_type(), as_text).ok_or_else(|| Mismatch {
        column: field.name().clone(),
        file_index,
        types: (known.data_type().clone(), field.data_type().clone()),
    })?;
    let nullable = known.is_nullable() || field.is_nullable();
    *known = known.clone().with_data_type(joined).with_nullable(nullable);
    Ok(())
}

/// The narrowest type that holds the values of both.
fn join(a: &DataType, b: &DataType, as_text: bool) -> Option<DataType> {
    use DataType::{Date32, Decimal128, Float32, Float64, Int64, Null, Timestamp, Utf8};
    if a == b {
        return Some(a.clone());
    }
    Some(match (a, b) {
        (Null, other) | (other, Null) => other.clone(),
        (Decimal128(p, s), Decimal128(q, t)) if s == t => Decimal128(*p.max(q), *s),
        (Float32, Float64) | (Float64, Float32) => Float64,
        (Timestamp(x, zone), Timestamp(y, other)) if as_text && zone == other => {
            Timestamp(*x.max(y), zone.clone())
        }
        (Date32, Timestamp(..)) if as_text => b.clone(),
        (Timestamp(..), Date32) if as_text => a.clone(),
        (Int64, Float64) | (Float64, Int64) if as_text => Float64,
        (DataType::Struct(_), _)
        | (_, DataType::Struct(_))
        | (DataType::List(_), _)
        | (_, DataType::List(_)) => {
            return join_nested(a, b, as_text);
        }
        _ if as_text => Utf8,
        _ => return wider_integer(a, b),
    })
}

fn join_nested(a: &DataType, b: &DataType, as_text: bool) -> Option<DataType> {
    match (a, b) {
        (DataType::List(a), DataType::List(b)) if as_text => {
            let item = join(a.data_type(), b.data_type(), as_text)?;
            Some(DataType::List(Arc::new(a.as_ref().clone().with_data_type(item))))
        }
        (DataType::Struct(a), DataType::Struct(b)) if as_text => {
            let schemas = [a, b].map(|fields| Arc::new(Schema::new(fields.clone())));
            merge(&schemas, as_text).ok().map(|schema| DataType::Struct(schema.fields))
        }
        _ => None,
    }
}

fn wider_integer(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32};
    const WIDTHS: [(DataType, i8, bool); 7] = [
        (Int8, 1, true),
        (UInt8, 1, false),
        (Int16, 2, true),
        (UInt16, 2, false),
        (Int32, 3, true),
        (UInt32, 3, false),
        (Int64, 4, true),
    ];
    let find = |t: &DataType| WIDTHS.iter().find(|(known, ..)| known == t);
    let ((_, width_a, signed_a), (_, width_b, signed_b)) = (find(a)?, find(b)?);
    let need = |width: &i8, signed: &bool| if *signed { *width } else { width + 1 };
    let width = if signed_a == signed_b {
        *width_a.max(width_b)
    } else {
        need(width_a, signed_a).max(need(width_b, signed_b))
    };
    let signed = *signed_a || *signed_b;
    let found = WIDTHS.iter().find(|(_, w, s)| *w == width && *s == signed);
    found.map(|(data_type, ..)| data_type.clone())
}

/// Columns without a single value are text.
fn settle(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| {
        Arc::new(field.as_ref().clone().with_data_type(settle(field.data_type())))
    };
    match data_type {
        DataType::Null => DataType::Utf8,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        DataType::List(item) => DataType::List(inner(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        other => other.clone(),
    }
}
