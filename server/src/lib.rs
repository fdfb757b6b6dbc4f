//! The server: protocols, sessions, settings, the life of the process.
//!
//! Life of a connection: a frontend ([`pg`] or [`flight`]) accepts it, authenticates it against
//! [`auth`], and opens a [`session`]. Each statement goes through `query`: parse, bind, plan
//! (planner), run (exec); the frontend encodes the rows as its socket drains.
//!
//! Reading order: [`cli`], [`config`], [`server`], [`session`], `query`, then a frontend.
//!
//! Not here: how a table's files are read (catalog), how SQL becomes a plan (planner), how a plan
//! runs (exec).

mod access;
mod alter;
pub mod auth;
mod changes;
pub mod cli;
pub mod client;
mod command;
pub mod config;
mod copy_in;
mod copy_out;
mod cursors;
pub mod databases;
mod define;
pub mod demo;
mod describe;
pub mod error;
mod explain;
pub mod flight;
mod garbage;
mod gone;
mod history;
mod http;
mod lookup;
mod modify;
mod notifications;
mod pg;
mod plan_cache;
mod portals;
mod prepared;
mod query;
mod running;
mod scan;
pub mod server;
pub mod session;
mod session_registry;
mod snapshot;
mod system_tables;
mod telemetry;
mod tls;
mod transaction;
mod upkeep;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tarn_catalog::Catalog;
use tarn_catalog::memory::{MemoryLimits, RowsBudget};
use tarn_exec::Engine;
use tarn_planner::parser::ParseLimits;
use tarn_planner::session_state::SessionStateFactory;

pub use auth::UserStore;
pub use config::ServerConfig;
pub use error::Error;
pub use garbage::Garbage;
#[doc(hidden)]
pub use pg::fuzzing;
pub use plan_cache::PlanCache;
pub use query::{CommandTag, Execution, Lookups, Prepared, Rows};
pub use running::RunningQueries;
pub use server::{Handle, StartError, start};
pub use session::{Protocol, Session};
pub use session_registry::SessionRegistry;

/// What all sessions of one server share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The settings.
    pub config: Arc<ServerConfig>,
    /// Which tables there are.
    pub catalog: Arc<Catalog>,
    /// Runs plans.
    pub engine: Arc<Engine>,
    /// Makes planning states.
    pub factory: SessionStateFactory,
    /// The open sessions.
    pub sessions: Arc<SessionRegistry>,
    /// The memory of tables in memory.
    pub rows_budget: Arc<RowsBudget>,
    /// Plans by text.
    pub plans: PlanCache,
    /// What lookups by a key keep.
    pub lookups: Lookups,
    /// Texts of which plans with parameters are known.
    pub(crate) similar: query::Similar,
    /// The running queries.
    pub running: Arc<RunningQueries>,
    /// Files to remove.
    pub garbage: Arc<Garbage>,
    /// The roles.
    pub users: Arc<UserStore>,
    /// The other databases.
    pub databases: Arc<databases::Databases>,
    /// How large statements may be.
    pub limits: ParseLimits,
    /// When the server started.
    pub started_at: DateTime<Utc>,
    /// The server's certificate chain, for channel binding.
    pub certificate_pem: Option<Vec<u8>>,
}

impl Shared {
    /// What a new table in memory may take.
    pub(crate) fn memory_limits(&self) -> MemoryLimits {
        MemoryLimits {
            table_bytes_max: self.config.memory_table_bytes_max,
            budget: Arc::clone(&self.rows_budget),
        }
    }
}
