//! Functions that DataFusion lacks or that PostgreSQL defines otherwise, one file each.

pub mod array_literal;
mod datetime;
pub(crate) mod fault;
mod is_member;
pub mod numeric;
pub mod pg_catalog;
pub(crate) mod similar_to;
mod single_element;
mod single_value;

use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// The scalar functions to add to DataFusion's.
#[must_use]
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = pg_catalog::scalar_functions();
    functions.push(Arc::new(ScalarUDF::from(is_member::IsMember::new())));
    functions.push(Arc::new(ScalarUDF::from(single_element::SingleElement::new())));
    functions.extend(numeric::functions());
    functions.extend(datetime::functions());
    functions.push(Arc::clone(&similar_to::SIMILAR_TO));
    functions
}

/// The aggregate functions to add to DataFusion's.
#[must_use]
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    vec![Arc::new(AggregateUDF::from(single_value::SingleValue::new()))]
}

/// The functions that stand in FROM, to add to DataFusion's.
#[must_use]
pub fn table_functions() -> Vec<Arc<TableFunction>> {
    pg_catalog::table_functions()
}
