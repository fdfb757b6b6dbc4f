//! Words of INSERT and MERGE that the parser below does not know, written as it knows others.
//!
//! | before | after |
//! |---|---|
//! | `INSERT INTO t BY NAME q` | `INSERT INTO t AS "tarn by name" q` |
//! | `INSERT INTO t PARTITION (p = 1) q` | the same behind `AS "tarn no alias"` |
//! | `INSERT INTO t PARTITION (p = 1) (a) q` | `INSERT INTO t (a) PARTITION (p = 1) q` |
//! | `INSERT INTO t REPLACE WHERE c q` | `… PARTITION ("tarn replace where", (c)) q` |
//! | `THEN UPDATE SET *` | `THEN UPDATE SET "tarn all" = "tarn all"` |
//! | `THEN INSERT *` | `THEN INSERT VALUES ("tarn all")` |
//! | `THEN INSERT DEFAULT VALUES` | `THEN INSERT VALUES ("tarn default values")` |
//! | `THEN DO NOTHING` | the same with `"tarn nothing"` |

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// The alias that stands for BY NAME.
pub(crate) const BY_NAME: &str = "tarn by name";
/// The alias of a table without one, so that PARTITION is not taken for it.
pub(crate) const NO_ALIAS: &str = "tarn no alias";
/// What stands before the condition of REPLACE WHERE.
pub(crate) const REPLACE_WHERE: &str = "tarn replace where";
/// The value that stands for all columns of a MERGE's source.
pub(crate) const ALL_COLUMNS: &str = "tarn all";
/// The value that stands for DEFAULT VALUES.
pub(crate) const DEFAULT_VALUES: &str = "tarn default values";
/// The value that stands for DO NOTHING.
pub(crate) const NOTHING: &str = "tarn nothing";

/// Writes the words of one statement out.
pub(super) fn expand(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let words: Vec<usize> = tokens
        .iter()
        .enumerate()
        .filter(|(_, t)| !matches!(t.token, Token::Whitespace(_)))
        .map(|(at, _)| at)
        .collect();
    let first = words.first().and_then(|at| tokens.get(*at));
    let edits = match first.map(|first| &first.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => {
            let reader = Reader { tokens: &tokens, words: &words };
            match word.keyword {
                Keyword::INSERT => reader.insert(),
                Keyword::MERGE => reader.merge(),
                _ => vec![],
            }
        }
        _ => vec![],
    };
    if edits.is_empty() { tokens } else { apply(tokens, edits) }
}

/// Tokens in the place of others, by index.
struct Edit {
    from: usize,
    to: usize,
    text: Vec<Token>,
}

fn apply(tokens: Vec<TokenWithSpan>, edits: Vec<Edit>) -> Vec<TokenWithSpan> {
    let mut edited = Vec::with_capacity(tokens.len() + 8 * edits.len());
    let mut edits = edits.into_iter().peekable();
    let mut until = 0;
    for (at, token) in tokens.into_iter().enumerate() {
        while let Some(edit) = edits.next_if(|edit| edit.from == at) {
            until = edit.to;
            let span = token.span;
            edited.extend(edit.text.into_iter().map(|token| TokenWithSpan { token, span }));
        }
        if at >= until {
            edited.push(token);
        }
    }
    edited
}

fn mark(text: &str) -> Token {
    Token::Word(Word {
        value: text.to_owned(),
        quote_style: Some('"'),
        keyword: Keyword::NoKeyword,
    })
}

fn keyword(text: &str) -> Token {
    Token::make_word(text, None)
}

fn values_of(text: &str) -> Vec<Token> {
    vec![keyword("INSERT"), keyword("VALUES"), Token::LParen, mark(text), Token::RParen]
}

struct Reader<'a> {
    tokens: &'a [TokenWithSpan],
    /// The indices of tokens that are no white space.
    words: &'a [usize],
}

