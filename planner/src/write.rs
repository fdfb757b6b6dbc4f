//! Statements that change rows, as queries for the rows that they touch.
//!
//! ```text
//! INSERT INTO t (b) SELECT …             SELECT …            then defaults for a, casts
//! UPDATE t SET b = e FROM u WHERE p      SELECT row, e FROM target AS t, u WHERE p
//! DELETE FROM t USING u WHERE p          SELECT row FROM target AS t, u WHERE p
//! … RETURNING e                          SELECT e FROM target AS t      over the touched rows
//! ```
//! `target` is the table with the number of each row beside its columns.
//! The tree is taken apart here, before DataFusion sees it: its own DML plans lose the predicate
//! where that is a subquery or a constant (apache/datafusion#24654), which would change all rows.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::{Cast, Expr as LogicalExpr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    self, AssignmentTarget, Expr, FromTable, GroupByExpr, Ident, ObjectName, Query, Select,
    SelectItem, SetExpr, Statement as Ast, TableFactor, TableObject, TableWithJoins,
};

use tarn_catalog::memory::TableDetails;

use crate::error::{PlannerError, Result};
use crate::statement::fold;
use crate::types::{self, ASSIGNMENT};

/// The relation that stands for the written one in [`WriteQuery::query`].
pub const TARGET: &str = "tarn target";

/// Its column with the number of each row.
pub const ROW: &str = "tarn row";

/// The relation that a statement writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The schema where one was written.
    pub schema: Option<String>,
    /// The folded name.
    pub table: String,
}

/// What becomes of the rows that the query yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// They are added.
    Append,
    /// They are row numbers and the new values of the assigned columns.
    Update,
    /// They are the numbers of rows that go.
    Delete,
    /// Nothing is left.
    Clear,
}

/// A writing statement as a query.
#[derive(Debug, Clone)]
pub struct WriteQuery {
    /// The query; `None` for TRUNCATE.
    pub query: Option<Ast>,
    /// What its rows are.
    pub effect: Effect,
    /// `SELECT … FROM target` for RETURNING.
    pub returning: Option<Ast>,
    /// Which columns of the table the query's columns are; for an update without the row number.
    columns: Vec<usize>,
}

/// The relation that a statement writes.
///
/// # Errors
/// `Unsupported` for targets that are not one table.
pub fn target(ast: &Ast) -> Result<Target> {
    match ast {
        Ast::Insert(insert) => match &insert.table {
            TableObject::TableName(name) => target_of(name),
            other => Err(PlannerError::unsupported(format!("INSERT INTO {other}"))),
        },
        Ast::Update(update) => target_of(factor_name(&update.table)?),
        Ast::Delete(delete) => target_of(factor_name(delete_table(delete)?)?),
        Ast::Truncate(truncate) => match truncate.table_names.as_slice() {
            [table] => target_of(&table.name),
            _ => Err(PlannerError::Internal { what: "several tables".to_owned() }),
        },
        _ => Err(PlannerError::Internal { what: "not a writing statement".to_owned() }),
    }
}

/// Reads a possibly qualified name.
///
/// # Errors
/// `Unsupported` for names of more than two parts.
pub fn target_of(name: &ObjectName) -> Result<Target> {
    let parts: Vec<String> = name.0.iter().filter_map(|p| p.as_ident()).map(fold).collect();
    match parts.as_slice() {
        [table] => Ok(Target { schema: None, table: table.clone() }),
        [schema, table] | [_, schema, table] => {
            Ok(Target { schema: Some(schema.clone()), table: table.clone() })
        }
        _ => Err(PlannerError::unsupported(format!("the relation name {name}"))),
    }
}

