//! A parsed statement and what kind of command it is.

use std::sync::Arc;

use sqlparser::ast::{self, Statement as Ast};

use crate::error::{PlannerError, Result};
use crate::functions::pg_catalog::quote_identifier;
use crate::write::Target;

pub use crate::utility::access::{
    Access, DefaultPrivileges, Membership, On, Owned, Password, Privileges, RoleName, RoleOptions,
    SettingScope,
};
pub use crate::utility::copy::{Copy, CopyFile, FileKind};
pub use crate::utility::copy_options::{Columns, CopyErrors, CopyFormat, CopyOptions, Header};
pub use crate::utility::cursor::{Declare, Direction, Fetch};
pub use crate::utility::lake::{LikeParts, NewStorage, StorageChange, TableClauses, like_mark};
pub use crate::utility::transaction::TransactionModes;
pub use crate::utility::upkeep::Upkeep;

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
    /// What a utility statement asks for; `ast` is then the query inside it.
    utility: Option<Arc<Command>>,
    /// The queries that stand before a statement that writes, as `WITH … SELECT`.
    with: Option<Arc<dyn Tree>>,
}

impl Statement {
    pub(crate) fn new(ast: Ast, text: String, source: &Arc<str>, offset: usize) -> Self {
        let source = Arc::clone(source);
        let (ast, with) = without_with(ast);
        Self { ast: Arc::new(ast), text: text.into(), source, offset, utility: None, with }
    }

    /// The same statement with the command that stands around its tree.
    pub(crate) fn with_utility(self, command: Command) -> Self {
        let redacted = match &command {
            Command::Define(define) => define.redacted(),
            _ => None,
        };
        let text = redacted.map_or_else(|| Arc::clone(&self.text), Arc::from);
        Self { text, utility: Some(Arc::new(command)), ..self }
    }

    /// A statement made from another one's parts, for example the query inside EXPLAIN.
    #[must_use]
    pub fn with_ast(&self, ast: Ast) -> Self {
        let (ast, with) = without_with(ast);
        Self { ast: Arc::new(ast), with, utility: None, ..self.clone() }
    }

    /// The query inside a DECLARE, COPY or PREPARE as a statement of its own.
    #[must_use]
    pub fn inner(&self) -> Self {
        Self { utility: None, ..self.clone() }
    }

    /// The syntax tree; that of the query inside for DECLARE, COPY, PREPARE and EXECUTE.
    #[must_use]
    pub fn ast(&self) -> &Ast {
        self.ast.get()
    }

    /// The queries that `WITH` names before an INSERT, UPDATE, DELETE or MERGE.
    #[must_use]
    pub fn with(&self) -> Option<&ast::With> {
        match self.with.as_deref().map(Tree::get) {
            Some(Ast::Query(query)) => query.with.as_ref(),
            _ => None,
        }
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
        match &self.utility {
            Some(command) => Ok(Command::clone(command)),
            None => command(self.ast()),
        }
    }
}

/// Takes a statement that writes out of the query that `WITH` makes of it.
fn without_with(ast: Ast) -> (Ast, Option<Arc<dyn Tree>>) {
    let Ast::Query(mut query) = ast else { return (ast, None) };
    if !writes(&query) || query.with.is_none() {
        return (Ast::Query(query), None);
    }
    let inner = std::mem::replace(query.body.as_mut(), ast::SetExpr::Values(no_rows()));
    match inner {
        ast::SetExpr::Insert(inner)
        | ast::SetExpr::Update(inner)
        | ast::SetExpr::Delete(inner)
        | ast::SetExpr::Merge(inner) => (inner, Some(Arc::new(Ast::Query(query)))),
        other => {
            *query.body = other;
            (Ast::Query(query), None)
        }
    }
}

/// Whether a query is a statement that writes, with a WITH before it.
fn writes(query: &ast::Query) -> bool {
    use ast::SetExpr::{Delete, Insert, Merge, Update};
    matches!(query.body.as_ref(), Insert(_) | Update(_) | Delete(_) | Merge(_))
}

