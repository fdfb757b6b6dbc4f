//! CREATE and DROP of what lives in memory: tables, views, schemas.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use sqlparser::ast::{self, ColumnOption, ObjectType, Statement as Ast};
use tarn_catalog::memory::MemoryTable;
use tarn_catalog::{CatalogError, TableName, entry};
use tarn_exec::QueryId;
use tarn_planner::binder::bind;
use tarn_planner::rewrite::strip_suffix;
use tarn_planner::statement::{Define, fold};
use tarn_planner::write::{column_type, target_of};
use tarn_planner::{PlannerError, Statement, plan};

use crate::error::{Error, Result};
use crate::lookup::{SessionLookup, TEMPORARY};
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// Runs one CREATE or DROP.
pub(crate) async fn run(
    session: &Arc<Session>,
    statement: &Statement,
    form: Define,
    query_id: QueryId,
) -> Result<CommandTag> {
    let verb = statement.text().split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    crate::modify::check_writable(session, &verb.to_uppercase())?;
    match (form, statement.ast()) {
        (Define::CreateTable, Ast::CreateTable(create)) => {
            create_table(session, statement, create, query_id).await
        }
        (Define::CreateView, Ast::CreateView(create)) => {
            create_view(session, statement, create).await
        }
        (Define::CreateIndex, Ast::CreateIndex(create)) => create_index(session, create),
        (Define::CreateSchema, Ast::CreateSchema { schema_name, if_not_exists, .. }) => {
            create_schema(session, schema_name, *if_not_exists)
        }
        (Define::Drop, Ast::Drop { object_type, if_exists, names, cascade, .. }) => {
            for name in names {
                drop_one(session, object_type, name, *if_exists, *cascade)?;
            }
            Ok(CommandTag::new(&format!("DROP {object_type}")))
        }
        _ => Err(Error::Internal { what: "a definition of another kind".to_owned() }),
    }
}

/// The schema and name that a CREATE makes.
fn new_name(session: &Arc<Session>, name: &ast::ObjectName, temporary: bool) -> Result<TableName> {
    let target = target_of(name)?;
    if temporary {
        return Ok(TableName::new(TEMPORARY, target.table));
    }
    let schema = match target.schema {
        Some(schema) => schema,
        None => {
            let path = session.search_path();
            let first = path.into_iter().find(|schema| session.shared.catalog.has_schema(schema));
            first.ok_or_else(|| PlannerError::Semantics {
                code: "3F000",
                message: "no schema has been selected to create in".to_owned(),
                position: None,
            })?
        }
    };
    Ok(TableName::new(schema, target.table))
}

async fn create_table(
    session: &Arc<Session>,
    statement: &Statement,
    create: &ast::CreateTable,
    query_id: QueryId,
) -> Result<CommandTag> {
    if create.external || create.location.is_some() || create.file_format.is_some() {
        return Err(unsupported("CREATE TABLE on storage"));
    }
    let name = new_name(session, &create.name, create.temporary)?;
    let exists = match name.schema() {
        TEMPORARY => session.inner.lock().temporary.contains_key(name.table()),
        _ => session.shared.catalog.get(&name).is_some(),
    };
    if exists {
        if create.if_not_exists {
            let message = format!("relation \"{}\" already exists, skipping", name.table());
            session.notice("NOTICE", "42P07", message);
            return Ok(CommandTag::new("CREATE TABLE"));
        }
        return Err(CatalogError::TableExists { name: name.table().to_owned() }.into());
    }
    let bytes_max = session.shared.config.memory_table_bytes_max;
    let Some(query) = &create.query else {
        let schema = declared_schema(session, create)?;
        add_table(session, &name, MemoryTable::new(name.table(), Arc::new(schema), bytes_max))?;
        return Ok(CommandTag::new("CREATE TABLE"));
    };
    let inner = statement.with_ast(Ast::Query(query.clone()));
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
    let batches = session.collect(&logical, &state, &inner, query_id).await?;
    let renamed = |schema: &Schema| -> Result<Schema> {
        let names = create.columns.iter().map(|column| fold(&column.name));
        let names: Vec<String> = names.collect();
        let fields = schema.fields().iter().enumerate().map(|(at, field)| {
            let name = names.get(at).map_or_else(|| strip_suffix(field.name()), String::as_str);
            Field::new(name, field.data_type().clone(), true)
        });
        let schema = Schema::new(fields.collect::<Vec<_>>());
        check_unique(&schema)?;
        Ok(schema)
    };
    let result_schema = batches
        .first()
        .map_or_else(|| Arc::new(logical.schema().as_arrow().clone()), |batch| batch.schema());
    let schema = Arc::new(renamed(&result_schema)?);
    let table = MemoryTable::new(name.table(), Arc::clone(&schema), bytes_max);
    let n_rows: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    let batches = batches.into_iter().map(|batch| batch.with_schema(Arc::clone(&schema)));
    let batches: std::result::Result<Vec<_>, _> = batches.collect();
    let batches = batches.map_err(|error| Error::Internal { what: error.to_string() })?;
    table.append(batches)?;
    add_table(session, &name, table)?;
    Ok(CommandTag::with_rows("SELECT", u64::try_from(n_rows).unwrap_or(u64::MAX)))
}

