//! Text literals that stand where an array is: `polroles = '{0}'`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

/// Reads a text literal as an array where the other operand is one, as PostgreSQL does with
/// literals of unknown type.
#[derive(Debug)]
pub struct ArrayLiterals;

impl ExprPlanner for ArrayLiterals {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if let Some(array) = as_array(&expr.right, &expr.left, schema) {
            expr.right = array;
        } else if let Some(array) = as_array(&expr.left, &expr.right, schema) {
            expr.left = array;
        }
        Ok(PlannerResult::Original(expr))
    }
}

/// The literal as an array of the other operand's type; `None` where this is not called for.
fn as_array(literal: &Expr, other: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::Literal(value, _) = literal else { return None };
    let text = value.try_as_str().flatten()?;
    let DataType::List(element) = other.get_type(schema).ok()? else { return None };
    let array = parse(text, &element)?;
    Some(Expr::Literal(ScalarValue::List(Arc::new(array)), None))
}

/// The types of the parameters that stand where an array is: `relkind = ANY($1)`.
///
/// # Errors
/// None: what cannot be told is left out.
pub fn parameters(plan: &LogicalPlan) -> HashMap<String, DataType> {
    let mut found = HashMap::new();
    // The walk itself never fails.
    let _ = plan.apply_with_subqueries(|node| {
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        if node.inputs().is_empty() {
            schema.merge(node.schema());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found.extend(array_parameter(expr, &schema));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

/// The first argument of `array_has($1, x)` is an array of the type of `x`.
fn array_parameter(expr: &Expr, schema: &DFSchema) -> Option<(String, DataType)> {
    let Expr::ScalarFunction(function) = expr else { return None };
    if function.name() != "array_has" {
        return None;
    }
    let [Expr::Placeholder(parameter), element] = function.args.as_slice() else { return None };
    let element = element.get_type(schema).ok()?;
    Some((parameter.id.clone(), DataType::new_list(element, true)))
}

fn parse(text: &str, element: &FieldRef) -> Option<ListArray> {
    let values = elements(text)?;
    let n_values = values.len();
    let texts = StringArray::from(values);
    let values = cast(&texts, element.data_type()).ok()?;
    // A cast turns what it cannot read into NULL; such a literal is left to fail as text.
    if values.null_count() != texts.null_count() {
        return None;
    }
    let offsets = OffsetBuffer::from_lengths([n_values]);
    ListArray::try_new(Arc::clone(element), offsets, values, None).ok()
}

/// Reads `{a,"b c",NULL}`; `None` for nested arrays and what is no array.
pub(crate) fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut values = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let (mut value, mut quoted) = (String::new(), false);
        loop {
            match chars.next() {
                None | Some(',') => break,
                Some('{') => return None,
                Some('"') => {
                    quoted = true;
                    loop {
                        match chars.next()? {
                            '"' => break,
                            '\\' => value.push(chars.next()?),
                            c => value.push(c),
                        }
                    }
                }
                Some(c) => value.push(c),
            }
        }
        let null = !quoted && value.trim().eq_ignore_ascii_case("null");
        let value = if quoted { value } else { value.trim().to_owned() };
        values.push((!null).then_some(value));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use arrow::datatypes::{DataType, Field};

    #[test]
    fn literals_read_as_in_postgresql() {
        let check = |text: &str, data_type: DataType, expected: Option<&str>| {
            let element = Field::new_list_field(data_type, true).into();
            let found = super::parse(text, &element).map(|array| {
                arrow::util::display::array_value_to_string(&array.value(0), 0).unwrap_or_default()
                    + &format!(" of {}", array.value(0).len())
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("{0}", DataType::UInt32, Some("0 of 1"));
        check("{\"a,\\\"b\", null}", DataType::Utf8, Some("a,\"b of 2"));
        check("0", DataType::UInt32, None);
        check("{{1}}", DataType::UInt32, None);
    }
}
