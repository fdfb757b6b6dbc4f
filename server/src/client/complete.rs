//! What the line editor asks while a person types: completion, colours, and whether Enter runs the
//! input.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};
use tokio::runtime::Handle;
use tokio_postgres::SimpleQueryRow;

use super::candidates::{candidates, is_keyword, wanted};
use super::lexer::{Kind, tokens};
use super::names::Names;
use super::progress::SideConnection;
use super::splitter::Splitter;

/// Names are asked for again after this time.
const NAMES_FRESH: Duration = Duration::from_secs(30);
const COLUMNS_MAX: usize = 50_000;

/// What the line editor asks while a person types.
pub(super) struct EditorHelper {
    runtime: Handle,
    side: Arc<SideConnection>,
    names: Mutex<Option<(Instant, Arc<Names>)>>,
    files: FilenameCompleter,
}

impl std::fmt::Debug for EditorHelper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EditorHelper").finish_non_exhaustive()
    }
}

impl EditorHelper {
    pub(super) fn new(runtime: Handle, side: Arc<SideConnection>) -> Self {
        Self { runtime, side, names: Mutex::new(None), files: FilenameCompleter::new() }
    }

    /// Follows the session to another server.
    pub(super) fn set_side(&mut self, side: &Arc<SideConnection>) {
        if !Arc::ptr_eq(&self.side, side) {
            self.side = Arc::clone(side);
            *self.names.lock() = None;
        }
    }

    /// Returns the names, asked for when first needed. A server that does not answer has none.
    fn names(&self) -> Arc<Names> {
        if let Some((at, names)) = self.names.lock().as_ref()
            && at.elapsed() < NAMES_FRESH
        {
            return Arc::clone(names);
        }
        let sql = format!(
            "SELECT n.nspname, c.relname, a.attname FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relkind IN ('r','p','v','m','f') AND a.attnum > 0 AND NOT a.attisdropped \
             AND n.nspname NOT LIKE 'pg\\_toast%' \
             ORDER BY n.nspname IN ('pg_catalog', 'information_schema'), n.nspname, c.relname, a.attnum LIMIT {COLUMNS_MAX}"
        );
        let rows = self.runtime.block_on(self.side.rows(&sql));
        let value = |row: &SimpleQueryRow, index: usize| {
            row.try_get(index).ok().flatten().unwrap_or_default().to_owned()
        };
        let rows = rows.unwrap_or_default();
        let rows = rows.iter().map(|row| [0, 1, 2].map(|index| value(row, index)));
        let names = Arc::new(Names::from_rows(rows));
        *self.names.lock() = Some((Instant::now(), Arc::clone(&names)));
        names
    }
}

impl Helper for EditorHelper {}

impl Hinter for EditorHelper {
    type Hint = String;
}

impl Validator for EditorHelper {
    fn validate(&self, ctx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let mut splitter = Splitter::new();
        splitter.push(ctx.input());
        Ok(if splitter.ready() {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Completer for EditorHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _ctx: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = line.get(..pos).unwrap_or(line);
        let last_line = before.rsplit('\n').next().unwrap_or(before);
        if last_line.trim_start().starts_with("\\i ") || last_line.trim_start().starts_with("\\o ")
        {
            return self.files.complete_path(line, pos);
        }
        let wants = match wanted(line, pos) {
            Some(wants) => wants,
            None => return Ok((pos, Vec::new())),
        };
        let names = if wants.needs_names() { self.names() } else { Arc::default() };
        let candidates = candidates(&wants, &names);
        let pairs =
            candidates.into_iter().map(|text| Pair { display: text.clone(), replacement: text });
        Ok((wants.start, pairs.collect()))
    }
}

impl Highlighter for EditorHelper {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        let mut shown = String::with_capacity(line.len() * 2);
        for token in tokens(line) {
            let color = match token.kind {
                Kind::Word if is_keyword(token.text) => "\x1b[1;34m",
                Kind::Text => "\x1b[32m",
                Kind::Number => "\x1b[36m",
                Kind::Comment => "\x1b[2m",
                Kind::Backslash => "\x1b[35m",
                _ => "",
            };
            shown.push_str(color);
            shown.push_str(token.text);
            if !color.is_empty() {
                shown.push_str("\x1b[0m");
            }
        }
        Cow::Owned(shown)
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        !matches!(kind, CmdKind::MoveCursor)
    }
}