fn no_rows() -> ast::Values {
    ast::Values { explicit_row: false, value_keyword: false, rows: vec![] }
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
        /// What is said of the transaction.
        modes: TransactionModes,
        /// The words, which the command tag repeats.
        verb: &'static str,
    },
    /// COMMIT, END.
    Commit {
        /// AND CHAIN: the next transaction begins at once.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE SAVEPOINT.
    Release(String),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(String),
    /// SET TRANSACTION and SET SESSION CHARACTERISTICS.
    SetTransaction {
        /// What is set.
        modes: TransactionModes,
        /// For the transactions to come instead of this one.
        session: bool,
    },
    /// DISCARD.
    Discard {
        /// The word after it: ALL, PLANS, SEQUENCES or TEMP.
        what: &'static str,
    },
    /// PREPARE; the statement's tree is what is prepared.
    Prepare {
        /// The folded name.
        name: String,
        /// The declared types as SQL.
        types: Vec<String>,
    },
    /// EXECUTE; the statement's tree is a SELECT of the values.
    Execute {
        /// The folded name.
        name: String,
        /// How many values there are.
        n_arguments: usize,
    },
    /// DEALLOCATE; `None` is ALL.
    Deallocate(Option<String>),
    /// DECLARE; the statement's tree is the query.
    Declare(Declare),
    /// FETCH and MOVE.
    Fetch(Fetch),
    /// CLOSE; `None` is ALL.
    Close(Option<String>),
    /// COPY; the statement's tree is the query where rows are sent.
    Copy(Box<Copy>),
    /// LISTEN.
    Listen(String),
    /// UNLISTEN; `None` is all channels.
    Unlisten(Option<String>),
    /// NOTIFY.
    Notify {
        /// The folded name.
        channel: String,
        /// The text that goes with it.
        payload: String,
    },
    /// LOCK TABLE.
    Lock {
        /// The tables.
        tables: Vec<Target>,
    },
    /// CHECKPOINT: accepted without effect.
    Maintain(Maintain),
    /// OPTIMIZE, VACUUM, RESTORE, ANALYZE.
    Upkeep(Box<Upkeep>),
    /// COMMENT ON.
    Comment {
        /// `table`, `column`, `view`, `schema`, `database`, `role`.
        kind: String,
        /// The folded parts of the name.
        parts: Vec<String>,
        /// `None` removes the comment.
        text: Option<String>,
    },
    /// INSERT, UPDATE, DELETE, MERGE, TRUNCATE.
    Write(Write),
    /// CREATE and DROP.
    Define(Define),
}

/// A statement that maintains tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintain {
    /// CHECKPOINT.
    pub verb: &'static str,
    /// The tables named, perhaps none.
    pub tables: Vec<Target>,
}

/// The form of an EXPLAIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the statement")]
pub struct Explain {
    /// Runs the statement and shows what happened.
    pub analyze: bool,
    /// Whether the statement is one that writes.
    pub writes: bool,
    /// Shows all plans on the way.
    pub verbose: bool,
    /// Shows estimates of rows and bytes.
    pub costs: bool,
    /// JSON instead of text.
    pub json: bool,
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
    /// MERGE INTO.
    Merge,
}

