//! PostgreSQL's system relations, computed from a [`CatalogSnapshot`](crate::CatalogSnapshot)
//! in memory.
//!
//! Every relation that PostgreSQL 15 has is here with its columns in order, plus the columns that
//! 16 adds, because clients are told that they talk to 16. Only those whose contents tarn knows
//! have rows. Nothing is built before a query names it, and no data table is ever opened.
//!
//! | module | what |
//! |---|---|
//! | [`definition`] | names, OIDs and columns of the relations, read from `relations.txt` |
//! | [`columns`] | builds a batch: only the columns that matter are given |
//! | [`constraints`] | declared keys and defaults: `pg_constraint`, `pg_index`, `pg_attrdef` |
//! | [`constant_rows`] | rows equal on every server (functions, operators, casts), read from `rows.txt` |
//! | [`system`] | the relations by name: this is the entrance |
//! | [`objects`] | every relation of a snapshot, system ones included, in one shape |
//! | [`relations`] | `pg_class`, `pg_attribute`, `pg_tables`, `pg_views`, statistics views |
//! | [`statistics`] | `pg_stats` |
//! | [`roles`] | roles, members, settings of roles and databases |
//! | [`server_objects`] | `pg_database`, `pg_namespace`, descriptions |
//! | [`type_rows`] | `pg_type` |
//! | [`keywords`] | the words of PostgreSQL's grammar |
//! | [`live`] | relations whose rows the server gives: sessions, cursors |
//! | [`settings`] | PostgreSQL's settings, which values they take, `pg_settings` |
//!
//! Not here: functions such as `pg_get_expr` (planner), values of settings (planner), sessions
//! (server).

pub(crate) mod columns;
pub(crate) mod constant_rows;
pub(crate) mod constraints;
pub(crate) mod definition;
mod keywords;
pub mod live;
pub(crate) mod objects;
mod relations;
mod roles;
mod server_objects;
pub mod settings;
mod statistics;
pub(crate) mod system;
#[cfg(test)]
mod tests;
mod type_rows;

pub use constant_rows::{FunctionRow, function_by_name, function_by_oid, functions};
pub use constraints::{constraint_definition, index_definition};
pub use keywords::keywords;
pub use relations::COMPOSITE_FLAG;
pub use server_objects::namespace_remark;
pub use system::{DATABASE_OID, build, relation_names, schema, system_entries};
