//! From a bound tree to DataFusion's plans.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, ScalarValue, metadata::ScalarAndMetadata};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::planner::{NullOrdering, ParserOptions, PlannerContext, SqlToRel};
use sqlparser::ast::Statement as Ast;

use crate::column_rights;
use crate::common_type;
use crate::diagnose::diagnose;
use crate::error::{PlannerError, Result};
use crate::literals;
use crate::outputs;
use crate::parameter_hints::parameter_hints;
use crate::provider::{Provider, Tables};
use crate::rewrite::strip_suffix;
use crate::statement::Statement;
use crate::types::is_text;

/// Plans a query.
///
/// `parameter_types` are the types declared for `$1`, `$2`, …; a missing one is inferred.
///
/// # Errors
/// Names, types and constructs that do not fit, with positions in the statement's source;
/// `PermissionDenied` for columns of relations that the binder has found to be readable in part.
pub fn logical_plan(
    statement: &Statement,
    mut ast: Ast,
    state: &SessionState,
    tables: &Tables,
    parameter_types: &[Option<DataType>],
) -> Result<LogicalPlan> {
    literals::carry(&mut ast);
    if column_rights::has_limits(tables) {
        let provider = Provider { state, tables, shows_limits: true };
        column_rights::check(&written(statement, ast.clone(), &provider, parameter_types)?)?;
    }
    let provider = Provider { state, tables, shows_limits: false };
    let plan = written(statement, ast, &provider, parameter_types)?;
    common_type::resolve(plan)
        .and_then(outputs::describe)
        .map_err(|error| diagnose(error, statement))
}

/// The plan as the statement is written.
fn written(
    statement: &Statement,
    ast: Ast,
    provider: &Provider<'_>,
    parameter_types: &[Option<DataType>],
) -> Result<LogicalPlan> {
    let state = provider.state;
    let planner = SqlToRel::new_with_options(provider, parser_options(state));
    let fields = parameter_types.iter().map(|data_type| {
        data_type.as_ref().map(|t| -> FieldRef { Field::new("", t.clone(), true).into() })
    });
    let mut context = PlannerContext::new().with_prepare_param_data_types(fields.collect());
    let plan = planner
        .sql_statement_to_plan_with_context(ast, &mut context)
        .map_err(|error| diagnose(error, statement))?;
    crate::using::without_markers(plan).map_err(|error| diagnose(error, statement))
}

fn parser_options(state: &SessionState) -> ParserOptions {
    let options = &state.config_options().sql_parser;
    ParserOptions {
        parse_float_as_decimal: options.parse_float_as_decimal,
        enable_ident_normalization: true,
        support_varchar_with_length: options.support_varchar_with_length,
        enable_options_value_normalization: false,
        collect_spans: true,
        map_string_types_to_utf8view: options.map_string_types_to_utf8view,
        default_null_ordering: NullOrdering::NullsMax,
    }
}

/// The types of all parameters in order; what cannot be inferred is text.
///
/// # Errors
/// `Semantics` where `$1` … `$n` are not all used or n is above the protocol's limit.
pub fn parameter_types(plan: &LogicalPlan, declared: &[Option<DataType>]) -> Result<Vec<DataType>> {
    let found =
        plan.get_parameter_types().map_err(|error| PlannerError::Engine(Box::new(error)))?;
    let hints = parameter_hints(plan);
    let mut types: Vec<Option<DataType>> = declared.to_vec();
    let used: HashSet<String> = found.keys().cloned().collect();
    for (name, data_type) in found {
        let number: usize = name.trim_start_matches('$').parse().unwrap_or(0);
        if number == 0 || number > N_PARAMETERS_MAX {
            return Err(PlannerError::Semantics {
                code: "42P02",
                message: format!("there is no parameter {name}"),
                position: None,
            });
        }
        if types.len() < number {
            types.resize(number, None);
        }
        if let Some(slot) = types.get_mut(number - 1)
            && slot.is_none()
        {
            let inferred = data_type.filter(|data_type| *data_type != DataType::Null);
            *slot = inferred.or_else(|| hints.types.get(&name).cloned());
            if let (None, Some(error)) = (&slot, hints.undetermined(&name)) {
                return Err(error);
            }
        }
    }
    for (index, slot) in types.iter().enumerate() {
        let name = format!("${}", index + 1);
        if slot.is_none() && !used.contains(&name) {
            return Err(PlannerError::Semantics {
                code: "42P18",
                message: format!("could not determine data type of parameter {name}"),
                position: None,
            });
        }
    }
    let known = |t: Option<DataType>| match t {
        None | Some(DataType::Null) => DataType::Utf8,
        // Values come as one kind of text and one of bytes.
        Some(t) if is_text(&t) => DataType::Utf8,
        Some(DataType::LargeBinary | DataType::BinaryView) => DataType::Binary,
        Some(t) => t,
    };
    Ok(types.into_iter().map(known).collect())
}

