//! How clients see a query's `numeric` columns: with which modifier, and how many digits.
//!
//! Arrow's decimals have one scale for a whole column and always a precision; PostgreSQL's
//! `numeric` has a scale for each value, and a modifier only where one was declared:
//!
//! ```text
//! amount               (a column)      numeric(10,2)
//! amount::numeric(8,1) (a cast)        numeric(8,1)
//! sum(amount)                          numeric
//! avg(qty), a / b                      numeric, with 16 significant digits or more
//! ratio::numeric       (of a float)    numeric, without zeros at the end
//! ```
//! The origin of each output column is looked up in the plan; where it has no modifier, the column
//! passes through a function that tells so in its metadata, which the frontends read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, JoinType, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use tarn_catalog::pg_type::{FIELD_NUMERIC_DIGITS, FIELD_PG_TYPMOD, NumericDigits};

/// The decimal type of a `numeric` without modifier that comes from text or from a table.
const UNCONSTRAINED: DataType = DataType::Decimal128(38, 10);

/// What is known of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin {
    declared: bool,
    digits: NumericDigits,
}

const COMPUTED: Origin = Origin { declared: false, digits: NumericDigits::All };

impl Origin {
    fn computed(self) -> Self {
        Self { declared: false, ..self }
    }

    /// Of a sum, a difference or a product.
    fn combined(self, other: Self) -> Self {
        use NumericDigits::{All, Derived, Quotient, Trimmed};
        let digits = match (self.digits, other.digits) {
            (Trimmed, _) | (_, Trimmed) => Trimmed,
            (Quotient | Derived, _) | (_, Quotient | Derived) => Derived,
            (All, All) => All,
        };
        Self { declared: false, digits }
    }

    /// Of values from either.
    fn either(self, other: Self) -> Self {
        if self == other { self } else { self.combined(other) }
    }
}

/// Tells the modifiers and digits of the `numeric` columns of a query.
pub(crate) fn describe(plan: LogicalPlan) -> Result<LogicalPlan> {
    use LogicalPlan as P;
    let query = matches!(
        plan,
        P::Projection(_)
            | P::Filter(_)
            | P::Window(_)
            | P::Aggregate(_)
            | P::Sort(_)
            | P::Join(_)
            | P::Union(_)
            | P::SubqueryAlias(_)
            | P::Limit(_)
            | P::Values(_)
            | P::Distinct(_)
            | P::RecursiveQuery(_)
    );
    if !query || !plan.schema().fields().iter().any(|field| field.data_type().is_numeric()) {
        return Ok(plan);
    }
    let mut changed = false;
    let schema = Arc::clone(plan.schema());
    let columns = schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let column = Expr::Column((qualifier, field).into());
        match of_column(&plan, at) {
            Some(origin) if !origin.declared => {
                changed = true;
                let function = Arc::new(ScalarUDF::from(Shown::new(origin.digits)));
                let call = ScalarFunction::new_udf(function, vec![column]);
                Expr::ScalarFunction(call).alias_qualified(qualifier.cloned(), field.name())
            }
            _ => column,
        }
    });
    let columns: Vec<Expr> = columns.collect();
    if !changed {
        return Ok(plan);
    }
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}

/// `None` where the column is not of type `numeric`.
fn of_column(plan: &LogicalPlan, at: usize) -> Option<Origin> {
    let field = plan.schema().fields().get(at)?;
    if !field.data_type().is_numeric() {
        return None;
    }
    let is_decimal = field.data_type().is_decimal();
    Some(match plan {
        // The type of its columns is found by the analyzer.
        LogicalPlan::Union(node) => of_union(node.inputs.iter().map(AsRef::as_ref), at)?,
        LogicalPlan::RecursiveQuery(node) => {
            of_union([node.static_term.as_ref(), node.recursive_term.as_ref()].into_iter(), at)?
        }
        LogicalPlan::Projection(node) => match node.expr.get(at)?.clone().unalias() {
            Expr::Column(column) => {
                of_column(&node.input, node.input.schema().maybe_index_of_column(&column)?)?
            }
            _ if !is_decimal => return None,
            expr => of_expr(&expr, &node.input),
        },
        LogicalPlan::SubqueryAlias(node) => of_column(&node.input, at)?,
        LogicalPlan::Sort(node) => of_column(&node.input, at)?,
        LogicalPlan::Limit(node) => of_column(&node.input, at)?,
        LogicalPlan::Filter(node) => of_column(&node.input, at)?,
        LogicalPlan::Distinct(node) => of_column(node.input(), at)?,
        LogicalPlan::Join(node) => {
            let n_left = node.left.schema().fields().len();
            match (node.join_type, at.checked_sub(n_left)) {
                (JoinType::RightSemi | JoinType::RightAnti, _) => of_column(&node.right, at)?,
                (_, Some(at)) => of_column(&node.right, at)?,
                _ => of_column(&node.left, at)?,
            }
        }
        _ if !is_decimal => return None,
        LogicalPlan::Aggregate(node) => {
            let exprs: Vec<&Expr> = node.group_expr.iter().chain(&node.aggr_expr).collect();
            exprs.get(at).map_or(COMPUTED, |expr| of_expr(expr, &node.input))
        }
        LogicalPlan::Window(node) => {
            let n_input = node.input.schema().fields().len();
            match at.checked_sub(n_input) {
                Some(at) => of_expr(node.window_expr.get(at)?, &node.input),
                None => of_column(&node.input, at)?,
            }
        }
        LogicalPlan::TableScan(_) if *field.data_type() == UNCONSTRAINED => {
            Origin { declared: false, digits: NumericDigits::Trimmed }
        }
        LogicalPlan::TableScan(_) => Origin { declared: true, digits: NumericDigits::All },
        LogicalPlan::Values(node) => {
            let values = node.values.iter().filter_map(|row| row.get(at));
            of_values(values.map(|value| digits_of_expr(value, plan)))
        }
        _ => COMPUTED,
    })
}