fn add_table(session: &Arc<Session>, name: &TableName, table: Arc<MemoryTable>) -> Result<()> {
    if name.schema() == TEMPORARY {
        session.inner.lock().temporary.insert(name.table().to_owned(), table);
        return Ok(());
    }
    session.shared.catalog.create_table(name, table)?;
    session.notice(
        "NOTICE",
        "00000",
        format!("table \"{}\" is kept in memory and is lost when the server stops", name.table()),
    );
    Ok(())
}

fn declared_schema(session: &Arc<Session>, create: &ast::CreateTable) -> Result<Schema> {
    let state = session.state();
    let mut fields = Vec::new();
    for column in &create.columns {
        let mut nullable = true;
        for option in &column.options {
            match &option.option {
                ColumnOption::NotNull | ColumnOption::PrimaryKey(_) => nullable = false,
                ColumnOption::Null | ColumnOption::Unique(_) | ColumnOption::Collation(_) => {}
                other => return Err(unsupported(format!("the column option {other}"))),
            }
            if matches!(option.option, ColumnOption::PrimaryKey(_) | ColumnOption::Unique(_)) {
                warn_key(session);
            }
        }
        let data_type = column_type(&column.data_type, &state)?;
        fields.push(Field::new(fold(&column.name), data_type, nullable));
    }
    if !create.constraints.is_empty() {
        warn_key(session);
    }
    let schema = Schema::new(fields);
    check_unique(&schema)?;
    Ok(schema)
}

fn warn_key(session: &Arc<Session>) {
    session.notice("WARNING", "01000", "keys and constraints are noted but not enforced");
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
    if create.temporary {
        return Err(unsupported("CREATE TEMPORARY VIEW"));
    }
    let name = new_name(session, &create.name, false)?;
    let inner = statement.with_ast(Ast::Query(create.query.clone()));
    let state = session.state();
    let bound = bind(&inner, &state, &SessionLookup::new(session)).await?;
    let logical = plan::logical_plan(&inner, bound.ast, &state, &bound.tables, &[])?;
    let names: Vec<String> = create.columns.iter().map(|column| fold(&column.name)).collect();
    let outputs = logical.schema().fields();
    if names.len() > outputs.len() {
        return Err(Error::Planner(PlannerError::Semantics {
            code: "42601",
            message: "CREATE VIEW specifies more column names than columns".to_owned(),
            position: None,
        }));
    }
    let fields = outputs.iter().enumerate().map(|(at, field)| {
        let name = names.get(at).map_or_else(|| strip_suffix(field.name()), String::as_str);
        Field::new(name, field.data_type().clone(), true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    check_unique(&schema)?;
    let definition = definition_of(&create.query, &names, &schema);
    let depends_on = bound.pins.into_iter().map(|pin| pin.name).collect();
    let columns = entry::columns_of(&schema);
    let catalog = &session.shared.catalog;
    match catalog.create_view(&name, definition, columns, depends_on, create.or_replace) {
        Err(CatalogError::TableExists { .. }) if create.if_not_exists => {}
        other => other?,
    }
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
    match session.shared.catalog.create_schema(&name) {
        Err(CatalogError::SchemaExists { name }) if if_not_exists => {
            let message = format!("schema \"{name}\" already exists, skipping");
            session.notice("NOTICE", "42P06", message);
        }
        other => other?,
    }
    Ok(CommandTag::new("CREATE SCHEMA"))
}

fn drop_one(
    session: &Arc<Session>,
    object_type: &ObjectType,
    name: &ast::ObjectName,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let target = target_of(name)?;
    let catalog = &session.shared.catalog;
    let result = match object_type {
        ObjectType::Schema => catalog.drop_schema(&target.table, cascade),
        // Indexes are never made, so none can be dropped; scripts drop what they created.
        ObjectType::Index => return Ok(()),
        ObjectType::Table | ObjectType::View => {
            let view = *object_type == ObjectType::View;
            let lookup = SessionLookup::new(session);
            match lookup.resolve(target.schema.as_deref(), &target.table) {
                Some((name, _)) if name.schema() == TEMPORARY && !view => {
                    session.inner.lock().temporary.remove(name.table());
                    Ok(())
                }
                Some((name, _)) => catalog.drop_relation(&name, view, cascade),
                None => Err(CatalogError::TableNotFound { name: target.table.clone() }),
            }
        }
        other => return Err(unsupported(format!("DROP {other}"))),
    };
    let kind = object_type.to_string().to_lowercase();
    match result {
        Err(CatalogError::TableNotFound { name } | CatalogError::SchemaNotFound { name })
            if if_exists =>
        {
            let message = format!("{kind} \"{name}\" does not exist, skipping");
            session.notice("NOTICE", "00000", message);
            Ok(())
        }
        Err(CatalogError::TableNotFound { name }) => Err(Error::Planner(PlannerError::Semantics {
            code: "42P01",
            message: format!("{kind} \"{name}\" does not exist"),
            position: None,
        })),
        other => Ok(other?),
    }
}
