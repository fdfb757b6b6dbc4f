//! What functions such as `current_user` and `pg_table_is_visible` know of the session.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::error::{DataFusionError, Result};
use tarn_catalog::CatalogSnapshot;
use tarn_catalog::pg_catalog::settings::SettingValue;

use crate::error::PlannerError;
pub use crate::functions::random::Seed;
use crate::types::forms::ValueForms;

/// Gives session settings to functions.
pub trait SettingsLookup: fmt::Debug + Send + Sync {
    /// The value of a setting by its folded name.
    fn get(&self, name: &str) -> Option<String>;

    /// Every setting.
    fn all(&self) -> Vec<SettingValue>;

    /// Changes a setting for the session, or for the rest of the transaction; without a value it
    /// goes back to its default.
    ///
    /// # Errors
    /// Names and values that SET refuses too.
    fn set(&self, name: &str, value: Option<&str>, local: bool) -> Result<(), PlannerError>;
}

/// Lets functions act on other sessions.
pub trait Backends: fmt::Debug + Send + Sync {
    /// Cancels what a session runs; returns whether there is such a session.
    ///
    /// # Errors
    /// 42501 for the session of a role whose rights the caller does not have.
    fn cancel(&self, pid: i32) -> Result<bool, PlannerError>;

    /// Ends a session; returns whether there is such a session.
    ///
    /// # Errors
    /// As [`Self::cancel`].
    fn terminate(&self, pid: i32) -> Result<bool, PlannerError>;

    /// NOTIFY.
    ///
    /// # Errors
    /// 22023 for a channel without a name and a payload that is too long.
    fn notify(&self, channel: &str, payload: &str) -> Result<()>;

    /// Waits in the place of the session's running statement; `false` where that has ended or
    /// was cancelled before.
    fn sleep(&self, time: Duration) -> bool;
}

/// The session that a statement runs in, carried in DataFusion's options under `tarn`.
#[derive(Debug, Clone)]
pub struct SessionFacts {
    /// The role whose privileges count.
    pub user: String,
    /// The role that connected.
    pub session_user: String,
    /// The database.
    pub database: String,
    /// The schemas to look in, `$user` already resolved.
    pub search_path: Vec<String>,
    /// The number that a cancel request names.
    pub backend_pid: i32,
    /// The catalog version that the statement is bound to.
    pub catalog: Arc<CatalogSnapshot>,
    /// When the server started.
    pub server_started_at: DateTime<Utc>,
    /// The session's settings.
    pub settings: Arc<dyn SettingsLookup>,
    /// The server's sessions.
    pub backends: Arc<dyn Backends>,
    /// The text forms of values.
    pub forms: Arc<dyn ValueForms>,
    /// What `setseed` has set.
    pub seed: Arc<Seed>,
}

impl ConfigExtension for SessionFacts {
    const PREFIX: &'static str = "tarn";
}

impl ExtensionOptions for SessionFacts {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        Err(DataFusionError::Configuration(format!("tarn.{key} is not an option")))
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}
