//! Statements that change rows, as queries whose result is the new content.
//!
//! ```text
//! INSERT INTO t (b) SELECT …        SELECT …                       then NULL for a, casts
//! UPDATE t SET b = e WHERE p        SELECT a, CASE WHEN p THEN e ELSE b END AS b, p IS TRUE FROM t
//! DELETE FROM t WHERE p             SELECT a, b, p IS TRUE FROM t
//! ```
//! The tree is taken apart here, before DataFusion sees it: its own DML plans lose the predicate
//! where that is a subquery or a constant (apache/datafusion#24654), which would change all rows.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Schema};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as LogicalExpr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{
    self, AssignmentTarget, Expr, FromTable, GroupByExpr, Ident, ObjectName, Query, Select,
    SelectItem, SetExpr, Statement as Ast, TableFactor, TableObject, TableWithJoins,
};

use crate::error::{PlannerError, Result};
use crate::statement::fold;

/// The name of the output column that says which rows an UPDATE or DELETE touches.
const TOUCHED: &str = "\u{1}touched";

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
    /// They are the new content; the last column says which were updated.
    ReplaceAll,
    /// Those that the last column does not mark are the new content.
    ReplaceUnmarked,
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
    /// For an append, which columns of the table the query's columns are.
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
            _ => Err(PlannerError::unsupported("TRUNCATE of several tables")),
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
pub fn write_query(ast: &Ast, table: &str, schema: &Schema) -> Result<WriteQuery> {
    match ast {
        Ast::Insert(insert) => insert_query(insert, table, schema),
        Ast::Update(update) => {
            let assignments = assignments(update, table, schema)?;
            let items = schema.fields().iter().enumerate().map(|(index, field)| {
                let column = Expr::Identifier(quoted(field.name()));
                let value = assignments.iter().find(|(at, _)| *at == index).map(|(_, e)| e.clone());
                let expr = match (value, &update.selection) {
                    (None, _) => column,
                    (Some(value), None) => value,
                    (Some(value), Some(predicate)) => case_when(predicate, value, column),
                };
                SelectItem::ExprWithAlias { expr, alias: quoted(field.name()) }
            });
            let items = items.chain([marker(update.selection.as_ref())]).collect();
            let query = select(items, update.table.clone());
            Ok(WriteQuery { query: Some(query), effect: Effect::ReplaceAll, columns: vec![] })
        }
        Ast::Delete(delete) => {
            let columns = schema.fields().iter().map(|field| SelectItem::ExprWithAlias {
                expr: Expr::Identifier(quoted(field.name())),
                alias: quoted(field.name()),
            });
            let items = columns.chain([marker(delete.selection.as_ref())]).collect();
            let query = select(items, delete_table(delete)?.clone());
            Ok(WriteQuery { query: Some(query), effect: Effect::ReplaceUnmarked, columns: vec![] })
        }
        Ast::Truncate(_) => Ok(WriteQuery { query: None, effect: Effect::Clear, columns: vec![] }),
        _ => Err(PlannerError::Internal { what: "not a writing statement".to_owned() }),
    }
}

impl WriteQuery {
    /// The types of `$1`, `$2`, … where a VALUES list puts them straight into columns.
    #[must_use]
    pub fn parameter_types(&self, schema: &Schema) -> Vec<Option<DataType>> {
        let Some(Ast::Query(query)) = &self.query else { return vec![] };
        let SetExpr::Values(values) = query.body.as_ref() else { return vec![] };
        let mut types = Vec::new();
        for row in &values.rows {
            for (at, value) in row.content.iter().enumerate() {
                let Expr::Value(value) = value else { continue };
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
        }
        types
    }

    /// Makes the query's columns those of the table: order, missing columns, types.
    ///
    /// # Errors
    /// `Semantics` 42601 where an INSERT has more or fewer expressions than columns.
    pub fn project(&self, plan: LogicalPlan, schema: &Schema) -> Result<LogicalPlan> {
        let outputs = plan.schema().columns();
        let mut projection = Vec::new();
        if self.effect == Effect::Append {
            if outputs.len() != self.columns.len() {
                let more = if outputs.len() > self.columns.len() {
                    "INSERT has more expressions than target columns"
                } else {
                    "INSERT has more target columns than expressions"
                };
                return Err(PlannerError::Semantics {
                    code: "42601",
                    message: more.to_owned(),
                    position: None,
                });
            }
            for (at, field) in schema.fields().iter().enumerate() {
                let source = self.columns.iter().position(|column| *column == at);
                let value = match source.and_then(|source| outputs.get(source)) {
                    Some(column) => LogicalExpr::Column(column.clone()),
                    None => lit(ScalarValue::Null),
                };
                projection.push(cast(value, field.data_type().clone()).alias(field.name()));
            }
        } else {
            for (column, field) in outputs.iter().zip(schema.fields()) {
                let value = cast(LogicalExpr::Column(column.clone()), field.data_type().clone());
                projection.push(value.alias(field.name()));
            }
            if let Some(marker) = outputs.last() {
                projection.push(LogicalExpr::Column(marker.clone()).alias(TOUCHED));
            }
        }
        LogicalPlanBuilder::from(plan)
            .project(projection)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| PlannerError::Engine(Box::new(error)))
    }
}

