//! COMMENT ON: remarks are kept by Delta tables themselves and else by the catalog.

use std::sync::Arc;

use tarn_catalog::log::Entry;
use tarn_catalog::registry::{Expect, Relation};
use tarn_catalog::{CatalogError, TableDetails, TableName};
use tarn_planner::write::Target;
use tarn_planner::{PlannerError, Statement};

use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::modify::check_writable;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;
use crate::transaction::StatementTransaction;

/// Runs one COMMENT ON.
pub(crate) async fn comment(
    session: &Arc<Session>,
    statement: &Statement,
    kind: &str,
    parts: &[String],
    text: Option<&str>,
) -> Result<CommandTag> {
    check_writable(session, "COMMENT", None)?;
    let _turn = session.writing.lock().await;
    let transaction = StatementTransaction::begin(session);
    // An empty text takes the remark away, as in PostgreSQL.
    let text = text.filter(|text| !text.is_empty());
    let target = |parts: &[String]| match parts {
        [table] => Some(Target { schema: None, table: table.clone() }),
        [schema, table] | [_, schema, table] => {
            Some(Target { schema: Some(schema.clone()), table: table.clone() })
        }
        _ => None,
    };
    match (kind, parts.split_last()) {
        ("schema", Some((name, _))) => comment_schema(session, name, text)?,
        ("database", Some((name, _))) => comment_database(session, name, text)?,
        ("role", Some((name, _))) => comment_role(session, name, text)?,
        ("column", Some((column, table))) if !table.is_empty() => {
            let table = target(table).ok_or_else(|| unsupported("a name of so many parts"))?;
            let what = Remark { kind, column: Some(column), text };
            comment_relation(session, statement, &table, what).await?;
        }
        ("column", _) => {
            let message = "column name must be qualified".to_owned();
            return Err(Error::Value { code: "42601", message });
        }
        _ => {
            let table = target(parts).ok_or_else(|| unsupported("a name of so many parts"))?;
            let what = Remark { kind, column: None, text };
            comment_relation(session, statement, &table, what).await?;
        }
    }
    transaction.commit().await?;
    Ok(CommandTag::new("COMMENT"))
}

/// What is said of a relation or of a column of it.
#[derive(Debug, Clone, Copy)]
struct Remark<'a> {
    kind: &'a str,
    column: Option<&'a str>,
    text: Option<&'a str>,
}

async fn comment_relation(
    session: &Arc<Session>,
    statement: &Statement,
    target: &Target,
    Remark { kind, column, text }: Remark<'_>,
) -> Result<()> {
    let lookup = SessionLookup::new(session);
    let found = lookup.resolve(target.schema.as_deref(), &target.table);
    let Some((name, relation)) = found else {
        let name = target.table.clone();
        return Err(PlannerError::UndefinedTable { name, position: None, suggestion: None }.into());
    };
    session.require_owner(&name)?;
    let is_view = matches!(relation, Relation::View { .. });
    if column.is_none() && is_view != (kind == "view" || kind == "materialized") {
        let expected = if is_view { "a table" } else { "a view" };
        let name = name.table().to_owned();
        return Err(CatalogError::WrongObjectType { name, expected }.into());
    }
    if let Relation::Lake(table) = &relation
        && table.format() == "delta"
    {
        let place = (&name, table);
        return crate::alter::lake::comment(session, statement, place, column, text).await;
    }
    let Some(object) = session.object(&name) else {
        return Err(CatalogError::TableNotFound { name: name.table().to_owned() }.into());
    };
    let mut details = object.details.as_ref().clone();
    match column {
        None => details.comment = text.map(ToOwned::to_owned),
        Some(column) => {
            let at = object.columns.iter().position(|known| known.name == column);
            let at = at.ok_or_else(|| no_column(&name, column))?;
            details.column_comments.resize(object.columns.len(), None);
            if let Some(slot) = details.column_comments.get_mut(at) {
                *slot = text.map(ToOwned::to_owned);
            }
        }
    }
    describe(session, &name, details)
}

/// Keeps what is said of a relation beside it.
fn describe(session: &Arc<Session>, name: &TableName, details: TableDetails) -> Result<()> {
    if name.schema() == TEMPORARY {
        return Err(unsupported("COMMENT ON a temporary relation"));
    }
    session.describe(name, Arc::new(details));
    Ok(())
}

/// The error for a column that is not there.
pub(crate) fn no_column(table: &TableName, column: &str) -> Error {
    let table = table.table();
    let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
    Error::Value { code: "42703", message }
}

fn comment_schema(session: &Arc<Session>, name: &str, text: Option<&str>) -> Result<()> {
    if !session.has_schema(name) {
        return Err(CatalogError::SchemaNotFound { name: name.to_owned() }.into());
    }
    session.require_schema_owner(name)?;
    let database = session.shared.catalog.database();
    let known =
        session.with_definitions(|all| all.schema(database, name).map(|schema| schema.def.clone()));
    let Some(mut schema) = known else {
        return Err(unsupported("COMMENT ON SCHEMA of a system schema"));
    };
    schema.comment = text.map(ToOwned::to_owned);
    let (database, name) = (database.to_owned(), name.to_owned());
    session.define(Entry::PutSchema { database, name, schema }, Expect::Any);
    Ok(())
}

fn comment_database(session: &Arc<Session>, name: &str, text: Option<&str>) -> Result<()> {
    let known = session.with_definitions(|all| {
        let def = all.databases.get(name)?.def.clone();
        Some((def, all.access_of_database(name).owner().to_owned()))
    });
    let Some((mut database, owner)) = known else {
        let message = format!("database \"{name}\" does not exist");
        return Err(Error::Value { code: "3D000", message });
    };
    if !session.catalog_snapshot().has_rights_of(&session.current_user(), &owner) {
        return Err(crate::access::denied(format!("must be owner of database {name}")));
    }
    database.comment = text.map(ToOwned::to_owned);
    session.define(Entry::PutDatabase { name: name.to_owned(), database }, Expect::Known);
    Ok(())
}

fn comment_role(session: &Arc<Session>, name: &str, text: Option<&str>) -> Result<()> {
    let Some(mut role) = session.with_definitions(|all| all.roles.get(name).cloned()) else {
        let message = format!("role \"{name}\" does not exist");
        return Err(Error::Value { code: "42704", message });
    };
    let seen = session.catalog_snapshot();
    let user = session.current_user();
    let create_role = seen.role(&user).is_some_and(|role| role.create_role);
    if !seen.is_superuser(&user) && (role.superuser || !create_role) {
        return Err(crate::access::denied("must have CREATEROLE privilege"));
    }
    role.comment = text.map(ToOwned::to_owned);
    session.define(Entry::PutRole { name: name.to_owned(), role }, Expect::Known);
    Ok(())
}
