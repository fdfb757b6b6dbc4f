//! Who may do what: rights on objects, the roles that have them, and their text forms.
//!
//! Everything is decided on a [`CatalogSnapshot`], by the statement that is bound and by the
//! functions that ask (`has_table_privilege`), so that both say the same.
//!
//! Not here: who asks (the server's sessions), and how rights are changed (its `access`).

use std::collections::{BTreeMap, BTreeSet};

use crate::entry::{CatalogSnapshot, RoleEntry};
use crate::log::{Access, GrantDef};

mod columns;

pub use columns::{COLUMN_PRIVILEGES, Reach};

/// The role that is there from the start; what says no owner is its.
pub const FIRST_ROLE: &str = "tarn";

/// Stands for all roles.
pub const PUBLIC_ROLE: &str = "public";

/// What a role may do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "PostgreSQL's words")]
pub enum Privilege {
    Insert,
    Select,
    Update,
    Delete,
    Truncate,
    References,
    Trigger,
    Usage,
    Create,
    Temporary,
    Connect,
}

impl Privilege {
    /// All of them in the order of their letters in PostgreSQL's lists.
    pub const ALL: &[Self] = &[
        Self::Insert,
        Self::Select,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::References,
        Self::Trigger,
        Self::Usage,
        Self::Create,
        Self::Temporary,
        Self::Connect,
    ];

    /// The word of GRANT.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Select => "SELECT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::References => "REFERENCES",
            Self::Trigger => "TRIGGER",
            Self::Usage => "USAGE",
            Self::Create => "CREATE",
            Self::Temporary => "TEMPORARY",
            Self::Connect => "CONNECT",
        }
    }

    /// The name in the catalog's log.
    #[must_use]
    pub fn key(self) -> String {
        self.word().to_ascii_lowercase()
    }

    /// The letter in `relacl` and its kin.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Insert => 'a',
            Self::Select => 'r',
            Self::Update => 'w',
            Self::Delete => 'd',
            Self::Truncate => 'D',
            Self::References => 'x',
            Self::Trigger => 't',
            Self::Usage => 'U',
            Self::Create => 'C',
            Self::Temporary => 'T',
            Self::Connect => 'c',
        }
    }

    /// Reads a word of GRANT in any case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("temp") {
            return Some(Self::Temporary);
        }
        Self::ALL.iter().copied().find(|known| known.word().eq_ignore_ascii_case(word))
    }
}

/// The kinds of object that there are rights on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Relation,
    Schema,
    Database,
}

impl Kind {
    /// The rights that there are on it, in the order of their letters.
    #[must_use]
    pub fn privileges(self) -> &'static [Privilege] {
        use Privilege::{
            Connect, Create, Delete, Insert, References, Select, Temporary, Trigger, Truncate,
            Update, Usage,
        };
        match self {
            Self::Relation => &[Insert, Select, Update, Delete, Truncate, References, Trigger],
            Self::Schema => &[Usage, Create],
            Self::Database => &[Create, Temporary, Connect],
        }
    }

    /// What all roles may do with a new object.
    fn of_public(self) -> &'static [Privilege] {
        match self {
            Self::Relation | Self::Schema => &[],
            Self::Database => &[Privilege::Temporary, Privilege::Connect],
        }
    }
}

