//! The settings that say who a session is, when a role gets another name.

use super::Variables;

/// SET ROLE and SET SESSION AUTHORIZATION.
const IDENTITY: [&str; 2] = ["role", "session_authorization"];

impl Variables {
    /// How many renamed roles the values know of.
    #[must_use]
    pub fn n_renames_known(&self) -> usize {
        self.n_renames_known
    }

    /// Notes that the values are as of so many renamed roles.
    pub fn skip_renames(&mut self, n_known: usize) {
        self.n_renames_known = n_known;
    }

    /// Follows more roles, old and new names in order; returns whether the session has another name
    /// now. What is restored later brings along what it knows.
    pub fn follow_renames(&mut self, renames: &[(String, String)]) -> bool {
        let mut changed = false;
        for (old, new) in renames {
            for name in IDENTITY {
                for values in [&mut self.values, &mut self.defaults] {
                    if let Some(value) = values.get_mut(name).filter(|value| *value == old) {
                        value.clone_from(new);
                        changed = true;
                    }
                }
            }
        }
        self.n_renames_known = self.n_renames_known.saturating_add(renames.len());
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_followed_in_order() {
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        let mut variables = Variables::default();
        variables.set_fixed("session_authorization", "a");
        variables.restore("role", Some("group".to_owned()));
        variables.skip_renames(3);
        let before = variables.clone();
        // The name a is another role's when it is renamed for the second time.
        assert!(variables.follow_renames(&[pair("a", "b"), pair("a", "c"), pair("group", "g")]));
        assert_eq!(variables.get("session_authorization").as_deref(), Some("b"));
        assert_eq!(variables.get("role").as_deref(), Some("g"));
        assert_eq!((variables.n_renames_known(), before.n_renames_known()), (6, 3));
        assert!(!variables.follow_renames(&[pair("x", "y")]));
    }
}
