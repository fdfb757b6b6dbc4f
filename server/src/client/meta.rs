//! Meta commands: lines that start with a backslash.

use std::path::PathBuf;
use std::time::Duration;

use super::error::{ClientError, Result};
use super::format::Expanded;
use super::repl::connect;
use super::session::Session;
use super::target::Target;
use super::{query, script};

pub(super) const HELP: &str = "\
General
  \\q                    leave (also Ctrl-D)
  \\? or \\h              this help
  \\c URL|DATABASE       connect to another server or database
  \\i FILE               run a file
  \\g, \\gx               run the statement; \\gx with one column a line
  \\r                    forget the statement begun
  \\watch [SECONDS]      repeat the last statement until Ctrl-C
Tables
  \\d [NAME]             list tables, or the columns of a table
  \\dt \\dv [PATTERN]     list tables, views
  \\dn                   list schemas
  \\l                    list databases
  \\du                   list roles
Output
  \\format table|csv|json|arrow
  \\x [on|off|auto]      one column a line; auto: when the table is too wide
  \\timing [on|off]      time and bytes below each result
  \\pager [on|off]       show long results in $PAGER
  \\o [FILE]             write results to a file; alone: back to the screen
Keys
  Tab completes, Ctrl-C stops a query, Ctrl-R searches the history
";

/// Whether to go on after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    Quit,
}

/// Names for completion.
pub(super) const COMMANDS: [&str; 19] = [
    "\\?", "\\c", "\\d", "\\dn", "\\dt", "\\du", "\\dv", "\\format", "\\g", "\\gx", "\\h", "\\i",
    "\\l", "\\o", "\\pager", "\\q", "\\timing", "\\watch", "\\x",
];

/// Carries out one meta command.
///
/// # Errors
/// `Usage` for an unknown command or argument, otherwise what the command's query gave.
pub(super) async fn run(session: &mut Session, line: &str) -> Result<Next> {
    let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim().trim_end_matches(';').trim_end();
    match command {
        "\\q" | "\\quit" => return Ok(Next::Quit),
        "\\?" | "\\h" | "\\help" => say(session, HELP)?,
        "\\r" => {}
        "\\c" | "\\connect" => connect_to(session, argument).await?,
        "\\i" => Box::pin(script::include(session, &PathBuf::from(unquote(argument)))).await?,
        "\\g" | "\\gx" => repeat_last(session, command == "\\gx").await?,
        "\\watch" => watch(session, argument).await?,
        "\\d" if !argument.is_empty() => describe(session, argument).await?,
        "\\d" => query::run(session, &relations("'r','p','v','m','f'", "")?).await?,
        "\\dt" => query::run(session, &relations("'r','p','f'", argument)?).await?,
        "\\dv" => query::run(session, &relations("'v','m'", argument)?).await?,
        "\\dn" => query::run(session, SCHEMAS).await?,
        "\\l" => query::run(session, DATABASES).await?,
        "\\du" => query::run(session, ROLES).await?,
        "\\format" => set_format(session, argument)?,
        "\\x" => set_expanded(session, argument)?,
        "\\timing" => {
            session.settings.timing = switch(argument, session.settings.timing)?;
            let state = on_off(session.settings.timing);
            say(session, &format!("timing is {state}\n"))?;
        }
        "\\pager" => {
            session.settings.pager = switch(argument, session.settings.pager)?;
            let state = on_off(session.settings.pager);
            say(session, &format!("pager is {state}\n"))?;
        }
        "\\o" => session.set_file((!argument.is_empty()).then_some(unquote(argument)))?,
        _ => {
            return Err(ClientError::Usage(format!(
                "unknown command {command}, \\? lists what there is"
            )));
        }
    }
    Ok(Next::Continue)
}

/// Writes a confirmation, in an interactive session only; help is always wanted.
fn say(session: &Session, text: &str) -> Result<()> {
    if session.interactive || text == HELP {
        script::write_out(text)?;
    }
    Ok(())
}

