//! Dates and times as text by PostgreSQL's template patterns.
//!
//! [`template`] reads a template, [`render`] writes a moment by it, [`read`] reads one, [`number`]
//! has the templates of numbers; [`to_char`] and [`to_date`] are the functions.
//!
//! # Source
//! PostgreSQL, section 9.8, data type formatting functions.

mod number;
mod read;
mod render;
mod template;
mod to_char;
mod to_date;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions, which take the places of DataFusion's of the same names.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::from(to_char::ToChar::new())),
        Arc::new(ScalarUDF::from(to_date::FromText::to_date())),
        Arc::new(ScalarUDF::from(to_date::FromText::to_timestamp())),
    ]
}