impl Access {
    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or(FIRST_ROLE)
    }

    /// Rights by role; those that an object begins with where nothing was said.
    #[must_use]
    pub fn effective(&self, kind: Kind) -> BTreeMap<String, GrantDef> {
        if let Some(grants) = &self.grants {
            return grants.clone();
        }
        let grant = |privileges: &[Privilege]| GrantDef {
            privileges: privileges.iter().map(|p| (p.key(), false)).collect(),
            ..GrantDef::by(self.owner())
        };
        let mut all = BTreeMap::from([(self.owner().to_owned(), grant(kind.privileges()))]);
        if !kind.of_public().is_empty() {
            all.insert(PUBLIC_ROLE.to_owned(), grant(kind.of_public()));
        }
        all
    }

    /// What all roles may do with the schema `public`: look into it.
    #[must_use]
    pub fn of_public_schema(owner: Option<String>) -> Self {
        let mut access = Self { owner, grants: None };
        let mut grants = access.effective(Kind::Schema);
        let privileges = BTreeMap::from([(Privilege::Usage.key(), false)]);
        let grant = GrantDef { privileges, ..GrantDef::by(access.owner()) };
        grants.insert(PUBLIC_ROLE.to_owned(), grant);
        access.grants = Some(grants);
        access
    }

    /// The rights as PostgreSQL lists them: `bob=r*w/tarn`; the owner's come first.
    #[must_use]
    pub fn items(&self, kind: Kind) -> Vec<String> {
        self.items_of(&self.effective(kind), kind.privileges(), |grant| Some(&grant.privileges))
    }

    fn items_of(
        &self,
        all: &BTreeMap<String, GrantDef>,
        privileges: &[Privilege],
        given: impl Fn(&GrantDef) -> Option<&BTreeMap<String, bool>>,
    ) -> Vec<String> {
        let owners = |role: &str| role == self.owner();
        let mut roles: Vec<&String> = all.keys().collect();
        roles.sort_by_key(|role| (!owners(role), role.as_str() == PUBLIC_ROLE));
        let item = |role: &&String| {
            let grant = all.get(*role)?;
            let given = given(grant)?;
            let letters: String = privileges
                .iter()
                .filter_map(|privilege| {
                    let option = *given.get(&privilege.key())?;
                    Some(format!("{}{}", privilege.letter(), if option { "*" } else { "" }))
                })
                .collect();
            let name = if *role == PUBLIC_ROLE { String::new() } else { item_name(role) };
            let grantor = item_name(&grant.grantor);
            (!letters.is_empty()).then(|| format!("{name}={letters}/{grantor}"))
        };
        roles.iter().filter_map(item).collect()
    }
}

/// A role's name in a list of rights.
fn item_name(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    if name.chars().all(plain) { name.to_owned() } else { format!("\"{name}\"") }
}

impl CatalogSnapshot {
    /// Finds a role by its name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&RoleEntry> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// Whether a role may do everything.
    #[must_use]
    pub fn is_superuser(&self, role: &str) -> bool {
        self.role(role).is_some_and(|role| role.superuser)
    }

    /// A role and those that it is a member of; through roles that inherit only, or through all.
    #[must_use]
    pub fn groups_of<'a>(&'a self, role: &'a str, inherited: bool) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::from([role]);
        let mut waiting = vec![role];
        while let Some(next) = waiting.pop() {
            let Some(entry) = self.role(next) else { continue };
            if inherited && !entry.inherit {
                continue;
            }
            for group in &entry.member_of {
                if found.insert(group.as_str()) {
                    waiting.push(group.as_str());
                }
            }
        }
        found
    }

    /// Whether a role has the rights of another one without SET ROLE.
    #[must_use]
    pub fn has_rights_of(&self, role: &str, other: &str) -> bool {
        role == other || self.is_superuser(role) || self.groups_of(role, true).contains(other)
    }

    /// Whether a role can become another one by SET ROLE.
    #[must_use]
    pub fn is_member_of(&self, role: &str, other: &str) -> bool {
        role == other || self.is_superuser(role) || self.groups_of(role, false).contains(other)
    }

    /// Whether a role may make others members of a role.
    #[must_use]
    pub fn is_admin_of(&self, role: &str, group: &str) -> bool {
        let admin = |name: &&str| {
            self.role(name).is_some_and(|entry| entry.admin_of.iter().any(|known| known == group))
        };
        self.is_superuser(role) || self.groups_of(role, true).iter().any(admin)
    }

    /// Whether a role may do something with an object.
    #[must_use]
    pub fn may(&self, role: &str, access: &Access, kind: Kind, privilege: Privilege) -> bool {
        if self.is_superuser(role) {
            return true;
        }
        if self.role(role).is_none() {
            return false;
        }
        let groups = self.groups_of(role, true);
        let predefined = match (kind, privilege) {
            (Kind::Relation, Privilege::Select) => &["pg_read_all_data"][..],
            (Kind::Relation, Privilege::Insert | Privilege::Update | Privilege::Delete) => {
                &["pg_write_all_data"]
            }
            (Kind::Schema, Privilege::Usage) => &["pg_read_all_data", "pg_write_all_data"],
            _ => &[],
        };
        if predefined.iter().any(|known| groups.contains(known)) {
            return true;
        }
        let key = privilege.key();
        let all = access.effective(kind);
        let has = |role: &str| all.get(role).is_some_and(|g| g.privileges.contains_key(&key));
        has(PUBLIC_ROLE) || groups.into_iter().any(has)
    }

    /// In whose name a role may hand on a right; `None` where it may not.
    #[must_use]
    pub fn grantor(
        &self,
        role: &str,
        access: &Access,
        kind: Kind,
        privilege: Privilege,
    ) -> Option<String> {
        if self.has_rights_of(role, access.owner()) {
            return Some(access.owner().to_owned());
        }
        let all = access.effective(kind);
        let key = privilege.key();
        let has = |role: &&str| {
            all.get(*role).is_some_and(|grant| grant.privileges.get(&key) == Some(&true))
        };
        self.groups_of(role, true).into_iter().find(has).map(ToOwned::to_owned)
    }
}

