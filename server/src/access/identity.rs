//! Whose rights count in a session: who connected, SET SESSION AUTHORIZATION, SET ROLE.
//!
//! Both are settings, as in PostgreSQL: they end with SET LOCAL and ROLLBACK like others.

use tarn_planner::PlannerError;

use crate::session::{Inner, Session};

/// The setting of SET ROLE.
pub(crate) const ROLE: &str = "role";
/// The setting of SET SESSION AUTHORIZATION.
pub(crate) const AUTHORIZATION: &str = "session_authorization";
/// The value of `role` that stands for no other role.
pub(crate) const NONE: &str = "none";

/// Whether a setting says who a session is.
pub(crate) fn is_identity(name: &str) -> bool {
    matches!(name, ROLE | AUTHORIZATION)
}

impl Inner {
    /// The role whose rights count.
    pub(crate) fn current_user(&self) -> String {
        match self.variables.get(ROLE) {
            Some(role) if role != NONE => role,
            _ => self.session_user(),
        }
    }

    /// The role that SET SESSION AUTHORIZATION has set, or that connected.
    pub(crate) fn session_user(&self) -> String {
        self.variables.get(AUTHORIZATION).unwrap_or_default()
    }
}

impl Session {
    /// The role whose rights count.
    #[must_use]
    pub fn current_user(&self) -> String {
        self.inner.lock().current_user()
    }

    /// The role that SET SESSION AUTHORIZATION has set, or that connected.
    #[must_use]
    pub fn session_user(&self) -> String {
        self.inner.lock().session_user()
    }

    /// Whether the role whose rights count may do everything.
    pub(crate) fn is_superuser(&self) -> bool {
        self.catalog_snapshot().is_superuser(&self.current_user())
    }

    /// Sees that a setting may take a value: those that say who the session is.
    ///
    /// # Errors
    /// 22023 for a role that does not exist, 42501 for one that the session may not become.
    pub(crate) fn check_identity(&self, name: &str, value: &str) -> Result<(), PlannerError> {
        if !is_identity(name) || (name == ROLE && value == NONE) {
            return Ok(());
        }
        let refused = |code, message| PlannerError::Semantics { code, message, position: None };
        let seen = self.catalog_snapshot();
        if seen.role(value).is_none() {
            return Err(refused("22023", format!("role \"{value}\" does not exist")));
        }
        if name == ROLE && !seen.is_member_of(&self.session_user(), value) {
            return Err(refused("42501", format!("permission denied to set role \"{value}\"")));
        }
        if name == AUTHORIZATION && value != self.user() && !seen.is_superuser(self.user()) {
            let message = "permission denied to set session authorization".to_owned();
            return Err(refused("42501", message));
        }
        Ok(())
    }
}
