//! What a session may do: every refusal for want of rights is made here.

use std::collections::BTreeSet;
use std::sync::Arc;

use tarn_catalog::log::Access;
use tarn_catalog::registry::Relation;
use tarn_catalog::rights::{COLUMN_PRIVILEGES, Kind, Privilege, Reach};
use tarn_catalog::{CatalogError, CatalogSnapshot, TableName};

use tarn_planner::PlannerError;
use tarn_planner::column_rights::ColumnLimit;

use super::denied;
use crate::Shared;
use crate::error::{Error, Result};
use crate::lookup::TEMPORARY;
use crate::session::Session;
use crate::system_tables::SCHEMAS;

/// System relations that superusers alone can read.
const SECRET: &[&str] = &["pg_authid", "pg_shadow"];

/// A role that asks, and what the catalog says at that moment.
pub(crate) struct Asker {
    seen: Arc<CatalogSnapshot>,
    role: String,
    is_superuser: bool,
}

impl Asker {
    /// The session's own role.
    pub(crate) fn of(session: &Session) -> Self {
        Self::role(session, session.current_user())
    }

    /// Another role: the owner of a view that the session reads.
    pub(crate) fn role(session: &Session, role: String) -> Self {
        let seen = session.catalog_snapshot();
        let is_superuser = seen.is_superuser(&role);
        Self { seen, role, is_superuser }
    }

    /// Whether it may do everything.
    pub(crate) fn is_superuser(&self) -> bool {
        self.is_superuser
    }

    fn access(&self, name: &TableName) -> Option<&Access> {
        Some(self.seen.table(name.schema(), name.table())?.access.as_ref())
    }

    /// Whether it may use what is in a schema.
    pub(crate) fn may_use(&self, schema: &str) -> bool {
        self.is_superuser
            || schema == TEMPORARY
            || SCHEMAS.contains(&schema)
            || self.may_in(schema, Privilege::Usage)
    }

    fn may_in(&self, schema: &str, privilege: Privilege) -> bool {
        let known = self.seen.schema(schema);
        known.is_some_and(|known| self.seen.may(&self.role, &known.access, Kind::Schema, privilege))
    }

    /// Whether it has one of these rights on a relation.
    pub(crate) fn may(&self, name: &TableName, privileges: &[Privilege]) -> bool {
        if self.is_superuser || name.schema() == TEMPORARY {
            return true;
        }
        if SCHEMAS.contains(&name.schema()) {
            let secret = name.schema() == "pg_catalog" && SECRET.contains(&name.table());
            return !secret && privileges.contains(&Privilege::Select);
        }
        // What is not known yet is nobody's but the superusers'.
        self.access(name).is_some_and(|access| {
            let may = |p: &Privilege| self.seen.may(&self.role, access, Kind::Relation, *p);
            privileges.iter().any(may)
        })
    }

    /// Sees that it has one of these rights on a relation, and may use its schema.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(crate) fn require(
        &self,
        name: &TableName,
        relation: Option<&Relation>,
        privileges: &[Privilege],
    ) -> Result<(), CatalogError> {
        self.require_usage(name.schema())?;
        if self.may(name, privileges) {
            return Ok(());
        }
        Err(CatalogError::PermissionDenied { kind: kind_of(relation), name: name.table().into() })
    }

    /// The columns of a relation that it has a right on.
    pub(crate) fn reach(&self, name: &TableName, privilege: Privilege) -> Reach {
        if self.may(name, &[privilege]) {
            return Reach::All;
        }
        match self.access(name) {
            Some(access) => self.seen.reach(&self.role, access, privilege),
            None => Reach::Columns(BTreeSet::new()),
        }
    }

    /// Sees that it may read at least one column of a relation, and says which, if not all.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(crate) fn require_columns(
        &self,
        name: &TableName,
        relation: &Relation,
    ) -> Result<Option<ColumnLimit>, CatalogError> {
        self.require_usage(name.schema())?;
        let (kind, table) = (kind_of(Some(relation)), name.table().to_owned());
        match self.reach(name, Privilege::Select) {
            Reach::All => Ok(None),
            Reach::Columns(columns) if !columns.is_empty() => {
                Ok(Some(ColumnLimit { kind, name: table, columns }))
            }
            Reach::Columns(_) => Err(CatalogError::PermissionDenied { kind, name: table }),
        }
    }

    /// Sees that it may use what is in a schema.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(crate) fn require_usage(&self, schema: &str) -> Result<(), CatalogError> {
        if self.may_use(schema) {
            return Ok(());
        }
        Err(CatalogError::PermissionDenied { kind: "schema", name: schema.to_owned() })
    }

    /// Sees that it may make relations in a schema.
    ///
    /// # Errors
    /// `PermissionDenied`.
    pub(crate) fn require_create_in(&self, schema: &str) -> Result<(), CatalogError> {
        if self.is_superuser || schema == TEMPORARY || self.may_in(schema, Privilege::Create) {
            return Ok(());
        }
        Err(CatalogError::PermissionDenied { kind: "schema", name: schema.to_owned() })
    }

    /// Whether it may see what the sessions of a role do.
    pub(crate) fn may_watch(&self, user: &str) -> bool {
        self.has_rights_of(user) || self.has_rights_of("pg_read_all_stats")
    }

    /// Whether it has the rights of a role.
    pub(crate) fn has_rights_of(&self, role: &str) -> bool {
        self.is_superuser || self.seen.has_rights_of(&self.role, role)
    }
}

