//! INSERT.
//!
//! ```text
//! INSERT INTO t BY NAME q                        columns are found by their names
//! INSERT INTO t PARTITION (p = 1) q              SELECT *, 1 FROM (q)
//! INSERT OVERWRITE t q                           all rows go first
//! INSERT OVERWRITE t PARTITION (p = 1) q         those of the partition go first
//! INSERT INTO t REPLACE WHERE c q                those that c is true for go first
//! ```

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Field, Schema};
use sqlparser::ast::{
    self, BinaryOperator, Expr, Ident, ObjectName, Query, SelectItem, SetExpr, TableWithJoins,
};
use tarn_catalog::memory::TableDetails;

use super::tree::{
    derived, named, no_table, quoted, returning_query, row_number, select_query, star, target_query,
};
use super::{Effect, Replace, WriteQuery, generated_only};
use crate::error::{PlannerError, Result};
use crate::parser::write_words::{BY_NAME, NO_ALIAS, REPLACE_WHERE};
use crate::statement::fold;
use crate::types;
use crate::walk::{self, Reader};

/// The name of a query that is read as a relation.
const SOURCE: &str = "tarn source";

pub(super) fn insert_query(
    insert: &ast::Insert,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<WriteQuery> {
    check_clauses(insert)?;
    let n_columns = schema.fields().len();
    let by_name = insert.table_alias.as_ref().is_some_and(|alias| alias.alias.value == BY_NAME);
    let alias = match &insert.table_alias {
        Some(alias) if !by_name && alias.alias.value != NO_ALIAS => alias.alias.clone(),
        _ => quoted(table),
    };
    let mut source = match &insert.source {
        Some(source) => source.clone(),
        None => default_row(n_columns),
    };
    let partition = partition_of(insert, table, schema)?;
    let mut columns = named_columns(insert, table, schema)?;
    if insert.columns.is_empty() {
        let fixed = |at: &usize| !partition.values.iter().any(|(column, _)| column == at);
        let free: Vec<usize> = (0..n_columns).filter(fixed).collect();
        // PostgreSQL takes fewer values than columns: the rest have their defaults.
        let width = values_width(&source).unwrap_or(free.len());
        columns = free.into_iter().take(width).collect();
    }
    if let Some(width) = values_width(&source) {
        check_width(width, columns.len())?;
    }
    if !by_name {
        add_fixed(&mut source, &mut columns, &partition.values);
    }
    let generated = Generated { schema, details, has_source: insert.source.is_some() };
    // By name, the columns are guesses until the query's names are known.
    if !by_name {
        generated.check(&mut source, &columns)?;
    }
    if !by_name {
        put_defaults(&mut source, &mut columns, n_columns, details)?;
        type_literals(&mut source, &columns, schema);
    }
    let (returning, clause) = returning_query(insert.returning.as_deref(), &alias, &[]);
    let replaces = replaces(insert, partition, &alias);
    let query = Some(ast::Statement::Query(source));
    Ok(WriteQuery {
        query,
        effect: Effect::Append,
        returning,
        replaces,
        columns,
        assigned: vec![],
        by_name,
        alias,
        has_old: false,
        clause,
        others: vec![],
        keeps_more: false,
    })
}

fn check_clauses(insert: &ast::Insert) -> Result<()> {
    if insert.or.is_some() || insert.replace_into {
        return Err(PlannerError::unsupported("INSERT OR … and REPLACE"));
    }
    if insert.on.is_some() {
        return Err(PlannerError::Unsupported {
            what: "INSERT … ON CONFLICT".to_owned(),
            hint: Some(
                "Keys are not enforced, so no row conflicts with another; MERGE INTO updates \
                 rows that are there."
                    .to_owned(),
            ),
        });
    }
    if !insert.after_columns.is_empty() || !insert.assignments.is_empty() {
        return Err(PlannerError::unsupported("this form of INSERT"));
    }
    Ok(())
}

/// The columns that a statement gives values, in order; those of a query without a list are
/// taken to be all.
pub(super) fn given_columns(
    insert: &ast::Insert,
    table: &str,
    schema: &Schema,
) -> Result<Vec<usize>> {
    let partition = partition_of(insert, table, schema)?;
    let mut columns = named_columns(insert, table, schema)?;
    if let (true, Some(source)) = (insert.columns.is_empty(), &insert.source) {
        let fixed = |at: &usize| !partition.values.iter().any(|(column, _)| column == at);
        let free = (0..schema.fields().len()).filter(fixed);
        columns = free.take(values_width(source).unwrap_or(usize::MAX)).collect();
    }
    columns.extend(partition.values.iter().map(|(column, _)| *column));
    Ok(columns)
}

/// The columns that were listed.
fn named_columns(insert: &ast::Insert, table: &str, schema: &Schema) -> Result<Vec<usize>> {
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
    Ok(columns)
}

/// What stands in PARTITION (…), or behind REPLACE WHERE.
#[derive(Default)]
struct Partition {
    /// Columns with one value for all rows.
    values: Vec<(usize, Expr)>,
    /// The rows that are replaced.
    condition: Option<Expr>,
}

fn partition_of(insert: &ast::Insert, table: &str, schema: &Schema) -> Result<Partition> {
    let mut partition = Partition::default();
    let Some(exprs) = &insert.partitioned else { return Ok(partition) };
    if let [Expr::Identifier(mark), condition] = exprs.as_slice()
        && mark.value == REPLACE_WHERE
    {
        partition.condition = Some(condition.clone());
        return Ok(partition);
    }
    for expr in exprs {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else {
            return Err(PlannerError::Unsupported {
                what: "PARTITION without values".to_owned(),
                hint: Some(
                    "Write PARTITION (column = value), or REPLACE WHERE with a condition."
                        .to_owned(),
                ),
            });
        };
        let Expr::Identifier(name) = left.as_ref() else {
            return Err(PlannerError::unsupported(format!("PARTITION ({expr})")));
        };
        let index = column_index(schema, &fold(name), table)?;
        partition.values.push((index, right.as_ref().clone()));
        let same = Expr::IsNotDistinctFrom(left.clone(), right.clone());
        partition.condition = Some(match partition.condition.take() {
            None => same,
            Some(other) => Expr::BinaryOp {
                left: Box::new(other),
                op: BinaryOperator::And,
                right: Box::new(same),
            },
        });
    }
    Ok(partition)
}

fn replaces(insert: &ast::Insert, partition: Partition, alias: &Ident) -> Option<Replace> {
    let by_condition = partition.values.is_empty() && partition.condition.is_some();
    if !insert.overwrite && !by_condition {
        return None;
    }
    match partition.condition {
        None => Some(Replace::All),
        Some(condition) => {
            let items = vec![row_number(alias)];
            let query = target_query(items, alias, vec![], Some(condition.clone()));
            Some(Replace::Where { query: Box::new(query), condition: Box::new(condition) })
        }
    }
}

/// Puts the values of PARTITION behind those of the query.
fn add_fixed(source: &mut Box<Query>, columns: &mut Vec<usize>, values: &[(usize, Expr)]) {
    if values.is_empty() {
        return;
    }
    let fixed = values.iter().enumerate();
    let fixed = fixed.map(|(at, (_, value))| named(value.clone(), &format!("tarn fixed {at}")));
    let items = std::iter::once(star()).chain(fixed);
    let relation = source_relation(source);
    *source = select_query(items.collect(), TableWithJoins { relation, joins: vec![] });
    columns.extend(values.iter().map(|(column, _)| *column));
}

/// The source as a relation whose columns have different names.
fn source_relation(source: &Query) -> ast::TableFactor {
    let mut relation = derived(Box::new(source.clone()), quoted(SOURCE));
    if let (Some(width), ast::TableFactor::Derived { alias: Some(alias), .. }) =
        (values_width(source), &mut relation)
    {
        let column = |at| ast::TableAliasColumnDef {
            name: quoted(&format!("tarn column {at}")),
            data_type: None,
        };
        alias.columns = (0..width).map(column).collect();
    }
    relation
}

/// Sees that generated columns are given no values.
struct Generated<'a> {
    schema: &'a Schema,
    details: &'a TableDetails,
    has_source: bool,
}

