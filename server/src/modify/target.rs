//! The table that a statement writes.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use tarn_catalog::delta::{DeltaSnapshot, StagedTable};
use tarn_catalog::memory::{MemoryTable, TableDetails};
use tarn_catalog::registry::Relation;
use tarn_catalog::rights::{Privilege, Reach};
use tarn_catalog::{CatalogError, LakeTable, TableName, Travel};
use tarn_planner::write::{ROW, Target};

use super::check_writable;
use crate::access::check::Asker;
use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, StatementView};
use crate::session::{Session, Status};

/// A table that can be written, as the session sees it before the statement.
#[derive(Debug)]
pub(crate) struct WriteTable {
    pub(crate) name: TableName,
    pub(crate) schema: SchemaRef,
    pub(crate) details: Arc<TableDetails>,
    /// What the statement sees of this table and of others.
    pub(crate) view: StatementView,
    /// Rights that the session has on these columns only: what it names has to be among them.
    pub(super) partial: Partial,
    kind: Kind,
    /// The version of a Delta table that was found to be looked at only.
    seen: Option<Arc<DeltaSnapshot>>,
}

#[derive(Debug)]
enum Kind {
    Memory(Arc<MemoryTable>),
    Lake(Arc<dyn LakeTable>),
}

/// The copy of a table that only the session's transaction sees.
#[derive(Debug)]
pub(crate) enum Written {
    Memory(Arc<MemoryTable>),
    Lake(Arc<StagedTable>),
}

impl WriteTable {
    /// Finds what a name stands for, for a statement that needs these rights on it, or on those of
    /// its columns that it names (`columns`), as a query of the session would read it.
    ///
    /// # Errors
    /// 42501 without the rights; `TableNotFound`, `WrongObjectType` for views, `NotWritable` for
    /// formats that cannot be written.
    pub(crate) async fn find(
        session: &Arc<Session>,
        target: &Target,
        privileges: &[Privilege],
    ) -> Result<Self> {
        let view = StatementView::new(session);
        let lookup = SessionLookup::seeing(session, &view);
        let (name, kind, partial) = named(session, &lookup, target, privileges).await?;
        let mut seen = None;
        let (schema, details) = match &kind {
            Kind::Memory(table) => described(table),
            Kind::Lake(_) => {
                let pinned = lookup.pin(&name, Travel::Latest).await?;
                let provider = pinned.provider;
                let schema = provider.schema();
                let any: Arc<dyn Any + Send + Sync> = provider;
                seen = any.downcast::<DeltaSnapshot>().ok();
                let details = seen.as_ref().map(|seen| Arc::clone(seen.details()));
                (schema, details.unwrap_or_default())
            }
        };
        Ok(Self { name, schema, details, view, partial, kind, seen })
    }

    /// Finds a table to write it with a statement of this name, and makes the transaction's copy
    /// if this is its first write.
    ///
    /// All that the statement is told of the table, its columns, its rules and its rows, also in
    /// subqueries, is of the version that it writes: in a transaction of the default level that is
    /// the newest one, whatever was read before.
    ///
    /// # Errors
    /// As [`Self::find`]; in a read-only transaction; `WriteConflict` where the transaction must
    /// not see what others have written meanwhile.
    pub(crate) async fn open(
        session: &Arc<Session>,
        target: &Target,
        privileges: &[Privilege],
        what: &str,
    ) -> Result<(Self, Written)> {
        let view = StatementView::new(session);
        let lookup = SessionLookup::seeing(session, &view);
        let (name, kind, partial) = named(session, &lookup, target, privileges).await?;
        check_writable(session, what, Some(&name))?;
        let (schema, details, written) = match &kind {
            Kind::Memory(table) => {
                let (schema, details) = described(table);
                (schema, details, Written::Memory(session.writable(&name, table)?))
            }
            Kind::Lake(table) => {
                if session.is_repeatable() && session.status() != Status::Idle {
                    // The version that it has read first, or reads now.
                    lookup.pin(&name, Travel::Latest).await?;
                }
                let staged = session.writable_lake_at(&name, table, view.cut()).await?;
                view.put(&name, Arc::clone(&staged).pin(Travel::Latest).await?);
                let snapshot = staged.snapshot();
                (snapshot.schema(), Arc::clone(snapshot.details()), Written::Lake(staged))
            }
        };
        Ok((Self { name, schema, details, view, partial, kind, seen: None }, written))
    }

