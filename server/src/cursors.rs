//! DECLARE, FETCH, MOVE and CLOSE.
//!
//! A cursor is a portal of the session that was opened by a statement. Its query runs from DECLARE
//! on and waits while no rows are taken; the versions of the tables that it reads are those of
//! that moment, so that it can outlive its transaction without its rows being copied.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use tarn_planner::statement::{Declare, Fetch};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::portals::{Cursor, Portal, PortalState};
use crate::prepared::StatementEntry;
use crate::query::{CommandTag, Execution, Prepared, Rows};
use crate::scan::{Fetched, Keep, Scan};
use crate::session::Session;
use tarn_exec::QueryId;

/// Rows that one step of a FETCH hands out.
const N_ROWS_PER_STEP: u64 = 8_192;

impl Session {
    /// Opens a cursor over a query that has just begun to run.
    pub(crate) fn declare(
        self: &Arc<Self>,
        declare: &Declare,
        prepared: &Arc<Prepared>,
        rows: Rows,
    ) -> Result<CommandTag> {
        let keep = match declare.scroll {
            Some(true) => Keep::All(self.cursor_bytes_max()),
            Some(false) => Keep::Nothing,
            None => Keep::Little,
        };
        let entry = StatementEntry::new(Some(Arc::clone(prepared)), vec![], true);
        let state = PortalState::Open(Box::new(Scan::new(rows, keep)));
        let mut portal = self.new_portal(entry, vec![], state);
        portal.cursor = Some(Cursor {
            binary: declare.binary,
            scroll: declare.scroll.unwrap_or(true),
            hold: declare.hold,
        });
        portal.held = declare.hold && !self.in_block();
        self.add_portal(declare.name.clone(), portal)?;
        // Cancel requests from now on are not for this query but for what fetches from it.
        self.renew_token();
        Ok(CommandTag::new("DECLARE CURSOR"))
    }

    /// Whether a cursor can be declared now.
    pub(crate) fn check_declare(&self, declare: &Declare) -> Result<()> {
        if !declare.hold && !self.in_block() {
            return Err(Error::NoTransaction { what: "DECLARE CURSOR" });
        }
        self.check_portal_name(&declare.name)
    }

    fn cursor_bytes_max(&self) -> usize {
        let bytes = self.setting("tarn.cursor_bytes_max").and_then(|value| value.parse().ok());
        // The setting has a default, so that there is always one.
        bytes.unwrap_or(64 << 20)
    }

    /// Runs FETCH or MOVE.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        fetch: &Fetch,
        query_id: QueryId,
        deadline: Option<Instant>,
    ) -> Result<Execution> {
        let undefined = || Error::UndefinedCursor { name: fetch.name.clone() };
        let portal = self.take_portal(&fetch.name).ok_or_else(undefined)?;
        // From here on it goes back to the session however this ends, also by being dropped.
        let (session, name) = (Arc::clone(self), fetch.name.clone());
        let mut fetching = Fetching { session, name, portal: Some(portal), n_left: None };
        fetching.open(query_id, deadline).await?;
        let Some(portal) = &mut fetching.portal else {
            return Err(Error::Internal { what: "a FETCH without its portal".to_owned() });
        };
        let scan = match &mut portal.state {
            PortalState::Failed => return Err(Error::FailedPortal { name: fetch.name.clone() }),
            PortalState::Open(scan) => scan,
            PortalState::New(_) | PortalState::Done(_) => {
                let verb = if fetch.only_move { "MOVE" } else { "FETCH" };
                return Ok(Execution::Done(CommandTag::with_rows(verb, 0)));
            }
        };
        scan.set_deadline(deadline);
        let fetched = match scan.seek(fetch.direction).await {
            Ok(fetched) => fetched,
            Err(error) => {
                portal.state = PortalState::Failed;
                return Err(error);
            }
        };
        if fetch.only_move {
            return match passed(scan, fetched).await {
                Ok(n_rows) => Ok(Execution::Done(CommandTag::with_rows("MOVE", n_rows))),
                Err(error) => {
                    portal.state = PortalState::Failed;
                    Err(error)
                }
            };
        }
        let schema = Arc::clone(scan.schema());
        let binary = portal.cursor.is_some_and(|cursor| cursor.binary);
        let rows = match fetched {
            Fetched::Rows(batches) => Rows::of_batches(self, schema, "FETCH", batches, query_id),
            Fetched::Forward(n) => {
                fetching.n_left = n;
                Rows::of_fetch(self, schema, fetching, query_id, deadline)
            }
        };
        Ok(Execution::Rows(rows.with_binary(binary)))
    }

    /// CLOSE.
    pub(crate) fn close_cursor(&self, name: Option<&str>) -> Result<CommandTag> {
        match name {
            None => {
                self.close_cursors();
                Ok(CommandTag::new("CLOSE CURSOR ALL"))
            }
            Some(name) if self.close_portal(name) => Ok(CommandTag::new("CLOSE CURSOR")),
            Some(name) => Err(Error::UndefinedCursor { name: name.to_owned() }),
        }
    }
}

