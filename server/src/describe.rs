//! What a client is told of result columns beyond their types: the table and the number of a
//! column, and the type modifier of columns of tables.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use tarn_catalog::CatalogSnapshot;
use tarn_catalog::pg_type::{
    FIELD_COLUMN, FIELD_PG_TYPE, FIELD_PG_TYPMOD, FIELD_TABLE, pg_type_of_data_type,
};
use tarn_planner::types::origins::{Origin, origins};

/// Notes the origins of columns in the metadata of a result's fields.
pub(crate) fn with_origins(
    schema: &SchemaRef,
    plan: &LogicalPlan,
    catalog: &CatalogSnapshot,
    search_path: &[String],
) -> SchemaRef {
    let found = origins(plan);
    if found.iter().all(Option::is_none) || found.len() != schema.fields().len() {
        return Arc::clone(schema);
    }
    let fields = schema.fields().iter().zip(&found).map(|(field, origin)| {
        let Some(origin) = origin else { return Arc::clone(field) };
        let mut metadata = field.metadata().clone();
        if let Some(oid) = relation(origin, catalog, search_path) {
            metadata.insert(FIELD_TABLE.to_owned(), oid.to_string());
            metadata.insert(FIELD_COLUMN.to_owned(), (origin.column + 1).to_string());
        }
        let decimal = matches!(
            field.data_type(),
            DataType::Decimal32(..)
                | DataType::Decimal64(..)
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
        );
        // A table in the lake has digits of its own; `numeric` in a table in memory may have none.
        if decimal && !metadata.contains_key(FIELD_PG_TYPE) {
            let modifier = pg_type_of_data_type(field.data_type()).modifier;
            metadata.insert(FIELD_PG_TYPMOD.to_owned(), modifier.to_string());
        }
        if *field.data_type() == DataType::UInt32 && !metadata.contains_key(FIELD_PG_TYPE) {
            metadata.insert(FIELD_PG_TYPE.to_owned(), "int8".to_owned());
        }
        Arc::new(field.as_ref().clone().with_metadata(metadata))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn relation(origin: &Origin, catalog: &CatalogSnapshot, search_path: &[String]) -> Option<u32> {
    let in_schema = |schema: &str| catalog.table(schema, &origin.relation).map(|entry| entry.oid);
    match &origin.schema {
        Some(schema) => in_schema(schema),
        None => std::iter::once("pg_catalog")
            .chain(search_path.iter().map(String::as_str))
            .find_map(in_schema),
    }
}
