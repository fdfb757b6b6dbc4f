//! What a transaction has defined without rows, and the rights that it has changed.

use std::sync::Arc;

use tarn_catalog::log::{Access, DefaultsOf, Entry};
use tarn_catalog::registry::{Change, Expect, Object};
use tarn_catalog::{ColumnEntry, TableName};

use super::{Changes, Defined};
use crate::lookup::TEMPORARY;
use crate::session::Session;

impl Changes {
    /// What is defined, in order.
    pub(crate) fn defined(&self) -> Vec<Entry> {
        self.defined.iter().map(|(entry, ..)| entry.clone()).collect()
    }

    /// Notes that something is defined, and what the catalog said before; a second definition of an
    /// object takes the place of the first one.
    pub(crate) fn define(&mut self, entry: Entry, expect: Expect, before: Option<Entry>) {
        let same = self.defined.iter().position(|(other, ..)| is_same(other, &entry));
        match same.and_then(|at| self.defined.get_mut(at)) {
            Some(slot) => slot.0 = entry,
            None => {
                // What the transaction itself has made is not there before.
                let touched = self.defined.iter().any(|(other, ..)| names_same(other, &entry));
                let expect = if touched { Expect::Any } else { expect };
                self.defined.push((entry, expect, before.map(Box::new)));
            }
        }
    }

    /// As the catalog takes them.
    pub(super) fn rights_to_catalog(&self) -> Vec<Change> {
        let access = self.access.iter().map(|(name, (before, after))| Change::Access {
            name: name.clone(),
            before: Arc::clone(before),
            after: Arc::clone(after),
        });
        let unchanged = |(entry, _, before): &Defined| Change::Unchanged {
            entry: entry.clone(),
            before: before.clone(),
        };
        let define =
            |(entry, expect, _): &Defined| Change::Define { entry: entry.clone(), expect: *expect };
        let defined = self.defined.iter();
        // What is to be new and is there already is told as that.
        access.chain(defined.clone().map(define)).chain(defined.map(unchanged)).collect()
    }

    /// The rights on a relation that the transaction has changed.
    pub(crate) fn access_of(&self, name: &TableName) -> Option<&Arc<Access>> {
        self.access.get(name).map(|(_, after)| after)
    }
}

/// Whether one definition takes the place of another one.
fn is_same(a: &Entry, b: &Entry) -> bool {
    match (a, b) {
        (Entry::PutRole { name: a, .. }, Entry::PutRole { name: b, .. })
        | (Entry::PutDatabase { name: a, .. }, Entry::PutDatabase { name: b, .. }) => a == b,
        (
            Entry::PutSchema { database: da, name: a, .. },
            Entry::PutSchema { database: db, name: b, .. },
        ) => (da, a) == (db, b),
        (
            Entry::PutGrant { on: oa, role: a, .. } | Entry::DropGrant { on: oa, role: a },
            Entry::PutGrant { on: ob, role: b, .. } | Entry::DropGrant { on: ob, role: b },
        ) => (oa, a) == (ob, b),
        (
            Entry::PutSetting { scope: sa, name: a, .. }
            | Entry::DropSetting { scope: sa, name: a },
            Entry::PutSetting { scope: sb, name: b, .. }
            | Entry::DropSetting { scope: sb, name: b },
        ) => (sa, a) == (sb, b),
        _ => false,
    }
}

/// Whether both are about one role.
fn names_same(a: &Entry, b: &Entry) -> bool {
    fn role(entry: &Entry) -> Option<&str> {
        match entry {
            Entry::PutRole { name, .. } | Entry::DropRole { name } => Some(name),
            _ => None,
        }
    }
    role(a).is_some() && role(a) == role(b)
}

/// Rights without those on columns that are not there; `None` where there are none.
pub(super) fn without_gone(access: &Access, columns: &[ColumnEntry]) -> Option<Access> {
    access.without_columns(|name| columns.iter().any(|column| column.name == name))
}

impl Session {
    /// Gives a relation other rights.
    pub(crate) fn put_access(&self, name: &TableName, before: &Arc<Access>, after: Arc<Access>) {
        let mut inner = self.inner.lock();
        let changes = &mut inner.changes;
        match changes.relations.get_mut(name) {
            // The transaction puts the relation itself into the catalog, and these with it.
            Some(changed) if !changed.is_copy => {
                if let Some(object) = &mut changed.after {
                    object.access = after;
                }
            }
            _ => {
                let before = Arc::clone(before);
                let slot =
                    changes.access.entry(name.clone()).or_insert_with(|| (before, Arc::default()));
                slot.1 = after;
            }
        }
        drop(inner);
        self.touch();
    }

    /// A relation with the owner and rights that it has, or that a new one gets.
    pub(super) fn with_access(&self, name: &TableName, mut object: Object) -> Object {
        if name.schema() == TEMPORARY || object.access.owner.is_some() {
            return object;
        }
        object.access = match self.object(name) {
            // What takes its place may have other columns.
            Some(known) => match without_gone(&known.access, &object.columns) {
                Some(access) => Arc::new(access),
                None => known.access,
            },
            None => {
                let (user, database) = (self.current_user(), self.shared.catalog.database());
                let place = (database, Some(name.schema()));
                let access = self
                    .with_definitions(|all| all.access_of_new(&user, DefaultsOf::Relations, place));
                Arc::new(access)
            }
        };
        object
    }
}
