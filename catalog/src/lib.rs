//! What tables exist, and one pinned snapshot of each: names, columns, statistics, lake formats,
//! object stores.
//!
//! Reading order: [`name`], [`entry`] (what the catalog knows without opening a table), [`table`]
//! (a table that can be pinned to a version), [`registry`] (the catalog itself), then the formats.
//!
//! Not here: sessions, SQL text, plans, sockets. This crate never sees a client.

pub mod analyzed;
pub mod delta;
pub mod details;
pub mod discovery;
pub mod entry;
mod error;
pub mod information_schema;
pub mod listing;
pub mod log;
pub mod memory;
pub mod name;
pub mod object_store;
mod open;
pub mod pg_catalog;
pub mod pg_type;
pub mod postgres_tls;
pub mod registry;
pub mod rights;
pub mod table;

pub use details::TableDetails;
pub use entry::{
    CatalogSnapshot, ColumnEntry, DatabaseEntry, DefaultRights, RoleEntry, SchemaEntry, TableEntry,
    TableKind,
};
pub use error::{CatalogError, Result};
pub use name::TableName;
pub use registry::Catalog;
pub use table::{LakeTable, Pinned, TableVersion, Travel};
