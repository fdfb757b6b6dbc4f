//! COPY … FROM STDIN: rows of a client for a table in memory.
//!
//! The rows are gathered first and added by an INSERT of their own, so that defaults, NOT NULL,
//! types with lengths and transactions are the same as there, and a failure leaves nothing.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use tarn_exec::QueryId;
use tarn_planner::statement::{Copy, CopyOptions};

use crate::error::{Error, Result};
use crate::modify::{check_writable, insert_rows, table_of};
use crate::query::Execution;
use crate::session::Session;

/// A table that waits for the rows that a client copies.
#[derive(Debug)]
pub struct CopyIn {
    session: Arc<Session>,
    copy: Copy,
    /// The columns that are sent, in that order.
    schema: SchemaRef,
    bytes_max: usize,
}

impl CopyIn {
    /// The table's name as messages show it.
    pub(crate) fn table(&self) -> &str {
        self.copy.table.as_ref().map_or("", |table| table.table.as_str())
    }

    /// The columns that are sent, in that order.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How they look.
    pub(crate) fn options(&self) -> &CopyOptions {
        &self.copy.options
    }

    /// The memory that the rows may take while they are gathered.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Puts all rows into the table; returns how many they are.
    pub(crate) async fn finish(&self, batches: Vec<RecordBatch>) -> Result<u64> {
        let Some(table) = &self.copy.table else { return Ok(0) };
        let query_id = QueryId::next();
        insert_rows(&self.session, table, &self.schema, batches, query_id).await
    }
}

/// Finds the table and checks that it can be written.
pub(crate) async fn begin(session: &Arc<Session>, copy: &Copy) -> Result<Execution> {
    let Some(target) = &copy.table else {
        return Err(Error::Internal { what: "COPY FROM without a table".to_owned() });
    };
    let (name, table) = table_of(session, target)?;
    check_writable(session, "COPY FROM", Some(&name))?;
    let all = table.schema();
    let mut fields = Vec::new();
    for column in &copy.columns {
        let field = all.field_with_name(column).map_err(|_| Error::Value {
            code: "42703",
            message: format!("column \"{column}\" of relation \"{}\" does not exist", name.table()),
        })?;
        if copy.columns.iter().filter(|other| *other == column).count() > 1 {
            let message = format!("column \"{column}\" specified more than once");
            return Err(Error::Value { code: "42701", message });
        }
        fields.push(Arc::new(field.clone()));
    }
    let schema = match fields.is_empty() {
        true => Arc::clone(all),
        false => Arc::new(Schema::new(fields)),
    };
    let options = &copy.options;
    for (what, columns) in
        [("FORCE_NOT_NULL", &options.force_not_null), ("FORCE_NULL", &options.force_null)]
    {
        if let Some(name) = columns.names().iter().find(|n| schema.index_of(n).is_err()) {
            let message = format!("{what} column \"{name}\" not referenced by COPY");
            return Err(Error::Value { code: "42P10", message });
        }
    }
    let bytes_max = session.shared.config.memory_table_bytes_max;
    let (session, copy) = (Arc::clone(session), copy.clone());
    Ok(Execution::CopyIn(Box::new(CopyIn { session, copy, schema, bytes_max })))
}
