//! Roles, rights, owners and settings of roles: CREATE ROLE, GRANT, OWNER TO, ALTER SYSTEM.
//!
//! Passwords are read here and go into the [`Access`] only: the statement's text, which system
//! tables show, becomes [`Access::redacted`] where there is one.

use sqlparser::ast::Statement as Ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{
    GrammarError, Parsed, Result, expect_word, name, nothing, peek_word, skip_rest, string,
    unexpected, whole_number, word, words,
};
use crate::error::PlannerError;
use crate::statement::{Command, Define};
use crate::write::{Target, target_of};

/// A role as statements name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleName {
    /// By its folded name.
    Named(String),
    /// CURRENT_USER and CURRENT_ROLE.
    Current,
    /// SESSION_USER.
    Session,
    /// PUBLIC.
    Public,
}

/// A password as a statement gives it; its debug form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password, or a ready verifier.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What CREATE ROLE and ALTER ROLE say of a role; `None` is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleOptions {
    /// PASSWORD; the inner `None` is NULL.
    pub password: Option<Option<Password>>,
    /// SUPERUSER.
    pub superuser: Option<bool>,
    /// CREATEDB.
    pub create_database: Option<bool>,
    /// CREATEROLE.
    pub create_role: Option<bool>,
    /// INHERIT.
    pub inherit: Option<bool>,
    /// LOGIN.
    pub login: Option<bool>,
    /// REPLICATION.
    pub replication: Option<bool>,
    /// BYPASSRLS.
    pub bypass_row_security: Option<bool>,
    /// CONNECTION LIMIT.
    pub n_connections_max: Option<i64>,
    /// VALID UNTIL.
    pub valid_until: Option<String>,
    /// IN ROLE: what it becomes a member of.
    pub in_roles: Vec<RoleName>,
    /// ROLE: what becomes a member of it.
    pub members: Vec<RoleName>,
    /// ADMIN: what becomes a member of it that may make others members.
    pub admins: Vec<RoleName>,
}

/// What rights are given on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// TABLE.
    Tables(Vec<Target>),
    /// ALL TABLES IN SCHEMA.
    TablesIn(Vec<String>),
    /// SCHEMA.
    Schemas(Vec<String>),
    /// DATABASE.
    Databases(Vec<String>),
}

/// GRANT and REVOKE of rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// GRANT instead of REVOKE.
    pub grant: bool,
    /// The words in upper case; `None` is ALL.
    pub privileges: Option<Vec<String>>,
    /// The words with columns behind them; `None` is ALL.
    pub columns: Vec<(Option<String>, Vec<String>)>,
    /// The objects.
    pub on: On,
    /// The roles.
    pub roles: Vec<RoleName>,
    /// WITH GRANT OPTION; GRANT OPTION FOR.
    pub option: bool,
    /// CASCADE.
    pub cascade: bool,
}

/// ALTER DEFAULT PRIVILEGES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultPrivileges {
    /// Whose objects to come; none is the current role's.
    pub creators: Vec<RoleName>,
    /// In which schemas; none is all.
    pub schemas: Vec<String>,
    /// What is given or taken; what it is on names no object.
    pub privileges: Privileges,
}

/// GRANT and REVOKE of membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// GRANT instead of REVOKE.
    pub grant: bool,
    /// The groups.
    pub groups: Vec<String>,
    /// The members.
    pub members: Vec<RoleName>,
    /// WITH ADMIN OPTION; ADMIN OPTION FOR.
    pub admin: bool,
}

/// What gets another owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owned {
    /// A table or view: the statement's word, the name, IF EXISTS.
    Relation(&'static str, Target, bool),
    /// A schema.
    Schema(String),
    /// A database.
    Database(String),
}

/// Whose sessions a setting is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingScope {
    /// ALTER SYSTEM.
    System,
    /// ALTER DATABASE.
    Database(String),
    /// ALTER ROLE, and IN DATABASE; `None` is ALL.
    Role(Option<RoleName>, Option<String>),
}