/// Turns a writing statement on a table of this schema into a query.
///
/// # Errors
/// `UndefinedColumn` and `DuplicateColumn` for column lists, `Unsupported` for clauses.
pub fn write_query(
    ast: &Ast,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<WriteQuery> {
    match ast {
        Ast::Insert(insert) => insert_query(insert, table, schema, details),
        Ast::Update(update) => update_query(update, table, schema, details),
        Ast::Delete(delete) => delete_query(delete, table),
        Ast::Truncate(_) => {
            Ok(WriteQuery { query: None, effect: Effect::Clear, returning: None, columns: vec![] })
        }
        _ => Err(PlannerError::Internal { what: "not a writing statement".to_owned() }),
    }
}

fn update_query(
    update: &ast::Update,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<WriteQuery> {
    if update.or.is_some() || !update.order_by.is_empty() || update.limit.is_some() {
        return Err(PlannerError::unsupported("UPDATE with OR, ORDER BY or LIMIT"));
    }
    let assignments = assignments(update, table, schema, details)?;
    let others = match &update.from {
        Some(
            ast::UpdateTableFromKind::AfterSet(from) | ast::UpdateTableFromKind::BeforeSet(from),
        ) => from.clone(),
        None => vec![],
    };
    let alias = alias_of(&update.table.relation, table);
    let columns = assignments.iter().map(|(index, _)| *index).collect();
    let values = assignments.into_iter().enumerate().map(|(at, (_, expr))| {
        SelectItem::ExprWithAlias { expr, alias: quoted(&format!("tarn value {at}")) }
    });
    let items = std::iter::once(row_number(&alias)).chain(values).collect();
    let returning = returning_query(update.returning.as_deref(), &alias, !others.is_empty())?;
    let query = target_query(items, &alias, others, update.selection.clone());
    Ok(WriteQuery { query: Some(query), effect: Effect::Update, returning, columns })
}

fn delete_query(delete: &ast::Delete, table: &str) -> Result<WriteQuery> {
    if !delete.order_by.is_empty() || delete.limit.is_some() || !delete.tables.is_empty() {
        return Err(PlannerError::unsupported("DELETE with ORDER BY or LIMIT"));
    }
    let alias = alias_of(&delete_table(delete)?.relation, table);
    let others = delete.using.clone().unwrap_or_default();
    let returning = returning_query(delete.returning.as_deref(), &alias, !others.is_empty())?;
    let items = vec![row_number(&alias)];
    let query = target_query(items, &alias, others, delete.selection.clone());
    Ok(WriteQuery { query: Some(query), effect: Effect::Delete, returning, columns: vec![] })
}

fn alias_of(factor: &TableFactor, table: &str) -> Ident {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } => alias.name.clone(),
        _ => quoted(table),
    }
}

fn row_number(alias: &Ident) -> SelectItem {
    let expr = Expr::CompoundIdentifier(vec![alias.clone(), quoted(ROW)]);
    SelectItem::ExprWithAlias { expr, alias: quoted(ROW) }
}

/// `SELECT items FROM target AS alias, others WHERE selection`.
fn target_query(
    items: Vec<SelectItem>,
    alias: &Ident,
    others: Vec<TableWithJoins>,
    selection: Option<Expr>,
) -> Ast {
    let name = ObjectName(vec![ast::ObjectNamePart::Identifier(quoted(TARGET))]);
    let mut relation = crate::utility::table_factor(name);
    if let TableFactor::Table { alias: slot, .. } = &mut relation {
        *slot = Some(ast::TableAlias {
            explicit: true,
            name: alias.clone(),
            columns: vec![],
            at: None,
        });
    }
    let target = TableWithJoins { relation, joins: vec![] };
    let mut query = select_query(items, target);
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from.extend(others);
        select.selection = selection;
    }
    Ast::Query(query)
}

fn returning_query(
    items: Option<&[SelectItem]>,
    alias: &Ident,
    has_others: bool,
) -> Result<Option<Ast>> {
    let Some(items) = items else { return Ok(None) };
    if has_others {
        return Err(PlannerError::unsupported("RETURNING together with FROM or USING"));
    }
    Ok(Some(target_query(items.to_vec(), alias, vec![], None)))
}

