//! Runs sqllogictest files against tarn (over the PostgreSQL protocol, over Flight SQL, in process) and against a
//! real PostgreSQL.
//!
//! Reading order: `suite` finds files and runs them side by side, `file_run` runs one, `database` is the connection
//! that the `sqllogictest` crate drives, `target` says which engine is behind it.
//!
//! | module | holds |
//! |---|---|
//! | `suite` | finding files, running them in parallel |
//! | `file_run` | the loop over one file's records |
//! | `complete` | rewriting expectations |
//! | `report` | totals, tables, failures |
//! | `database` | time limit, schema per file |
//! | `target` | engines and addresses |
//! | `pg`, `flight`, `in_process` | one engine each |
//! | `answer` | canonical values |
//! | `text`, `binary`, `arrow_text` | PostgreSQL's text form from binary values and from Arrow |
//! | `local_server` | a tarn in this process with small tables |
//!
//! Not here: the format of the files, which is the `sqllogictest` crate's.

mod answer;
mod arrow_text;
mod binary;
mod complete;
mod database;
mod file_run;
mod flight;
mod in_process;
mod local_server;
mod pg;
mod report;
mod suite;
mod target;
mod text;

pub use answer::{Answer, Letter, SqlError, Values};
pub use complete::complete_file;
pub use file_run::{Failure, FileReport, RunOptions, SuiteFile, run_file};
pub use local_server::LocalServer;
pub use report::{Totals, failures, folder_table, slowest};
pub use suite::{find, own_files, run};
pub use target::{Engine, Target};