/// The roles that PostgreSQL has from the start, with their numbers, and what they belong to.
pub(crate) const PREDEFINED: &[(u32, &str, &[&str])] = &[
    (6171, "pg_database_owner", &[]),
    (6181, "pg_read_all_data", &[]),
    (6182, "pg_write_all_data", &[]),
    (3373, "pg_monitor", &["pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"]),
    (3374, "pg_read_all_settings", &[]),
    (3375, "pg_read_all_stats", &[]),
    (3377, "pg_stat_scan_tables", &[]),
    (4569, "pg_read_server_files", &[]),
    (4570, "pg_write_server_files", &[]),
    (4571, "pg_execute_server_program", &[]),
    (4200, "pg_signal_backend", &[]),
    (4544, "pg_checkpoint", &[]),
];

#[cfg(test)]
mod tests {
    use super::{Kind, Privilege};
    use crate::entry::{CatalogSnapshot, RoleEntry};
    use crate::log::{Access, GrantDef};

    fn role(name: &str, member_of: &[&str], inherit: bool) -> RoleEntry {
        RoleEntry {
            name: name.to_owned(),
            inherit,
            member_of: member_of.iter().map(|group| (*group).to_owned()).collect(),
            ..RoleEntry::default()
        }
    }

    #[test]
    fn rights_come_through_groups_that_inherit() {
        let roles = vec![
            role("readers", &[], true),
            role("team", &["readers"], true),
            role("ann", &["team"], true),
            role("bob", &["team"], false),
        ];
        let seen = CatalogSnapshot { roles, ..CatalogSnapshot::default() };
        let mut access = Access::owned_by("owner");
        let mut grants = access.effective(Kind::Relation);
        let privileges = [(Privilege::Select.key(), true)].into_iter().collect();
        grants.insert("readers".to_owned(), GrantDef { privileges, ..GrantDef::by("owner") });
        access.grants = Some(grants);
        let may = |role, privilege| seen.may(role, &access, Kind::Relation, privilege);
        assert!(may("ann", Privilege::Select) && may("readers", Privilege::Select));
        assert!(!may("bob", Privilege::Select) && seen.is_member_of("bob", "readers"));
        assert!(!may("ann", Privilege::Insert) && !may("nobody", Privilege::Select));
        let by = |role| seen.grantor(role, &access, Kind::Relation, Privilege::Select);
        assert_eq!(by("ann").as_deref(), Some("readers"));
        assert_eq!(by("bob"), None);
        assert_eq!(access.items(Kind::Relation), ["owner=arwdDxt/owner", "readers=r*/owner"]);
    }
}
