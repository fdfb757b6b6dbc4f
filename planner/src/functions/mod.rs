//! Functions that DataFusion lacks or that PostgreSQL defines otherwise, one file each.

pub(crate) mod array;
pub mod array_literal;
pub(crate) mod choice;
pub(crate) mod convert;
pub(crate) mod datetime;
pub(crate) mod fault;
pub(crate) mod frame;
mod is_member;
pub(crate) mod json;
pub(crate) mod missing;
pub mod numeric;
pub mod pg_catalog;
pub(crate) mod quantified_like;
pub(crate) mod random;
pub(crate) mod regexp;
pub(crate) mod resummed;
mod series;
pub(crate) mod series_table;
mod signed;
pub(crate) mod similar_to;
mod single_value;
mod sleep;
mod statistics;
pub(crate) mod text;
mod uuid;
pub(crate) mod window_key;

use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::functions::unicode;
use datafusion::functions_aggregate::bool_and_or::bool_and_udaf;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

/// The scalar functions to add to DataFusion's.
#[must_use]
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = pg_catalog::scalar_functions();
    functions.push(Arc::new(ScalarUDF::from(is_member::IsMember::new())));
    functions.extend(numeric::functions());
    functions.extend(datetime::functions());
    functions.extend(regexp::all());
    functions.extend(text::functions());
    functions.extend(crate::types::bits::functions());
    functions.extend(signed::scalar_functions());
    functions.extend(aliases());
    functions.extend(array::functions());
    functions.extend(choice::functions());
    functions.push(uuid::random());
    functions.extend(random::functions());
    functions.extend(sleep::functions());
    functions.extend(quantified_like::functions());
    functions.extend(json::functions());
    functions.extend(series::functions());
    functions.push(Arc::clone(&similar_to::SIMILAR_TO));
    functions
}

/// The aggregate functions to add to DataFusion's.
#[must_use]
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = numeric::aggregates::functions();
    functions.extend(json::aggregates());
    functions.push(single_value());
    functions.push(Arc::new(bool_and_udaf().as_ref().clone().with_aliases(["every"])));
    functions.extend(statistics::functions());
    functions
}

/// Whether a function is a relation that the engine makes as it is read.
pub(crate) fn is_table_function(name: &str) -> bool {
    table_functions().iter().any(|function| function.name() == name)
}

/// The aggregate that fails for a second row.
pub(crate) fn single_value() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(single_value::SingleValue::new()))
}

/// DataFusion's functions under PostgreSQL's other names.
fn aliases() -> Vec<Arc<ScalarUDF>> {
    vec![
        // What a cast to `varchar(n)` becomes.
        Arc::new(unicode::left().as_ref().clone().with_aliases(["varchar_cut"])),
    ]
}

/// The window functions to add to DataFusion's.
#[must_use]
pub fn window_functions() -> Vec<Arc<WindowUDF>> {
    signed::window_functions()
}

/// The functions that stand in FROM, to add to DataFusion's.
#[must_use]
pub fn table_functions() -> Vec<Arc<TableFunction>> {
    let mut functions = pg_catalog::table_functions();
    functions.push(series_table::function());
    functions
}