/// Statements that change the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Define {
    /// CREATE TABLE with columns or AS.
    CreateTable(Box<TableClauses>),
    /// CREATE VIEW.
    CreateView,
    /// CREATE INDEX: accepted, has no effect.
    CreateIndex,
    /// CREATE SCHEMA.
    CreateSchema,
    /// SELECT … INTO.
    SelectInto,
    /// ALTER TABLE.
    AlterTable,
    /// DROP of one of the above.
    Drop,
    /// ALTER TABLE … SET TBLPROPERTIES, RESET TBLPROPERTIES.
    SetProperties {
        /// The table.
        table: Target,
        /// IF EXISTS.
        if_exists: bool,
        /// Names and values; `None` takes a property away.
        properties: Vec<(String, Option<String>)>,
    },
    /// ALTER TABLE … ALTER COLUMN … DROP EXPRESSION.
    DropExpression {
        /// The table.
        table: Target,
        /// ALTER TABLE IF EXISTS.
        if_exists: bool,
        /// The folded name.
        column: String,
        /// DROP EXPRESSION IF EXISTS: a plain column is no error.
        lenient: bool,
    },
    /// ALTER TABLE … SET SCHEMA.
    SetSchema {
        /// The table.
        table: Target,
        /// IF EXISTS.
        if_exists: bool,
        /// The schema that it goes to.
        schema: String,
    },
    /// ALTER SCHEMA … RENAME TO.
    RenameSchema {
        /// The folded name.
        old: String,
        /// The new one.
        new: String,
    },
    /// CREATE DATABASE.
    CreateDatabase {
        /// The folded name.
        name: String,
        /// IF NOT EXISTS.
        if_not_exists: bool,
    },
    /// DROP DATABASE.
    DropDatabase {
        /// The folded name.
        name: String,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// ALTER DATABASE … RENAME TO.
    RenameDatabase {
        /// The folded name.
        old: String,
        /// The new one.
        new: String,
    },
    /// CREATE STORAGE.
    CreateStorage(Box<NewStorage>),
    /// ALTER STORAGE.
    AlterStorage(Box<StorageChange>),
    /// DROP STORAGE.
    DropStorage {
        /// The folded names.
        names: Vec<String>,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// Roles, rights, owners, and settings for sessions to come.
    Access(Box<Access>),
}

impl Define {
    /// The text to show in place of a statement that holds secrets.
    #[must_use]
    pub fn redacted(&self) -> Option<String> {
        match self {
            Self::CreateStorage(new) => Some(format!(
                "CREATE STORAGE {} TYPE {} SCOPE '{}' OPTIONS (…)",
                new.name, new.kind, new.scope
            )),
            Self::AlterStorage(change) => Some(format!("ALTER STORAGE {} …", change.name)),
            Self::Access(access) => access.redacted(),
            _ => None,
        }
    }
}

/// What a tree without words around it asks for.
pub(crate) fn command(ast: &Ast) -> Result<Command> {
    Ok(match ast {
        Ast::Query(query) if into_of(query).is_some() => Command::Define(Define::SelectInto),
        Ast::Query(_) => Command::Query,
        Ast::Explain { statement, analyze, verbose, format, options, .. } => {
            let has_plan = matches!(
                statement.as_ref(),
                Ast::Query(_) | Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) | Ast::Merge(_)
            );
            if !has_plan {
                let what = "EXPLAIN of anything but SELECT, INSERT, UPDATE, DELETE and MERGE";
                return Err(PlannerError::unsupported(what));
            }
            let (analyze, verbose) = (*analyze, *verbose);
            let writes = match statement.as_ref() {
                Ast::Query(query) => writes(query),
                _ => true,
            };
            let form = Explain { analyze, writes, verbose, costs: true, json: false };
            if format.is_some() {
                return Err(PlannerError::unsupported(
                    "EXPLAIN with a format other than TEXT or JSON",
                ));
            }
            Command::Explain(explain_options(form, options.as_deref().unwrap_or_default())?)
        }
        Ast::Set(set) => set_command(set)?,
        Ast::ShowVariable { variable } if variable.is_empty() => {
            let message = "syntax error at end of input".to_owned();
            return Err(PlannerError::Syntax { message, position: None });
        }
        Ast::ShowVariable { variable } => Command::Show { name: show_name(variable) },
        Ast::Reset(statement) => Command::Reset {
            name: match &statement.reset {
                ast::Reset::ALL => None,
                ast::Reset::ConfigurationParameter(name) => Some(setting_name(name)),
            },
        },
        Ast::Insert(_) => Command::Write(Write::Insert),
        Ast::Update(_) => Command::Write(Write::Update),
        Ast::Delete(_) => Command::Write(Write::Delete),
        Ast::Truncate(_) => Command::Write(Write::Truncate),
        Ast::CreateTable(_) => Command::Define(Define::CreateTable(Box::default())),
        Ast::Merge(_) => Command::Write(Write::Merge),
        Ast::CreateView(_) => Command::Define(Define::CreateView),
        Ast::CreateIndex(_) => Command::Define(Define::CreateIndex),
        Ast::CreateSchema { .. } => Command::Define(Define::CreateSchema),
        Ast::AlterTable(_) => Command::Define(Define::AlterTable),
        Ast::Drop { .. } => Command::Define(Define::Drop),
        other => return Err(PlannerError::unsupported(first_words(other))),
    })
}

