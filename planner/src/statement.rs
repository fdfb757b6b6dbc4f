//! A parsed statement and what kind of command it is.

use std::sync::Arc;

use sqlparser::ast::{self, Statement as Ast};

use crate::error::{PlannerError, Result};

/// A syntax tree behind a trait object.
///
/// The tree is a deeply recursive type: every `async fn` that holds a [`Statement`] would make the
/// compiler prove `Send` over all of it again, seconds each time. The proof stops at the object.
trait Tree: std::fmt::Debug + Send + Sync {
    fn get(&self) -> &Ast;
}

impl Tree for Ast {
    fn get(&self) -> &Ast {
        self
    }
}

/// One statement of a text, with what is needed to point into that text.
#[derive(Debug, Clone)]
pub struct Statement {
    ast: Arc<dyn Tree>,
    text: Arc<str>,
    source: Arc<str>,
    offset: usize,
}

impl Statement {
    pub(crate) fn new(ast: Ast, text: String, source: &Arc<str>, offset: usize) -> Self {
        Self { ast: Arc::new(ast), text: text.into(), source: Arc::clone(source), offset }
    }

    /// A statement made from another one's parts, for example the query inside EXPLAIN.
    #[must_use]
    pub fn with_ast(&self, ast: Ast) -> Self {
        Self { ast: Arc::new(ast), ..self.clone() }
    }

    /// The syntax tree.
    #[must_use]
    pub fn ast(&self) -> &Ast {
        self.ast.get()
    }

    /// The statement's own text without the semicolon.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole text that the statement was sent in; positions count in it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Characters of [`Self::source`] before the statement.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What the statement asks for.
    ///
    /// # Errors
    /// `Unsupported` for statements that tarn does not have.
    pub fn command(&self) -> Result<Command> {
        command(self.ast())
    }
}

/// What a statement asks for, before any name in it is looked up.
#[derive(Debug, Clone)]
pub enum Command {
    /// SELECT, VALUES, TABLE, WITH.
    Query,
    /// EXPLAIN.
    Explain(Explain),
    /// SET name = value.
    Set {
        /// The folded name.
        name: String,
        /// `None` stands for DEFAULT.
        value: Option<String>,
        /// Until the end of the transaction only.
        local: bool,
    },
    /// SHOW name, SHOW ALL.
    Show {
        /// The folded name; `all` for all.
        name: String,
    },
    /// RESET name; `None` is RESET ALL.
    Reset {
        /// The folded name.
        name: Option<String>,
    },
    /// BEGIN, START TRANSACTION.
    Begin {
        /// Whether READ WRITE was asked for.
        read_write: bool,
    },
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE SAVEPOINT.
    Release(String),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(String),
    /// SET TRANSACTION and SET SESSION CHARACTERISTICS.
    SetTransaction,
    /// DISCARD.
    Discard {
        /// The word after it.
        what: String,
    },
    /// DEALLOCATE; `None` is ALL.
    Deallocate(Option<String>),
    /// CLOSE ALL: there are no cursors, pools send it all the same.
    CloseAll,
    /// LISTEN, UNLISTEN, NOTIFY: accepted without effect.
    Notification(&'static str),
    /// INSERT, UPDATE, DELETE, TRUNCATE.
    Write(Write),
    /// CREATE and DROP.
    Define(Define),
}

/// The form of an EXPLAIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explain {
    /// Runs the query and shows what happened.
    pub analyze: bool,
    /// Shows all plans on the way.
    pub verbose: bool,
}

/// Statements that change rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// TRUNCATE.
    Truncate,
}

/// Statements that change the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Define {
    /// CREATE TABLE with columns or AS.
    CreateTable,
    /// CREATE VIEW.
    CreateView,
    /// CREATE INDEX: accepted, has no effect.
    CreateIndex,
    /// CREATE SCHEMA.
    CreateSchema,
    /// DROP of one of the above.
    Drop,
}

fn command(ast: &Ast) -> Result<Command> {
    if let Some(command) = transaction_command(ast) {
        return Ok(command);
    }
    Ok(match ast {
        Ast::Query(_) => Command::Query,
        Ast::Explain { statement, analyze, verbose, format, options, .. } => {
            if !matches!(statement.as_ref(), Ast::Query(_)) {
                return Err(PlannerError::unsupported("EXPLAIN of anything but a query"));
            }
            let (analyze, verbose) = explain_options(*analyze, *verbose, options.as_deref())?;
            if format.is_some() {
                return Err(PlannerError::unsupported("EXPLAIN with a format other than TEXT"));
            }
            Command::Explain(Explain { analyze, verbose })
        }
        Ast::Set(set) => set_command(set)?,
        Ast::ShowVariable { variable } => Command::Show { name: show_name(variable) },
        Ast::Reset(statement) => Command::Reset {
            name: match &statement.reset {
                ast::Reset::ALL => None,
                ast::Reset::ConfigurationParameter(name) => Some(setting_name(name)),
            },
        },
        Ast::Discard { object_type } => Command::Discard { what: object_type.to_string() },
        Ast::Deallocate { name, .. } => Command::Deallocate(
            (name.quote_style.is_some() || !name.value.eq_ignore_ascii_case("all"))
                .then(|| fold(name)),
        ),
        Ast::Close { cursor: ast::CloseCursor::All } => Command::CloseAll,
        Ast::LISTEN { .. } => Command::Notification("LISTEN"),
        Ast::UNLISTEN { .. } => Command::Notification("UNLISTEN"),
        Ast::NOTIFY { .. } => Command::Notification("NOTIFY"),
        Ast::Insert(_) => Command::Write(Write::Insert),
        Ast::Update(_) => Command::Write(Write::Update),
        Ast::Delete(_) => Command::Write(Write::Delete),
        Ast::Truncate(_) => Command::Write(Write::Truncate),
        Ast::CreateTable(_) => Command::Define(Define::CreateTable),
        Ast::CreateView(_) => Command::Define(Define::CreateView),
        Ast::CreateIndex(_) => Command::Define(Define::CreateIndex),
        Ast::CreateSchema { .. } => Command::Define(Define::CreateSchema),
        Ast::Drop { .. } => Command::Define(Define::Drop),
        other => return Err(PlannerError::unsupported(first_words(other))),
    })
}

