//! The columns of a table for rows of JSON.
//!
//! A row that says nothing of a column has the column's default, while one that says `null` has
//! none. So each column with a default has another one beside it that says whether there is a value.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tarn_catalog::pg_type::{format_type, pg_type_of};
use tarn_planner::statement::Copy;

use super::members::Members;
use crate::modify::{ColumnValue, WriteTable, quoted};

/// How the rows of JSON become those of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    pub(super) members: Option<Arc<Members>>,
    /// The columns that are written.
    pub(super) columns: Vec<String>,
    pub(super) values: Vec<ColumnValue>,
}

/// The columns as they are read, those that mark values behind the others.
pub(super) fn columns(table: &WriteTable, copy: &Copy, schema: &SchemaRef) -> (SchemaRef, Objects) {
    let columns: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let all = table.schema.fields().iter().enumerate();
    let generated = all.filter(|(at, _)| table.details.generated_of(*at).is_some());
    let generated = generated.map(|(_, field)| field.name().clone()).collect();
    let mut fields = schema.fields().to_vec();
    let (mut values, mut marked) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        let at = table.schema.index_of(field.name()).ok();
        let Some(default) = at.and_then(|at| table.details.default_of(at)) else { continue };
        let mark = format!("tarn given {}", field.name());
        let (given, own) = (quoted(&mark), quoted(field.name()));
        let type_name = format_type(pg_type_of(field).oid, None);
        let value =
            format!("CASE WHEN {given} THEN {own} ELSE CAST(({default}) AS {type_name}) END");
        values.push(ColumnValue { column: field.name().clone(), value });
        fields.push(Arc::new(Field::new(mark, DataType::Boolean, true)));
        marked.push(field.name().clone());
    }
    let schema = Arc::new(Schema::new(fields));
    let members = Members::new(table.name.table(), &schema, &marked)
        .leaving_out(!copy.columns.is_empty())
        .with_generated(generated);
    (schema, Objects { members: Some(Arc::new(members)), columns, values })
}

/// What to do about a row that cannot be copied.
pub(crate) fn copy_hint(code: &str) -> Option<String> {
    let hint = match code {
        "42703" => "With a list of columns, COPY t (a, b) FROM …, all other fields are left out.",
        "0A000" => {
            "Copy it into a column of type jsonb or text, and INSERT what a query makes of it."
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