fn unquote(text: &str) -> &str {
    text.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\'')).unwrap_or(text)
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn switch(argument: &str, now: bool) -> Result<bool> {
    match argument {
        "" => Ok(!now),
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(ClientError::Usage(format!("\"{other}\" is neither on nor off"))),
    }
}

fn set_expanded(session: &mut Session, argument: &str) -> Result<()> {
    session.settings.expanded = match (argument, session.settings.expanded) {
        ("auto", _) => Expanded::Auto,
        ("on", _) | ("", Expanded::Off) => Expanded::On,
        // Without an argument, what is not plainly off is switched: auto becomes on.
        ("", Expanded::Auto) => Expanded::On,
        ("off", _) | ("", Expanded::On) => Expanded::Off,
        (other, _) => {
            return Err(ClientError::Usage(format!("\\x is on, off or auto, not \"{other}\"")));
        }
    };
    let state = match session.settings.expanded {
        Expanded::Off => "off",
        Expanded::On => "on",
        Expanded::Auto => "auto",
    };
    say(session, &format!("expanded form is {state}\n"))
}

fn set_format(session: &mut Session, argument: &str) -> Result<()> {
    if !argument.is_empty() {
        session.settings.format = argument.parse().map_err(ClientError::Usage)?;
    }
    let name = session.settings.format.name();
    say(session, &format!("format is {name}\n"))
}

async fn connect_to(session: &mut Session, argument: &str) -> Result<()> {
    let target = if argument.is_empty() {
        session.target.clone()
    } else if argument.contains("://") || argument.contains('=') {
        Target::parse(Some(argument), None)?
    } else {
        session.target.with_database(unquote(argument))
    };
    connect(session, target).await?;
    let text = format!("connected to {}\n", session.target);
    say(session, &text)
}

async fn repeat_last(session: &mut Session, expanded: bool) -> Result<()> {
    let Some(sql) = session.last_statement.clone() else {
        return Err(ClientError::Usage("there is no statement to run".to_owned()));
    };
    let before = session.settings.expanded;
    if expanded {
        session.settings.expanded = Expanded::On;
    }
    let result = query::run(session, &sql).await;
    session.settings.expanded = before;
    result
}

async fn watch(session: &mut Session, argument: &str) -> Result<()> {
    let wrong = |_| ClientError::Usage(format!("\\watch takes seconds, not \"{argument}\""));
    let seconds: f64 = if argument.is_empty() { 2.0 } else { argument.parse().map_err(wrong)? };
    let pause = Duration::try_from_secs_f64(seconds)
        .map_err(|error| ClientError::Usage(format!("\\watch: {error}")))?;
    let pager = std::mem::replace(&mut session.settings.pager, false);
    let result = loop {
        if let Err(error) = repeat_last(session, false).await {
            break Err(error);
        }
        session.interrupts.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = session.interrupts.changed() => break Ok(()),
        }
    };
    session.settings.pager = pager;
    result
}

const SCHEMAS: &str = "\
SELECT nspname AS \"schema\", pg_catalog.pg_get_userbyid(nspowner) AS \"owner\"
FROM pg_catalog.pg_namespace
WHERE nspname NOT LIKE 'pg\\_toast%' AND nspname NOT LIKE 'pg\\_temp%'
ORDER BY 1";

const DATABASES: &str = "\
SELECT datname AS \"database\", pg_catalog.pg_get_userbyid(datdba) AS \"owner\"
FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY 1";

const ROLES: &str = "\
SELECT rolname AS \"role\", rolsuper AS \"superuser\", rolcanlogin AS \"login\"
FROM pg_catalog.pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1";

