//! Rights on single columns, beside those on the whole relation.
//!
//! A grant names columns by their names, and follows them when they are renamed or dropped
//! ([`Access::with_column_renamed`], [`Access::without_columns`]).

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, PUBLIC_ROLE, Privilege};
use crate::entry::CatalogSnapshot;
use crate::log::{Access, GrantDef};

/// The rights that there are on a column, in the order of their letters.
pub const COLUMN_PRIVILEGES: &[Privilege] =
    &[Privilege::Insert, Privilege::Select, Privilege::Update, Privilege::References];

/// The columns of a relation that a role has a right on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All that there are, and those to come.
    All,
    /// These, by their names.
    Columns(BTreeSet<String>),
}

impl Reach {
    /// Whether a column is one of them.
    #[must_use]
    pub fn has(&self, column: &str) -> bool {
        match self {
            Self::All => true,
            Self::Columns(columns) => columns.contains(column),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Columns(columns) if columns.is_empty())
    }
}

impl Access {
    /// The rights on a column as PostgreSQL lists them in `attacl`; those on the whole relation
    /// are not among them.
    #[must_use]
    pub fn column_items(&self, column: &str) -> Option<Vec<String>> {
        let grants = self.grants.as_ref()?;
        let items = self.items_of(grants, COLUMN_PRIVILEGES, |grant| grant.columns.get(column));
        (!items.is_empty()).then_some(items)
    }

    /// Whether it says something of single columns.
    #[must_use]
    pub fn names_columns(&self) -> bool {
        self.grants.iter().flatten().any(|(_, grant)| !grant.columns.is_empty())
    }

    /// The same after a column has got another name; `None` where it does not name that column.
    #[must_use]
    pub fn with_column_renamed(&self, old: &str, new: &str) -> Option<Self> {
        self.with_columns(|grant| {
            // Whatever is said of a column that is gone does not become the other one's.
            let stale = grant.columns.remove(new).is_some();
            match grant.columns.remove(old) {
                Some(rights) => grant.columns.insert(new.to_owned(), rights).is_none(),
                None => stale,
            }
        })
    }

    /// The same without what it says of columns that are not kept; `None` where it names none.
    #[must_use]
    pub fn without_columns(&self, keep: impl Fn(&str) -> bool) -> Option<Self> {
        self.with_columns(|grant| {
            let n_before = grant.columns.len();
            grant.columns.retain(|column, _| keep(column));
            grant.columns.len() < n_before
        })
    }

    fn with_columns(&self, mut change: impl FnMut(&mut GrantDef) -> bool) -> Option<Self> {
        let mut changed = self.clone();
        let mut any = false;
        for grant in changed.grants.iter_mut().flat_map(BTreeMap::values_mut) {
            any |= change(grant);
        }
        if let Some(grants) = &mut changed.grants {
            grants.retain(|role, grant| role == self.owner() || !grant.is_empty());
        }
        any.then_some(changed)
    }
}

impl CatalogSnapshot {
    /// The columns of a relation that a role may do something with.
    #[must_use]
    pub fn reach(&self, role: &str, access: &Access, privilege: Privilege) -> Reach {
        if self.may(role, access, Kind::Relation, privilege) {
            return Reach::All;
        }
        let mut columns = BTreeSet::new();
        if self.role(role).is_some() {
            let (key, groups) = (privilege.key(), self.groups_of(role, true));
            for (grantee, grant) in access.grants.iter().flatten() {
                if grantee == PUBLIC_ROLE || groups.contains(grantee.as_str()) {
                    let given = grant.columns.iter().filter(|(_, all)| all.contains_key(&key));
                    columns.extend(given.map(|(column, _)| column.clone()));
                }
            }
        }
        Reach::Columns(columns)
    }

    /// In whose name a role may hand on a right on a column; `None` where it may not.
    #[must_use]
    pub fn column_grantor(
        &self,
        role: &str,
        access: &Access,
        privilege: Privilege,
        column: &str,
    ) -> Option<String> {
        if let Some(by) = self.grantor(role, access, Kind::Relation, privilege) {
            return Some(by);
        }
        let (key, grants) = (privilege.key(), access.grants.as_ref()?);
        let has = |role: &&str| {
            let given = grants.get(*role).and_then(|grant| grant.columns.get(column));
            given.and_then(|given| given.get(&key)) == Some(&true)
        };
        self.groups_of(role, true).into_iter().find(has).map(ToOwned::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::Reach;
    use crate::entry::{CatalogSnapshot, RoleEntry};
    use crate::log::{Access, GrantDef};
    use crate::rights::{Kind, Privilege};

    fn columns(names: &[&str]) -> Reach {
        Reach::Columns(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>())
    }

    #[test]
    fn rights_on_columns_follow_their_names() {
        let bob = RoleEntry { name: "bob".to_owned(), inherit: true, ..RoleEntry::default() };
        let seen = CatalogSnapshot { roles: vec![bob], ..CatalogSnapshot::default() };
        let mut access = Access::owned_by("owner");
        let mut grants = access.effective(Kind::Relation);
        let select = BTreeMap::from([(Privilege::Select.key(), true)]);
        let given = BTreeMap::from([("a".to_owned(), select.clone()), ("b".to_owned(), select)]);
        grants.insert("bob".to_owned(), GrantDef { columns: given, ..GrantDef::by("owner") });
        access.grants = Some(grants);
        let reach = |access: &Access, privilege| seen.reach("bob", access, privilege);
        assert_eq!(reach(&access, Privilege::Select), columns(&["a", "b"]));
        assert!(reach(&access, Privilege::Update).is_nothing());
        assert_eq!(access.column_items("a").expect("items"), ["bob=r*/owner"]);
        assert_eq!(access.column_items("c"), None);
        assert_eq!(access.items(Kind::Relation), ["owner=arwdDxt/owner"]);
        let by = |column| seen.column_grantor("bob", &access, Privilege::Select, column);
        assert_eq!((by("a").as_deref(), by("c")), (Some("bob"), None));
        let renamed = access.with_column_renamed("a", "b").expect("it names a");
        assert_eq!(reach(&renamed, Privilege::Select), columns(&["b"]));
        let dropped = renamed.without_columns(|column| column != "b").expect("it names b");
        assert!(!dropped.names_columns() && dropped.without_columns(|_| false).is_none());
    }
}