fn kind_of(relation: Option<&Relation>) -> &'static str {
    match relation {
        Some(Relation::View { .. }) => "view",
        _ => "table",
    }
}

impl Session {
    /// Sees that the session has one of these rights on a relation.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require(&self, name: &TableName, privileges: &[Privilege]) -> Result<()> {
        Ok(Asker::of(self).require(name, self.relation(name).as_ref(), privileges)?)
    }

    /// Sees that a relation belongs to the session's role.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require_owner(&self, name: &TableName) -> Result<()> {
        let asker = Asker::of(self);
        if asker.is_superuser || name.schema() == TEMPORARY {
            return Ok(());
        }
        asker.require_usage(name.schema())?;
        if asker.access(name).is_some_and(|access| asker.has_rights_of(access.owner())) {
            return Ok(());
        }
        let kind = kind_of(self.relation(name).as_ref());
        Err(denied(format!("must be owner of {kind} {}", name.table())))
    }

    /// Sees that the session may drop a relation: it is its own, or its schema is.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require_drop(&self, name: &TableName) -> Result<()> {
        let asker = Asker::of(self);
        let schema = asker.seen.schema(name.schema());
        if schema.is_some_and(|schema| asker.has_rights_of(schema.access.owner())) {
            return Ok(());
        }
        self.require_owner(name)
    }

    /// Sees that a schema belongs to the session's role.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require_schema_owner(&self, name: &str) -> Result<()> {
        let asker = Asker::of(self);
        let owner = asker.seen.schema(name).map(|schema| schema.access.owner().to_owned());
        match owner {
            Some(owner) if !asker.has_rights_of(&owner) => {
                Err(denied(format!("must be owner of schema {name}")))
            }
            _ => Ok(()),
        }
    }

    /// Sees that the session may make relations in a schema.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require_create_in(&self, schema: &str) -> Result<()> {
        Ok(Asker::of(self).require_create_in(schema)?)
    }

    /// Sees that the session has a right on the database that it is connected to.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require_on_database(&self, privilege: Privilege) -> Result<()> {
        let asker = Asker::of(self);
        let name = self.shared.catalog.database();
        let access = asker.seen.databases.iter().find(|known| known.name == name);
        let may = |access: &Access| asker.seen.may(&asker.role, access, Kind::Database, privilege);
        if asker.is_superuser || access.is_some_and(|known| may(&known.access)) {
            return Ok(());
        }
        Err(CatalogError::PermissionDenied { kind: "database", name: name.to_owned() }.into())
    }

    /// Sees that the session's role may do everything.
    ///
    /// # Errors
    /// 42501 with this message.
    pub(crate) fn require_superuser(&self, message: &str) -> Result<()> {
        if self.is_superuser() { Ok(()) } else { Err(denied(message)) }
    }

    /// Sees that the session may reach files and buckets by their place, in the server's name.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn require_files(&self, write: bool) -> Result<()> {
        let role = if write { "pg_write_server_files" } else { "pg_read_server_files" };
        if Asker::of(self).has_rights_of(role) {
            return Ok(());
        }
        let verb = if write { "write" } else { "read" };
        Err(Error::Refused {
            code: "42501",
            message: format!("permission denied to {verb} files by their place"),
            detail: Some(format!(
                "Only roles with privileges of the \"{role}\" role may name files and buckets."
            )),
            hint: Some(format!("A superuser can GRANT {role} TO the role.")),
        })
    }
}