/// Builds the listing of relations of these kinds whose name matches a pattern.
fn relations(kinds: &str, pattern: &str) -> Result<String> {
    let (schema, name) = split_name(pattern);
    let mut condition = format!("c.relkind IN ({kinds})");
    match &schema {
        Some(schema) => condition.push_str(&format!(" AND n.nspname LIKE {}", like(schema))),
        None => condition.push_str(
            " AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'",
        ),
    }
    if !name.is_empty() {
        condition.push_str(&format!(" AND c.relname LIKE {}", like(&name)));
    }
    Ok(format!(
        "SELECT n.nspname AS \"schema\", c.relname AS \"name\",\n  \
         CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'f' THEN 'foreign table' \
         WHEN 'm' THEN 'materialized view' ELSE 'view' END AS \"type\",\n  \
         pg_catalog.pg_get_userbyid(c.relowner) AS \"owner\"\n\
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n\
         WHERE {condition}\nORDER BY 1, 2"
    ))
}

async fn describe(session: &mut Session, argument: &str) -> Result<()> {
    let (schema, name) = split_name(argument);
    let schema_condition = match schema {
        Some(schema) => format!("n.nspname LIKE {}", like(&schema)),
        // As names resolve: a table of the search path, else whichever there is.
        None => "n.nspname NOT IN ('pg_toast')".to_owned(),
    };
    let find = format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE {schema_condition} AND c.relname LIKE {} AND c.relkind IN ('r','p','v','m','f') \
         ORDER BY n.nspname = 'information_schema', n.nspname = 'pg_catalog', 2, 3",
        like(&name)
    );
    let connection = session.ensure_connection().await?;
    let found = connection.rows(&find).await?;
    if found.is_empty() {
        return Err(ClientError::Usage(format!("there is no table or view \"{argument}\"")));
    }
    let n_shown = if argument.contains('*') { found.len() } else { 1 };
    for row in found.iter().take(n_shown) {
        let value = |index: usize| row.try_get(index).ok().flatten().unwrap_or("");
        let oid: u32 = value(0)
            .parse()
            .map_err(|_| ClientError::Usage("the server gave no table id".to_owned()))?;
        let kind = if matches!(value(3), "v" | "m") { "view" } else { "table" };
        say(session, &format!("{kind} {}.{}\n", value(1), value(2)))?;
        let sql = format!(
            "SELECT a.attname AS \"column\", pg_catalog.format_type(a.atttypid, a.atttypmod) AS \"type\",\n  \
             CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS \"nullable\"\n\
             FROM pg_catalog.pg_attribute a\n\
             WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped\nORDER BY a.attnum"
        );
        query::run(session, &sql).await?;
    }
    Ok(())
}

/// Splits `schema.name`; unquoted parts are folded to lower case.
fn split_name(pattern: &str) -> (Option<String>, String) {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in pattern.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => {
                if let Some(part) = parts.last_mut() {
                    if quoted { part.push(c) } else { part.extend(c.to_lowercase()) }
                }
            }
        }
    }
    let name = parts.pop().unwrap_or_default();
    (parts.pop(), name)
}

/// Turns a pattern with `*` and `?` into a LIKE literal.
fn like(pattern: &str) -> String {
    let mut text = String::from("'");
    for c in pattern.chars() {
        match c {
            '*' => text.push('%'),
            '?' => text.push('_'),
            '%' | '_' | '\\' => text.extend(['\\', c]),
            '\'' => text.push_str("''"),
            c => text.push(c),
        }
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        assert_eq!(split_name("Tpch.Line*"), (Some("tpch".to_owned()), "line*".to_owned()));
        assert_eq!(split_name("\"A.b\""), (None, "A.b".to_owned()));
        assert_eq!(split_name(""), (None, String::new()));
        assert_eq!(like("line_*'?"), "'line\\_%''_'");
    }

    #[test]
    fn switches() {
        assert_eq!(switch("", true).ok(), Some(false));
        assert_eq!(switch("on", true).ok(), Some(true));
        assert!(switch("maybe", true).is_err());
    }
}