/// Columns of several queries, of which some may have other digits than others.
fn of_union<'a>(
    inputs: impl Iterator<Item = &'a LogicalPlan> + Clone,
    at: usize,
) -> Option<Origin> {
    let types = inputs.clone().filter_map(|input| input.schema().fields().get(at));
    let types: Vec<&DataType> = types.map(|field| field.data_type()).collect();
    let scales: Vec<i8> = types.iter().filter_map(|t| scale(t)).collect();
    let inputs_end_with_zero = inputs.clone().any(|input| match input {
        LogicalPlan::Projection(node) => node
            .expr
            .get(at)
            .and_then(|expr| digits_of_expr(expr, &node.input))
            .is_some_and(|digits| digits.ends_with_zero),
        _ => false,
    });
    let origins: Vec<Origin> = inputs.filter_map(|input| of_column(input, at)).collect();
    if origins.is_empty() || types.iter().any(|t| t.is_floating()) {
        return None;
    }
    if scales.windows(2).any(|pair| pair.first() != pair.last()) {
        let zeros = inputs_end_with_zero;
        let digits = if zeros { NumericDigits::All } else { NumericDigits::Trimmed };
        return Some(Origin { declared: false, digits });
    }
    origins.into_iter().reduce(Origin::either)
}

/// Values with different digits show as many as each needs, unless one ends with zeros, which
/// would be lost.
fn of_values(digits: impl Iterator<Item = Option<Digits>>) -> Origin {
    let known: Vec<Digits> = digits.flatten().collect();
    let mixed = known.windows(2).any(|pair| match pair {
        [one, other] => one.scale != other.scale,
        _ => false,
    });
    if mixed && known.iter().all(|digits| !digits.ends_with_zero) {
        Origin { declared: false, digits: NumericDigits::Trimmed }
    } else {
        COMPUTED
    }
}

/// The digits after the point of an expression before it was made one type with others.
struct Digits {
    scale: i8,
    ends_with_zero: bool,
}

/// The digits after the point of numbers.
fn scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        t if t.is_integer() => Some(0),
        _ => None,
    }
}

fn digits_of_expr(expr: &Expr, input: &LogicalPlan) -> Option<Digits> {
    match expr {
        Expr::Cast(cast) if cast.field.name().is_empty() => digits_of_expr(&cast.expr, input),
        Expr::Alias(alias) => digits_of_expr(&alias.expr, input),
        Expr::Literal(value, _) if value.is_null() => None,
        Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), _) => {
            Some(Digits { scale: *scale, ends_with_zero: *scale > 0 && value % 10 == 0 })
        }
        expr => {
            let scale = scale(&expr.get_type(input.schema().as_ref()).ok()?)?;
            Some(Digits { scale, ends_with_zero: false })
        }
    }
}

