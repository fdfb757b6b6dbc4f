//! CREATE, ALTER and DROP.
//!
//! | module | what |
//! |---|---|
//! | this | which definition it is; names; views, indexes |
//! | `tables` | CREATE TABLE in all its forms |
//! | `columns` | columns, keys and checks of CREATE TABLE |
//! | `expressions`, `defaults` | what CHECK, GENERATED and DEFAULT may say |
//! | `uses` | which of them use a column |
//! | `lake`, `fill` | tables in open formats; their rows, for CREATE TABLE … AS |
//! | `replace` | OR REPLACE of a Delta table at the same place |
//! | `schemas` | schemas and databases |
//! | `comments` | COMMENT ON |
//! | `storage` | CREATE STORAGE |

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use sqlparser::ast::{self, Statement as Ast, Visit, Visitor};
use tarn_catalog::registry::{Object, Relation};
use tarn_catalog::rights::Privilege;
use tarn_catalog::{CatalogError, TableName, entry};
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::statement::{Define, fold};
use tarn_planner::write::target_of;
use tarn_planner::{PlannerError, Statement, plan};

use crate::changes::OnCommit;
use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::modify::check_writable;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;
use crate::transaction::StatementTransaction;

pub(crate) mod columns;
pub(crate) mod comments;
pub(crate) mod defaults;
pub(crate) mod expressions;
pub(crate) mod fill;
pub(crate) mod lake;
mod replace;
mod schemas;
mod storage;
mod tables;
pub(crate) mod uses;

/// Runs one CREATE, ALTER or DROP.
pub(crate) async fn run(
    session: &Arc<Session>,
    statement: &Statement,
    form: &Define,
    query_id: QueryId,
) -> Result<CommandTag> {
    let verb = statement.text().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    check_writable(session, &verb.to_uppercase(), None)?;
    let _turn = session.writing.lock().await;
    let transaction = StatementTransaction::begin(session);
    let tag = match (form, statement.ast()) {
        (Define::CreateTable(clauses), Ast::CreateTable(create)) => {
            tables::create_table(session, statement, create, clauses, query_id).await
        }
        (Define::SelectInto, Ast::Query(query)) => {
            tables::select_into(session, statement, query, query_id).await
        }
        (Define::CreateView, Ast::CreateView(create)) => {
            create_view(session, statement, create).await
        }
        (Define::CreateIndex, Ast::CreateIndex(create)) => create_index(session, create),
        (Define::CreateSchema, Ast::CreateSchema { schema_name, if_not_exists, .. }) => {
            schemas::create_schema(session, schema_name, *if_not_exists)
        }
        (Define::AlterTable, Ast::AlterTable(alter)) => {
            crate::alter::alter_table(session, statement, alter, query_id).await
        }
        (Define::Drop, Ast::Drop { object_type, if_exists, names, cascade, .. }) => {
            for name in names {
                crate::alter::drop_one(session, object_type, name, *if_exists, *cascade)?;
            }
            Ok(CommandTag::new(&format!("DROP {object_type}")))
        }
        (Define::SetProperties { table, if_exists, properties }, _) => {
            crate::alter::lake::set_properties(session, statement, table, *if_exists, properties)
                .await
        }
        (Define::DropExpression { table, if_exists, column, lenient }, _) => {
            let column = (column.as_str(), *lenient);
            crate::alter::lake::drop_expression(session, statement, table, *if_exists, column).await
        }
        (Define::SetSchema { table, if_exists, schema }, _) => {
            crate::alter::set_schema(session, table, *if_exists, schema)
        }
        (Define::RenameSchema { old, new }, _) => schemas::rename_schema(session, old, new),
        (Define::CreateDatabase { name, if_not_exists }, _) => {
            schemas::create_database(session, name, *if_not_exists)
        }
        (Define::DropDatabase { name, if_exists }, _) => {
            schemas::drop_database(session, name, *if_exists)
        }
        (Define::RenameDatabase { old, new }, _) => schemas::rename_database(session, old, new),
        (Define::CreateStorage(new), _) => storage::create(session, new).await,
        (Define::AlterStorage(change), _) => storage::alter(session, change).await,
        (Define::DropStorage { names, if_exists }, _) => {
            storage::remove(session, names, *if_exists).await
        }
        (Define::Access(access), _) => crate::access::run(session, access),
        _ => Err(Error::Internal { what: "a definition of another kind".to_owned() }),
    }?;
    transaction.commit().await?;
    Ok(tag)
}

/// The schema and name that a CREATE makes.
fn new_name(session: &Arc<Session>, name: &ast::ObjectName, temporary: bool) -> Result<TableName> {
    let target = target_of(name)?;
    let in_temporary =
        target.schema.as_ref().is_some_and(|schema| session.is_temporary_schema(schema));
    if temporary || in_temporary {
        if target.schema.is_some() && !in_temporary {
            return Err(Error::Value {
                code: "42P16",
                message: "cannot create temporary relation in non-temporary schema".to_owned(),
            });
        }
        session.require_on_database(Privilege::Temporary)?;
        return Ok(TableName::new(TEMPORARY, target.table));
    }
    let schema = match target.schema {
        Some(schema) if session.has_schema(&schema) => schema,
        Some(name) => return Err(CatalogError::SchemaNotFound { name }.into()),
        None => {
            let path = session.search_path();
            let first = path.into_iter().find(|schema| session.has_schema(schema));
            first.ok_or_else(|| PlannerError::Semantics {
                code: "3F000",
                message: "no schema has been selected to create in".to_owned(),
                position: None,
            })?
        }
    };
    if schema != tarn_catalog::registry::PUBLIC && session.shared.catalog.is_system_schema(&schema)
    {
        let message = format!("permission denied to create \"{schema}.{}\"", target.table);
        return Err(Error::Value { code: "42501", message });
    }
    session.require_create_in(&schema)?;
    Ok(TableName::new(schema, target.table))
}

