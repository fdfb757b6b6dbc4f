//! Rules over analysed plans that give operators and casts PostgreSQL's meaning.
//!
//! ```text
//! a + b               (integers)   ->  checked_add(a, b)       22003 instead of wrapping
//! a / b               (floats)     ->  checked_div(a, b)       22012 instead of infinity
//! a / b               (decimals)   ->  numeric_div(a, b, s)    at least 16 digits after the point
//! CAST(a AS integer)  (fraction)   ->  round_to_int4(a)        nearest instead of towards zero
//! sum(bigint)                      ->  sum(numeric)            no wrapping
//! ```
//!
//! They run after type coercion, so both operands have their common type, and before constants
//! are folded. Not here: anything that needs the SQL text ([`crate::rewrite`]).

mod arithmetic;
mod sums;
mod early;

pub use arithmetic::PostgresArithmetic;
pub use early::PostgresFunctions;
