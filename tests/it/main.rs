//! All integration tests in one binary: each further one would link DataFusion again.
//!
//! | module | what |
//! |---|---|
//! | `budgets` | what a statement or session may hold in memory |
//! | `cli` | the program `tarn` itself: demo, sql, check |
//! | `bad_input` | broken files, full disks, missing buckets, expired credentials |
//! | `child`, `lake` | servers to be killed; places for their tables |
//! | `crash` | a server is killed in the middle of commits |
//! | `writers` | eight writers from three servers on one table |
//! | `catalog` | the catalog's log: restarts, several servers, places |
//! | `clients` | drivers, psql, and Delta tables of other writers |
//! | `databases` | databases and roles that get other names, or go, while others use them |
//! | `ddl` | definitions as other programs see them, and files that come and go |
//! | `point_lookup` | rows by a key from memory are those of a scan |
//! | `roles` | logins, rights on every path, several servers |
//! | `scripts` | messages and their answers on tarn and on PostgreSQL, from `scripts/`
//! | `differential` | the statements of `tests/differential` on PostgreSQL and tarn |
//! | `flight` | Flight SQL call by call: wrong messages, handles, parameters; readers that stop |
//! | `interop` | Delta tables of tarn and four other programs, read by all of them |
//! | `stores` | object stores, their conditional puts, trouble and a bad network |
//! | `tidy` | dependencies between the crates, sizes, one of each big crate |
//! | `together` | transactions over several tables, while servers are killed and race |
//! | `upkeep` | maintenance that is stopped half way |
//! | `versions` | which version a statement reads and writes while others change the table |
//! | `vacuum` | what VACUUM leaves for sessions that read the past |
//! | `tpch` | the 22 queries over both frontends against DuckDB |
#![allow(
    clippy::disallowed_methods,
    reason = "the bans keep product code on its own settings; tests read the environment"
)]

mod bad_input;
mod budgets;
mod catalog;
mod child;
mod cli;
mod clients;
mod crash;
mod databases;
mod ddl;
mod differential;
mod flight;
mod fuzz;
mod hostile;
mod idle;
mod interop;
mod lake;
mod lasting;
mod lifecycle;
mod limits;
mod login;
mod point_lookup;
mod protocol;
mod roles;
mod scripts;
mod serve;
mod session;
mod stores;
mod streaming;
mod tidy;
mod together;
mod tpch;
mod upkeep;
mod vacuum;
mod versions;
mod whole;
mod wire;
mod writers;
mod writing;
