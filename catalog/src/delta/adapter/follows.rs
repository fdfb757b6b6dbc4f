//! What filters say of row groups and pages, added where the Parquet source would not see it.
//!
//! ```text
//! RELABEL(c) = V         ─▶ bounds of c's texts AND RELABEL(c) = V
//! RELABEL(c) IN (V, W)   ─▶ (bounds for V OR bounds for W) AND RELABEL(c) IN (V, W)
//! c IN (many values)     ─▶ c >= least AND c <= greatest AND c IN (many values)
//! DynamicFilter          ─▶ the same for what it holds whenever it is looked at
//! ```
//! What is added follows from the filter, so no row is lost by it. The source takes comparisons apart
//! and nothing else: not values inside of texts, not long lists.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, DynamicFilterPhysicalExpr, InListExpr, Literal,
};

use super::RelabelExpr;
use crate::delta::sql_types;

/// Values of a list up to which each is looked for; DataFusion's own limit is the same.
const N_VALUES_MAX: usize = 20;

/// A filter with what follows from it.
pub(super) fn with_bounds(expr: Arc<dyn PhysicalExpr>) -> Transformed<Arc<dyn PhysicalExpr>> {
    if expr.is::<DynamicFilterPhysicalExpr>() && reads_texts(&expr) {
        return Transformed::yes(Arc::new(BoundedLater { filter: expr }));
    }
    let follows = if let Some(comparison) = expr.downcast_ref::<BinaryExpr>() {
        of_comparison(comparison)
    } else if let Some(list) = expr.downcast_ref::<InListExpr>() {
        of_list(list)
    } else {
        None
    };
    match follows {
        Some(follows) => Transformed::yes(both(follows, expr)),
        None => Transformed::no(expr),
    }
}

fn both(left: Arc<dyn PhysicalExpr>, right: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, Operator::And, right))
}

fn reads_texts(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let found = expr.exists(|expr| Ok(expr.is::<RelabelExpr>()));
    found.unwrap_or_default()
}

fn of_comparison(comparison: &BinaryExpr) -> Option<Arc<dyn PhysicalExpr>> {
    let (left, right) = (comparison.left(), comparison.right());
    let (column, op, literal) = match left.downcast_ref::<RelabelExpr>() {
        Some(column) => (column, *comparison.op(), right),
        None => (right.downcast_ref::<RelabelExpr>()?, comparison.op().swap()?, left),
    };
    of_value(column, op, literal.downcast_ref::<Literal>()?.value())
}

fn of_value(
    column: &RelabelExpr,
    op: Operator,
    value: &ScalarValue,
) -> Option<Arc<dyn PhysicalExpr>> {
    if value.data_type() != *column.field.data_type() {
        return None;
    }
    sql_types::follows(&column.stored, &column.stored_type, op, value)
}

fn of_list(list: &InListExpr) -> Option<Arc<dyn PhysicalExpr>> {
    if list.negated() {
        return None;
    }
    let values = list.list().iter().map(|value| Some(value.downcast_ref::<Literal>()?.value()));
    let values: Vec<&ScalarValue> = values.collect::<Option<_>>()?;
    // A NULL is equal to nothing.
    let values: Vec<&ScalarValue> = values.into_iter().filter(|value| !value.is_null()).collect();
    match list.expr().downcast_ref::<RelabelExpr>() {
        Some(column) if values.len() <= N_VALUES_MAX => {
            let each = values.iter().map(|value| of_value(column, Operator::Eq, value));
            let each: Vec<Arc<dyn PhysicalExpr>> = each.collect::<Option<_>>()?;
            each.into_iter().reduce(|all, one| Arc::new(BinaryExpr::new(all, Operator::Or, one)))
        }
        Some(column) => {
            let (least, greatest) = extremes(&values)?;
            let least = of_value(column, Operator::GtEq, least)?;
            Some(both(least, of_value(column, Operator::LtEq, greatest)?))
        }
        None if values.len() > N_VALUES_MAX && list.expr().is::<Column>() => {
            let (least, greatest) = extremes(&values)?;
            let bounded = |op: Operator, value: &ScalarValue| -> Arc<dyn PhysicalExpr> {
                let bound = Arc::new(Literal::new(value.clone()));
                Arc::new(BinaryExpr::new(Arc::clone(list.expr()), op, bound))
            };
            Some(both(bounded(Operator::GtEq, least), bounded(Operator::LtEq, greatest)))
        }
        None => None,
    }
}

/// The least and the greatest value; `None` for types whose comparisons differ from their order.
fn extremes<'a>(values: &[&'a ScalarValue]) -> Option<(&'a ScalarValue, &'a ScalarValue)> {
    let (first, rest) = values.split_first()?;
    let data_type = first.data_type();
    // -0 is equal to 0 and before it, NaN is behind all.
    if data_type.is_floating() || data_type.is_nested() {
        return None;
    }
    let mut found = (*first, *first);
    for value in rest {
        match (value.partial_cmp(&found.0)?, value.partial_cmp(&found.1)?) {
            (Ordering::Less, _) => found.0 = value,
            (_, Ordering::Greater) => found.1 = value,
            _ => {}
        }
    }
    Some(found)
}

/// A filter that is known at run time only, over values that files hold as texts: it is what it is
/// to rows, and says what follows from it to those who ask what it holds now.
#[derive(Debug, Clone, Eq)]
struct BoundedLater {
    filter: Arc<dyn PhysicalExpr>,
}

// By hand: the derived forms move out of `Arc<dyn PhysicalExpr>`.
impl Hash for BoundedLater {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.filter.hash(state);
    }
}

impl PartialEq for BoundedLater {
    fn eq(&self, other: &Self) -> bool {
        self.filter.eq(&other.filter)
    }
}

impl fmt::Display for BoundedLater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.filter, f)
    }
}

impl PhysicalExpr for BoundedLater {
    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.filter.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.filter.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.filter]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let filter = children.pop().unwrap_or_else(|| Arc::clone(&self.filter));
        Ok(Arc::new(Self { filter }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt_sql(f)
    }

    /// The filter below has become what it holds now.
    fn snapshot(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let held = Arc::clone(&self.filter).transform_down(|expr| {
            // What was added holds nothing to add to.
            Ok(match with_bounds(expr) {
                added if added.transformed => {
                    Transformed::new(added.data, true, TreeNodeRecursion::Jump)
                }
                same => same,
            })
        });
        Ok(Some(held.data()?))
    }
}