/// A name as SQL has it, with quotes where it needs them.
#[must_use]
pub fn quoted(name: &str) -> String {
    quote_identifier(name)
}

/// The INTO clause of a SELECT.
#[must_use]
pub fn into_of(query: &ast::Query) -> Option<&ast::SelectInto> {
    match query.body.as_ref() {
        ast::SetExpr::Select(select) => select.into.as_ref(),
        _ => None,
    }
}

/// Reads `EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, FORMAT JSON)`.
fn explain_options(mut form: Explain, options: &[ast::UtilityOption]) -> Result<Explain> {
    let semantics = |code, message| PlannerError::Semantics { code, message, position: None };
    for option in options {
        let value = option.arg.as_ref().map_or_else(String::new, |arg| arg.to_string());
        let value = value.trim_matches(['\'', '"']).to_ascii_lowercase();
        let name = fold(&option.name);
        if name == "format" {
            form.json = match value.as_str() {
                "text" => false,
                "json" => true,
                "xml" | "yaml" => {
                    return Err(PlannerError::unsupported(
                        "EXPLAIN with a format other than TEXT or JSON",
                    ));
                }
                other => {
                    let message =
                        format!("unrecognized value for EXPLAIN option \"format\": \"{other}\"");
                    return Err(semantics("22023", message));
                }
            };
            continue;
        }
        let on = match value.as_str() {
            "" | "on" | "true" | "1" => true,
            "off" | "false" | "0" => false,
            _ => return Err(semantics("42601", format!("{name} requires a Boolean value"))),
        };
        match name.as_str() {
            "analyze" => form.analyze = on,
            "verbose" => form.verbose = on,
            "costs" => form.costs = on,
            "settings" | "buffers" | "wal" | "timing" | "summary" | "generic_plan" => {}
            other => {
                return Err(semantics("42601", format!("unrecognized EXPLAIN option \"{other}\"")));
            }
        }
    }
    Ok(form)
}

fn set_command(set: &ast::Set) -> Result<Command> {
    Ok(match set {
        ast::Set::SingleAssignment { scope, variable, values, .. } => {
            let local = matches!(scope, Some(ast::ContextModifier::Local));
            let name = setting_name(variable);
            let list = matches!(name.as_str(), "search_path" | "temp_tablespaces");
            let value = if list { name_list(values) } else { setting_value(values) };
            Command::Set { name, value, local }
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
            // A time zone: hours and minutes east of Greenwich.
            ast::Expr::Interval(interval) => {
                let text = match interval.value.as_ref() {
                    ast::Expr::Value(value) => value.value.to_string(),
                    other => other.to_string(),
                };
                zone_of_interval(text.trim_matches('\''))
            }
            other => other.to_string(),
        })
        .collect();
    match texts.as_slice() {
        [one] if one.eq_ignore_ascii_case("default") => None,
        texts => Some(texts.join(", ")),
    }
}

/// `-03:30` as the name of a time zone, where it is one.
fn zone_of_interval(text: &str) -> String {
    let (sign, digits) = match text.trim().strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.trim().trim_start_matches('+')),
    };
    match crate::functions::datetime::zone::parse_offset(digits) {
        Some(seconds) => crate::variables::offset_name(i64::from(seconds / 60 * sign)),
        None => text.to_owned(),
    }
}

/// The value of a setting that is a list of names: each one quoted where SQL needs it.
fn name_list(values: &[ast::Expr]) -> Option<String> {
    let one = |value: &ast::Expr| match value {
        ast::Expr::Identifier(ident) if values.len() > 1 => Some(fold(ident)),
        ast::Expr::Identifier(ident) if ident.quote_style.is_none() => {
            Some(fold(ident)).filter(|name| name != "default")
        }
        value => setting_value(std::slice::from_ref(value)),
    };
    let names: Vec<String> = values.iter().map(one).collect::<Option<_>>()?;
    Some(names.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(", "))
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
