//! Compiled patterns.

use std::cell::RefCell;
use std::sync::Arc;

use datafusion::common::Result;
use regex::RegexBuilder;

use super::longest::Matcher;
use super::translate::{Flags, invalid, translate};
use crate::functions::fault::fault;

/// A larger program is refused.
const PROGRAM_BYTES_MAX: usize = 16 << 20;

/// Patterns remembered by each thread.
const N_REMEMBERED: usize = 8;

/// A pattern ready for use.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) regex: Matcher,
    pub(super) global: bool,
    mixed: bool,
}

impl Compiled {
    /// Refuses patterns whose matches would have another length than in PostgreSQL.
    pub(super) fn exact(&self) -> Result<&Matcher> {
        if self.mixed {
            let message = "regular expressions with greedy and non-greedy quantifiers are not \
                           supported here";
            return Err(fault("0A000", message));
        }
        Ok(&self.regex)
    }
}

type Entry = (String, String, bool, Arc<Compiled>);

thread_local! {
    static LAST: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

/// The compiled form of a pattern with flags.
///
/// # Errors
/// 2201B for what is no regular expression, 22023 for unknown flags.
pub(super) fn compiled(pattern: &str, flags: &str, insensitive: bool) -> Result<Arc<Compiled>> {
    let same = |entry: &&Entry| entry.0 == pattern && entry.1 == flags && entry.2 == insensitive;
    let found = LAST.with_borrow(|last| last.iter().find(same).map(|entry| Arc::clone(&entry.3)));
    if let Some(found) = found {
        return Ok(found);
    }
    let mut parsed = Flags::parse(flags)?;
    if insensitive {
        parsed = parsed.insensitive();
    }
    let translated = translate(pattern, parsed)?;
    let regex = RegexBuilder::new(&translated.pattern)
        .size_limit(PROGRAM_BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => invalid("regular expression is too complex"),
            error => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                invalid(reason.trim_start_matches("error: "))
            }
        })?;
    let lazy = ["*?", "+?", "??", "}?"].iter().any(|lazy| translated.pattern.contains(lazy));
    // Without a choice the first match is the longest one.
    let chooses = !lazy && pattern.contains(['|', '?']);
    let regex = Matcher::new(regex, &translated.pattern, chooses, PROGRAM_BYTES_MAX);
    let compiled = Arc::new(Compiled { regex, global: parsed.global, mixed: translated.mixed });
    LAST.with_borrow_mut(|last| {
        if last.len() >= N_REMEMBERED {
            last.remove(0);
        }
        last.push((pattern.to_owned(), flags.to_owned(), insensitive, Arc::clone(&compiled)));
    });
    Ok(compiled)
}