/// The message that binds parameters counts them in 16 bits.
const N_PARAMETERS_MAX: usize = 65_535;

/// Puts values in the places of parameters.
///
/// # Errors
/// `Engine` where a value does not fit the plan.
pub fn with_parameters(plan: LogicalPlan, values: Vec<ScalarValue>) -> Result<LogicalPlan> {
    if values.is_empty() {
        return Ok(plan);
    }
    let values = values.into_iter().map(|value| ScalarAndMetadata::new(value, None)).collect();
    plan.with_param_values(ParamValues::List(values))
        .map_err(|error| PlannerError::Engine(Box::new(error)))
}

/// Puts values in the places of parameters of a plan that is optimised already.
///
/// What depends on the values is simplified, so that scans see plain constants to prune by;
/// the shape of the plan stays, as in PostgreSQL's generic plans.
///
/// # Errors
/// `Engine` where a value does not fit the plan.
pub fn with_parameters_optimized(
    plan: &LogicalPlan,
    values: Vec<ScalarValue>,
    state: &SessionState,
) -> Result<LogicalPlan> {
    let plan = with_parameters(plan.clone(), values)?;
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> =
        vec![Arc::new(SimplifyExpressions::new())];
    Optimizer::with_rules(rules)
        .optimize(plan, state, |_, _| {})
        .map_err(|error| PlannerError::Engine(Box::new(error)))
}

/// Runs the logical optimizer.
///
/// # Errors
/// What the analyzer finds only now: types that cannot be made to fit.
pub fn optimize(
    plan: &LogicalPlan,
    state: &SessionState,
    statement: &Statement,
) -> Result<LogicalPlan> {
    state.optimize(plan).map_err(|error| diagnose(error, statement))
}

/// Chooses operators for an optimised plan.
///
/// # Errors
/// Tables that could not be opened or scanned, and plans without an implementation.
pub async fn physical_plan(
    plan: &LogicalPlan,
    state: &SessionState,
    statement: &Statement,
) -> Result<Arc<dyn ExecutionPlan>> {
    let planner = Arc::clone(state.query_planner());
    planner.create_physical_plan(plan, state).await.map_err(|error| diagnose(error, statement))
}

/// Whether a plan reads no table and can be evaluated on the spot, its subqueries included.
#[must_use]
pub fn is_constant(plan: &LogicalPlan) -> bool {
    let mut is_constant = true;
    let walked = plan.apply_with_subqueries(|node| {
        is_constant &= matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::EmptyRelation(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Subquery(_)
        );
        let go_on = if is_constant { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop };
        Ok(go_on)
    });
    is_constant && walked.is_ok()
}

/// Renames output columns to what the user sees, where a suffix made them unique.
///
/// # Errors
/// `Engine` for duplicate names, which a view cannot have.
pub(crate) fn plain_names(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let renamed = schema.fields().iter().any(|field| strip_suffix(field.name()) != field.name());
    if !renamed {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(qualifier, field)| {
        let column = Expr::Column((qualifier, field).into());
        column.alias(strip_suffix(field.name()))
    });
    let columns: Vec<Expr> = columns.collect();
    LogicalPlanBuilder::from(plan)
        .project(columns)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| PlannerError::Engine(Box::new(error)))
}