impl Reader<'_> {
    fn index(&self, nth: usize) -> usize {
        self.words.get(nth).copied().unwrap_or(self.tokens.len())
    }

    fn token(&self, nth: usize) -> Option<&Token> {
        self.tokens.get(self.index(nth)).map(|token| &token.token)
    }

    fn is(&self, nth: usize, text: &str) -> bool {
        matches!(self.token(nth), Some(Token::Word(word))
            if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
    }

    fn are(&self, nth: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(at, text)| self.is(nth + at, text))
    }

    /// `INSERT [INTO | OVERWRITE] [TABLE] name`, then the words looked for.
    fn insert(&self) -> Vec<Edit> {
        let mut nth = 1;
        while ["into", "overwrite", "table"].iter().any(|word| self.is(nth, word)) {
            nth += 1;
        }
        while matches!(self.token(nth + 1), Some(Token::Period)) {
            nth += 2;
        }
        nth += 1;
        let mut has_columns = false;
        if let Some(end) = self.end_of_list(nth) {
            has_columns = true;
            nth = end;
        }
        if !has_columns && self.are(nth, &["by", "name"]) {
            let text = vec![keyword("AS"), mark(BY_NAME)];
            return vec![Edit { from: self.index(nth), to: self.index(nth + 2), text }];
        }
        if self.is(nth, "partition") && self.token(nth + 1) == Some(&Token::LParen) {
            if has_columns {
                return vec![];
            }
            let mut text = vec![keyword("AS"), mark(NO_ALIAS)];
            let at = self.index(nth);
            // The columns come first below.
            let Some((list, end)) =
                self.end_of_list(nth + 1).and_then(|list| Some((list, self.end_of_list(list)?)))
            else {
                return vec![Edit { from: at, to: at, text }];
            };
            text.extend((list..end).filter_map(|nth| self.token(nth).cloned()));
            let (from, to) = (self.index(list), self.index(end));
            return vec![Edit { from: at, to: at, text }, Edit { from, to, text: vec![] }];
        }
        if !self.are(nth, &["replace", "where"]) {
            return vec![];
        }
        let condition = nth + 2;
        let Some(query) = self.query_behind(condition) else { return vec![] };
        let mut before = if has_columns { vec![] } else { vec![keyword("AS"), mark(NO_ALIAS)] };
        let partition = keyword("PARTITION");
        before.extend([partition, Token::LParen, mark(REPLACE_WHERE), Token::Comma, Token::LParen]);
        let after = vec![Token::RParen, Token::RParen];
        vec![
            Edit { from: self.index(nth), to: self.index(condition), text: before },
            Edit { from: self.index(query), to: self.index(query), text: after },
        ]
    }

    /// What stands behind `(…)`; `None` where there is none, or it is a query.
    fn end_of_list(&self, nth: usize) -> Option<usize> {
        if self.token(nth) != Some(&Token::LParen)
            || ["select", "values", "with", "table"].iter().any(|word| self.is(nth + 1, word))
        {
            return None;
        }
        let mut depth = 0_usize;
        for at in nth..self.words.len() {
            match self.token(at) {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) if depth <= 1 => return Some(at + 1),
                Some(Token::RParen) => depth -= 1,
                _ => {}
            }
        }
        None
    }

    /// Where the query begins that stands behind a condition.
    fn query_behind(&self, from: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for nth in from..self.words.len() {
            match self.token(nth) {
                Some(Token::LParen) => depth += 1,
                Some(Token::RParen) => depth = depth.saturating_sub(1),
                _ if depth > 0 || nth == from => {}
                _ if ["select", "values", "with", "table"].iter().any(|w| self.is(nth, w)) => {
                    return Some(nth);
                }
                _ => {}
            }
        }
        None
    }

    fn merge(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut not_matched = false;
        for nth in 0..self.words.len() {
            if self.are(nth, &["when", "matched"]) {
                not_matched = false;
            } else if self.are(nth, &["when", "not", "matched"]) {
                not_matched = !self.are(nth + 3, &["by", "source"]);
            }
            if !self.is(nth, "then") {
                continue;
            }
            let at = nth + 1;
            let all = Some(&Token::Mul);
            let (n_words, text) = if self.are(at, &["update", "set"]) && self.token(at + 2) == all {
                (3, set_mark(ALL_COLUMNS))
            } else if self.is(at, "insert") && self.token(at + 1) == all {
                (2, values_of(ALL_COLUMNS))
            } else if self.are(at, &["insert", "default", "values"]) {
                (3, values_of(DEFAULT_VALUES))
            } else if self.are(at, &["do", "nothing"]) {
                (2, if not_matched { values_of(NOTHING) } else { set_mark(NOTHING) })
            } else {
                continue;
            };
            edits.push(Edit { from: self.index(at), to: self.index(at + n_words), text });
        }
        edits
    }
}

fn set_mark(text: &str) -> Vec<Token> {
    vec![keyword("UPDATE"), keyword("SET"), mark(text), Token::Eq, mark(text)]
}
