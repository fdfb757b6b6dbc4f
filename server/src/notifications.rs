//! LISTEN, UNLISTEN and NOTIFY between the sessions of one database on one server.
//!
//! A notification waits in each listening session until its client is told: between two
//! statements, or at once where it is idle. Nothing survives the server, and clients of other
//! servers are not told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::session::Session;

/// Notifications that may wait for one session; the oldest go first.
const N_WAITING_MAX: usize = 10_000;

/// What a session listens to and has not told its client.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    channels: BTreeSet<String>,
    waiting: VecDeque<Notification>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notification {
    /// The session that sent it.
    pub(crate) pid: i32,
    pub(crate) channel: String,
    pub(crate) payload: String,
}

impl Session {
    /// LISTEN.
    pub(crate) fn listen(&self, channel: &str) {
        self.inbox.state.lock().channels.insert(channel.to_owned());
    }

    /// UNLISTEN; `None` for all.
    pub(crate) fn unlisten(&self, channel: Option<&str>) {
        let channels = &mut self.inbox.state.lock().channels;
        match channel {
            Some(channel) => {
                channels.remove(channel);
            }
            None => channels.clear(),
        }
    }

    /// Puts notifications into the inboxes of all sessions of the same database that listen.
    pub(crate) fn deliver(&self, notifications: Vec<(String, String)>) {
        if notifications.is_empty() {
            return;
        }
        let database = self.shared.catalog.database();
        let is_near = |session: &Arc<Self>| session.shared.catalog.database() == database;
        for session in self.shared.sessions.list().into_iter().filter(is_near) {
            let mut state = session.inbox.state.lock();
            for (channel, payload) in &notifications {
                if !state.channels.contains(channel) {
                    continue;
                }
                if state.waiting.len() >= N_WAITING_MAX {
                    state.waiting.pop_front();
                }
                let (channel, payload) = (channel.clone(), payload.clone());
                state.waiting.push_back(Notification { pid: self.pid(), channel, payload });
            }
            drop(state);
            session.inbox.arrived.notify_one();
        }
    }

    /// What the client has to be told of since the last call.
    pub(crate) fn take_notifications(&self) -> VecDeque<Notification> {
        std::mem::take(&mut self.inbox.state.lock().waiting)
    }

    /// Waits until there may be something to tell.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn notified(&self) {
        self.inbox.arrived.notified().await;
    }
}
