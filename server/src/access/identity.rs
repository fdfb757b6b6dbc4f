//! Whose rights count in a session: who connected, SET SESSION AUTHORIZATION, SET ROLE.
//!
//! Both are settings, as in PostgreSQL: they end with SET LOCAL and ROLLBACK like others.

use std::sync::Arc;

use parking_lot::Mutex;
use tarn_planner::PlannerError;

use crate::Shared;
use crate::error::{Error, Result};
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

/// The role that connected, by the name that it has now.
#[derive(Debug)]
pub(crate) struct Login {
    /// The name, and how many roles had got other names when it was looked at.
    name: Mutex<(Arc<str>, usize)>,
    /// The role's number, which no other role ever has.
    oid: Option<u32>,
}

impl Login {
    /// `n_renames` roles had got other names before.
    pub(crate) fn new(user: &str, n_renames: usize, oid: Option<u32>) -> Self {
        Self { name: Mutex::new((user.into(), n_renames)), oid }
    }

    fn now(&self, shared: &Shared) -> Arc<str> {
        let mut login = self.name.lock();
        let (user, n_known) = &mut *login;
        for (old, new) in shared.catalog.renamed_roles(*n_known) {
            *n_known += 1;
            if **user == *old {
                *user = new.into();
            }
        }
        Arc::clone(user)
    }
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
    /// The role that connected, by the name that it has now.
    #[must_use]
    pub fn user(&self) -> Arc<str> {
        self.login.now(&self.shared)
    }

    /// Has the settings that say who the session is follow roles that have got other names: a
    /// session is of a role, whatever it is called.
    pub(crate) fn follow_renames(&self) {
        let catalog = &self.shared.catalog;
        let mut inner = self.inner.lock();
        let n_known = inner.variables.n_renames_known();
        if catalog.n_renamed_roles() <= n_known {
            return;
        }
        let renames = catalog.renamed_roles(n_known);
        let changed = inner.variables.follow_renames(&renames);
        for name in [ROLE, AUTHORIZATION] {
            let Some(Some(kept)) = inner.locals.get_mut(name) else { continue };
            for (old, new) in &renames {
                if kept == old {
                    kept.clone_from(new);
                }
            }
        }
        drop(inner);
        if changed {
            self.touch();
        }
    }

    /// Sees that the session's database is still there.
    ///
    /// # Errors
    /// 3D000 where it was dropped or renamed, here or by another server.
    pub(crate) fn check_database(&self) -> Result<()> {
        let gone = |_| Error::Refused {
            code: "3D000",
            message: format!("database \"{}\" does not exist", self.shared.catalog.database()),
            detail: Some("It was dropped or renamed after the session had begun.".to_owned()),
            hint: Some("Connect to another database; nothing can be done in this one.".to_owned()),
        };
        self.shared.catalog.check_there().map_err(gone)
    }

    /// Sees that the role that connected is still there: another one of its name is not it.
    ///
    /// # Errors
    /// 28000 where it was dropped, here or by another server.
    pub(crate) fn check_role(&self) -> Result<()> {
        let is_there =
            |user: &str| self.login.oid.is_none() || self.shared.users.oid(user) == self.login.oid;
        // Twice: it may have got another name just now.
        let user = self.user();
        if is_there(&user) || is_there(&self.user()) {
            return Ok(());
        }
        Err(Error::Refused {
            code: "28000",
            message: format!("role \"{user}\" does not exist"),
            detail: Some("It was dropped after the session had begun.".to_owned()),
            hint: Some("Log in again, as a role that is there.".to_owned()),
        })
    }

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
    pub(crate) fn check_identity(
        &self,
        name: &str,
        value: &str,
    ) -> std::result::Result<(), PlannerError> {
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
        if name == AUTHORIZATION && *value != *self.user() && !seen.is_superuser(&self.user()) {
            let message = "permission denied to set session authorization".to_owned();
            return Err(refused("42501", message));
        }
        Ok(())
    }
}
