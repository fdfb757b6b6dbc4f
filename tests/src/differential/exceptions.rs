//! The differences that are known, in `tests/differential/exceptions.txt`.
//!
//! A line is `file/hash reason`; lines that start with `#` show the statement.
//! `intended` as the first word of a reason means that tarn is not going to change.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Reasons by statement.
#[derive(Debug, Clone, Default)]
pub struct Exceptions(BTreeMap<String, String>);

impl Exceptions {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut reasons = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((id, reason)) = line.split_once(' ') else {
                bail!("`{line}` has no reason");
            };
            ensure!(!reason.trim().is_empty(), "`{id}` has no reason");
            let twice = reasons.insert(id.to_owned(), reason.trim().to_owned());
            ensure!(twice.is_none(), "`{id}` is listed twice");
        }
        Ok(Self(reasons))
    }

    /// Returns why a statement may differ.
    pub fn reason(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// Returns all statements that may differ.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exception_has_a_reason() {
        let exceptions = Exceptions::parse("# SELECT 1\na/1 because\n").unwrap();
        assert_eq!(exceptions.reason("a/1"), Some("because"));
        Exceptions::parse("a/1\n").unwrap_err();
        Exceptions::parse("a/1 x\na/1 y\n").unwrap_err();
    }
}
