//! What every integration test needs before its first statement.
//!
//! | module | what |
//! |---|---|
//! | `server` | tarn in this process on port 0, and connections to it |
//! | `child` | tarn's release binary or another program as a child process |
//! | `demo` | TPC-H as Delta tables, made once per version and scale |
//! | `clients` | the Python of the drivers' venv, psql; skip or fail when absent |
//! | `postgres` | a throw-away PostgreSQL server |

mod child;
mod clients;
mod demo;
mod postgres;
mod server;

pub use child::{
    Child, TarnProcess, clear_peak, free_addrs, rss_bytes, rss_peak_bytes, tarn_binary,
    wait_for_port,
};
pub use clients::{
    clients_folder, lake_python, program, python, repository_file, require_or_skip, run_program,
    workspace_folder,
};
pub use demo::{TPCH_TABLES, demo_data};
pub use postgres::PostgresProcess;
pub use server::{Server, connect_pg, connect_pg_url, wait_until};
