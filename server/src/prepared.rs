//! A session's prepared statements: Parse and PREPARE make them, under names of one space.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use chrono::{DateTime, Utc};
use datafusion::logical_expr::{LogicalPlanBuilder, cast};
use datafusion::scalar::ScalarValue;
use tarn_catalog::pg_type::pg_type_of_data_type;
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::{Command, PlannerError, Statement, plan};

use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::query::{CommandTag, Prepared};
use crate::session::Session;

/// Prepared statements of one session.
const N_STATEMENTS_MAX: usize = 10_000;

/// The texts of a session's prepared statements together.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// A named or unnamed prepared statement.
#[derive(Debug, Clone)]
pub(crate) struct StatementEntry {
    /// `None` for an empty text.
    pub(crate) prepared: Option<Arc<Prepared>>,
    /// The types that parameters are sent in.
    pub(crate) parameter_oids: Vec<u32>,
    pub(crate) text: Arc<str>,
    pub(crate) prepared_at: DateTime<Utc>,
    /// Made by PREPARE instead of Parse.
    pub(crate) from_sql: bool,
}

impl StatementEntry {
    pub(crate) fn new(
        prepared: Option<Arc<Prepared>>,
        parameter_oids: Vec<u32>,
        from_sql: bool,
    ) -> Self {
        let text = prepared.as_ref().map_or_else(|| "".into(), |p| p.statement().text().into());
        Self { prepared, parameter_oids, text, prepared_at: Utc::now(), from_sql }
    }
}

pub(crate) type Statements = BTreeMap<String, StatementEntry>;

impl Session {
    /// Keeps a prepared statement; the unnamed one replaces the last unnamed one.
    pub(crate) fn add_statement(&self, name: String, entry: StatementEntry) -> Result<()> {
        let mut statements = self.statements.lock();
        if !name.is_empty() && statements.contains_key(&name) {
            return Err(Error::DuplicateStatement { name });
        }
        if statements.len() >= N_STATEMENTS_MAX {
            return Err(Error::SessionLimit {
                what: "prepared statements",
                n_max: N_STATEMENTS_MAX,
            });
        }
        let n_bytes: usize = statements.values().map(|kept| kept.text.len()).sum();
        if n_bytes.saturating_add(entry.text.len()) > TEXT_BYTES_MAX {
            return Err(Error::SessionBytes {
                what: "texts of prepared statements",
                bytes_max: TEXT_BYTES_MAX,
            });
        }
        statements.insert(name, entry);
        Ok(())
    }

    /// Makes place for another unnamed statement.
    pub(crate) fn remove_statement_unnamed(&self, name: &str) {
        if name.is_empty() {
            self.statements.lock().remove(name);
        }
    }

    /// Whether a name can be given to another statement.
    pub(crate) fn check_statement_name(&self, name: &str) -> Result<()> {
        if !name.is_empty() && self.statements.lock().contains_key(name) {
            return Err(Error::DuplicateStatement { name: name.to_owned() });
        }
        Ok(())
    }

    pub(crate) fn find_statement(&self, name: &str) -> Result<StatementEntry> {
        let found = self.statements.lock().get(name).cloned();
        found.ok_or_else(|| Error::UndefinedStatement { name: name.to_owned() })
    }

    /// Forgets a statement; returns whether it was there.
    pub(crate) fn remove_statement(&self, name: &str) -> bool {
        self.statements.lock().remove(name).is_some()
    }

    /// DEALLOCATE.
    pub(crate) fn deallocate(&self, name: Option<&str>) -> Result<CommandTag> {
        match name {
            None => {
                self.statements.lock().clear();
                Ok(CommandTag::new("DEALLOCATE ALL"))
            }
            Some(name) if self.remove_statement(name) => Ok(CommandTag::new("DEALLOCATE")),
            Some(name) => Err(Error::UndefinedStatement { name: name.to_owned() }),
        }
    }

    /// The statements with their names, for `pg_prepared_statements`.
    pub(crate) fn prepared_statements(&self) -> Vec<(String, StatementEntry)> {
        let statements = self.statements.lock();
        let named = statements.iter().filter(|(name, _)| !name.is_empty());
        named.map(|(name, entry)| (name.clone(), entry.clone())).collect()
    }

