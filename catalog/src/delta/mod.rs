//! Delta Lake tables: the log is replayed by the kernel, everything else is tarn's own.
//!
//! | module | what |
//! |---|---|
//! | [`table`](self) | `DeltaTable`: finds the version to read, refreshes cheaply, travels in time |
//! | `replay` | the only calls into the kernel; they block, so they run on threads of their own |
//! | [`metadata`] | `TableMetadata`: what the `metaData` and `protocol` actions say |
//! | `layout` | the table's columns: logical order, file columns, partition columns, physical names |
//! | `create` | version 0 of a new table |
//! | `index` | `FileIndex`: the live files of one version as arrays, with their statistics |
//! | `bounds` | how far the log's bounds are to be believed |
//! | `snapshot` | `DeltaSnapshot`: DataFusion's `TableProvider` over one version |
//! | `scan` | from filters to files to a `DataSourceExec` |
//! | `sql_types` | types that Delta lacks, as texts with a note beside the column |
//! | `adapter` | expressions on logical columns to expressions on a file's columns |
//! | `deletion_vector` | which rows of a file are deleted |
//! | [`upkeep`] | OPTIMIZE, VACUUM, RESTORE: files of versions |
//! | [`history`] | versions, change data feed, differences of versions |
//! | `point_lookup` | rows by the value of a column, from memory |
//! | `statistics` | from the log's statistics to DataFusion's |
//! | `actions`, `commit`, `conflict` | a commit's actions; putting one into the log, once; what contradicts it |
//! | `decided` | one table's part in a commit over several |
//! | `staged` | [`StagedTable`]: changes that only one transaction sees |
//! | `features` | what a table asks of its writers |
//! | `rows`, `row_ids` | sets of rows by file; a table with its rows' identities |
//! | `row_counts` | how many rows a file has where the log does not say |
//! | `writer` | rows to data files with statistics, in parallel |
//! | `log_upkeep` | checkpoints and the removal of old log files, in the background |
//! | [`write`] | creates tables; appends, for demo data and tests |
//!
//! ```text
//!  _delta_log/*.json, *.parquet ──kernel──▶ add actions ──▶ FileIndex ──filters──▶ files
//!                                                                                    │
//!              DataSourceExec(ParquetSource, row selections from deletion vectors) ◀─┘
//! ```
//!
//! Not here: which statement changes what (planner and server), and commits over several tables
//! (`crate::registry`).

mod actions;
mod adapter;
mod bounds;
mod commit;
mod conflict;
mod create;
mod decided;
mod deletion_vector;
mod features;
pub mod history;
mod index;
mod layout;
mod log_upkeep;
pub mod metadata;
mod point_lookup;
mod replay;
mod row_counts;
mod row_ids;
mod rows;
mod scan;
mod snapshot;
mod sql_types;
mod staged;
mod statistics;
mod table;
mod unnamed;
pub mod upkeep;
pub mod write;
mod writer;

#[cfg(test)]
mod tests;

pub use conflict::ReadSet;
pub use create::{Creation, NewDeltaTable};
pub use decided::{Decided, Place};
pub(crate) use deletion_vector::crc32;
pub use log_upkeep::{Upkeep, finish_upkeep};
pub use metadata::TableMetadata;
pub use point_lookup::{Condition, Looked, LookupCache, Missing, is_key_type};
pub use rows::{FileNumber, RowsByFile};
pub use scan::FILES_LEFT_OUT;
pub use snapshot::DeltaSnapshot;
pub use sql_types::interval_text;
pub use staged::{MetadataChange, Operation, StagedTable, TableChange};
pub use table::{DeltaTable, is_delta};
pub use writer::{FileWriter, NewFile, WriteOptions, WriteTarget, write_files};
