//! Functions that DataFusion lacks or that PostgreSQL defines otherwise, one file each.

pub mod array_literal;
mod datetime;
pub(crate) mod fault;
mod is_member;
pub mod numeric;
pub mod pg_catalog;
mod signed;
pub(crate) mod similar_to;
mod single_element;
mod single_value;

use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::functions::{math, unicode};
use datafusion::functions_aggregate::bool_and_or::bool_and_udaf;
use datafusion::functions_aggregate::variance::var_samp_udaf;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

/// The scalar functions to add to DataFusion's.
#[must_use]
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = pg_catalog::scalar_functions();
    functions.push(Arc::new(ScalarUDF::from(is_member::IsMember::new())));
    functions.push(Arc::new(ScalarUDF::from(single_element::SingleElement::new())));
    functions.extend(numeric::functions());
    functions.extend(datetime::functions());
    functions.extend(signed::scalar_functions());
    functions.extend(aliases());
    functions.push(Arc::clone(&similar_to::SIMILAR_TO));
    functions
}

/// The aggregate functions to add to DataFusion's.
#[must_use]
pub fn aggregate_functions() -> Vec<Arc<AggregateUDF>> {
    let mut functions = numeric::aggregates::functions();
    functions.push(Arc::new(AggregateUDF::from(single_value::SingleValue::new())));
    functions.push(Arc::new(bool_and_udaf().as_ref().clone().with_aliases(["every"])));
    functions.push(Arc::new(var_samp_udaf().as_ref().clone().with_aliases(["variance"])));
    functions
}

/// DataFusion's functions under PostgreSQL's other names.
fn aliases() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(math::ceil().as_ref().clone().with_aliases(["ceiling"])),
        // What a cast to `varchar(n)` becomes.
        Arc::new(unicode::left().as_ref().clone().with_aliases(["varchar_cut"])),
        Arc::new(math::signum().as_ref().clone().with_aliases(["sign"])),
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
    pg_catalog::table_functions()
}
