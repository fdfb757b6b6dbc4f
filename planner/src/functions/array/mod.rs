//! PostgreSQL's array functions and operators, over Arrow lists.
//!
//! | module | what |
//! |---|---|
//! | [`frame`] | types of arguments and results, access to lists |
//! | [`change`] | functions that give another array |
//! | [`inspect`] | bounds, contents, comparison, text |
//! | [`subscript`] | `a[1]` |
//! | [`quantified`] | `= ANY (a)`, `< ALL (a)` |
//!
//! An array of n dimensions is a list of lists n deep; bounds begin at one. DataFusion's functions
//! of the same names count from the end for negative subscripts, give unsigned numbers, and take
//! NULL for an array otherwise, so all that PostgreSQL has is defined here again.

mod change;
pub(crate) mod frame;
mod inspect;
pub(crate) mod quantified;
mod subscript;

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

/// What an operator's name begins with that stands for `= ANY`.
pub(crate) const ANY: &str = "any ";
/// What an operator's name begins with that stands for `= ALL`.
pub(crate) const ALL: &str = "all ";

/// All of them.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    let specs = change::SPECS.iter().chain(inspect::SPECS);
    let others = [change::FROM_TEXT, subscript::SPEC];
    let mut functions: Vec<_> = specs.copied().chain(others).map(frame::Spec::into_udf).collect();
    let quantified = quantified::FUNCTIONS.iter().map(|(_, _, function)| Arc::clone(function));
    functions.extend(quantified);
    functions
}

/// A function of this module by its name.
///
/// The names asked for are constants of this crate, so that one is always found.
pub(crate) fn by_name(name: &str) -> Arc<ScalarUDF> {
    static FUNCTIONS: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(functions);
    let found = FUNCTIONS.iter().find(|function| function.name() == name);
    found.or_else(|| FUNCTIONS.first()).map_or_else(|| subscript::SPEC.into_udf(), Arc::clone)
}
