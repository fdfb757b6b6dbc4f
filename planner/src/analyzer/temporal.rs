//! Casts, negation, comparison and order of dates, times and intervals.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;

use super::expressions::{input_schema, map_named};
use crate::functions::datetime::convert::{convert, own_cast, temporal};
use crate::functions::datetime::text::TimeSettings;
use crate::functions::datetime::types::modifier_of;

/// Replaces casts of temporal values, which the engine does by other rules and another zone.
#[derive(Debug, Default)]
pub struct TemporalCasts;

impl AnalyzerRule for TemporalCasts {
    fn name(&self) -> &'static str {
        "temporal_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    let result = map_named(plan, |expr| rewrite(expr, &schema))?;
    result.map_data(LogicalPlan::recompute_schema)
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = expr else { return Ok(Transformed::no(expr)) };
    let from = cast.expr.get_type(schema)?;
    let to = cast.field.data_type();
    let modifier = modifier_of(&cast.field);
    if !own_cast(&from, to, modifier) {
        return Ok(Transformed::no(Expr::Cast(cast)));
    }
    if temporal(&from) && modifier.is_some() && !temporal(to) {
        // The length of a text is another rule's concern.
        let text = Cast::new(cast.expr, DataType::Utf8);
        let text = temporal_cast(text);
        let cast = Cast::new_from_field(Box::new(text), cast.field);
        return Ok(Transformed::yes(Expr::Cast(cast)));
    }
    Ok(Transformed::yes(temporal_cast(cast)))
}

/// The call that does a cast.
fn temporal_cast(cast: Cast) -> Expr {
    let function =
        TemporalCast { field: cast.field, signature: Signature::any(1, Volatility::Stable) };
    let function = Arc::new(ScalarUDF::from(function));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![*cast.expr]))
}

#[derive(PartialEq, Eq)]
struct TemporalCast {
    field: FieldRef,
    signature: Signature,
}

impl Hash for TemporalCast {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.field.data_type().hash(state);
    }
}

impl fmt::Debug for TemporalCast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cast_to({})", self.field.data_type())
    }
}

impl ScalarUDFImpl for TemporalCast {
    fn name(&self) -> &'static str {
        "temporal_cast"
    }

    /// Output columns keep the name that the cast gave them.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.first().map(|arg| arg.schema_name().to_string()).unwrap_or_default())
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        let arg = args.first().map(ToString::to_string).unwrap_or_default();
        Ok(format!("CAST({arg} AS {})", self.field.data_type()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("a cast has one operand"));
        };
        let settings = TimeSettings::of(&args.config_options);
        let modifier = modifier_of(&self.field);
        let target = self.field.data_type();
        Ok(match value {
            ColumnarValue::Scalar(scalar) => {
                let array = convert(&scalar.to_array()?, target, modifier, &settings)?;
                ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)
            }
            ColumnarValue::Array(array) => {
                ColumnarValue::Array(convert(array, target, modifier, &settings)?)
            }
        })
    }
}