impl Generated<'_> {
    fn check(&self, source: &mut Query, columns: &[usize]) -> Result<()> {
        let given = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| self.has_source && self.details.generated_of(**column).is_some());
        for (at, column) in given {
            let name = self.schema.field(*column).name();
            let SetExpr::Values(values) = source.body.as_mut() else {
                return Err(generated_only(name, false));
            };
            for row in &mut values.rows {
                match row.content.get_mut(at) {
                    Some(cell) if is_default(cell) => *cell = Expr::value(ast::Value::Null),
                    Some(_) => return Err(generated_only(name, false)),
                    None => {}
                }
            }
        }
        Ok(())
    }
}

pub(super) fn check_width(n_values: usize, n_columns: usize) -> Result<()> {
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
    let mut query = select_query(vec![], no_table());
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
        let added = added.into_iter().enumerate();
        let added = added.map(|(at, value)| named(value, &format!("tarn default {at}")));
        let items = std::iter::once(star()).chain(added);
        let relation = source_relation(source);
        *source = select_query(items.collect(), TableWithJoins { relation, joins: vec![] });
    }
    columns.extend(missing);
    Ok(())
}

/// Literals of VALUES take the types of the columns that they are for, not of each other.
///
/// A float that stands in another row would make a float of a `numeric` that has more digits.
fn type_literals(source: &mut Query, columns: &[usize], schema: &Schema) {
    let SetExpr::Values(values) = source.body.as_mut() else { return };
    for row in &mut values.rows {
        for (expr, column) in row.content.iter_mut().zip(columns) {
            type_literal(expr, *column, schema);
        }
    }
    if values.rows.len() < 2 {
        return;
    }
    for (at, column) in columns.iter().enumerate() {
        let Some(numeric) = schema.fields().get(*column).and_then(|f| numeric_type(f)) else {
            continue;
        };
        let has_float = values.rows.iter().any(|row| row.content.get(at).is_some_and(is_float));
        // All of them, as values of one column have one type with all its details.
        for expr in values.rows.iter_mut().filter_map(|row| row.content.get_mut(at)) {
            if has_float {
                put_cast(expr, numeric.clone());
            }
        }
    }
}