/// Statements about roles, rights, owners and settings for sessions to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// CREATE ROLE.
    CreateRole {
        /// The folded name.
        name: String,
        /// What is said of it.
        options: Box<RoleOptions>,
    },
    /// ALTER ROLE.
    AlterRole {
        /// The role.
        name: RoleName,
        /// What is said of it.
        options: Box<RoleOptions>,
    },
    /// ALTER ROLE … RENAME TO.
    RenameRole {
        /// The folded name.
        old: String,
        /// The new one.
        new: String,
    },
    /// DROP ROLE.
    DropRoles {
        /// The roles.
        names: Vec<RoleName>,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// GRANT and REVOKE of membership.
    Membership(Membership),
    /// GRANT and REVOKE of rights.
    Privileges(Privileges),
    /// ALTER DEFAULT PRIVILEGES.
    DefaultPrivileges(DefaultPrivileges),
    /// OWNER TO.
    Owner {
        /// What gets it.
        what: Owned,
        /// The new owner.
        owner: RoleName,
    },
    /// REASSIGN OWNED.
    Reassign {
        /// Whose objects.
        from: Vec<RoleName>,
        /// The new owner.
        to: RoleName,
    },
    /// DROP OWNED.
    DropOwned {
        /// Whose objects and rights.
        roles: Vec<RoleName>,
        /// CASCADE.
        cascade: bool,
    },
    /// SET and RESET of settings for sessions to come.
    Setting {
        /// Whose.
        scope: SettingScope,
        /// The folded name; `None` is RESET ALL.
        name: Option<String>,
        /// `None` takes it away.
        value: Option<String>,
    },
}