/// The rows of a FETCH on their way; the cursor goes back to the session at the end.
#[derive(Debug)]
pub(crate) struct Fetching {
    session: Arc<Session>,
    name: String,
    /// Always there, up to the end.
    portal: Option<Portal>,
    n_left: Option<u64>,
}

/// The rows that a MOVE has gone over.
async fn passed(scan: &mut Scan, fetched: Fetched) -> Result<u64> {
    match fetched {
        Fetched::Rows(batches) => {
            let n_rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            Ok(u64::try_from(n_rows).unwrap_or(u64::MAX))
        }
        Fetched::Forward(n) => {
            let n_wanted = n.unwrap_or(u64::MAX);
            let n_rows = scan.skip(n_wanted).await?;
            if n_rows < n_wanted {
                scan.pass_end();
            }
            Ok(n_rows)
        }
    }
}

impl Fetching {
    /// Starts a portal that has only been bound, as FETCH from a portal of the protocol needs it.
    async fn open(&mut self, query_id: QueryId, deadline: Option<Instant>) -> Result<()> {
        let Some(portal) = &mut self.portal else { return Ok(()) };
        let PortalState::New(parameters) = &mut portal.state else { return Ok(()) };
        let parameters = std::mem::take(parameters);
        let Some(prepared) = portal.entry.prepared.clone() else { return Ok(()) };
        // Should this come to no end, the parameters are gone.
        portal.state = PortalState::Failed;
        let ran = self.session.run_prepared(&prepared, parameters, query_id, deadline).await?;
        portal.state = match ran {
            Execution::Rows(rows) => PortalState::Open(Box::new(Scan::new(rows, Keep::Nothing))),
            Execution::Done(tag) => PortalState::Done(tag),
            Execution::CopyOut(..) | Execution::CopyIn(_) => {
                return Err(Error::Protocol { message: "COPY cannot be fetched from".to_owned() });
            }
        };
        Ok(())
    }

    /// The next rows; `None` where the FETCH has all of its own.
    pub(crate) async fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.n_left == Some(0) {
            return None;
        }
        let Some(Portal { state: PortalState::Open(scan), .. }) = &mut self.portal else {
            return None;
        };
        match scan.fill().await {
            Ok(true) => {}
            Ok(false) => {
                self.n_left = Some(0);
                return None;
            }
            Err(error) => {
                if let Some(portal) = &mut self.portal {
                    portal.state = PortalState::Failed;
                }
                return Some(Err(error));
            }
        }
        let n_max = self.n_left.unwrap_or(N_ROWS_PER_STEP).min(N_ROWS_PER_STEP);
        let batch = scan.take(n_max)?;
        let n_rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        self.n_left = self.n_left.map(|n| n.saturating_sub(n_rows));
        Some(Ok(batch))
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let Some(mut portal) = self.portal.take() else { return };
        if let PortalState::Open(scan) = &mut portal.state {
            scan.set_deadline(None);
        }
        self.session.put_portal(std::mem::take(&mut self.name), portal);
    }
}
