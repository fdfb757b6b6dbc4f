//! Statements that change rows, as queries for the rows that they touch.
//!
//! ```text
//! INSERT INTO t (b) SELECT …             SELECT …            then defaults for a, casts
//! UPDATE t SET b = e FROM u WHERE p      SELECT row, t.a, e FROM target AS t, u WHERE p
//! DELETE FROM t USING u WHERE p          SELECT row FROM target AS t, u WHERE p
//! MERGE INTO t USING u ON p …            SELECT row, action, … FROM target AS t JOIN u ON p
//! … RETURNING e                          SELECT e FROM target AS t      over the touched rows
//! ```
//! `target` is the table with the number of each row beside its columns. Generated columns and
//! checks are a second query over what the first one yields (`checked`).
//! The tree is taken apart here, before DataFusion sees it: its own DML plans lose the predicate
//! where that is a subquery or a constant (apache/datafusion#24654), which would change all rows.

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::logical_expr::{
    Cast, Expr as LogicalExpr, LogicalPlan, LogicalPlanBuilder, cast, lit,
};
use datafusion::scalar::ScalarValue;
use sqlparser::ast::{self, Expr, ObjectName, SelectItem, SetExpr, Statement as Ast, TableObject};
use tarn_catalog::memory::TableDetails;

use returning::Returning;

use crate::error::{PlannerError, Result};
use crate::statement::fold;
use crate::types::{self, ASSIGNMENT};

mod change;
mod checked;
mod insert;
mod merge;
mod names;
mod reads;
mod returning;
mod tree;

pub use checked::{Check, Checked, ROWS};
pub use insert::{has_open_width, with_names, with_width};
pub use names::renamed_in;
pub use reads::{Assigned, read_query, written_columns};
pub use returning::OtherColumn;
pub(crate) use tree::select_query;

/// The relation that stands for the written one in [`WriteQuery::query`].
pub const TARGET: &str = "tarn target";

/// Its column with the number of each row; no column of a table has such a name.
pub const ROW: &str = "tarn row number\0";

/// The column that says what becomes of a row of a MERGE: an [`Action`].
pub const ACTION: &str = "tarn action\0";

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
    /// They are row numbers and the new values of all columns.
    Update,
    /// They are the numbers of rows that go, and their columns where RETURNING needs them.
    Delete,
    /// They are row numbers, an [`Action`] each, and the values of all columns.
    Merge,
    /// Nothing is left.
    Clear,
}

/// What becomes of one row of a MERGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It stays as it is.
    Nothing = 0,
    /// It is added.
    Insert = 1,
    /// It takes the place of the numbered one.
    Update = 2,
    /// The numbered one goes.
    Delete = 3,
}

