//! The table that a statement writes.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use tarn_catalog::delta::{DeltaSnapshot, StagedTable};
use tarn_catalog::memory::{MemoryTable, TableDetails};
use tarn_catalog::registry::Relation;
use tarn_catalog::rights::Privilege;
use tarn_catalog::{CatalogError, LakeTable, TableName, Travel};
use tarn_planner::write::Target;

use crate::error::Result;
use crate::lookup::SessionLookup;
use crate::session::Session;

/// A table that can be written, as the session sees it before the statement.
#[derive(Debug)]
pub(crate) struct WriteTable {
    pub(crate) name: TableName,
    pub(crate) schema: SchemaRef,
    pub(crate) details: Arc<TableDetails>,
    kind: Kind,
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
    /// Finds what a name stands for, for a statement that needs these rights on it.
    ///
    /// # Errors
    /// 42501 without the rights; `TableNotFound`, `WrongObjectType` for views, `NotWritable` for
    /// formats that cannot be written.
    pub(crate) async fn find(
        session: &Arc<Session>,
        target: &Target,
        privileges: &[Privilege],
    ) -> Result<Self> {
        let lookup = SessionLookup::new(session);
        let known = lookup.search(target.schema.as_deref(), &target.table).await?;
        if let Some((name, _)) = &known {
            for privilege in privileges {
                session.require(name, &[*privilege])?;
            }
        }
        match known {
            Some((name, Relation::Memory(table))) => Ok(Self {
                name,
                schema: Arc::clone(table.schema()),
                details: Arc::new(table.details().clone()),
                kind: Kind::Memory(table),
            }),
            Some((name, Relation::Lake(table))) => {
                if table.format() != "delta" {
                    let format = table.format();
                    return Err(not_writable(
                        &name,
                        format!("tables of {format} files cannot be changed"),
                    ));
                }
                let pinned = lookup.pin(&name, Travel::Latest).await?;
                let provider = pinned.provider;
                let schema = provider.schema();
                let any: Arc<dyn Any + Send + Sync> = provider;
                let details = any
                    .downcast::<DeltaSnapshot>()
                    .map(|snapshot| Arc::clone(snapshot.details()))
                    .unwrap_or_default();
                Ok(Self { name, schema, details, kind: Kind::Lake(table) })
            }
            Some((name, Relation::View { .. })) => Err(CatalogError::WrongObjectType {
                name: name.table().to_owned(),
                expected: "a table that can be written",
            }
            .into()),
            None => Err(CatalogError::TableNotFound { name: target.table.clone() }.into()),
        }
    }

    /// The transaction's copy, made if this is its first write.
    ///
    /// # Errors
    /// `WriteConflict` where the transaction must not see what others have written meanwhile.
    pub(crate) async fn open(&self, session: &Arc<Session>) -> Result<Written> {
        match &self.kind {
            Kind::Memory(table) => session.writable(&self.name, table).map(Written::Memory),
            Kind::Lake(table) => session.writable_lake(&self.name, table).await.map(Written::Lake),
        }
    }

    /// Whether its rows are in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.kind, Kind::Memory(_))
    }
}

fn not_writable(name: &TableName, reason: String) -> crate::error::Error {
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
