//! Server-side state behind the opaque handles that clients hold: tickets, prepared statements,
//! transactions, tokens.
//!
//! A handle is 32 random bytes, so that it cannot be guessed, and only the user who got it may use
//! it. What is not used for a while is forgotten, and the number of handles is bounded twice: for
//! all clients, and for one session, so that one client cannot use up what there is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};

#[cfg(test)]
mod tests;

/// Which session something belongs to; unique while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct OwnerId(pub(super) u64);

/// How many handles there may be and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandleLimits {
    /// All handles of the store.
    pub(super) handles_max: usize,
    /// The handles of one session.
    pub(super) handles_per_session_max: usize,
    /// A handle that was not used for so long is forgotten.
    pub(super) idle_max: Duration,
}

/// Why there is no new handle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HandleError {
    /// The session has as many as one may have.
    SessionFull {
        /// How many that is.
        limit: usize,
    },
    /// All sessions together have as many as there may be.
    Full {
        /// How many that is.
        limit: usize,
    },
    /// The system gave no random bytes.
    NoRandomness,
}

/// Values by handle.
pub(super) struct HandleStore<T> {
    limits: HandleLimits,
    entries: Mutex<HashMap<[u8; HANDLE_BYTES], Entry<T>>>,
}

/// 256 bits.
const HANDLE_BYTES: usize = 32;

struct Entry<T> {
    value: Arc<T>,
    owner: OwnerId,
    user: Arc<str>,
    used_at: Instant,
}

impl<T> Entry<T> {
    /// What someone still holds, such as a stream that sends rows for an hour, is not idle.
    fn expired(&self, now: Instant, idle_max: Duration) -> bool {
        now.saturating_duration_since(self.used_at) > idle_max
            && Arc::strong_count(&self.value) == 1
    }
}

impl<T> fmt::Debug for HandleStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandleStore").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<T> HandleStore<T> {
    /// Makes an empty store.
    pub(super) fn new(limits: HandleLimits) -> Self {
        Self { limits, entries: Mutex::default() }
    }

    /// Keeps a value and returns its handle.
    pub(super) fn insert(
        &self,
        owner: OwnerId,
        user: &Arc<str>,
        value: Arc<T>,
    ) -> Result<Bytes, HandleError> {
        let handle = random_handle()?;
        let mut entries = self.entries.lock();
        let n_owned = entries.values().filter(|entry| entry.owner == owner).count();
        if n_owned >= self.limits.handles_per_session_max {
            return Err(HandleError::SessionFull { limit: self.limits.handles_per_session_max });
        }
        if entries.len() >= self.limits.handles_max {
            return Err(HandleError::Full { limit: self.limits.handles_max });
        }
        let entry = Entry { value, owner, user: Arc::clone(user), used_at: Instant::now() };
        entries.insert(handle, entry);
        Ok(Bytes::copy_from_slice(&handle))
    }

    /// Returns the value of a user's handle, which starts its idle time anew.
    pub(super) fn get(&self, user: &str, handle: &[u8]) -> Option<Arc<T>> {
        self.get_at(Some(user), handle, Instant::now())
    }

    /// Returns the value of a handle that proves by itself who its user is.
    pub(super) fn get_bearer(&self, handle: &[u8]) -> Option<Arc<T>> {
        self.get_at(None, handle, Instant::now())
    }

    fn get_at(&self, user: Option<&str>, handle: &[u8], now: Instant) -> Option<Arc<T>> {
        let handle = <[u8; HANDLE_BYTES]>::try_from(handle).ok()?;
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(&handle)?;
        if user.is_some_and(|user| *entry.user != *user) {
            return None;
        }
        if entry.expired(now, self.limits.idle_max) {
            entries.remove(&handle);
            return None;
        }
        entry.used_at = now;
        Some(Arc::clone(&entry.value))
    }

    /// Puts another value behind a handle; whether it is known.
    pub(super) fn replace(&self, handle: &[u8], value: &Arc<T>) -> bool {
        let Ok(handle) = <[u8; HANDLE_BYTES]>::try_from(handle) else { return false };
        let old = match self.entries.lock().get_mut(&handle) {
            Some(entry) => std::mem::replace(&mut entry.value, Arc::clone(value)),
            None => return false,
        };
        // Not under the lock: a dropped session takes other locks.
        drop(old);
        true
    }

    /// Returns what a session owns.
    pub(super) fn of_owner(&self, owner: OwnerId) -> Vec<Arc<T>> {
        let entries = self.entries.lock();
        let owned = entries.values().filter(|entry| entry.owner == owner);
        owned.map(|entry| Arc::clone(&entry.value)).collect()
    }

    /// Forgets a user's handle and returns its value.
    pub(super) fn remove(&self, user: &str, handle: &[u8]) -> Option<Arc<T>> {
        let handle = <[u8; HANDLE_BYTES]>::try_from(handle).ok()?;
        let mut entries = self.entries.lock();
        if *entries.get(&handle)?.user != *user {
            return None;
        }
        entries.remove(&handle).map(|entry| entry.value)
    }

    /// Forgets all handles of a session and returns their values.
    pub(super) fn remove_owner(&self, owner: OwnerId) -> Vec<Arc<T>> {
        self.remove_where(|entry| entry.owner == owner)
    }

    /// Forgets what was not used for too long and returns it.
    pub(super) fn sweep(&self) -> Vec<Arc<T>> {
        self.sweep_at(Instant::now())
    }

    fn sweep_at(&self, now: Instant) -> Vec<Arc<T>> {
        let idle_max = self.limits.idle_max;
        self.remove_where(|entry| entry.expired(now, idle_max))
    }

    /// The values leave the lock before they are dropped: a dropped session takes other locks.
    fn remove_where(&self, goes: impl Fn(&Entry<T>) -> bool) -> Vec<Arc<T>> {
        let removed: Vec<_> = self.entries.lock().extract_if(|_, entry| goes(entry)).collect();
        removed.into_iter().map(|(_, entry)| entry.value).collect()
    }
}

fn random_handle() -> Result<[u8; HANDLE_BYTES], HandleError> {
    let mut handle = [0; HANDLE_BYTES];
    SystemRandom::new().fill(&mut handle).map_err(|_| HandleError::NoRandomness)?;
    Ok(handle)
}