impl WriteQuery {
    /// The types of `$1`, `$2`, … where a VALUES list puts them straight into columns.
    #[must_use]
    pub fn parameter_types(&self, schema: &Schema) -> Vec<Option<DataType>> {
        let Some(Ast::Query(query)) = &self.query else { return vec![] };
        let rows: Vec<Vec<Option<&Expr>>> = match query.body.as_ref() {
            SetExpr::Values(values) => {
                values.rows.iter().map(|row| row.content.iter().map(Some).collect()).collect()
            }
            SetExpr::Select(select) => {
                let items = select.projection.iter().map(|item| match item {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                        Some(expr)
                    }
                    _ => None,
                });
                // The first column of an UPDATE's query is the number of the row.
                vec![items.skip(usize::from(self.effect == Effect::Update)).collect()]
            }
            _ => return vec![],
        };
        let mut types = Vec::new();
        for (at, value) in rows.iter().flat_map(|row| row.iter().enumerate()) {
            let Some(Expr::Value(value)) = value else { continue };
            let ast::Value::Placeholder(name) = &value.value else { continue };
            let Ok(number) = name.trim_start_matches('$').parse::<usize>() else { continue };
            let Some(&column) = self.columns.get(at) else { continue };
            if number == 0 || number > usize::from(u16::MAX) {
                continue;
            }
            if types.len() < number {
                types.resize(number, None);
            }
            if let (Some(slot), Some(field)) =
                (types.get_mut(number - 1), schema.fields().get(column))
            {
                *slot = Some(field.data_type().clone());
            }
        }
        types
    }

    /// The columns of the table that an UPDATE assigns, in the order of the query's columns.
    #[must_use]
    pub fn assigned_columns(&self) -> &[usize] {
        &self.columns
    }

    /// Makes the query's columns those of the table: order, missing columns, types.
    ///
    /// # Errors
    /// `Semantics` 42601 where an INSERT has more or fewer expressions than columns.
    pub fn project(&self, plan: LogicalPlan, schema: &Schema) -> Result<LogicalPlan> {
        let outputs = plan.schema().columns();
        let mut projection = Vec::new();
        if self.effect == Effect::Append {
            check_width(outputs.len(), self.columns.len())?;
            for (at, field) in schema.fields().iter().enumerate() {
                let source = self.columns.iter().position(|column| *column == at);
                let value = match source.and_then(|source| outputs.get(source)) {
                    Some(column) => LogicalExpr::Column(column.clone()),
                    None => lit(ScalarValue::Null),
                };
                projection.push(assigned(value, field).alias(field.name()));
            }
        } else {
            let mut outputs = outputs.into_iter();
            if let Some(row) = outputs.next() {
                projection.push(LogicalExpr::Column(row).alias(ROW));
            }
            for (column, index) in outputs.zip(&self.columns) {
                let Some(field) = schema.fields().get(*index) else { continue };
                projection.push(assigned(LogicalExpr::Column(column), field).alias(field.name()));
            }
        }
        LogicalPlanBuilder::from(plan)
            .project(projection)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| PlannerError::Engine(Box::new(error)))
    }
}

/// Literals of VALUES take the types of the columns that they are for, not of each other.
fn type_literals(source: &mut Query, columns: &[usize], schema: &Schema) {
    let SetExpr::Values(values) = source.body.as_mut() else { return };
    for row in &mut values.rows {
        for (expr, column) in row.content.iter_mut().zip(columns) {
            let Expr::Value(value) = &*expr else { continue };
            if !matches!(value.value, ast::Value::SingleQuotedString(_)) {
                continue;
            }
            let field = schema.fields().get(*column);
            let Some(data_type) = field.and_then(|f| types::name::sql_type(f.data_type())) else {
                continue;
            };
            let inner = Box::new(Expr::Value(value.clone()));
            let kind = ast::CastKind::Cast;
            *expr = Expr::Cast { kind, expr: inner, data_type, array: false, format: None };
        }
    }
}

/// A value as it is stored in a column: text that is too long for it is an error.
fn assigned(value: LogicalExpr, column: &Field) -> LogicalExpr {
    let mut metadata = column.metadata().clone();
    if !metadata.is_empty() {
        metadata.insert(ASSIGNMENT.to_owned(), String::new());
    }
    let target = types::target(column.data_type().clone()).with_metadata(metadata);
    LogicalExpr::Cast(Cast::new_from_field(Box::new(value), target.into()))
}