    /// Its rows with their numbers, as the session sees them, to be looked at only.
    ///
    /// # Errors
    /// `Internal` for rows that cannot be numbered.
    pub(super) fn numbered(&self) -> Result<Arc<dyn TableProvider>> {
        match (&self.kind, &self.seen) {
            (Kind::Memory(table), _) => super::memory::numbered(table),
            (Kind::Lake(_), Some(seen)) => Ok(seen.with_row_ids(ROW)),
            (Kind::Lake(_), None) => {
                Err(Error::Internal { what: "a Delta table of another kind".to_owned() })
            }
        }
    }

    /// Whether its rows are in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.kind, Kind::Memory(_))
    }
}

/// Rights that are on some columns only.
type Partial = BTreeMap<Privilege, BTreeSet<String>>;

/// What a name stands for, if it can be written with these rights.
async fn named(
    session: &Arc<Session>,
    lookup: &SessionLookup<'_>,
    target: &Target,
    privileges: &[Privilege],
) -> Result<(TableName, Kind, Partial)> {
    if let Some(schema) = target.schema.as_ref().filter(|schema| session.has_schema(schema)) {
        Asker::of(session).require_usage(schema)?;
    }
    let known = lookup.search(target.schema.as_deref(), &target.table).await?;
    let mut partial = Partial::new();
    if let Some((name, relation)) = &known {
        for privilege in privileges {
            match Asker::of(session).reach(name, *privilege) {
                Reach::Columns(columns) if !columns.is_empty() => {
                    Asker::of(session).require_usage(name.schema())?;
                    partial.insert(*privilege, columns);
                }
                _ => Asker::of(session).require(name, Some(relation), &[*privilege])?,
            }
        }
    }
    match known {
        Some((name, Relation::Memory(table))) => Ok((name, Kind::Memory(table), partial)),
        Some((name, Relation::Lake(table))) => match table.format() {
            "delta" => Ok((name, Kind::Lake(table), partial)),
            format => {
                Err(not_writable(&name, format!("tables of {format} files cannot be changed")))
            }
        },
        Some((name, Relation::View { .. })) => Err(CatalogError::WrongObjectType {
            name: name.table().to_owned(),
            expected: "a table that can be written",
        }
        .into()),
        None => Err(CatalogError::TableNotFound { name: target.table.clone() }.into()),
    }
}

fn described(table: &Arc<MemoryTable>) -> (SchemaRef, Arc<TableDetails>) {
    (Arc::clone(table.schema()), Arc::new(table.details().clone()))
}

fn not_writable(name: &TableName, reason: String) -> Error {
    CatalogError::NotWritable { name: name.table().to_owned(), reason }.into()
}

/// The table in memory of a name.
///
/// # Errors
/// As [`WriteTable::find`]; `NotWritable` for lake tables.
pub(crate) fn table_of(
    session: &Arc<Session>,
    target: &Target,
) -> Result<(TableName, Arc<MemoryTable>)> {
    let lookup = SessionLookup::new(session);
    match lookup.resolve(target.schema.as_deref(), &target.table) {
        Some((name, Relation::Memory(table))) => Ok((name, table)),
        Some((name, Relation::View { .. })) => Err(CatalogError::WrongObjectType {
            name: name.table().to_owned(),
            expected: "a table that can be written",
        }
        .into()),
        Some((name, Relation::Lake(table))) => {
            let reason = format!("this is not supported for {} tables yet", table.format());
            Err(not_writable(&name, reason))
        }
        None => Err(CatalogError::TableNotFound { name: target.table.clone() }.into()),
    }
}
