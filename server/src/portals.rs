//! A session's portals: what Bind makes and what DECLARE makes are of one kind and share names.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Result};
use crate::prepared::StatementEntry;
use crate::query::CommandTag;
use crate::scan::Scan;
use crate::session::{Session, Status};

/// Open portals of one session; each may hold a running query.
const N_PORTALS_MAX: usize = 1_000;

/// The parameters of a session's portals that have not run yet, together.
///
/// As much as one Bind message can bring.
const PARAMETER_BYTES_MAX: usize = 256 << 20;

/// A statement with its parameters, perhaps half way through its rows.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) entry: StatementEntry,
    /// The formats that the client wants its columns in, as sent.
    pub(crate) format_codes: Vec<i16>,
    pub(crate) state: PortalState,
    /// What DECLARE has said; `None` for a portal of the protocol.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) created_at: DateTime<Utc>,
    /// The savepoints that there were: it goes when one before it is rolled back to.
    pub(crate) n_savepoints: usize,
    /// It has survived the transaction that it was made in.
    pub(crate) held: bool,
    /// The transaction that it was made in.
    pub(crate) transaction: u64,
}

/// How a cursor was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) binary: bool,
    pub(crate) scroll: bool,
    pub(crate) hold: bool,
}

/// How far a portal is.
#[derive(Debug)]
pub(crate) enum PortalState {
    /// Bound only.
    New(Vec<ScalarValue>),
    /// Rows have been sent, more may follow.
    Open(Box<Scan>),
    /// Everything was sent.
    Done(CommandTag),
    /// It failed, and cannot go on.
    Failed,
}

impl PortalState {
    /// What waiting parameters take.
    fn n_bytes(&self) -> usize {
        match self {
            Self::New(parameters) => parameters.iter().map(ScalarValue::size).sum(),
            Self::Open(_) | Self::Done(_) | Self::Failed => 0,
        }
    }
}

pub(crate) type Portals = BTreeMap<String, Portal>;

impl Session {
    /// Makes a portal; the unnamed one replaces the last unnamed one.
    pub(crate) fn add_portal(&self, name: String, portal: Portal) -> Result<()> {
        self.check_portal_name(&name)?;
        let mut portals = self.portals.lock();
        let others = portals.iter().filter(|(other, _)| **other != name);
        let n_bytes: usize = others.map(|(_, portal)| portal.state.n_bytes()).sum();
        if n_bytes.saturating_add(portal.state.n_bytes()) > PARAMETER_BYTES_MAX {
            return Err(Error::SessionBytes {
                what: "parameters of portals",
                bytes_max: PARAMETER_BYTES_MAX,
            });
        }
        let old = portals.insert(name, portal);
        drop(portals);
        // Dropped outside of the lock: it may end a query, which reports to the session.
        drop(old);
        Ok(())
    }

    pub(crate) fn check_portal_name(&self, name: &str) -> Result<()> {
        let portals = self.portals.lock();
        if !name.is_empty()
            && let Some(portal) = portals.get(name)
        {
            let name = name.to_owned();
            return Err(match portal.cursor {
                Some(_) => Error::DuplicateCursor { name },
                None => Error::DuplicatePortal { name },
            });
        }
        if portals.len() >= N_PORTALS_MAX {
            return Err(Error::SessionLimit { what: "portals", n_max: N_PORTALS_MAX });
        }
        Ok(())
    }

    /// A new portal of the transaction as it is now.
    pub(crate) fn new_portal(
        &self,
        entry: StatementEntry,
        format_codes: Vec<i16>,
        state: PortalState,
    ) -> Portal {
        let (transaction, n_savepoints) = self.transaction_place();
        Portal {
            entry,
            format_codes,
            state,
            cursor: None,
            created_at: Utc::now(),
            n_savepoints,
            held: false,
            transaction,
        }
    }

    /// Takes a portal out while it runs; an error on the way leaves it out.
    pub(crate) fn take_portal(&self, name: &str) -> Option<Portal> {
        self.portals.lock().remove(name)
    }

    /// Puts a portal back, unless its transaction has ended meanwhile.
    pub(crate) fn put_portal(&self, name: String, portal: Portal) {
        let (transaction, _) = self.transaction_place();
        let alive = portal.held
            || portal.transaction == transaction
            || (self.status() == Status::Idle && portal.cursor.is_none());
        let old = if alive { self.portals.lock().insert(name, portal) } else { Some(portal) };
        drop(old);
    }

    /// Reads something of a portal.
    pub(crate) fn with_portal<T>(&self, name: &str, read: impl FnOnce(&Portal) -> T) -> Option<T> {
        self.portals.lock().get(name).map(read)
    }

    /// Drops one portal; returns whether it was there.
    pub(crate) fn close_portal(&self, name: &str) -> bool {
        let portal = self.portals.lock().remove(name);
        portal.is_some()
    }

    /// Drops all portals.
    pub(crate) fn close_all_portals(&self) {
        self.retain_portals(|_, _| false);
    }

    /// Drops the cursors that DECLARE has made.
    pub(crate) fn close_cursors(&self) {
        self.retain_portals(|_, portal| portal.cursor.is_none());
    }

    /// Drops what does not outlive a transaction.
    pub(crate) fn end_portals(&self, committed: bool) {
        self.retain_portals(|_, portal| {
            portal.held |= committed && portal.cursor.is_some_and(|cursor| cursor.hold);
            portal.held
        });
    }

    /// Drops what was made behind so many savepoints.
    pub(crate) fn rollback_portals(&self, n_savepoints: usize) {
        self.retain_portals(|_, portal| portal.held || portal.n_savepoints <= n_savepoints);
    }

    /// Notes that savepoints are no more, so that their portals belong to the one before.
    pub(crate) fn release_portals(&self, n_savepoints: usize) {
        for portal in self.portals.lock().values_mut() {
            portal.n_savepoints = portal.n_savepoints.min(n_savepoints);
        }
    }

    fn retain_portals(&self, mut keep: impl FnMut(&str, &mut Portal) -> bool) {
        let mut portals = self.portals.lock();
        let all = std::mem::take(&mut *portals);
        let mut gone = Vec::new();
        for (name, mut portal) in all {
            if keep(&name, &mut portal) {
                portals.insert(name, portal);
            } else {
                gone.push(portal);
            }
        }
        drop(portals);
        drop(gone);
    }

    /// Name, text, time and properties of the open cursors, for `pg_cursors`.
    pub(crate) fn cursors(&self) -> Vec<(String, Arc<str>, DateTime<Utc>, Cursor)> {
        let none = Cursor { binary: false, scroll: false, hold: false };
        let portals = self.portals.lock();
        let row = |(name, portal): (&String, &Portal)| {
            let text = Arc::clone(&portal.entry.text);
            (name.clone(), text, portal.created_at, portal.cursor.unwrap_or(none))
        };
        portals.iter().map(row).collect()
    }
}
