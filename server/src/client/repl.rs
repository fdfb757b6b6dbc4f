//! The prompt.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::config::{Behavior, ColorMode, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Editor, Helper};
use tokio::runtime::Runtime;
use unicode_width::UnicodeWidthStr;

use super::complete::EditorHelper;
use super::error::{ClientError, Result};
use super::meta::Next;
use super::options::ClientOptions;
use super::script;
use super::session::Session;
use super::splitter::Splitter;
use super::target::Target;
use super::wire::Transaction;

const HISTORY_ENTRIES: usize = 10_000;
const HISTORY_FILE: &str = ".tarn_history";

/// Connects the session, asking for a password when the server wants one.
pub(super) async fn connect(session: &mut Session, target: Target) -> Result<()> {
    let connection = match target.connect().await {
        Err(ClientError::PasswordNeeded { target: name }) => match ask_password(&name) {
            Some(password) => target.with_password(&password).connect().await?,
            None => return Err(ClientError::PasswordNeeded { target: name }),
        },
        other => other?,
    };
    if let Some(before) = session.take_connection() {
        before.close().await;
    }
    session.set_connection(connection);
    Ok(())
}

/// Reads statements and runs them until the person leaves.
pub(super) fn run(runtime: &Runtime, session: &mut Session, options: &ClientOptions) -> Result<()> {
    let mut editor = editor(runtime, session, options)?;
    let history = options.home.as_ref().map(|home| home.join(HISTORY_FILE));
    if let Some(history) = &history {
        // There is none before the first session.
        let _ = editor.load_history(history);
    }
    script::write_out(&banner(session))?;
    let mut pending = String::new();
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.set_side(&session.side);
        }
        let raw = prompt(session);
        let styled = format!("\x1b[1m{raw}\x1b[0m");
        let line = match editor.readline_with_initial(&(raw, styled), (&pending, "")) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                pending.clear();
                continue;
            }
            Err(ReadlineError::Eof) => {
                return script::write_out("\n");
            }
            Err(error) => {
                return Err(ClientError::Usage(format!("cannot read from the terminal: {error}")));
            }
        };
        remember(&mut editor, history.as_deref(), &line);
        if let Some((columns, rows)) = editor.dimensions() {
            session.set_screen_size(usize::from(columns), usize::from(rows));
        }
        let mut splitter = Splitter::new();
        let pieces = splitter.push(&line);
        splitter.pending().clone_into(&mut pending);
        if !pending.is_empty() {
            pending.push('\n');
        }
        match runtime.block_on(script::run_pieces(session, pieces, None)) {
            Ok(Next::Quit) => return Ok(()),
            Ok(Next::Continue) => {}
            Err(ClientError::OutputClosed) => return Err(ClientError::OutputClosed),
            // Shown already.
            Err(_) => {}
        }
        runtime.block_on(reconnect(session));
    }
}

fn editor(
    runtime: &Runtime,
    session: &Session,
    options: &ClientOptions,
) -> Result<Editor<EditorHelper, DefaultHistory>> {
    let broken =
        |error: ReadlineError| ClientError::Usage(format!("cannot use the terminal: {error}"));
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES)
        .and_then(|builder| builder.history_ignore_dups(true))
        .map_err(broken)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_prompt_limit(200)
        .color_mode(if options.plain { ColorMode::Disabled } else { ColorMode::Enabled })
        .build();
    let mut editor = Editor::with_config(config).map_err(broken)?;
    editor.set_helper(Some(EditorHelper::new(runtime.handle().clone(), Arc::clone(&session.side))));
    Ok(editor)
}

fn remember(editor: &mut Editor<EditorHelper, DefaultHistory>, file: Option<&Path>, line: &str) {
    let added = editor.add_history_entry(line.trim()).unwrap_or(false);
    if let (true, Some(file)) = (added, file) {
        // A history that cannot be kept is no reason to stop.
        let _ = editor.append_history(file);
    }
}

/// Opens a new connection when the last statement cost the old one.
async fn reconnect(session: &mut Session) {
    if session.connection().is_some_and(|connection| !connection.client.is_closed()) {
        return;
    }
    let text = match session.ensure_connection().await {
        Ok(_) => {
            "connected again; settings and transactions of the old connection are gone\n".to_owned()
        }
        Err(error) => format!("{error}\nthe next statement tries again\n"),
    };
    // Without standard error there is nobody to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}

fn banner(session: &Session) -> String {
    // "15.3 (Debian …)": the packager is of no interest here.
    let version =
        session.connection().and_then(|c| c.server_version.split(' ').next()).unwrap_or("?");
    format!(
        "tarn sql {}, connected to {} (server version {version})\nEnd statements with ;  \\? for help, \\q to leave\n\n",
        env!("CARGO_PKG_VERSION"),
        session.target
    )
}

/// The database with the state of the transaction: `tarn=> `, `tarn=*> `, `tarn=!> `.
fn prompt(session: &Session) -> String {
    let state = match session.connection().map(|connection| connection.tap.transaction()) {
        Some(Transaction::None) => "",
        Some(Transaction::Open) => "*",
        Some(Transaction::Failed) => "!",
        None => "?",
    };
    format!("{}={state}> ", session.target.database())
}

/// Hides what is typed.
struct Blind;

impl Helper for Blind {}
impl Hinter for Blind {
    type Hint = String;
}
impl Validator for Blind {}
impl Completer for Blind {
    type Candidate = String;
}
impl Highlighter for Blind {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        Cow::Owned(" ".repeat(line.width()))
    }

    fn highlight_char(&self, _line: &str, _pos: usize, _kind: CmdKind) -> bool {
        true
    }
}

/// Asks at the terminal, also when standard input is a script; nothing without a terminal.
fn ask_password(target: &str) -> Option<String> {
    let config =
        Config::builder().behavior(Behavior::PreferTerm).color_mode(ColorMode::Forced).build();
    let mut editor = Editor::<Blind, DefaultHistory>::with_config(config).ok()?;
    editor.dimensions()?;
    editor.set_helper(Some(Blind));
    let hidden = editor.set_cursor_visibility(false);
    let password = editor.readline(&format!("Password for {target}: ")).ok();
    drop(hidden);
    password
}
