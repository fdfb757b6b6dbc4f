//! How `json` and `jsonb` are held: as a struct of one field with a name that no user can give.
//!
//! ```text
//! json   Struct { "\u{1}json": Utf8 }       the text as it came
//! jsonb  Struct { "\u{1}jsonb": Utf8 }      the text as PostgreSQL prints it
//! ```
//! A type of its own lives through CASE, UNION, aggregates and subqueries, where the metadata of
//! fields is lost, and never mixes with text unnoticed. Frontends send the text inside.

use arrow::datatypes::{DataType, Field, Fields};

/// The two types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Json {
    /// `json`: spaces, order and duplicate keys are kept.
    Text,
    /// `jsonb`: one text for each value.
    Binary,
}

impl Json {
    /// The number in `pg_type`.
    #[must_use]
    pub fn oid(self) -> u32 {
        match self {
            Self::Text => 114,
            Self::Binary => 3802,
        }
    }

    fn field_name(self) -> &'static str {
        match self {
            Self::Text => "\u{1}json",
            Self::Binary => "\u{1}jsonb",
        }
    }
}

/// The Arrow type of `json` or `jsonb`.
#[must_use]
pub fn json_type(kind: Json) -> DataType {
    let field = Field::new(kind.field_name(), DataType::Utf8, true);
    DataType::Struct(Fields::from(vec![field]))
}

/// Which of the two an Arrow type is, if any.
#[must_use]
pub fn json_kind(data_type: &DataType) -> Option<Json> {
    let DataType::Struct(fields) = data_type else { return None };
    let [field] = fields.as_ref() else { return None };
    [Json::Text, Json::Binary].into_iter().find(|kind| field.name() == kind.field_name())
}