fn insert_query(insert: &ast::Insert, table: &str, schema: &Schema) -> Result<WriteQuery> {
    if insert.or.is_some() || insert.replace_into || insert.overwrite {
        return Err(PlannerError::unsupported("INSERT OR …, REPLACE and INSERT OVERWRITE"));
    }
    let Some(source) = &insert.source else {
        return Err(PlannerError::unsupported("INSERT … DEFAULT VALUES"));
    };
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
    if insert.columns.is_empty() {
        // PostgreSQL takes fewer values than columns: the rest are NULL.
        let width = values_width(source).unwrap_or(schema.fields().len());
        columns = (0..schema.fields().len().min(width)).collect();
        if width > schema.fields().len() {
            columns = (0..schema.fields().len()).collect();
        }
    }
    let query = Some(Ast::Query(source.clone()));
    Ok(WriteQuery { query, effect: Effect::Append, columns })
}

fn values_width(query: &Query) -> Option<usize> {
    match query.body.as_ref() {
        SetExpr::Values(values) => values.rows.first().map(|row| row.content.len()),
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

fn assignments(update: &ast::Update, table: &str, schema: &Schema) -> Result<Vec<(usize, Expr)>> {
    let mut found: Vec<(usize, Expr)> = Vec::new();
    for assignment in &update.assignments {
        let AssignmentTarget::ColumnName(name) = &assignment.target else {
            return Err(PlannerError::unsupported("UPDATE … SET (a, b) = …"));
        };
        let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else { continue };
        let name = fold(ident);
        let index = column_index(schema, &name, table)?;
        if found.iter().any(|(at, _)| *at == index) {
            return Err(PlannerError::Semantics {
                code: "42601",
                message: format!("multiple assignments to same column \"{name}\""),
                position: None,
            });
        }
        found.push((index, assignment.value.clone()));
    }
    Ok(found)
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// `(predicate) IS TRUE AS touched`; without a predicate all rows are.
fn marker(predicate: Option<&Expr>) -> SelectItem {
    let expr = match predicate {
        Some(predicate) => Expr::IsTrue(Box::new(Expr::Nested(Box::new(predicate.clone())))),
        None => Expr::value(ast::Value::Boolean(true)),
    };
    SelectItem::ExprWithAlias { expr, alias: quoted(TOUCHED) }
}

fn case_when(predicate: &Expr, value: Expr, otherwise: Expr) -> Expr {
    let token = ast::helpers::attached_token::AttachedToken::empty;
    Expr::Case {
        case_token: token(),
        end_token: token(),
        operand: None,
        conditions: vec![ast::CaseWhen { condition: predicate.clone(), result: value }],
        else_result: Some(Box::new(otherwise)),
    }
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

fn select(projection: Vec<SelectItem>, from: TableWithJoins) -> Ast {
    Ast::Query(select_query(projection, from))
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

/// The Arrow type of a column definition.
///
/// # Errors
/// `Unsupported` for types that the engine does not have.
pub fn column_type(data_type: &ast::DataType, state: &SessionState) -> Result<DataType> {
    let provider = crate::provider::Provider { state, tables: &crate::provider::Tables::new() };
    let planner = datafusion::sql::planner::SqlToRel::new(&provider);
    let column =
        ast::ColumnDef { name: quoted("c"), data_type: data_type.clone(), options: vec![] };
    let schema = planner.build_schema(vec![column]).map_err(|_| PlannerError::Semantics {
        code: "42704",
        message: format!("type \"{}\" does not exist", data_type.to_string().to_lowercase()),
        position: None,
    })?;
    Ok(schema.field(0).data_type().clone())
}