fn of_expr(expr: &Expr, input: &LogicalPlan) -> Origin {
    let first = |args: &[Expr]| args.first().map_or(COMPUTED, |arg| of_expr(arg, input));
    match expr {
        Expr::Column(column) => {
            let at = input.schema().maybe_index_of_column(column);
            at.and_then(|at| of_column(input, at)).unwrap_or(COMPUTED)
        }
        Expr::Alias(alias) => of_expr(&alias.expr, input),
        Expr::Placeholder(_) => Origin { declared: false, digits: NumericDigits::Trimmed },
        Expr::Negative(inner) => of_expr(inner, input).computed(),
        Expr::Cast(cast) => match (cast.field.name().as_str(), cast.field.data_type()) {
            ("cast", t) if *t != UNCONSTRAINED => {
                Origin { declared: true, digits: NumericDigits::All }
            }
            ("cast" | TRIMMED_CAST, _) => {
                Origin { declared: false, digits: NumericDigits::Trimmed }
            }
            _ => of_expr(&cast.expr, input).computed(),
        },
        Expr::ScalarSubquery(query) => of_column(&query.subquery, 0).unwrap_or(COMPUTED),
        Expr::AggregateFunction(call) => {
            let args = &call.params.args;
            if call.func.name() == "single_value" {
                return first(args);
            }
            of_aggregate(call.func.name(), is_wide(args.first(), input), || first(args))
        }
        Expr::WindowFunction(call) => {
            let args = &call.params.args;
            of_aggregate(call.fun.name(), is_wide(args.first(), input), || first(args))
        }
        Expr::BinaryExpr(binary) => {
            of_expr(&binary.left, input).combined(of_expr(&binary.right, input))
        }
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let results: Vec<&Expr> = results.chain(case.else_expr.as_deref()).collect();
            of_alternatives(&results, input)
        }
        Expr::ScalarFunction(call) => {
            if let Some(shown) = call.func.inner().downcast_ref::<Shown>() {
                return Origin { declared: false, digits: shown.digits };
            }
            match call.func.name() {
                "numeric_div" => Origin { declared: false, digits: NumericDigits::Quotient },
                "coalesce" | "greatest" | "least" | "nullif" => {
                    let args: Vec<&Expr> = call.args.iter().collect();
                    of_alternatives(&args, input)
                }
                "trim_scale" => Origin { declared: false, digits: NumericDigits::Trimmed },
                "abs" => first(&call.args).computed(),
                _ => COMPUTED,
            }
        }
        _ => COMPUTED,
    }
}

/// Whether a column has more digits than its values, as one of a `numeric` without modifier has.
fn is_wide(expr: Option<&Expr>, input: &LogicalPlan) -> bool {
    let data_type = expr.and_then(|expr| expr.get_type(input.schema().as_ref()).ok());
    data_type.and_then(|t| scale(&t)).is_some_and(|scale| scale >= 10)
}

/// The target field of a cast to `numeric` whose digits depend on the value.
pub(crate) const TRIMMED_CAST: &str = "numeric";

fn of_aggregate(name: &str, unconstrained: bool, argument: impl FnOnce() -> Origin) -> Origin {
    match name {
        "numeric_avg" | "var_samp" | "var_pop" | "stddev_samp" | "stddev_pop" => {
            Origin { declared: false, digits: NumericDigits::Quotient }
        }
        // A sum has the most digits of what is added up.
        "numeric_sum" => match argument() {
            Origin { digits: NumericDigits::Trimmed, .. } if !unconstrained => COMPUTED,
            origin => origin.computed(),
        },
        _ => argument().computed(),
    }
}

/// A result that is one of several expressions.
fn of_alternatives(exprs: &[&Expr], input: &LogicalPlan) -> Origin {
    let constants = exprs.iter().all(|expr| matches!(expr, Expr::Literal(..) | Expr::Cast(_)));
    let mixed = of_values(exprs.iter().map(|expr| digits_of_expr(expr, input)));
    if constants && mixed.digits == NumericDigits::Trimmed {
        return mixed;
    }
    let null = |expr: &&Expr| matches!(expr, Expr::Literal(value, _) if value.is_null());
    let origins = exprs.iter().filter(|expr| !null(expr)).map(|expr| of_expr(expr, input));
    origins.reduce(Origin::either).unwrap_or(COMPUTED)
}

/// Passes a column on and tells how it is shown.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shown {
    digits: NumericDigits,
    signature: Signature,
}

impl Shown {
    fn new(digits: NumericDigits) -> Self {
        Self { digits, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Shown {
    fn name(&self) -> &'static str {
        "numeric"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [arg] => Ok(arg.schema_name().to_string()),
            _ => Ok(self.name().to_owned()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        types.first().cloned().ok_or_else(|| exec_datafusion_err!("an argument is missing"))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = args.arg_fields.first();
        let field = field.ok_or_else(|| exec_datafusion_err!("an argument is missing"))?;
        let mut metadata = HashMap::from([(FIELD_PG_TYPMOD.to_owned(), "-1".to_owned())]);
        if let Some(digits) = self.digits.in_metadata() {
            metadata.insert(FIELD_NUMERIC_DIGITS.to_owned(), digits.to_owned());
        }
        let field = Field::new("numeric", field.data_type().clone(), true);
        Ok(Arc::new(field.with_metadata(metadata)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.args.into_iter().next().ok_or_else(|| exec_datafusion_err!("an argument is missing"))
    }
}
