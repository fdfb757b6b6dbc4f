//! Dates, times, time zones and intervals.
//!
//! | module | what |
//! |---|---|
//! | `calendar`, `zone`, `span` | days and microseconds; offsets; intervals as values |
//! | `types` | the engine's types for PostgreSQL's |
//! | `tokens`, `decode`, `text`, `span_text` | text to values and back, in PostgreSQL's forms |
//! | `show`, `piece` | how values look, here and on the wire |
//! | `convert` | casts of arrays |
//! | `planner`, `operators` | `+ - * /` and comparisons, `age`, `justify_…`, `date_bin` |
//! | `part`, `trunc`, `make`, `now` | `extract`, `date_trunc`, `make_…`, `timezone`, clocks |
//! | `timetz` | times of day with a zone |
//! | `template`, `render`, `read`, `number` | the template patterns of `to_char` and its kin |
//! | `to_char`, `to_date` | the functions with templates |
//!
//! # Source
//! PostgreSQL, sections 8.5, 9.8 and 9.9.

pub(crate) mod calendar;
pub(crate) mod convert;
mod decode;
pub(crate) mod extremes;
mod make;
pub(crate) mod named;
mod now;
mod number;
mod number_read;
pub(crate) mod operators;
mod part;
pub(crate) mod piece;
pub(crate) mod planner;
mod read;
mod render;
pub(crate) mod show;
pub(crate) mod span;
pub(crate) mod span_text;
mod template;
pub(crate) mod text;
pub(crate) mod timetz;
mod to_char;
mod to_date;
mod to_number;
mod tokens;
mod trunc;
pub(crate) mod types;
pub(crate) mod zone;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

/// The functions, which take the places of DataFusion's of the same names.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        Arc::new(ScalarUDF::from(to_char::ToChar::new())),
        Arc::new(ScalarUDF::from(to_date::FromText::to_date())),
        Arc::new(ScalarUDF::from(to_date::FromText::to_timestamp())),
        trunc::function(),
        to_number::function(),
    ];
    functions.extend(operators::functions());
    functions.extend(operators::named());
    functions.extend(part::functions());
    functions.extend(make::functions());
    functions.extend(now::functions());
    functions
}
