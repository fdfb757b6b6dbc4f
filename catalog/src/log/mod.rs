//! The catalog's log: numbered records, appended by compare-and-swap, that say which databases,
//! schemas, tables, views, roles, rights, credentials and settings there are.
//!
//! ```text
//!   COMMIT ─► check against the state ─► append record N+1 ──taken──► read what others have
//!                    ▲                        │                      appended, check again
//!                    │                      done
//!                    └──── state machine ◄────┘ ◄── records of other servers, before a statement
//! ```
//! One record is one transaction: all of its entries count or none. Every server has the whole
//! state in memory and gets it from a checkpoint and the records behind it.
//!
//! | module | what |
//! |---|---|
//! | `driver` | what a place for a log has to do |
//! | `local`, `store`, `postgres` | a folder, an object store, a PostgreSQL database |
//! | `record`, `definition` | the text of a record; the objects in it |
//! | `state`, `renamed` | what the records say; a role with another name |
//! | `secret` | encryption of credentials |
//! | `transaction` | commits over several tables |
//! | `faults` | what is wrong with a state, and what to do about it |
//! | `tools` | checking a log, copying it to another place |
//!
//! Not here: rows of tables (in the tables' own format), tables in memory, tables found below the
//! server's paths, and sessions. How a transaction becomes a record: [`crate::registry`].

mod definition;
mod driver;
mod faults;
mod local;
mod postgres;
mod record;
mod renamed;
mod secret;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod tools;
mod transaction;

use std::path::Path;
use std::sync::Arc;

use crate::object_store::ObjectStores;
use crate::{CatalogError, Result};

pub use definition::{
    Access, Columns, DatabaseDef, DefaultsOf, GrantDef, RelationDef, RelationKind, RoleDef,
    SchemaDef, Scope, Securable, StatisticsDef, StorageDef,
};
pub use driver::{Appended, CatalogLog, Inventory, Numbered, RECORDS_PER_READ_MAX};
pub use local::LocalLog;
pub use postgres::PostgresLog;
pub use record::{Entry, decode, encode, encode_checkpoint};
pub use secret::{KEY_FILE, Sealed, SecretKey};
pub use state::{Database, Definitions, OID_FIRST, OID_LAST, Schema};
pub use store::StoreLog;
pub use tools::{CheckReport, check, copy};
pub use transaction::{Outcome, TransactionDef, TransactionTable};

/// Opens the log at a path or URL: a folder, `s3://…` and the other object stores,
/// `postgres://user@host/database`.
///
/// # Errors
/// `InvalidLocation` for a URL that cannot be used; `CatalogLog` when the place cannot be reached,
/// or is an object store that ignores conditional puts.
pub async fn open(stores: &ObjectStores, url: &str) -> Result<Arc<dyn CatalogLog>> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(PostgresLog::open(url).await?));
    }
    let location = stores.resolve(url)?;
    if let Some(folder) = location.local_path() {
        return Ok(Arc::new(LocalLog::open(&folder)?));
    }
    if matches!(location.url.scheme(), "http" | "https") {
        let reason = "a web server cannot be written".to_owned();
        return Err(CatalogError::InvalidLocation { url: url.to_owned(), reason });
    }
    let log = StoreLog::new(location.store, location.path, location.url.as_str());
    log.check().await?;
    Ok(Arc::new(log))
}

/// Opens a log to read it: nothing is made or written, the place has to be there.
///
/// # Errors
/// As [`open`], and `PathNotFound` for a folder that does not exist.
pub fn open_existing(stores: &ObjectStores, url: &str) -> Result<Arc<dyn CatalogLog>> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(PostgresLog::connect(url)?));
    }
    let location = stores.resolve(url)?;
    let Some(folder) = location.local_path() else {
        let (store, path) = (location.store, location.path);
        return Ok(Arc::new(StoreLog::new(store, path, location.url.as_str())));
    };
    if !folder.is_dir() {
        return Err(CatalogError::PathNotFound { path: url.to_owned() });
    }
    Ok(Arc::new(LocalLog::existing(&folder)))
}

/// Opens the log in a folder.
///
/// # Errors
/// `CatalogLog` when the folder cannot be made.
pub fn open_folder(folder: &Path) -> Result<Arc<dyn CatalogLog>> {
    Ok(Arc::new(LocalLog::open(folder)?))
}

/// Reads a log from its newest checkpoint on; returns the state and how many records and
/// checkpoints were read.
///
/// # Errors
/// `CatalogLog`, `CatalogDamaged`, `CatalogTooNew`.
pub async fn load(log: &dyn CatalogLog, database: &str) -> Result<(Definitions, usize)> {
    let mut n_read = 0;
    let mut state = match log.latest_checkpoint().await? {
        Some(checkpoint) => {
            n_read += 1;
            match tools::state_of(log.place(), &checkpoint) {
                Ok(state) => state,
                // A checkpoint saves time; the records are what counts.
                Err(error @ CatalogError::CatalogDamaged { .. }) => {
                    tracing::warn!(%error, "a checkpoint of the catalog is not used");
                    Definitions::new(database)
                }
                Err(error) => return Err(error),
            }
        }
        None => Definitions::new(database),
    };
    loop {
        let records = log.tail(state.version + 1).await?;
        for record in &records {
            replay(log.place(), &mut state, record)?;
        }
        n_read += records.len();
        if records.len() < RECORDS_PER_READ_MAX {
            return Ok((state, n_read));
        }
    }
}

/// Applies one record to a state; returns its entries.
///
/// # Errors
/// `CatalogDamaged`, `CatalogTooNew`; the state may have changed in part then and is of no use.
pub fn replay(place: &str, state: &mut Definitions, record: &Numbered) -> Result<Vec<Entry>> {
    let version = record.version;
    let damaged =
        |what: String| CatalogError::CatalogDamaged { place: place.to_owned(), version, what };
    if version != state.version + 1 {
        return Err(damaged(format!("it follows number {}", state.version)));
    }
    let entries = decode(place, record, false)?;
    for entry in &entries {
        state.apply(entry).map_err(damaged)?;
    }
    state.version = version;
    Ok(entries)
}