/// Whether a name is taken; with IF NOT EXISTS that is no error.
fn is_taken(session: &Arc<Session>, name: &TableName, if_not_exists: bool) -> Result<bool> {
    if session.relation(name).is_none() {
        return Ok(false);
    }
    if !if_not_exists {
        return Err(CatalogError::TableExists { name: name.table().to_owned() }.into());
    }
    let message = format!("relation \"{}\" already exists, skipping", name.table());
    session.notice("NOTICE", "42P07", message);
    Ok(true)
}

async fn create_view(
    session: &Arc<Session>,
    statement: &Statement,
    create: &ast::CreateView,
) -> Result<CommandTag> {
    if create.materialized {
        return Err(unsupported("CREATE MATERIALIZED VIEW"));
    }
    refuse_options(&create.options)?;
    let mut name = new_name(session, &create.name, create.temporary)?;
    let inner = statement.with_ast(Ast::Query(create.query.clone()));
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
    let depends_on: Vec<TableName> = bound.reads;
    refuse_ambiguous(&create.query, &depends_on)?;
    if name.schema() != TEMPORARY && depends_on.iter().any(|name| name.schema() == TEMPORARY) {
        let message = format!("view \"{}\" will be a temporary view", name.table());
        session.notice("NOTICE", "00000", message);
        name = TableName::new(TEMPORARY, name.table());
    }
    let names: Vec<String> = create.columns.iter().map(|column| fold(&column.name)).collect();
    let schema = tables::renamed(logical.schema().as_arrow(), &names, "CREATE VIEW")?;
    match session.relation(&name) {
        None => {}
        Some(Relation::View { .. }) if create.or_replace => session.require_owner(&name)?,
        Some(_) if create.or_replace => {
            let name = name.table().to_owned();
            return Err(CatalogError::WrongObjectType { name, expected: "a view" }.into());
        }
        Some(_) if is_taken(session, &name, create.if_not_exists)? => {
            return Ok(CommandTag::new("CREATE VIEW"));
        }
        Some(_) => {}
    }
    let definition = definition_of(&create.query, &names, (logical.schema().as_arrow(), &schema));
    let columns = entry::columns_of(&schema);
    let details = Arc::default();
    let (relation, access) = (Relation::View { definition }, Arc::default());
    let object = Object { relation, columns, depends_on, details, access };
    session.put(&name, Some(object), OnCommit::Preserve);
    Ok(CommandTag::new("CREATE VIEW"))
}

/// Refuses options that would change who may read what: a view is read with its owner's rights.
fn refuse_options(options: &ast::CreateTableOptions) -> Result<()> {
    if matches!(options, ast::CreateTableOptions::None) {
        return Ok(());
    }
    let what = format!("CREATE VIEW … {options}");
    let hint = "Views are read with the rights of their owner; grant SELECT on the view.";
    Err(PlannerError::Unsupported { what, hint: Some(hint.to_owned()) }.into())
}

/// Refuses a name without a schema for which the view reads several relations: which one it means
/// would be up to the search path of whoever reads the view, with the rights of its owner.
fn refuse_ambiguous(query: &ast::Query, depends_on: &[TableName]) -> Result<()> {
    struct Finder<'a>(&'a [TableName]);
    impl Visitor for Finder<'_> {
        type Break = String;
        fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<String> {
            let [ast::ObjectNamePart::Identifier(name)] = relation.0.as_slice() else {
                return ControlFlow::Continue(());
            };
            let table = fold(name);
            match self.0.iter().filter(|known| known.table() == table).count() {
                0 | 1 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(table),
            }
        }
    }
    match query.visit(&mut Finder(depends_on)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(table) => {
            let what = format!("a view of several relations \"{table}\", one without its schema");
            let hint = Some("Write the schema before each of these names.".to_owned());
            Err(PlannerError::Unsupported { what, hint }.into())
        }
    }
}

/// The view's query; with column names it becomes a subquery with those names.
///
/// `columns` are the query's own and the view's. A query that gets more columns later (`SELECT *`)
/// must not break the view, so its columns are named where that can be done.
fn definition_of(
    query: &ast::Query,
    names: &[String],
    (inner, outer): (&Schema, &Schema),
) -> String {
    if names.is_empty() {
        return query.to_string();
    }
    let quoted = |field: &Field| ast::Ident::with_quote('"', field.name()).to_string();
    let own: Vec<String> = inner.fields().iter().map(|field| quoted(field)).collect();
    let given: Vec<String> = outer.fields().iter().map(|field| quoted(field)).collect();
    if own.iter().collect::<HashSet<_>>().len() < own.len() {
        return format!("SELECT * FROM ({query}) AS v ({})", given.join(", "));
    }
    let columns: Vec<String> =
        own.iter().zip(&given).map(|(own, given)| format!("{own} AS {given}")).collect();
    format!("SELECT {} FROM ({query}) AS v", columns.join(", "))
}

fn create_index(session: &Arc<Session>, create: &ast::CreateIndex) -> Result<CommandTag> {
    let target = target_of(&create.table_name)?;
    let lookup = SessionLookup::new(session);
    let Some((name, _)) = lookup.resolve(target.schema.as_deref(), &target.table) else {
        return Err(CatalogError::TableNotFound { name: target.table }.into());
    };
    session.require_owner(&name)?;
    let text = if create.unique {
        "indexes have no effect; uniqueness is not enforced"
    } else {
        "indexes have no effect: scans use statistics of the data"
    };
    session.notice(if create.unique { "WARNING" } else { "NOTICE" }, "01000", text);
    Ok(CommandTag::new("CREATE INDEX"))
}
