//! Which columns of tables the columns of a result are, as far as they are just that.
//!
//! Drivers show the table behind a column, and ask the catalog for more by its number.

use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The schema where one was written.
    pub schema: Option<String>,
    /// The relation as the statement names it.
    pub relation: String,
    /// The place in the relation, from zero.
    pub column: usize,
}

/// The origin of each column of a plan's result.
#[must_use]
pub fn origins(plan: &LogicalPlan) -> Vec<Option<Origin>> {
    let n_columns = plan.schema().fields().len();
    let nothing = || vec![None; n_columns];
    let found = match plan {
        LogicalPlan::TableScan(scan) => {
            let all = (0..scan.source.schema().fields().len()).collect();
            let columns: Vec<usize> = scan.projection.clone().unwrap_or(all);
            columns.into_iter().map(|column| Some(origin(&scan.table_name, column))).collect()
        }
        LogicalPlan::Projection(projection) => {
            let inner = origins(&projection.input);
            let schema = projection.input.schema();
            let of = |column: &Column| {
                let at = schema.maybe_index_of_column(column)?;
                inner.get(at).cloned().flatten()
            };
            projection.expr.iter().map(|expr| column_of(expr).and_then(of)).collect()
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let mut columns = origins(&join.left);
                columns.extend(origins(&join.right));
                columns
            }
            JoinType::LeftSemi | JoinType::LeftAnti => origins(&join.left),
            _ => nothing(),
        },
        LogicalPlan::SubqueryAlias(alias) => origins(&alias.input),
        LogicalPlan::Filter(filter) => origins(&filter.input),
        LogicalPlan::Sort(sort) => origins(&sort.input),
        LogicalPlan::Limit(limit) => origins(&limit.input),
        LogicalPlan::Distinct(Distinct::All(input)) => origins(input),
        LogicalPlan::Window(window) => {
            let mut columns = origins(&window.input);
            columns.resize(n_columns, None);
            columns
        }
        _ => nothing(),
    };
    if found.len() == n_columns { found } else { nothing() }
}

fn origin(name: &TableReference, column: usize) -> Origin {
    Origin { schema: name.schema().map(str::to_owned), relation: name.table().to_owned(), column }
}

fn column_of(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => column_of(&alias.expr),
        _ => None,
    }
}
