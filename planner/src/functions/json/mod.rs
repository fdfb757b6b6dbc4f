//! The functions and operators of `json` and `jsonb`.
//!
//! | module | what |
//! |---|---|
//! | [`frame`] | a function as a row of a table: name, arguments, result, body |
//! | [`access`] | `->`, `->>`, `#>`, elements, keys, sizes |
//! | [`modify`] | `jsonb_set`, `-`, `\|\|`, comparison, containment |
//! | [`build`] | values of other types to JSON |
//! | [`aggregate`] | `json_agg`, `json_object_agg` |
//!
//! Functions that return sets return lists, around which [`crate::rewrite`] puts `unnest`.

mod access;
pub(crate) mod aggregate;
mod build;
mod frame;
mod modify;

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

/// All scalar functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let specs = access::SPECS.iter().chain(modify::SPECS).chain(build::SPECS);
    specs.copied().map(frame::Spec::into_udf).collect()
}

/// All aggregates.
pub(crate) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    aggregate::functions()
}

/// A function of this module by its name.
///
/// The names asked for are constants of this crate, so that one is always found.
pub(crate) fn by_name(name: &str) -> Arc<ScalarUDF> {
    static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(functions);
    let found = FUNCTIONS.iter().find(|function| function.name() == name);
    found.or_else(|| FUNCTIONS.first()).map_or_else(|| access::GET.into_udf(), Arc::clone)
}