    /// The columns that executing a statement yields as things are now: EXECUTE and FETCH have
    /// those of what they name.
    pub(crate) fn schema_of(&self, prepared: &Prepared) -> Option<SchemaRef> {
        match &prepared.command {
            Command::Execute { name, .. } => {
                let target = self.find_statement(name).ok()?.prepared?;
                target.schema().cloned()
            }
            Command::Fetch(fetch) if !fetch.only_move => {
                let of_portal = |portal: &crate::portals::Portal| match &portal.state {
                    crate::portals::PortalState::Open(scan) => Some(Arc::clone(scan.schema())),
                    _ => portal.entry.prepared.as_ref().and_then(|p| p.schema().cloned()),
                };
                self.with_portal(&fetch.name, of_portal).flatten()
            }
            _ => prepared.schema().cloned(),
        }
    }

    /// PREPARE.
    pub(crate) async fn prepare_named(
        self: &Arc<Self>,
        name: &str,
        types: &[String],
        statement: &Statement,
    ) -> Result<CommandTag> {
        self.check_statement_name(name)?;
        let declared = self.types_of(types).await?;
        let prepared = self.plan_statement(statement.inner(), declared).await?;
        let oids = prepared.parameter_types().iter().map(|t| pg_type_of_data_type(t).oid).collect();
        self.add_statement(name.to_owned(), StatementEntry::new(Some(prepared), oids, true))?;
        Ok(CommandTag::new("PREPARE"))
    }

    /// The types that PREPARE declares; `unknown` leaves one to the planner.
    async fn types_of(self: &Arc<Self>, types: &[String]) -> Result<Vec<Option<DataType>>> {
        let mut found = Vec::with_capacity(types.len());
        for name in types {
            if name.eq_ignore_ascii_case("unknown") {
                found.push(None);
                continue;
            }
            let statements = self.parse(&format!("SELECT CAST(NULL AS {name})"))?;
            let Some(statement) = statements.first() else { continue };
            let state = self.state();
            let bound = bind(statement, &state, &SessionLookup::new(self)).await?;
            let logical = plan::logical_plan(statement, bound.ast, &state, &bound.tables, &[])?;
            let optimized = plan::optimize(&logical, &state, statement)?;
            found.push(optimized.schema().fields().first().map(|f| f.data_type().clone()));
        }
        Ok(found)
    }

    /// The values of an EXECUTE, in the types that the statement wants.
    pub(crate) async fn arguments(
        self: &Arc<Self>,
        statement: &Statement,
        name: &str,
        n_arguments: usize,
        types: &[DataType],
        query_id: QueryId,
    ) -> Result<Vec<ScalarValue>> {
        if n_arguments != types.len() {
            return Err(Error::ArgumentCount {
                name: name.to_owned(),
                n_expected: types.len(),
                n_given: n_arguments,
            });
        }
        if n_arguments == 0 {
            return Ok(vec![]);
        }
        let inner = statement.inner();
        let state = self.state();
        let bound = bind(&inner, &state, &SessionLookup::new(self)).await?;
        let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
        let columns = logical.schema().columns();
        let values = columns.into_iter().zip(types).enumerate().map(|(at, (column, data_type))| {
            let value = datafusion::logical_expr::Expr::Column(column);
            cast(value, data_type.clone()).alias(format!("${}", at + 1))
        });
        let projected = LogicalPlanBuilder::from(logical)
            .project(values.collect::<Vec<_>>())
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| PlannerError::Engine(Box::new(error)))?;
        let batches = self.collect(&projected, &state, &inner, query_id).await?;
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else {
            return Err(Error::Internal { what: "EXECUTE has no values".to_owned() });
        };
        values_of(batch)
    }
}

fn values_of(batch: &RecordBatch) -> Result<Vec<ScalarValue>> {
    let values = batch.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
    let values: std::result::Result<Vec<_>, _> = values.collect();
    values.map_err(|error| PlannerError::Engine(Box::new(error)).into())
}