fn transaction_command(ast: &Ast) -> Option<Command> {
    Some(match ast {
        Ast::StartTransaction { modes, .. } => Command::Begin {
            read_write: modes.iter().any(|mode| {
                let read_write = ast::TransactionAccessMode::ReadWrite;
                *mode == ast::TransactionMode::AccessMode(read_write)
            }),
        },
        Ast::Commit { .. } => Command::Commit,
        Ast::Rollback { savepoint: None, .. } => Command::Rollback,
        Ast::Rollback { savepoint: Some(name), .. } => Command::RollbackTo(fold(name)),
        Ast::Savepoint { name } => Command::Savepoint(fold(name)),
        Ast::ReleaseSavepoint { name } => Command::Release(fold(name)),
        _ => return None,
    })
}

/// Reads `EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, FORMAT TEXT)`.
fn explain_options(
    mut analyze: bool,
    mut verbose: bool,
    options: Option<&[ast::UtilityOption]>,
) -> Result<(bool, bool)> {
    for option in options.unwrap_or_default() {
        let value = option.arg.as_ref().map_or_else(String::new, |arg| arg.to_string());
        let on = !matches!(value.to_ascii_lowercase().as_str(), "off" | "false" | "0" | "'off'");
        match fold(&option.name).as_str() {
            "analyze" => analyze = on,
            "verbose" => verbose = on,
            "format" if !value.eq_ignore_ascii_case("text") => {
                return Err(PlannerError::unsupported("EXPLAIN with a format other than TEXT"));
            }
            "format" | "costs" | "settings" | "buffers" | "wal" | "timing" | "summary"
            | "generic_plan" => {}
            other => {
                return Err(PlannerError::Semantics {
                    code: "42601",
                    message: format!("unrecognized EXPLAIN option \"{other}\""),
                    position: None,
                });
            }
        }
    }
    Ok((analyze, verbose))
}

fn set_command(set: &ast::Set) -> Result<Command> {
    Ok(match set {
        ast::Set::SingleAssignment { scope, variable, values, .. } => {
            let local = matches!(scope, Some(ast::ContextModifier::Local));
            Command::Set { name: setting_name(variable), value: setting_value(values), local }
        }
        ast::Set::SetTimeZone { local, value } => {
            let value = setting_value(std::slice::from_ref(value));
            let value =
                value.map(|v| if v.eq_ignore_ascii_case("local") { "UTC".to_owned() } else { v });
            Command::Set { name: "timezone".to_owned(), value, local: *local }
        }
        ast::Set::SetNames { charset_name, .. } => Command::Set {
            name: "client_encoding".to_owned(),
            value: Some(charset_name.value.clone()),
            local: false,
        },
        ast::Set::SetNamesDefault {} => {
            Command::Set { name: "client_encoding".to_owned(), value: None, local: false }
        }
        ast::Set::SetTransaction { .. } => Command::SetTransaction,
        ast::Set::SetRole { .. } | ast::Set::SetSessionAuthorization(_) => {
            return Err(PlannerError::unsupported("changing the role of a session"));
        }
        other => return Err(PlannerError::unsupported(format!("{other}"))),
    })
}

/// `SET SESSION x`, `x.y` and `TIME ZONE` in one folded name.
fn setting_name(name: &ast::ObjectName) -> String {
    let parts: Vec<String> =
        name.0.iter().filter_map(|part| part.as_ident()).map(|i| i.value.to_lowercase()).collect();
    parts.join(".")
}

fn show_name(words: &[ast::Ident]) -> String {
    let words: Vec<String> = words.iter().map(|word| word.value.to_lowercase()).collect();
    match words.join(" ").as_str() {
        "time zone" => "timezone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        "session authorization" => "session_authorization".to_owned(),
        _ => words.join("."),
    }
}

/// The values of a SET as one text; `None` is DEFAULT.
fn setting_value(values: &[ast::Expr]) -> Option<String> {
    let texts: Vec<String> = values
        .iter()
        .map(|value| match value {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::SingleQuotedString(text)
                | ast::Value::DoubleQuotedString(text)
                | ast::Value::EscapedStringLiteral(text) => text.clone(),
                ast::Value::DollarQuotedString(text) => text.value.clone(),
                other => other.to_string(),
            },
            ast::Expr::Identifier(ident) => ident.value.clone(),
            ast::Expr::Interval(interval) => match interval.value.as_ref() {
                ast::Expr::Value(value) => value.value.to_string().trim_matches('\'').to_owned(),
                other => other.to_string(),
            },
            other => other.to_string(),
        })
        .collect();
    match texts.as_slice() {
        [one] if one.eq_ignore_ascii_case("default") => None,
        texts => Some(texts.join(", ")),
    }
}

/// Folds an identifier as PostgreSQL does.
#[must_use]
pub fn fold(ident: &ast::Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// The command words of a statement that tarn does not have.
fn first_words(ast: &Ast) -> String {
    let text = ast.to_string();
    let words: Vec<&str> = text
        .split_whitespace()
        .take(3)
        .take_while(|word| word.chars().all(|c| c.is_ascii_uppercase()))
        .collect();
    match words.as_slice() {
        [] => "this statement".to_owned(),
        words => words.join(" "),
    }
}
