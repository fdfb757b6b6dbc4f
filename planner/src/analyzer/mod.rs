//! A rule over analysed plans that gives operators and casts PostgreSQL's meaning.
//!
//! ```text
//! a + b               (integers)   ->  checked_add(a, b)       22003 instead of wrapping
//! a / b               (floats)     ->  checked_div(a, b)       22012 instead of infinity
//! CAST(a AS integer)  (fraction)   ->  round_to_int4(a)        nearest instead of towards zero
//! a SIMILAR TO p                   ->  similar_to(a, p, '\')   SQL's patterns, whole text
//! ```
//!
//! It runs after type coercion, so both operands have their common type, and before constants
//! are folded; it changes no types. Not here: what needs the SQL text ([`crate::rewrite`]) and
//! what changes a result's type ([`crate::functions::numeric::planner`]).

mod arithmetic;
mod casts;
mod expressions;
mod in_lists;
mod intervals;
mod members;
mod strict;
mod temporal;
mod unknowns;
mod window_keys;

pub use arithmetic::PostgresArithmetic;
pub use casts::PostgresCasts;
pub(crate) use expressions::map_named;
pub use in_lists::InListsOfExpressions;
pub use intervals::IntervalOrder;
pub use members::Members;
pub use strict::StrictTypes;
pub(crate) use strict::name_of_type;
pub use temporal::TemporalCasts;
pub use unknowns::UnknownLiterals;
pub use window_keys::WindowKeys;
