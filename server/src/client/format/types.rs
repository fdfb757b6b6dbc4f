//! What PostgreSQL's type OIDs mean to the formats.

use super::super::wire::Column;

/// The types that a format treats in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// With precision and scale when the type modifier tells them.
    Numeric(Option<(u8, i8)>),
    Bytes,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Json,
    /// Everything else: the text as the server gave it.
    Text,
}

impl Shape {
    /// Returns the shape of a column and whether the column is an array of it.
    pub(super) fn of(column: &Column) -> (Self, bool) {
        match element_of(column.type_oid) {
            Some(element) => (Self::of_type(element, column.modifier), true),
            None => (Self::of_type(column.type_oid, column.modifier), false),
        }
    }

    fn of_type(type_oid: u32, modifier: i32) -> Self {
        match type_oid {
            16 => Shape::Bool,
            21 => Shape::Int16,
            23 => Shape::Int32,
            // int8; oid is unsigned and needs the wider type.
            20 | 26 => Shape::Int64,
            700 => Shape::Float32,
            701 => Shape::Float64,
            1700 => Shape::Numeric(precision_and_scale(modifier)),
            17 => Shape::Bytes,
            1082 => Shape::Date,
            1083 => Shape::Time,
            1114 => Shape::Timestamp,
            1184 => Shape::TimestampTz,
            114 | 3802 => Shape::Json,
            _ => Shape::Text,
        }
    }

    /// True for types whose digits should stand below each other.
    pub(super) fn is_number(self) -> bool {
        matches!(
            self,
            Shape::Int16
                | Shape::Int32
                | Shape::Int64
                | Shape::Float32
                | Shape::Float64
                | Shape::Numeric(_)
        )
    }
}

/// Reads numeric's type modifier: `((precision << 16) | scale) + 4`, scale in 11 bits, signed.
fn precision_and_scale(modifier: i32) -> Option<(u8, i8)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    let precision = u8::try_from(packed >> 16).ok()?;
    let scale = i8::try_from(((packed & 0x7ff) ^ 1024) - 1024).ok()?;
    Some((precision, scale))
}

/// Returns the element type of an array type.
fn element_of(type_oid: u32) -> Option<u32> {
    Some(match type_oid {
        1000 => 16,
        1001 => 17,
        1005 => 21,
        1007 => 23,
        1016 => 20,
        1021 => 700,
        1022 => 701,
        1231 => 1700,
        1028 => 26,
        1009 | 1002 | 1014 | 1015 | 1003 => 25,
        1182 => 1082,
        1183 => 1083,
        1115 => 1114,
        1185 => 1184,
        199 | 3807 => 114,
        1187 | 2951 | 1041 | 651 => 25,
        _ => return None,
    })
}

/// Returns the column names, made unique: a second `a` becomes `a_1`.
pub(super) fn unique_names(columns: &[Column]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    let taken = |names: &[String], name: &str| names.iter().any(|n| n == name);
    for column in columns {
        let mut name = column.name.clone();
        let mut n = 0;
        while taken(&names, &name) {
            n += 1;
            name = format!("{}_{n}", column.name);
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_modifiers() {
        assert_eq!(precision_and_scale(983_046), Some((15, 2)));
        assert_eq!(precision_and_scale(-1), None);
        assert_eq!(precision_and_scale((5 << 16 | 0x7fe) + 4), Some((5, -2)));
    }
}