fn insert_query(
    insert: &ast::Insert,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<WriteQuery> {
    if insert.or.is_some() || insert.replace_into || insert.overwrite {
        return Err(PlannerError::unsupported("INSERT OR …, REPLACE and INSERT OVERWRITE"));
    }
    if insert.on.is_some() {
        return Err(PlannerError::Unsupported {
            what: "INSERT … ON CONFLICT".to_owned(),
            hint: Some("Keys are not enforced, so no row conflicts with another.".to_owned()),
        });
    }
    let mut columns = Vec::new();
    let mut seen = BTreeSet::new();
    for name in &insert.columns {
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else { continue };
        let name = fold(ident);
        if !seen.insert(name.clone()) {
            return Err(PlannerError::DuplicateColumn { name });
        }
        columns.push(column_index(schema, &name, table)?);
    }
    let n_columns = schema.fields().len();
    let mut source = match &insert.source {
        Some(source) => source.clone(),
        None => default_row(n_columns),
    };
    if insert.columns.is_empty() {
        // PostgreSQL takes fewer values than columns: the rest have their defaults.
        let width = values_width(&source).unwrap_or(n_columns);
        columns = (0..n_columns.min(width)).collect();
    }
    if let Some(width) = values_width(&source) {
        check_width(width, columns.len())?;
    }
    put_defaults(&mut source, &mut columns, n_columns, details)?;
    type_literals(&mut source, &columns, schema);
    let alias = match &insert.table_alias {
        Some(alias) => alias.alias.clone(),
        None => quoted(table),
    };
    let returning = returning_query(insert.returning.as_deref(), &alias, false)?;
    let query = Some(Ast::Query(source));
    Ok(WriteQuery { query, effect: Effect::Append, returning, columns })
}

fn check_width(n_values: usize, n_columns: usize) -> Result<()> {
    let message = match n_values.cmp(&n_columns) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => "INSERT has more expressions than target columns",
        std::cmp::Ordering::Less => "INSERT has more target columns than expressions",
    };
    Err(PlannerError::Semantics { code: "42601", message: message.to_owned(), position: None })
}

/// `VALUES (DEFAULT, …)`.
fn default_row(n_columns: usize) -> Box<Query> {
    let token = ast::helpers::attached_token::AttachedToken::empty;
    let default = || Expr::Identifier(Ident::new("DEFAULT"));
    let content = (0..n_columns.max(1)).map(|_| default()).collect();
    let row = ast::Parens { opening_token: token(), content, closing_token: token() };
    let values = ast::Values { explicit_row: false, value_keyword: false, rows: vec![row] };
    let mut query = select_query(
        vec![],
        TableWithJoins {
            relation: crate::utility::table_factor(ObjectName(vec![])),
            joins: vec![],
        },
    );
    *query.body = SetExpr::Values(values);
    query
}

/// Puts default expressions in the places of DEFAULT and behind the values that are given.
fn put_defaults(
    source: &mut Box<Query>,
    columns: &mut Vec<usize>,
    n_columns: usize,
    details: &TableDetails,
) -> Result<()> {
    let missing: Vec<usize> = (0..n_columns)
        .filter(|at| !columns.contains(at) && details.default_of(*at).is_some())
        .collect();
    let mut added = Vec::with_capacity(missing.len());
    for at in &missing {
        added.push(default_expr(details, *at)?);
    }
    if let SetExpr::Values(values) = source.body.as_mut() {
        for row in &mut values.rows {
            for (cell, column) in row.content.iter_mut().zip(columns.iter()) {
                if is_default(cell) {
                    *cell = default_expr(details, *column)?;
                }
            }
            if row.content.len() == columns.len() {
                row.content.extend(added.iter().cloned());
            }
        }
    } else if !added.is_empty() {
        let items =
            std::iter::once(SelectItem::Wildcard(ast::WildcardAdditionalOptions::default()))
                .chain(added.into_iter().map(SelectItem::UnnamedExpr));
        let relation = TableFactor::Derived {
            lateral: false,
            subquery: source.clone(),
            alias: Some(ast::TableAlias {
                explicit: true,
                name: quoted("tarn source"),
                columns: vec![],
                at: None,
            }),
            sample: None,
        };
        *source = select_query(items.collect(), TableWithJoins { relation, joins: vec![] });
    }
    columns.extend(missing);
    Ok(())
}

fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// A column's default; NULL where it has none.
fn default_expr(details: &TableDetails, column: usize) -> Result<Expr> {
    match details.default_of(column) {
        Some(text) => crate::parser::parse_expr(text),
        None => Ok(Expr::value(ast::Value::Null)),
    }
}

/// How many values a row has, where that can be seen without looking up names.
fn values_width(query: &Query) -> Option<usize> {
    match query.body.as_ref() {
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
        SetExpr::Select(select) => {
            let plain = |item: &SelectItem| {
                matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
            };
            select.projection.iter().all(plain).then_some(select.projection.len())
        }
        _ => None,
    }
}

fn column_index(schema: &Schema, name: &str, table: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| PlannerError::Semantics {
        code: "42703",
        message: format!("column \"{name}\" of relation \"{table}\" does not exist"),
        position: None,
    })
}

fn assignments(
    update: &ast::Update,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<Vec<(usize, Expr)>> {
    let mut found: Vec<(usize, Expr)> = Vec::new();
    let mut assign = |name: &ObjectName, value: &Expr| -> Result<()> {
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else { return Ok(()) };
        let name = fold(ident);
        let index = column_index(schema, &name, table)?;
        if found.iter().any(|(at, _)| *at == index) {
            return Err(PlannerError::Semantics {
                code: "42601",
                message: format!("multiple assignments to same column \"{name}\""),
                position: None,
            });
        }
        let value = if is_default(value) { default_expr(details, index)? } else { value.clone() };
        found.push((index, value));
        Ok(())
    };
    for assignment in &update.assignments {
        match (&assignment.target, &assignment.value) {
            (AssignmentTarget::ColumnName(name), value) => assign(name, value)?,
            (AssignmentTarget::Tuple(names), Expr::Tuple(values)) => {
                if names.len() != values.len() {
                    return Err(PlannerError::Semantics {
                        code: "42601",
                        message: "number of columns does not match number of values".to_owned(),
                        position: None,
                    });
                }
                for (name, value) in names.iter().zip(values) {
                    assign(name, value)?;
                }
            }
            (AssignmentTarget::Tuple(names), Expr::Nested(value)) if names.len() == 1 => {
                for name in names {
                    assign(name, value)?;
                }
            }
            (AssignmentTarget::Tuple(_), _) => {
                return Err(PlannerError::unsupported("UPDATE … SET (a, b) = a subquery"));
            }
        }
    }
    Ok(found)
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn factor_name(table: &TableWithJoins) -> Result<&ObjectName> {
    match &table.relation {
        TableFactor::Table { name, args: None, .. } if table.joins.is_empty() => Ok(name),
        other => Err(PlannerError::unsupported(format!("writing to {other}"))),
    }
}

fn delete_table(delete: &ast::Delete) -> Result<&TableWithJoins> {
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
    match tables.as_slice() {
        [table] => Ok(table),
        _ => Err(PlannerError::unsupported("DELETE from several tables")),
    }
}

/// `SELECT projection FROM from`.
pub(crate) fn select_query(projection: Vec<SelectItem>, from: TableWithJoins) -> Box<Query> {
    let token = ast::helpers::attached_token::AttachedToken::empty;
    let select = Select {
        select_token: token(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: vec![from],
        lateral_views: vec![],
        prewhere: None,
        selection: None,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    };
    Box::new(Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    })
}

/// The field of a column definition, with a type of PostgreSQL's in its metadata where that says
/// more than the Arrow type.
///
/// # Errors
/// 42704 for names that are no type, `Unsupported` for types that the engine does not have.
pub fn column_field(name: &str, data_type: &ast::DataType, nullable: bool) -> Result<Field> {
    Ok(types::name::field(data_type)?.with_name(name).with_nullable(nullable))
}
