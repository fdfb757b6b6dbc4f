//! COPY … TO STDOUT: a query's rows and how the client wants them.

use std::sync::Arc;

use tarn_catalog::registry::Relation as Known;
use tarn_planner::statement::{Copy, CopyOptions};

use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::query::Rows;
use crate::session::Session;

/// Rows for a client that copies them; only the Postgres wire can carry them.
#[derive(Debug)]
pub struct CopyOut {
    pub(crate) rows: Rows,
    pub(crate) options: Arc<CopyOptions>,
}

/// Refuses what PostgreSQL refuses, too.
pub(crate) fn check(session: &Arc<Session>, copy: &Copy) -> Result<()> {
    let Some(table) = &copy.table else { return Ok(()) };
    let found = SessionLookup::new(session).resolve(table.schema.as_deref(), &table.table);
    if let Some((name, Known::View { .. })) = found {
        return Err(Error::CopyFromView { name: name.table().to_owned() });
    }
    Ok(())
}

/// Gives a query's rows to a client that copies them.
pub(crate) fn begin(rows: Rows, copy: &Copy) -> Result<CopyOut> {
    let forced = copy.options.force_quote.names();
    for name in forced {
        if rows.schema().fields().iter().all(|field| field.name() != name) {
            let message = format!("column \"{name}\" does not exist");
            return Err(Error::Value { code: "42703", message });
        }
    }
    Ok(CopyOut { rows, options: Arc::new(copy.options.clone()) })
}
