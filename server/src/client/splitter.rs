//! Cuts what a person or a script writes into statements and meta commands.

use super::lexer::{Kind, next_token};

/// A statement or meta command, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) what: What,
    /// Line in the input where it starts, from 1.
    pub(super) line: usize,
}

/// What a [`Piece`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// One SQL statement without its `;`. `expanded` when it was ended by `\gx`.
    Statement { sql: String, expanded: bool },
    /// A backslash and the rest of the line.
    Meta(String),
}

/// Collects text and gives back the pieces that are complete.
///
/// Text is pushed in whole lines, because a token is never looked for across two pushes when it
/// cannot contain a line feed.
#[derive(Debug)]
pub(super) struct Splitter {
    buffer: String,
    /// Bytes of `buffer` already read.
    scanned: usize,
    /// The buffer holds more than spaces and comments.
    has_statement: bool,
    ends_with_meta: bool,
    /// Line of the start of `buffer`.
    line: usize,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            buffer: String::new(),
            scanned: 0,
            has_statement: false,
            ends_with_meta: false,
            line: 1,
        }
    }

    /// Takes more text and returns what became complete.
    pub(super) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.buffer.push_str(text);
        let mut pieces = Vec::new();
        while let Some(token) = self.buffer.get(self.scanned..).and_then(next_token) {
            if !token.closed {
                self.has_statement |= token.kind != Kind::Comment;
                self.ends_with_meta = false;
                break;
            }
            let n_bytes = token.text.len();
            match token.kind {
                Kind::End => pieces.extend(self.take_statement(n_bytes, false)),
                Kind::Backslash => {
                    let meta = token.text.trim_end().to_owned();
                    pieces.extend(self.take_meta(meta, n_bytes));
                }
                kind => {
                    self.scanned += n_bytes;
                    if !matches!(kind, Kind::Space | Kind::Comment) {
                        self.has_statement = true;
                        self.ends_with_meta = false;
                    }
                }
            }
        }
        pieces
    }

    /// Returns the last statement of a script, which needs no `;`.
    pub(super) fn finish(&mut self) -> Option<Piece> {
        self.scanned = self.buffer.len();
        self.take_statement(0, false)
    }

    /// Returns the text of the statement begun and not ended.
    pub(super) fn pending(&self) -> &str {
        if self.has_statement { self.buffer.trim() } else { "" }
    }

    /// True when Enter should run the input instead of starting a new line.
    pub(super) fn ready(&self) -> bool {
        let unclosed = self.scanned < self.buffer.len();
        (!self.has_statement && !unclosed) || self.ends_with_meta
    }

    /// Takes the buffer up to the current token, which has `n_bytes` and is dropped.
    fn take_statement(&mut self, n_bytes: usize, expanded: bool) -> Option<Piece> {
        let text: String = self.buffer.drain(..self.scanned).collect();
        let token: String = self.buffer.drain(..n_bytes.min(self.buffer.len())).collect();
        let body = text.trim_start();
        let line = self.line + newlines(text.get(..text.len() - body.len()).unwrap_or(""));
        let piece = self.has_statement.then(|| Piece {
            what: What::Statement { sql: body.trim_end().to_owned(), expanded },
            line,
        });
        self.line += newlines(&text) + newlines(&token);
        self.scanned = 0;
        self.has_statement = false;
        piece
    }

    /// Takes a meta command out; `\g` and `\gx` end the statement before them, others leave it.
    fn take_meta(&mut self, meta: String, n_bytes: usize) -> Option<Piece> {
        self.ends_with_meta = true;
        let command = meta.split_whitespace().next().unwrap_or("");
        if self.has_statement && (command == "\\g" || command == "\\gx") {
            return self.take_statement(n_bytes, command == "\\gx");
        }
        let line = self.line + newlines(self.buffer.get(..self.scanned).unwrap_or(""));
        let end = (self.scanned + n_bytes).min(self.buffer.len());
        self.buffer.drain(self.scanned..end);
        if command == "\\r" {
            self.buffer.drain(..self.scanned);
            self.scanned = 0;
            self.has_statement = false;
        }
        Some(Piece { what: What::Meta(meta), line })
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str], pending: &str) {
        let mut splitter = Splitter::new();
        let found: Vec<String> = splitter
            .push(text)
            .into_iter()
            .map(|piece| match piece.what {
                What::Statement { sql, expanded: false } => format!("{}:{sql}", piece.line),
                What::Statement { sql, expanded: true } => {
                    format!("{}:{sql} [expanded]", piece.line)
                }
                What::Meta(meta) => format!("{}:{meta}", piece.line),
            })
            .collect();
        assert_eq!(found, expect, "{text}");
        assert_eq!(splitter.pending(), pending, "{text}");
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes() {
        check("select 1; select 'a;b'; ", &["1:select 1", "1:select 'a;b'"], "");
        check(
            "select $$;$$ /* ; */ -- ;\n;\n\nselect 2",
            &["1:select $$;$$ /* ; */ -- ;"],
            "select 2",
        );
        check(";; -- nothing\n;", &[], "");
        check("\n\n select 1;\nselect\n2;", &["3:select 1", "4:select\n2"], "");
        check("-- note\nselect 1;", &["1:-- note\nselect 1"], "");
    }

    #[test]
    fn meta_commands_take_their_line() {
        check("\\dt public.*\nselect 1;", &["1:\\dt public.*", "2:select 1"], "");
        check("select 1\n\\x on\n", &["2:\\x on"], "select 1");
        check("select 1 \\gx\n", &["1:select 1 [expanded]"], "");
        check("select 1 \\g\nselect 2", &["1:select 1"], "select 2");
        check("select '\\d';", &["1:select '\\d'"], "");
        check("select 1\n\\r\n", &["2:\\r"], "");
    }

    #[test]
    fn pieces_over_several_pushes() {
        let mut splitter = Splitter::new();
        assert!(splitter.push("select 'a\n").is_empty());
        assert!(!splitter.ready());
        assert_eq!(splitter.push("b;'\n").len(), 0);
        let pieces = splitter.push(";\nselect 2\n");
        assert_eq!(pieces.len(), 1);
        assert_eq!(splitter.finish().map(|piece| piece.line), Some(4));
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn ready_when_nothing_is_open() {
        for (text, expect) in [
            ("", true),
            ("-- a", true),
            ("select 1", false),
            ("select 1;", true),
            ("select 1; select", false),
            ("/* a", false),
            ("\\d", true),
            ("select 1\n\\x", true),
            ("\\x\nselect 1", false),
            ("select ';", false),
        ] {
            let mut splitter = Splitter::new();
            splitter.push(text);
            assert_eq!(splitter.ready(), expect, "{text}");
        }
    }
}
