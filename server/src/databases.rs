//! The databases of one server: each has a catalog over the same log, and plans of its own.
//!
//! Roles, sessions, running queries and the engine are the server's. The first database is the one
//! whose tables are found below the served paths.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::{PlanCache, Shared, system_tables};

/// The databases beside the first one that somebody has connected to.
#[derive(Debug, Default)]
pub struct Databases {
    /// Kept until the server stops, as the tables in memory are.
    open: tokio::sync::Mutex<BTreeMap<String, Arc<Shared>>>,
}

impl Shared {
    /// What the sessions of a database share.
    ///
    /// # Errors
    /// `UndefinedDatabase`, and what the catalog's log says.
    pub(crate) async fn database(self: &Arc<Self>, name: &str) -> Result<Arc<Self>> {
        self.catalog.refresh().await?;
        if name == self.catalog.database() {
            return Ok(Arc::clone(self));
        }
        let exists = self.catalog.with_definitions(|all| all.databases.contains_key(name));
        let mut open = self.databases.open.lock().await;
        if !exists {
            open.remove(name);
            return Err(Error::UndefinedDatabase { name: name.to_owned() });
        }
        if let Some(shared) = open.get(name) {
            shared.catalog.refresh().await?;
            // Another one may have got its name.
            if shared.catalog.check_there().is_ok() {
                return Ok(Arc::clone(shared));
            }
        }
        let catalog = self.catalog.beside(name).await?;
        for schema in system_tables::schemas() {
            catalog.add_system_schema(schema);
        }
        // Everything else is the server's.
        let (plans, similar) = (PlanCache::default(), crate::query::Similar::default());
        let shared = Arc::new(Self { catalog, plans, similar, ..self.as_ref().clone() });
        open.insert(name.to_owned(), Arc::clone(&shared));
        Ok(shared)
    }

    /// Lets go of the other databases, when the server stops.
    pub(crate) async fn close_databases(&self) {
        self.databases.open.lock().await.clear();
    }

    /// The sessions that are connected to a database.
    pub(crate) fn n_sessions_of(&self, database: &str) -> usize {
        let sessions = self.sessions.list();
        sessions.iter().filter(|session| session.shared.catalog.database() == database).count()
    }
}