impl Access {
    /// The text to show in place of a statement that holds a password.
    #[must_use]
    pub fn redacted(&self) -> Option<String> {
        let quoted = crate::functions::pg_catalog::quote_identifier;
        match self {
            Self::CreateRole { name, options } if options.password.is_some() => {
                Some(format!("CREATE ROLE {} PASSWORD …", quoted(name)))
            }
            Self::AlterRole { name: RoleName::Named(name), options }
                if options.password.is_some() =>
            {
                Some(format!("ALTER ROLE {} PASSWORD …", quoted(name)))
            }
            Self::AlterRole { options, .. } if options.password.is_some() => {
                Some("ALTER ROLE CURRENT_USER PASSWORD …".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether the statement that comes is read here; the first two words are given.
pub(super) fn is_access(parser: &Parser<'_>, first: &str, second: &str) -> bool {
    match (first, second) {
        ("create" | "alter" | "drop", "role" | "user" | "group") => {
            peek_word(parser, 2).as_deref() != Some("mapping")
        }
        ("grant" | "revoke" | "reassign", _) | ("drop", "owned") => true,
        ("alter", "system" | "default") => true,
        ("alter", "table" | "view" | "schema") => owner_at(parser),
        ("alter", "database") => {
            owner_at(parser)
                || peek_word(parser, 3).is_some_and(|word| word == "set" || word == "reset")
        }
        ("set" | "reset", "role") => names_role(parser, 2),
        ("set" | "reset", "session") => {
            peek_word(parser, 2).is_some_and(|word| word == "authorization")
                || (peek_word(parser, 2).as_deref() == Some("role") && names_role(parser, 3))
        }
        ("set", "local") => {
            (peek_word(parser, 2).as_deref() == Some("role") && names_role(parser, 3))
                || (peek_word(parser, 2).as_deref() == Some("session")
                    && peek_word(parser, 3).as_deref() == Some("authorization"))
        }
        _ => false,
    }
}

/// Whether `SET ROLE x` goes on like this, and not like `SET role = x`.
fn names_role(parser: &Parser<'_>, n: usize) -> bool {
    !matches!(parser.peek_nth_token_ref(n).token, Token::Eq)
        && peek_word(parser, n).as_deref() != Some("to")
}

/// Whether the statement is `ALTER … name OWNER TO`.
fn owner_at(parser: &Parser<'_>) -> bool {
    const N_TOKENS_MAX: usize = 12;
    let owner = |n| {
        peek_word(parser, n).as_deref() == Some("owner")
            && peek_word(parser, n + 1).as_deref() == Some("to")
    };
    let simple = |n| !matches!(parser.peek_nth_token_ref(n).token, Token::Comma | Token::LParen);
    (2..N_TOKENS_MAX).take_while(|n| simple(*n)).any(owner)
}

pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed> {
    let first = peek_word(parser, 0).unwrap_or_default();
    parser.next_token();
    let access = match first.as_str() {
        "grant" | "revoke" => grant(parser, first == "grant")?,
        "set" | "reset" => return become_role(parser, first == "set"),
        "create" => create_role(parser)?,
        "drop" => drop_roles(parser)?,
        "alter" => alter(parser)?,
        _ => reassign(parser)?,
    };
    Ok((nothing(), Command::Define(Define::Access(Box::new(access)))))
}

/// `OWNED BY a, b TO c`.
fn reassign(parser: &mut Parser<'_>) -> Result<Access> {
    expect_word(parser, "owned")?;
    expect_word(parser, "by")?;
    let from = list(parser, role_name)?;
    expect_word(parser, "to")?;
    Ok(Access::Reassign { from, to: role_name(parser)? })
}

fn refused(what: &str, hint: &str) -> GrammarError {
    PlannerError::Unsupported { what: what.to_owned(), hint: Some(hint.to_owned()) }.into()
}

fn role_name(parser: &mut Parser<'_>) -> Result<RoleName> {
    let plain = peek_word(parser, 0);
    let known = match plain.as_deref() {
        Some("current_user" | "current_role") => RoleName::Current,
        Some("session_user") => RoleName::Session,
        Some("public") => RoleName::Public,
        Some("group") => {
            parser.next_token();
            return Ok(RoleName::Named(name(parser)?));
        }
        _ => return Ok(RoleName::Named(name(parser)?)),
    };
    parser.next_token();
    Ok(known)
}

fn list<T>(parser: &mut Parser<'_>, one: impl Fn(&mut Parser<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut all = vec![one(parser)?];
    while parser.consume_token(&Token::Comma) {
        all.push(one(parser)?);
    }
    Ok(all)
}

/// `SET ROLE`, `SET SESSION AUTHORIZATION` and their RESET: both are settings.
fn become_role(parser: &mut Parser<'_>, set: bool) -> Result<Parsed> {
    let local = word(parser, "local");
    let authorization = words(parser, &["session", "authorization"]);
    if !authorization {
        word(parser, "session");
        expect_word(parser, "role")?;
    }
    let setting = if authorization { "session_authorization" } else { "role" };
    if !set {
        return Ok((nothing(), Command::Reset { name: Some(setting.to_owned()) }));
    }
    let plain = peek_word(parser, 0).unwrap_or_default();
    let value = match plain.as_str() {
        "default" if authorization => {
            parser.next_token();
            None
        }
        "none" if !authorization => {
            parser.next_token();
            Some("none".to_owned())
        }
        _ => Some(match string(parser) {
            Some(text) => text,
            None => name(parser)?,
        }),
    };
    Ok((nothing(), Command::Set { name: setting.to_owned(), value, local }))
}

fn create_role(parser: &mut Parser<'_>) -> Result<Access> {
    let user = peek_word(parser, 0).as_deref() == Some("user");
    parser.next_token();
    let name = name(parser)?;
    word(parser, "with");
    let mut options = options(parser, true)?;
    options.login = options.login.or(Some(user));
    Ok(Access::CreateRole { name, options: Box::new(options) })
}

fn drop_roles(parser: &mut Parser<'_>) -> Result<Access> {
    if words(parser, &["owned"]) {
        expect_word(parser, "by")?;
        let roles = list(parser, role_name)?;
        let cascade = word(parser, "cascade");
        word(parser, "restrict");
        return Ok(Access::DropOwned { roles, cascade });
    }
    parser.next_token();
    let if_exists = words(parser, &["if", "exists"]);
    Ok(Access::DropRoles { names: list(parser, role_name)?, if_exists })
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(super::semantics("42601", "conflicting or redundant options")),
    }
}

/// The options of CREATE ROLE and ALTER ROLE, in any order.
fn options(parser: &mut Parser<'_>, create: bool) -> Result<RoleOptions> {
    let mut all = RoleOptions::default();
    while parser.peek_token_ref().token != Token::EOF {
        let option = peek_word(parser, 0).unwrap_or_default();
        parser.next_token();
        match option.as_str() {
            "superuser" | "nosuperuser" => once(&mut all.superuser, option == "superuser")?,
            "createdb" | "nocreatedb" => once(&mut all.create_database, option == "createdb")?,
            "createrole" | "nocreaterole" => once(&mut all.create_role, option == "createrole")?,
            "inherit" | "noinherit" => once(&mut all.inherit, option == "inherit")?,
            "login" | "nologin" => once(&mut all.login, option == "login")?,
            "replication" | "noreplication" => {
                once(&mut all.replication, option == "replication")?;
            }
            "bypassrls" | "nobypassrls" => {
                once(&mut all.bypass_row_security, option == "bypassrls")?;
            }
            "encrypted" | "password" => {
                if option == "encrypted" {
                    expect_word(parser, "password")?;
                }
                let password = match word(parser, "null") {
                    true => None,
                    false => Some(Password(string(parser).ok_or_else(|| unexpected(parser))?)),
                };
                once(&mut all.password, password)?;
            }
            "unencrypted" => {
                let what = "UNENCRYPTED PASSWORD";
                return Err(refused(what, "Remove UNENCRYPTED: only a verifier is stored."));
            }
            "connection" => {
                expect_word(parser, "limit")?;
                let limit = whole_number(parser)?.ok_or_else(|| unexpected(parser))?;
                once(&mut all.n_connections_max, limit)?;
            }
            "valid" => {
                expect_word(parser, "until")?;
                let until = string(parser).ok_or_else(|| unexpected(parser))?;
                once(&mut all.valid_until, until)?;
            }
            "in" if create => {
                if !word(parser, "role") {
                    expect_word(parser, "group")?;
                }
                all.in_roles.extend(list(parser, role_name)?);
            }
            "role" | "user" if create => all.members.extend(list(parser, role_name)?),
            "admin" if create => all.admins.extend(list(parser, role_name)?),
            "sysid" if create => {
                whole_number(parser)?.ok_or_else(|| unexpected(parser))?;
            }
            _ => {
                parser.prev_token();
                return Err(unexpected(parser));
            }
        }
    }
    Ok(all)
}

fn alter(parser: &mut Parser<'_>) -> Result<Access> {
    let kind = peek_word(parser, 0).unwrap_or_default();
    parser.next_token();
    match kind.as_str() {
        "role" | "user" | "group" => alter_role(parser, kind == "group"),
        "system" => setting(parser, SettingScope::System),
        "default" => {
            expect_word(parser, "privileges")?;
            default_privileges(parser)
        }
        "database" if !owner_after_name(parser) => {
            let database = name(parser)?;
            setting(parser, SettingScope::Database(database))
        }
        _ => {
            let what = match kind.as_str() {
                "schema" => Owned::Schema(name(parser)?),
                "database" => Owned::Database(name(parser)?),
                _ => {
                    let if_exists = words(parser, &["if", "exists"]);
                    word(parser, "only");
                    let target = target_of(&parser.parse_object_name(false)?)?;
                    let tag = if kind == "view" { "VIEW" } else { "TABLE" };
                    Owned::Relation(tag, target, if_exists)
                }
            };
            expect_word(parser, "owner")?;
            expect_word(parser, "to")?;
            Ok(Access::Owner { what, owner: role_name(parser)? })
        }
    }
}

fn owner_after_name(parser: &Parser<'_>) -> bool {
    peek_word(parser, 1).as_deref() == Some("owner")
}

fn alter_role(parser: &mut Parser<'_>, group: bool) -> Result<Access> {
    let all = word(parser, "all");
    let role = if all { None } else { Some(role_name(parser)?) };
    if words(parser, &["rename", "to"]) {
        let Some(RoleName::Named(old)) = role else { return Err(unexpected(parser)) };
        return Ok(Access::RenameRole { old, new: name(parser)? });
    }
    if group && let Some(RoleName::Named(group)) = &role {
        let grant = word(parser, "add");
        if !grant {
            expect_word(parser, "drop")?;
        }
        expect_word(parser, "user")?;
        let (groups, members) = (vec![group.clone()], list(parser, role_name)?);
        return Ok(Access::Membership(Membership { grant, groups, members, admin: false }));
    }
    let database = match words(parser, &["in", "database"]) {
        true => Some(name(parser)?),
        false => None,
    };
    let next = peek_word(parser, 0).unwrap_or_default();
    if all || database.is_some() || next == "set" || next == "reset" {
        return setting(parser, SettingScope::Role(role, database));
    }
    let Some(name) = role else { return Err(unexpected(parser)) };
    word(parser, "with");
    Ok(Access::AlterRole { name, options: Box::new(options(parser, false)?) })
}

/// `SET name TO value`, `SET name FROM CURRENT`, `RESET name`, `RESET ALL`.
fn setting(parser: &mut Parser<'_>, scope: SettingScope) -> Result<Access> {
    let next = peek_word(parser, 0).unwrap_or_default();
    if next != "set" && next != "reset" {
        return Err(unexpected(parser));
    }
    if words(parser, &["reset", "all"]) {
        return Ok(Access::Setting { scope, name: None, value: None });
    }
    let tree: Ast = parser.parse_statement()?;
    match crate::statement::command(&tree)? {
        Command::Set { name, value, .. } => Ok(Access::Setting { scope, name: Some(name), value }),
        Command::Reset { name } => Ok(Access::Setting { scope, name, value: None }),
        _ => Err(unexpected(parser)),
    }
}

fn grant(parser: &mut Parser<'_>, grant: bool) -> Result<Access> {
    let admin = !grant && words(parser, &["admin", "option", "for"]);
    let option = !grant && words(parser, &["grant", "option", "for"]);
    let Items { all, items, columns } = Items::read(parser)?;
    let end = if grant { "to" } else { "from" };
    if columns.is_empty() && !word(parser, "on") {
        expect_word(parser, end)?;
        let members = list(parser, role_name)?;
        let admin = admin || (grant && words(parser, &["with", "admin", "option"]));
        ending(parser)?;
        return Ok(Access::Membership(Membership { grant, groups: items, members, admin }));
    }
    if !columns.is_empty() {
        expect_word(parser, "on")?;
    }
    let on = on(parser)?;
    let items = Items { all, items, columns };
    given(parser, (grant, option), items, on).map(Access::Privileges)
}

/// The rights that a statement lists.
struct Items {
    /// ALL.
    all: bool,
    /// The folded words, or names of roles.
    items: Vec<String>,
    columns: Vec<(Option<String>, Vec<String>)>,
}

impl Items {
    fn read(parser: &mut Parser<'_>) -> Result<Self> {
        let mut columns = Vec::new();
        let mut items = Vec::new();
        let mut all = false;
        loop {
            let item = name(parser)?;
            let is_all = item == "all" && items.is_empty() && columns.is_empty();
            if is_all {
                word(parser, "privileges");
            }
            if parser.consume_token(&Token::LParen) {
                let word = (!is_all).then(|| item.to_uppercase());
                columns.push((word, list(parser, name)?));
                parser.expect_token(&Token::RParen)?;
            } else {
                all = is_all;
                items.push(item);
            }
            if is_all || !parser.consume_token(&Token::Comma) {
                break;
            }
        }
        Ok(Self { all, items, columns })
    }
}

/// `TO roles …`, `FROM roles …`: the end of a GRANT or REVOKE.
fn given(
    parser: &mut Parser<'_>,
    (grant, option): (bool, bool),
    listed: Items,
    on: On,
) -> Result<Privileges> {
    expect_word(parser, if grant { "to" } else { "from" })?;
    let roles = list(parser, role_name)?;
    let option = option || (grant && words(parser, &["with", "grant", "option"]));
    let cascade = ending(parser)?;
    let Items { all, items, columns } = listed;
    let privileges = (!all).then(|| items.iter().map(|item| item.to_uppercase()).collect());
    Ok(Privileges { grant, privileges, columns, on, roles, option, cascade })
}

/// `FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO b`.
fn default_privileges(parser: &mut Parser<'_>) -> Result<Access> {
    let (mut creators, mut schemas) = (vec![], vec![]);
    loop {
        if word(parser, "for") {
            if !word(parser, "role") {
                expect_word(parser, "user")?;
            }
            creators = list(parser, role_name)?;
        } else if words(parser, &["in", "schema"]) {
            schemas = list(parser, name)?;
        } else {
            break;
        }
    }
    let grant = word(parser, "grant");
    if !grant {
        expect_word(parser, "revoke")?;
    }
    let option = !grant && words(parser, &["grant", "option", "for"]);
    let items = Items::read(parser)?;
    expect_word(parser, "on")?;
    let kind = peek_word(parser, 0).unwrap_or_default();
    let on = match kind.as_str() {
        "tables" => On::TablesIn(vec![]),
        "schemas" => On::Schemas(vec![]),
        "sequences" | "functions" | "routines" | "types" => {
            skip_rest(parser);
            let what = format!("default rights on {}", kind.to_uppercase());
            return Err(refused(&what, "There are rights on tables, views and schemas to come."));
        }
        _ => return Err(unexpected(parser)),
    };
    parser.next_token();
    let privileges = given(parser, (grant, option), items, on)?;
    Ok(Access::DefaultPrivileges(DefaultPrivileges { creators, schemas, privileges }))
}

/// `GRANTED BY role`, CASCADE, RESTRICT; returns whether it is CASCADE.
fn ending(parser: &mut Parser<'_>) -> Result<bool> {
    if words(parser, &["granted", "by"]) {
        let by = role_name(parser)?;
        if by != RoleName::Current {
            return Err(super::semantics("0A000", "grantor must be current user"));
        }
    }
    let cascade = word(parser, "cascade");
    word(parser, "restrict");
    Ok(cascade)
}

fn on(parser: &mut Parser<'_>) -> Result<On> {
    if words(parser, &["all", "tables", "in", "schema"]) {
        return Ok(On::TablesIn(list(parser, name)?));
    }
    let kind = peek_word(parser, 0).unwrap_or_default();
    // A table may be called `schema`: then no name follows the word.
    let names = matches!(parser.peek_nth_token_ref(1).token, Token::Word(_))
        && !matches!(peek_word(parser, 1).as_deref(), Some("to" | "from"));
    match kind.as_str() {
        "schema" if names => {
            parser.next_token();
            Ok(On::Schemas(list(parser, name)?))
        }
        "database" if names => {
            parser.next_token();
            Ok(On::Databases(list(parser, name)?))
        }
        "all" | "sequence" | "function" | "procedure" | "routine" | "type" | "domain"
        | "language" | "tablespace" | "foreign" | "large" | "parameter"
            if names =>
        {
            let what = format!("rights on {}", kind.to_uppercase());
            Err(refused(&what, "There are rights on tables, views, schemas and databases."))
        }
        _ => {
            if names {
                word(parser, "table");
            }
            let table = |parser: &mut Parser<'_>| Ok(target_of(&parser.parse_object_name(false)?)?);
            Ok(On::Tables(list(parser, table)?))
        }
    }
}
