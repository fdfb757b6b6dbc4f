//! The longest match, as PostgreSQL has it.
//!
//! ```text
//! 'foobar' by foo|foobar      the engine: foo, the first alternative      PostgreSQL: foobar
//! ```
//! Where a match begins is the same for both. From there an automaton that takes all alternatives
//! at once says how far it can go, and the groups are those of a match that ends there.

use std::fmt;

use parking_lot::Mutex;
use regex::{Captures, Regex, RegexBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input, MatchKind};

/// A pattern and, where it makes a difference, what finds its longest matches.
#[derive(Debug)]
pub(super) struct Matcher {
    regex: Regex,
    longest: Option<Longest>,
}

struct Longest {
    automaton: DFA,
    cache: Mutex<Cache>,
    /// The pattern with the end of the text behind it.
    ending: Regex,
}

impl fmt::Debug for Longest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ending.fmt(f)
    }
}

impl Matcher {
    /// `pattern` is what `regex` was made from; `chooses` whether its first match may be another
    /// one than the longest.
    pub(super) fn new(regex: Regex, pattern: &str, chooses: bool, bytes_max: usize) -> Self {
        let longest = if chooses { Longest::new(pattern, bytes_max) } else { None };
        Self { regex, longest }
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    pub(super) fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        self.captures_at(text, 0)
    }

    /// The first match that begins at or behind a byte.
    pub(super) fn captures_at<'t>(&self, text: &'t str, at: usize) -> Option<Captures<'t>> {
        let Some(longest) = &self.longest else { return self.regex.captures_at(text, at) };
        let first = self.regex.find_at(text, at)?;
        let start = first.start();
        let end = longest.end(text, start).unwrap_or_else(|| first.end());
        let found = if end > first.end() {
            let found = text.get(..end).and_then(|text| longest.ending.captures_at(text, start));
            found.filter(|found| {
                found.get(0).is_some_and(|whole| whole.start() == start && whole.end() == end)
            })
        } else {
            None
        };
        found.or_else(|| self.regex.captures_at(text, start))
    }
}

impl Longest {
    /// `None` for patterns that no automaton can be made of; the first alternative counts then.
    fn new(pattern: &str, bytes_max: usize) -> Option<Self> {
        let config = DFA::config().match_kind(MatchKind::All).unicode_word_boundary(true);
        let automaton = DFA::builder().configure(config).build(pattern).ok()?;
        let ending = format!("(?:{pattern})\\z");
        let ending = RegexBuilder::new(&ending).size_limit(bytes_max).build().ok()?;
        let cache = Mutex::new(automaton.create_cache());
        Some(Self { automaton, cache, ending })
    }

    fn end(&self, text: &str, start: usize) -> Option<usize> {
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let mut cache = self.cache.try_lock()?;
        // It gives up where it meets what it cannot decide.
        let found = self.automaton.try_search_fwd(&mut cache, &input).ok().flatten();
        found.map(|found| found.offset())
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::Matcher;

    #[test]
    fn the_longest_alternative_is_taken() {
        let check = |pattern: &str, text: &str, expected: &str| {
            let regex = Regex::new(pattern).expect("is a pattern");
            let matcher = Matcher::new(regex, pattern, true, 1 << 20);
            let found = matcher.captures(text).and_then(|found| found.get(0)).map(|m| m.as_str());
            assert_eq!(found, Some(expected), "{pattern}");
        };
        check("foo|foobar", "a foobar", "foobar");
        check("a|ab|abc", "xabcx", "abc");
        check("a?(ab)?", "ab", "ab");
        check("(a|ab)(c|bcd)", "abcd", "abcd");
        check("ä|äö", "xäö", "äö");
    }
}
