//! Functions of PostgreSQL's system catalog, answered from the session's catalog snapshot.
//!
//! Each function is one row of a table: name, number of arguments, type, volatility, body. They are
//! stable, not immutable, as in PostgreSQL: a plan that is kept must not keep their values.
//!
//! | module | what |
//! |---|---|
//! | [`function`] | the frame: arguments in, a column out |
//! | [`lookup`] | names to objects along the search path, quoting |
//! | [`names`] | `to_regclass`, `regclass_out`, `pg_table_is_visible` |
//! | [`definitions`] | `format_type`, `pg_get_viewdef`, `obj_description` |
//! | [`session`] | `version`, `current_schemas`, `current_setting`, advisory locks |
//! | [`privileges`] | `has_table_privilege` |
//! | [`sizes`] | `pg_relation_size`, `pg_size_pretty` |
//! | [`quoting`] | `quote_ident`, `format`, `array_upper` |
//! | [`records`] | functions that yield records, of which there are none |
//! | [`sets`] | functions that yield rows |
//! | [`standard`] | `_pg_numeric_precision` and its kin of `information_schema` |
//!
//! Not here: the system relations (`catalog::pg_catalog`) and functions that act on other sessions,
//! which need the server.

mod definitions;
mod function;
mod lookup;
mod names;
mod privileges;
mod quoting;
mod records;
mod session;
mod sets;
mod sizes;
mod standard;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::catalog::TableFunction;
use datafusion::logical_expr::ScalarUDF;

pub use lookup::object_name;
pub(crate) use lookup::{quote_identifier, quote_literal};
pub use sets::{timezone_abbreviations, timezone_names};

/// The scalar functions, in no particular order.
#[must_use]
pub fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let tables = [
        definitions::FUNCTIONS,
        names::FUNCTIONS,
        privileges::FUNCTIONS,
        quoting::FUNCTIONS,
        session::FUNCTIONS,
        sizes::FUNCTIONS,
        standard::FUNCTIONS,
    ];
    let simple = tables.into_iter().flatten().map(|spec| spec.into_udf());
    simple.chain(records::functions()).collect()
}

/// The functions that stand in FROM.
#[must_use]
pub fn table_functions() -> Vec<Arc<TableFunction>> {
    sets::functions()
}