/// A `numeric` column's type, as SQL writes it.
fn numeric_type(field: &Field) -> Option<ast::DataType> {
    match field.data_type() {
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
            let (digits, scale) = (u64::from(*digits), i64::from(*scale));
            let exact = ast::ExactNumberInfo::PrecisionAndScale(digits, scale);
            Some(ast::DataType::Numeric(exact))
        }
        _ => None,
    }
}

/// Whether an expression says that it is a float.
fn is_float(expr: &Expr) -> bool {
    use ast::DataType as T;
    match expr {
        Expr::Cast { data_type, array: false, .. } => matches!(
            data_type,
            T::Real | T::Float4 | T::Float8 | T::Float(_) | T::Double(_) | T::DoublePrecision
        ),
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => is_float(inner),
        _ => false,
    }
}

fn cast_to_column(expr: &mut Expr, column: usize, schema: &Schema) {
    let field = schema.fields().get(column);
    let Some(data_type) = field.and_then(|f| types::name::sql_type(f.data_type())) else {
        return;
    };
    put_cast(expr, data_type);
}

fn put_cast(expr: &mut Expr, data_type: ast::DataType) {
    let (inner, kind) = (Box::new(expr.clone()), ast::CastKind::Cast);
    *expr = Expr::Cast { kind, expr: inner, data_type, array: false, format: None };
}

/// A text literal takes the type of the column that it is for.
pub(super) fn type_literal(expr: &mut Expr, column: usize, schema: &Schema) {
    let Expr::Value(value) = &*expr else { return };
    if !matches!(value.value, ast::Value::SingleQuotedString(_)) {
        return;
    }
    cast_to_column(expr, column, schema);
}

pub(super) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

/// A column's default; NULL where it has none.
///
/// # Errors
/// `Syntax`; `Unsupported` for a subquery: it would read other tables with the rights of whoever
/// writes this one, and another program may have written the default.
pub(super) fn default_expr(details: &TableDetails, column: usize) -> Result<Expr> {
    let Some(text) = details.default_of(column) else {
        return Ok(Expr::value(ast::Value::Null));
    };
    let expr = crate::parser::parse_expr(text)?;
    match walk::read_expr(&expr, &mut QueryFinder) {
        ControlFlow::Break(()) => {
            Err(PlannerError::unsupported(format!("a subquery in the default {text}")))
        }
        ControlFlow::Continue(()) => Ok(expr),
    }
}

/// Stops at the first subquery.
struct QueryFinder;

impl Reader for QueryFinder {
    fn enter_query(&mut self, _query: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
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

pub(super) fn column_index(schema: &Schema, name: &str, table: &str) -> Result<usize> {
    schema.index_of(name).map_err(|_| PlannerError::Semantics {
        code: "42703",
        message: format!("column \"{name}\" of relation \"{table}\" does not exist"),
        position: None,
    })
}

/// `INSERT … BY NAME q` as `INSERT INTO t (a, b) q`, when the names of q's columns are known.
///
/// # Errors
/// 42703 for columns that the table does not have.
pub fn with_names(insert: &ast::Insert, names: &[String]) -> ast::Insert {
    let mut plain = insert.clone();
    plain.table_alias = None;
    plain.columns = names.iter().map(|name| column_name(name)).collect();
    plain
}

/// Whether only a plan tells how many of a table's columns an INSERT without a list fills.
#[must_use]
pub fn has_open_width(insert: &ast::Insert) -> bool {
    let by_name = insert.table_alias.as_ref().is_some_and(|alias| alias.alias.value == BY_NAME);
    let source = insert.source.as_ref();
    !by_name && insert.columns.is_empty() && source.is_some_and(|s| values_width(s).is_none())
}

/// `INSERT INTO t q` as `INSERT INTO t (a, b) q`, when q has two columns and the table has more:
/// the rest have their defaults, as in PostgreSQL. `None` where all columns get values.
///
/// # Errors
/// What PARTITION says wrongly.
pub fn with_width(
    insert: &ast::Insert,
    table: &str,
    schema: &Schema,
    width: usize,
) -> Result<Option<ast::Insert>> {
    let partition = partition_of(insert, table, schema)?;
    let fields = schema.fields().iter().enumerate();
    let free = fields.filter(|(at, _)| !partition.values.iter().any(|(column, _)| column == at));
    let free: Vec<ObjectName> = free.map(|(_, field)| column_name(field.name())).collect();
    if width >= free.len() {
        return Ok(None);
    }
    let columns = free.into_iter().take(width).collect();
    Ok(Some(ast::Insert { columns, ..insert.clone() }))
}

fn column_name(name: &str) -> ObjectName {
    ObjectName(vec![ast::ObjectNamePart::Identifier(quoted(name))])
}