/// Rows that go before others come.
#[derive(Debug, Clone)]
pub enum Replace {
    /// All of them.
    All,
    /// Those that a condition is true for, which the new ones have to meet too.
    Where {
        /// Yields the numbers of the rows that go.
        query: Box<Ast>,
        /// The condition.
        condition: Box<Expr>,
    },
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
    /// The rows that an INSERT OVERWRITE replaces.
    pub replaces: Option<Replace>,
    /// Whether an INSERT finds columns by the names of the query's, which are not known yet.
    pub by_name: bool,
    /// Which columns of the table the query's columns are; without row number and action.
    columns: Vec<usize>,
    /// The columns that an UPDATE or MERGE may give other values.
    assigned: Vec<usize>,
    /// What the statement calls its target.
    alias: ast::Ident,
    /// Behind these columns are those of the target as they were.
    has_old: bool,
    /// What RETURNING says, and the relations that it may name.
    clause: Option<Returning>,
    /// The query's last columns: those of these relations.
    others: Vec<OtherColumn>,
    /// RETURNING reads more than the table's columns.
    keeps_more: bool,
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
        Ast::Update(update) => target_of(change::factor_name(&update.table)?),
        Ast::Delete(delete) => target_of(change::factor_name(change::delete_table(delete)?)?),
        Ast::Merge(merge) => target_of(change::plain_name(&merge.table)?),
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
/// `UndefinedColumn` and `DuplicateColumn` for column lists, 428C9 for values of generated
/// columns, `Unsupported` for clauses.
pub fn write_query(
    ast: &Ast,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<WriteQuery> {
    match ast {
        Ast::Insert(insert) => insert::insert_query(insert, table, schema, details),
        Ast::Update(update) => change::update_query(update, table, schema, details),
        Ast::Delete(delete) => change::delete_query(delete, table, schema),
        Ast::Merge(merge) => merge::merge_query(merge, table, schema, details),
        Ast::Truncate(_) => Ok(WriteQuery {
            query: None,
            effect: Effect::Clear,
            returning: None,
            replaces: None,
            by_name: false,
            columns: vec![],
            assigned: vec![],
            alias: tree::quoted(table),
            has_old: false,
            clause: None,
            others: vec![],
            keeps_more: false,
        }),
        _ => Err(PlannerError::Internal { what: "not a writing statement".to_owned() }),
    }
}

/// The error for a value that a generated column is given.
fn generated_only(column: &str, update: bool) -> PlannerError {
    let message = if update {
        format!("column \"{column}\" can only be updated to DEFAULT")
    } else {
        format!("cannot insert a non-DEFAULT value into column \"{column}\"")
    };
    PlannerError::Semantics { code: "428C9", message, position: None }
}

impl WriteQuery {
    /// The types of `$1`, `$2`, … where a VALUES list puts them straight into columns.
    #[must_use]
    pub fn parameter_types(&self, schema: &Schema) -> Vec<Option<DataType>> {
        let Some(Ast::Query(query)) = &self.query else { return vec![] };
        if self.effect == Effect::Merge {
            return vec![];
        }
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

    /// The columns of the table that an UPDATE assigns.
    #[must_use]
    pub fn assigned_columns(&self) -> &[usize] {
        &self.assigned
    }

    /// Lets the query name those that stand before the statement.
    pub fn put_with(&mut self, with: &ast::With) {
        let Some(Ast::Query(query)) = &mut self.query else { return };
        if query.with.is_none() {
            query.with = Some(with.clone());
            return;
        }
        // The query's own names hide those from outside.
        let mut outer = select_query(vec![], tree::no_table());
        outer.with = Some(with.clone());
        *outer.body = SetExpr::Query(query.clone());
        *query = outer;
    }

    /// Makes an INSERT OVERWRITE replace row by row instead of all files.
    pub fn replace_each(&mut self) {
        if !matches!(self.replaces, Some(Replace::All)) {
            return;
        }
        let items = vec![tree::row_number(&self.alias)];
        let query = Box::new(tree::target_query(items, &self.alias, vec![], None));
        let condition = Box::new(Expr::value(ast::Value::Boolean(true)));
        self.replaces = Some(Replace::Where { query, condition });
    }

    /// Makes the query yield the target's columns as they were, too, behind everything else; a
    /// DELETE has them in the place of new ones.
    pub fn keep_old(&mut self, schema: &Schema) {
        if let Some(Replace::Where { query, .. }) = &mut self.replaces
            && let Ast::Query(query) = query.as_mut()
            && let SetExpr::Select(select) = query.body.as_mut()
            && select.projection.len() == 1
        {
            let columns = schema.fields().iter().enumerate().map(|(at, field)| {
                tree::named(tree::column_of(&self.alias, field.name()), &format!("tarn value {at}"))
            });
            select.projection.extend(columns);
        }
        let Some(Ast::Query(query)) = &mut self.query else { return };
        let SetExpr::Select(select) = query.body.as_mut() else { return };
        let old = match self.effect {
            Effect::Delete if self.columns.is_empty() => "value",
            Effect::Update | Effect::Merge if !self.has_old => "old",
            Effect::Append | Effect::Delete | Effect::Update | Effect::Merge | Effect::Clear => {
                return;
            }
        };
        let columns = schema.fields().iter().enumerate().map(|(at, field)| {
            let name = format!("tarn {old} {at}");
            tree::named(tree::column_of(&self.alias, field.name()), &name)
        });
        select.projection.extend(columns);
        if self.effect == Effect::Delete {
            self.columns = (0..schema.fields().len()).collect();
        } else {
            self.has_old = true;
        }
    }

    /// Makes the query's columns those of the table: order, missing columns, types; row number
    /// and action stay before them.
    ///
    /// # Errors
    /// `Semantics` 42601 where an INSERT has more or fewer expressions than columns.
    pub fn project(&self, plan: LogicalPlan, schema: &Schema) -> Result<LogicalPlan> {
        let outputs = plan.schema().columns();
        let mut projection = Vec::new();
        if self.effect == Effect::Append {
            insert::check_width(outputs.len(), self.columns.len())?;
            for (at, field) in schema.fields().iter().enumerate() {
                let source = self.columns.iter().position(|column| *column == at);
                if let Some(source) = source {
                    types::assignment::check(&plan, source, field)?;
                }
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
            if self.effect == Effect::Merge
                && let Some(action) = outputs.next()
            {
                let action = cast(LogicalExpr::Column(action), DataType::Int64);
                projection.push(action.alias(ACTION));
            }
            let columns = outputs.by_ref().take(self.columns.len()).zip(&self.columns);
            for (at, (column, index)) in columns.enumerate() {
                let Some(field) = schema.fields().get(*index) else { continue };
                let mut value = LogicalExpr::Column(column);
                if self.assigned.contains(index) {
                    if self.effect != Effect::Merge {
                        types::assignment::check(&plan, at + 1, field)?;
                    }
                    value = assigned(value, field);
                }
                projection.push(value.alias(field.name()));
            }
            let old = (0..schema.fields().len()).map(old_name).filter(|_| self.has_old);
            for (column, name) in outputs.zip(old.chain(self.other_names())) {
                projection.push(LogicalExpr::Column(column).alias(name));
            }
        }
        build(plan, projection)
    }

    /// Gives what [`Checked::query`] yields the types of the table.
    ///
    /// # Errors
    /// Expressions that cannot be cast.
    pub fn project_checked(&self, plan: LogicalPlan, schema: &Schema) -> Result<LogicalPlan> {
        let mut projection = Vec::new();
        for column in plan.schema().columns() {
            let name = column.name.clone();
            let value = LogicalExpr::Column(column);
            let field = schema.fields().iter().find(|field| *field.name() == name);
            projection.push(match field {
                Some(field) => assigned(value, field).alias(name),
                None => value.alias(name),
            });
        }
        build(plan, projection)
    }
}

/// A query's first column as it is stored in a column of a table.
///
/// # Errors
/// `Semantics` 42804 where the types do not fit.
pub fn stored(plan: LogicalPlan, field: &Field) -> Result<LogicalPlan> {
    types::assignment::check(&plan, 0, field)?;
    let Some(value) = plan.schema().columns().into_iter().next() else { return Ok(plan) };
    build(plan, vec![assigned(LogicalExpr::Column(value), field).alias(field.name())])
}

/// A query's columns, one of which is stored in a column of a table.
///
/// # Errors
/// `Semantics` 42804 where the types do not fit.
pub fn stored_at(plan: LogicalPlan, at: usize, field: &Field) -> Result<LogicalPlan> {
    types::assignment::check(&plan, at, field)?;
    let columns = plan.schema().columns().into_iter().enumerate();
    let items = columns.map(|(place, column)| {
        let name = column.name.clone();
        let value = LogicalExpr::Column(column);
        if place == at { assigned(value, field).alias(name) } else { value.alias(name) }
    });
    let items = items.collect();
    build(plan, items)
}

/// Whether an expression is one constant, with or without a sign.
#[must_use]
pub fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => is_literal(inner),
        _ => false,
    }
}

/// The name of a column as it was.
fn old_name(column: usize) -> String {
    format!("tarn old {column}")
}

fn build(plan: LogicalPlan, projection: Vec<LogicalExpr>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .project(projection)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| PlannerError::Engine(Box::new(error)))
}

/// A value as it is stored in a column: text that is too long for it is an error.
fn assigned(value: LogicalExpr, column: &Field) -> LogicalExpr {
    let mut metadata = column.metadata().clone();
    if !metadata.is_empty() || column.data_type().is_list() {
        metadata.insert(ASSIGNMENT.to_owned(), String::new());
    }
    let target = types::target(column.data_type().clone()).with_metadata(metadata);
    LogicalExpr::Cast(Cast::new_from_field(Box::new(value), target.into()))
}

/// The field of a column definition, with a type of PostgreSQL's in its metadata where that says
/// more than the Arrow type.
///
/// # Errors
/// 42704 for names that are no type, `Unsupported` for types that the engine does not have.
pub fn column_field(name: &str, data_type: &ast::DataType, nullable: bool) -> Result<Field> {
    Ok(types::name::field(data_type)?.with_name(name).with_nullable(nullable))
}
