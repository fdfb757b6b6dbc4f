//! CREATE, ALTER and DROP STORAGE: credentials for the URLs that begin with a scope.

use std::sync::Arc;

use tarn_planner::statement::{NewStorage, StorageChange};

use crate::error::Result;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// CREATE STORAGE.
pub(super) async fn create(session: &Arc<Session>, new: &NewStorage) -> Result<CommandTag> {
    let _ = (session, new);
    Err(unsupported("CREATE STORAGE"))
}

/// ALTER STORAGE.
pub(super) async fn alter(session: &Arc<Session>, change: &StorageChange) -> Result<CommandTag> {
    let _ = (session, change);
    Err(unsupported("ALTER STORAGE"))
}

/// DROP STORAGE.
pub(super) async fn remove(
    session: &Arc<Session>,
    names: &[String],
    if_exists: bool,
) -> Result<CommandTag> {
    let _ = (session, names, if_exists);
    Err(unsupported("DROP STORAGE"))
}
