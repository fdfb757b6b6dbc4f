//! Schemas as clients are told of them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tarn_planner::rewrite::strip_suffix;

/// The schema that clients see: names without suffixes.
pub(crate) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let plain = strip_suffix(field.name());
        if plain == field.name() {
            Arc::clone(field)
        } else {
            Arc::new(field.as_ref().clone().with_name(plain))
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Whether a plan's columns have the names that were announced.
pub(super) fn same_names(announced: &Schema, plan: &Schema) -> bool {
    announced.fields().len() == plan.fields().len()
        && announced
            .fields()
            .iter()
            .zip(plan.fields())
            .all(|(a, b)| a.name() == strip_suffix(b.name()))
}

/// Whether batches of one schema can be announced with another: only names and metadata differ,
/// and nothing is announced as NOT NULL that may be NULL.
pub(super) fn same_types(announced: &Schema, sent: &Schema) -> bool {
    announced.fields().len() == sent.fields().len()
        && announced
            .fields()
            .iter()
            .zip(sent.fields())
            .all(|(a, b)| a.data_type() == b.data_type() && (a.is_nullable() || !b.is_nullable()))
}

/// One column of text.
pub(crate) fn text_schema(column: &str) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(column, DataType::Utf8, false)]))
}
