//! CREATE and DROP of what lives in memory: tables, views, schemas.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use sqlparser::ast::{self, ColumnOption, Statement as Ast, TableConstraint};
use tarn_catalog::memory::{MemoryTable, TableDetails, TableKey};
use tarn_catalog::registry::{Object, Relation};
use tarn_catalog::{CatalogError, TableName, entry};
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::rewrite::strip_suffix;
use tarn_planner::statement::{Define, fold, into_of};
use tarn_planner::write::{column_field, target_of};
use tarn_planner::{PlannerError, Statement, plan};

use crate::changes::OnCommit;
use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::modify::{append, check_writable};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;
use crate::transaction::StatementTransaction;

/// Runs one CREATE, ALTER or DROP.
pub(crate) async fn run(
    session: &Arc<Session>,
    statement: &Statement,
    form: Define,
    query_id: QueryId,
) -> Result<CommandTag> {
    let verb = statement.text().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    check_writable(session, &verb.to_uppercase(), None)?;
    let _turn = session.writing.lock().await;
    let transaction = StatementTransaction::begin(session);
    let tag = match (form, statement.ast()) {
        (Define::CreateTable, Ast::CreateTable(create)) => {
            create_table(session, statement, create, query_id).await
        }
        (Define::SelectInto, Ast::Query(query)) => {
            select_into(session, statement, query, query_id).await
        }
        (Define::CreateView, Ast::CreateView(create)) => {
            create_view(session, statement, create).await
        }
        (Define::CreateIndex, Ast::CreateIndex(create)) => create_index(session, create),
        (Define::CreateSchema, Ast::CreateSchema { schema_name, if_not_exists, .. }) => {
            create_schema(session, schema_name, *if_not_exists)
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
        _ => Err(Error::Internal { what: "a definition of another kind".to_owned() }),
    }?;
    transaction.commit()?;
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

fn check_options(create: &ast::CreateTable) -> Result<()> {
    let refused = [
        (
            create.external || create.location.is_some() || create.file_format.is_some(),
            "on storage",
        ),
        (create.or_replace, "OR REPLACE"),
        (create.like.is_some(), "LIKE"),
        (create.clone.is_some(), "CLONE"),
        (create.inherits.is_some(), "INHERITS"),
        (create.partition_of.is_some() || create.partition_by.is_some(), "PARTITION"),
    ];
    match refused.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(unsupported(format!("CREATE TABLE … {what}"))),
        None => Ok(()),
    }
}

async fn create_table(
    session: &Arc<Session>,
    statement: &Statement,
    create: &ast::CreateTable,
    query_id: QueryId,
) -> Result<CommandTag> {
    check_options(create)?;
    let name = new_name(session, &create.name, create.temporary)?;
    if is_taken(session, &name, create.if_not_exists)? {
        let verb = if create.query.is_some() { "CREATE TABLE AS" } else { "CREATE TABLE" };
        return Ok(CommandTag::new(verb));
    }
    let on_commit = match create.on_commit {
        None | Some(ast::OnCommit::PreserveRows) => OnCommit::Preserve,
        Some(_) if name.schema() != TEMPORARY => {
            let message = "ON COMMIT can only be used on temporary tables".to_owned();
            return Err(Error::Value { code: "42P16", message });
        }
        Some(ast::OnCommit::DeleteRows) => OnCommit::Delete,
        Some(ast::OnCommit::Drop) => OnCommit::Drop,
    };
    let Some(query) = &create.query else {
        let (schema, details) = declared(session, &name, create)?;
        let bytes_max = session.shared.config.memory_table_bytes_max;
        let table = MemoryTable::with_details(name.table(), Arc::new(schema), details, bytes_max);
        add_table(session, &name, table, on_commit);
        return Ok(CommandTag::new("CREATE TABLE"));
    };
    let inner = statement.with_ast(Ast::Query(query.clone()));
    let names: Vec<String> = create.columns.iter().map(|column| fold(&column.name)).collect();
    let new = NewTable { name, names, on_commit };
    create_as(session, &inner, new, query_id).await
}

/// `SELECT a INTO t FROM u` is `CREATE TABLE t AS SELECT a FROM u`.
async fn select_into(
    session: &Arc<Session>,
    statement: &Statement,
    query: &ast::Query,
    query_id: QueryId,
) -> Result<CommandTag> {
    let Some(into) = into_of(query) else {
        return Err(Error::Internal { what: "no INTO".to_owned() });
    };
    let name = new_name(session, &into.name, into.temporary)?;
    is_taken(session, &name, false)?;
    let mut plain = query.clone();
    if let ast::SetExpr::Select(select) = plain.body.as_mut() {
        select.into = None;
    }
    let inner = statement.with_ast(Ast::Query(Box::new(plain)));
    let new = NewTable { name, names: vec![], on_commit: OnCommit::Preserve };
    create_as(session, &inner, new, query_id).await
}

/// A table that a query fills.
struct NewTable {
    name: TableName,
    /// The names of its first columns.
    names: Vec<String>,
    on_commit: OnCommit,
}

async fn create_as(
    session: &Arc<Session>,
    inner: &Statement,
    new: NewTable,
    query_id: QueryId,
) -> Result<CommandTag> {
    let state = session.state();
    let bound = bind(inner, &state, &SessionLookup::new(session)).await?;
    let logical = plan::logical_plan(inner, bound.ast, &state, &bound.tables, &[])?;
    let batches = session.collect(&logical, &state, inner, query_id).await?;
    let result_schema = match batches.first() {
        Some(batch) => batch.schema(),
        None => {
            let optimized = plan::optimize(&logical, &state, inner)?;
            Arc::new(optimized.schema().as_arrow().clone())
        }
    };
    let schema = renamed(&result_schema, &new.names, "CREATE TABLE AS")?;
    let bytes_max = session.shared.config.memory_table_bytes_max;
    let table = MemoryTable::new(new.name.table(), Arc::clone(&schema), bytes_max);
    let n_rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    add_table(session, &new.name, Arc::clone(&table), new.on_commit);
    append(session, &new.name, &table, batches)?;
    session.check_temporary_size()?;
    Ok(CommandTag::with_rows("SELECT", u64::try_from(n_rows).unwrap_or(u64::MAX)))
}

/// The columns of a query under the names that were listed, all of them nullable.
fn renamed(schema: &Schema, names: &[String], verb: &str) -> Result<SchemaRef> {
    if names.len() > schema.fields().len() {
        return Err(Error::Planner(PlannerError::Semantics {
            code: "42601",
            message: format!("{verb} specifies more column names than columns"),
            position: None,
        }));
    }
    let fields = schema.fields().iter().enumerate().map(|(at, field)| {
        let name = names.get(at).map_or_else(|| strip_suffix(field.name()), String::as_str);
        field.as_ref().clone().with_name(name).with_nullable(true)
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    check_unique(&schema)?;
    Ok(Arc::new(schema))
}

fn add_table(
    session: &Arc<Session>,
    name: &TableName,
    table: Arc<MemoryTable>,
    on_commit: OnCommit,
) {
    session.put(name, Some(Object::table(table)), on_commit);
    if name.schema() != TEMPORARY {
        let text = "is kept in memory and is lost when the server stops";
        session.notice("NOTICE", "00000", format!("table \"{}\" {text}", name.table()));
    }
}

/// The columns of a CREATE TABLE, with defaults and keys.
fn declared(
    session: &Arc<Session>,
    name: &TableName,
    create: &ast::CreateTable,
) -> Result<(Schema, TableDetails)> {
    let mut fields = Vec::new();
    let mut details = TableDetails::default();
    for column in &create.columns {
        let (field, default) = column_of(column)?;
        for option in &column.options {
            let primary = match &option.option {
                ColumnOption::PrimaryKey(_) => true,
                ColumnOption::Unique(_) => false,
                _ => continue,
            };
            let key_name = option.name.as_ref().map(fold);
            details.keys.push(key_of(name, key_name, primary, vec![fold(&column.name)]));
        }
        fields.push(field);
        details.defaults.push(default);
    }
    for constraint in &create.constraints {
        let (key_name, primary, columns) = match constraint {
            TableConstraint::PrimaryKey(key) => (key.name.as_ref(), true, &key.columns),
            TableConstraint::Unique(key) => (key.name.as_ref(), false, &key.columns),
            TableConstraint::ForeignKey(_) | TableConstraint::Check(_) => {
                session.notice("WARNING", "01000", format!("{constraint} is not enforced"));
                continue;
            }
            other => return Err(unsupported(format!("the constraint {other}"))),
        };
        let columns: Vec<String> = columns
            .iter()
            .map(|column| match &column.column.expr {
                ast::Expr::Identifier(ident) => Ok(fold(ident)),
                other => Err(unsupported(format!("a key of {other}"))),
            })
            .collect::<Result<_>>()?;
        for column in &columns {
            let Some(field) = fields.iter_mut().find(|field| field.name() == column) else {
                let message = format!("column \"{column}\" named in key does not exist");
                return Err(Error::Value { code: "42703", message });
            };
            if primary {
                field.set_nullable(false);
            }
        }
        details.keys.push(key_of(name, key_name.map(fold), primary, columns));
    }
    if details.keys.iter().filter(|key| key.primary).count() > 1 {
        let message =
            format!("multiple primary keys for table \"{}\" are not allowed", name.table());
        return Err(Error::Value { code: "42P16", message });
    }
    if !details.keys.is_empty() {
        warn_key(session);
    }
    let schema = Schema::new(fields);
    check_unique(&schema)?;
    Ok((schema, details))
}

fn key_of(
    table: &TableName,
    name: Option<String>,
    primary: bool,
    columns: Vec<String>,
) -> TableKey {
    let name = name.unwrap_or_else(|| match primary {
        true => format!("{}_pkey", table.table()),
        false => format!("{}_{}_key", table.table(), columns.join("_")),
    });
    TableKey { name, primary, columns, rely: false }
}

/// One column's field, and its default as text.
pub(crate) fn column_of(
    column: &ast::ColumnDef,
) -> Result<(arrow::datatypes::Field, Option<String>)> {
    let type_name = column.data_type.to_string().to_lowercase();
    if matches!(
        type_name.as_str(),
        "serial" | "bigserial" | "smallserial" | "serial4" | "serial8" | "serial2"
    ) {
        return Err(PlannerError::Unsupported {
            what: format!("the type {type_name}"),
            hint: Some(
                "There are no sequences: declare an integer and give its values.".to_owned(),
            ),
        }
        .into());
    }
    let mut nullable = true;
    let mut default = None;
    for option in &column.options {
        match &option.option {
            ColumnOption::NotNull | ColumnOption::PrimaryKey(_) => nullable = false,
            ColumnOption::Null | ColumnOption::Unique(_) | ColumnOption::Collation(_) => {}
            ColumnOption::Default(expr) => default = default_text(expr)?,
            ColumnOption::Generated { .. } => {
                return Err(unsupported("a generated column"));
            }
            other => return Err(unsupported(format!("the column option {other}"))),
        }
    }
    let field = column_field(&fold(&column.name), &column.data_type, nullable)?;
    Ok((field, default))
}

/// A default as it is kept; none for NULL.
pub(crate) fn default_text(expr: &ast::Expr) -> Result<Option<String>> {
    let text = expr.to_string();
    if text.eq_ignore_ascii_case("null") {
        return Ok(None);
    }
    if text.to_lowercase().contains("nextval(") {
        return Err(unsupported("a default from a sequence"));
    }
    Ok(Some(text))
}

fn warn_key(session: &Arc<Session>) {
    session.notice("NOTICE", "00000", "keys are noted and not enforced");
}

fn check_unique(schema: &Schema) -> Result<()> {
    let mut seen = BTreeSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name().as_str())) {
        Some(field) => Err(PlannerError::DuplicateColumn { name: field.name().clone() }.into()),
        None => Ok(()),
    }
}

async fn create_view(
    session: &Arc<Session>,
    statement: &Statement,
    create: &ast::CreateView,
) -> Result<CommandTag> {
    if create.materialized {
        return Err(unsupported("CREATE MATERIALIZED VIEW"));
    }
    let mut name = new_name(session, &create.name, create.temporary)?;
    let inner = statement.with_ast(Ast::Query(create.query.clone()));
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
    let depends_on: Vec<TableName> = bound.pins.into_iter().map(|pin| pin.name).collect();
    if name.schema() != TEMPORARY && depends_on.iter().any(|name| name.schema() == TEMPORARY) {
        let message = format!("view \"{}\" will be a temporary view", name.table());
        session.notice("NOTICE", "00000", message);
        name = TableName::new(TEMPORARY, name.table());
    }
    let names: Vec<String> = create.columns.iter().map(|column| fold(&column.name)).collect();
    let schema = renamed(logical.schema().as_arrow(), &names, "CREATE VIEW")?;
    match session.relation(&name) {
        None => {}
        Some(Relation::View { .. }) if create.or_replace => {}
        Some(_) if create.or_replace => {
            let name = name.table().to_owned();
            return Err(CatalogError::WrongObjectType { name, expected: "a view" }.into());
        }
        Some(_) if is_taken(session, &name, create.if_not_exists)? => {
            return Ok(CommandTag::new("CREATE VIEW"));
        }
        Some(_) => {}
    }
    let definition = definition_of(&create.query, &names, &schema);
    let columns = entry::columns_of(&schema);
    let details = Arc::default();
    let object = Object { relation: Relation::View { definition }, columns, depends_on, details };
    session.put(&name, Some(object), OnCommit::Preserve);
    Ok(CommandTag::new("CREATE VIEW"))
}

/// The view's query; with column names it becomes a subquery with those names.
fn definition_of(query: &ast::Query, names: &[String], schema: &Schema) -> String {
    if names.is_empty() {
        return query.to_string();
    }
    let quoted = |name: &str| ast::Ident::with_quote('"', name).to_string();
    let columns: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    format!("SELECT * FROM ({query}) AS v ({})", columns.join(", "))
}

fn create_index(session: &Arc<Session>, create: &ast::CreateIndex) -> Result<CommandTag> {
    let target = target_of(&create.table_name)?;
    let lookup = SessionLookup::new(session);
    if lookup.resolve(target.schema.as_deref(), &target.table).is_none() {
        return Err(CatalogError::TableNotFound { name: target.table }.into());
    }
    let text = if create.unique {
        "indexes have no effect; uniqueness is not enforced"
    } else {
        "indexes have no effect: scans use statistics of the data"
    };
    session.notice(if create.unique { "WARNING" } else { "NOTICE" }, "01000", text);
    Ok(CommandTag::new("CREATE INDEX"))
}

fn create_schema(
    session: &Arc<Session>,
    name: &ast::SchemaName,
    if_not_exists: bool,
) -> Result<CommandTag> {
    let (ast::SchemaName::Simple(name) | ast::SchemaName::NamedAuthorization(name, _)) = name
    else {
        return Err(unsupported("CREATE SCHEMA AUTHORIZATION without a name"));
    };
    let name = target_of(name)?.table;
    if name.starts_with("pg_") {
        let message = format!("unacceptable schema name \"{name}\"");
        return Err(Error::Value { code: "42939", message });
    }
    if session.has_schema(&name) {
        if !if_not_exists {
            return Err(CatalogError::SchemaExists { name }.into());
        }
        let message = format!("schema \"{name}\" already exists, skipping");
        session.notice("NOTICE", "42P06", message);
    } else {
        session.put_schema(&name, true);
    }
    Ok(CommandTag::new("CREATE SCHEMA"))
}
