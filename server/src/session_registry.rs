//! The sessions that are open now, by the number that cancel requests name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use crate::session::Session;

/// All open sessions.
#[derive(Debug, Default)]
pub struct SessionRegistry {
    last_pid: AtomicI32,
    sessions: RwLock<BTreeMap<i32, Weak<Session>>>,
}

impl SessionRegistry {
    /// The number of a new session, from 1.
    pub(crate) fn next_pid(&self) -> i32 {
        let next = |last: i32| Some(last.checked_add(1).unwrap_or(1));
        let last = self.last_pid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.unwrap_or_default().checked_add(1).unwrap_or(1)
    }

    pub(crate) fn add(&self, session: &Arc<Session>) {
        self.sessions.write().insert(session.pid(), Arc::downgrade(session));
    }

    pub(crate) fn remove(&self, pid: i32) {
        self.sessions.write().remove(&pid);
    }

    /// Finds a session.
    #[must_use]
    pub fn get(&self, pid: i32) -> Option<Arc<Session>> {
        self.sessions.read().get(&pid).and_then(Weak::upgrade)
    }

    /// Every open session in order of the numbers.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Session>> {
        // Collected first: dropping the last reference to a session takes the lock again.
        let sessions = self.sessions.read();
        let upgraded: Vec<_> = sessions.values().filter_map(Weak::upgrade).collect();
        drop(sessions);
        upgraded
    }

    /// Stops the statement that a session runs, if there is one; returns whether the key is right.
    #[must_use]
    pub fn cancel(&self, pid: i32, key: &[u8]) -> bool {
        let Some(session) = self.get(pid) else { return false };
        let known = session.has_cancel_key(key);
        if known && session.is_busy() {
            session.cancel();
        }
        known
    }

    /// Stops the statement that a session runs, if there is one; returns whether the session exists.
    pub fn cancel_by_pid(&self, pid: i32) -> bool {
        let Some(session) = self.get(pid) else { return false };
        if session.is_busy() {
            session.cancel();
        }
        true
    }

    /// Ends a session; returns whether it exists.
    pub fn terminate_by_pid(&self, pid: i32) -> bool {
        let session = self.get(pid);
        if let Some(session) = &session {
            session.terminate();
        }
        session.is_some()
    }
}
