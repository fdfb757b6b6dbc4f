//! Relations that a transaction gives other names.

use tarn_catalog::{TableName, Travel};

use super::OnCommit;
use crate::session::Session;

impl Session {
    /// Gives a relation another name; what the transaction has done to it goes along, its files stay
    /// where they are.
    pub(crate) fn rename(&self, old: &TableName, new: &TableName, on_commit: OnCommit) {
        let Some(object) = self.object(old) else { return };
        let staged = {
            let mut inner = self.inner.lock();
            for name in [old, new] {
                inner.pins.remove(&(name.clone(), Travel::Latest));
            }
            inner.changes.relations.get_mut(old).and_then(|changed| changed.staged.take())
        };
        self.put(old, None, on_commit);
        self.put(new, Some(object), on_commit);
        if let (Some(staged), Some(changed)) =
            (staged, self.inner.lock().changes.relations.get_mut(new))
        {
            changed.staged = Some(staged);
        }
        self.touch();
    }
}