/// Whether a role has the right to begin sessions in a database.
pub(crate) fn may_connect(seen: &CatalogSnapshot, user: &str, database: &str) -> bool {
    let known = seen.databases.iter().find(|known| known.name == database);
    let may = |access: &Access| seen.may(user, access, Kind::Database, Privilege::Connect);
    seen.is_superuser(user) || known.is_none_or(|known| may(&known.access))
}

/// Sees that a role may begin a session in a database, and has not begun too many.
///
/// # Errors
/// 42501 without the right to connect, 53300 beyond the role's limit.
pub(crate) fn check_connect(shared: &Shared, user: &str, database: &str) -> Result<()> {
    let seen = shared.catalog.snapshot();
    if seen.is_superuser(user) {
        return Ok(());
    }
    if !may_connect(&seen, user, database) {
        return Err(Error::Refused {
            code: "42501",
            message: format!("permission denied for database \"{database}\""),
            detail: Some("User does not have CONNECT privilege.".to_owned()),
            hint: None,
        });
    }
    let limit = seen.role(user).and_then(|role| role.n_connections_max);
    let own = shared.sessions.list().iter().filter(|session| *session.user() == *user).count();
    if limit.is_some_and(|limit| u32::try_from(own).unwrap_or(u32::MAX) >= limit) {
        let message = format!("too many connections for role \"{user}\"");
        let hint = Some("Close one, or raise it by ALTER ROLE … CONNECTION LIMIT.".to_owned());
        return Err(Error::Refused { code: "53300", message, detail: None, hint });
    }
    Ok(())
}

/// Sees that a session may stop what another one does.
///
/// # Errors
/// 42501 for a session of a role whose rights it does not have.
pub(crate) fn check_signal(session: &Session, pid: i32, what: &str) -> Result<(), PlannerError> {
    let asker = Asker::of(session);
    let Some(other) = session.shared.sessions.get(pid) else { return Ok(()) };
    let allowed = match asker.seen.is_superuser(&other.user()) {
        true => asker.is_superuser,
        false => asker.has_rights_of(&other.user()) || asker.has_rights_of("pg_signal_backend"),
    };
    if allowed {
        return Ok(());
    }
    let message = format!("permission denied to {what}");
    Err(PlannerError::Semantics { code: "42501", message, position: None })
}

/// What a role may see of the catalog's contents: the standard's views list what it has rights on.
pub(crate) fn visible(seen: &CatalogSnapshot, role: &str) -> CatalogSnapshot {
    let any = |access: &Access| {
        seen.has_rights_of(role, access.owner())
            || Kind::Relation
                .privileges()
                .iter()
                .any(|privilege| seen.may(role, access, Kind::Relation, *privilege))
            || COLUMN_PRIVILEGES.iter().any(|p| !seen.reach(role, access, *p).is_nothing())
    };
    let mut visible = seen.clone();
    for schema in &mut visible.schemas {
        let own = SCHEMAS.contains(&schema.name.as_str()) || schema.name.starts_with("pg_temp_");
        if !own {
            schema.tables.retain(|table| any(&table.access));
        }
    }
    visible
}

/// The same without statistics of tables whose rows the role must not see.
pub(crate) fn without_secrets(seen: &CatalogSnapshot, role: &str) -> CatalogSnapshot {
    let mut visible = seen.clone();
    for table in visible.schemas.iter_mut().flat_map(|schema| &mut schema.tables) {
        let hidden = table.statistics.is_some()
            && !seen.may(role, &table.access, Kind::Relation, Privilege::Select);
        if hidden {
            Arc::make_mut(table).statistics = None;
        }
    }
    visible
}
