//! The types of parameters that DataFusion does not infer, as PostgreSQL does it: from the other
//! operand, from a cast, from the arguments that a function takes, from LIMIT, from conditions.
//!
//! Drivers that ask for the types of parameters before they send values depend on it: asyncpg and
//! the Flight SQL JDBC driver refuse to bind a date where text is expected.
//! Rules: <https://www.postgresql.org/docs/15/typeconv-func.html>.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};
use tarn_catalog::pg_catalog::{FunctionRow, function_by_name};
use tarn_catalog::pg_type::{arrow_type_of, pg_type_of_data_type, type_info};

use crate::error::PlannerError;

/// What is known of parameters by their names.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// The types that were found.
    pub(crate) types: HashMap<String, DataType>,
    /// Parameters that stand where any type would do, and none can be chosen.
    undetermined: HashMap<String, &'static str>,
}

impl Hints {
    /// The error for a parameter whose type nothing tells.
    pub(crate) fn undetermined(&self, name: &str) -> Option<PlannerError> {
        let code = self.undetermined.get(name)?;
        let message = match *code {
            "42804" => {
                "could not determine polymorphic type because input has type unknown".to_owned()
            }
            _ => format!("could not determine data type of parameter {name}"),
        };
        Some(PlannerError::Semantics { code, message, position: None })
    }

    fn note(&mut self, expr: &Expr, data_type: &DataType) {
        if let Some(name) = parameter(expr)
            && *data_type != DataType::Null
        {
            self.types.entry(name.to_owned()).or_insert_with(|| data_type.clone());
        }
    }

    fn note_undetermined(&mut self, expr: &Expr, code: &'static str) {
        if let Some(name) = parameter(expr) {
            self.undetermined.entry(name.to_owned()).or_insert(code);
        }
    }
}

/// The name of a parameter whose type is not known.
fn parameter(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Placeholder(parameter)
            if parameter.field.as_ref().is_none_or(|f| *f.data_type() == DataType::Null) =>
        {
            Some(&parameter.id)
        }
        Expr::Alias(alias) => parameter(&alias.expr),
        _ => None,
    }
}

/// Looks at all expressions of a plan.
pub(crate) fn parameter_hints(plan: &LogicalPlan) -> Hints {
    let mut hints = Hints::default();
    // The walk itself never fails.
    let _ = plan.apply_with_subqueries(|node| {
        of_node(node, &mut hints);
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        if node.inputs().is_empty() {
            schema.merge(node.schema());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                of_expr(expr, &schema, &mut hints);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    hints
}

fn of_node(node: &LogicalPlan, hints: &mut Hints) {
    match node {
        LogicalPlan::Limit(limit) => {
            for count in [&limit.skip, &limit.fetch].into_iter().flatten() {
                count_of(count, hints);
            }
        }
        LogicalPlan::Filter(filter) => hints.note(&filter.predicate, &DataType::Boolean),
        LogicalPlan::Union(union) => {
            let inputs: Vec<_> = union.inputs.iter().map(AsRef::as_ref).collect();
            of_columns(&inputs, hints);
        }
        LogicalPlan::Values(values) => {
            let schema = DFSchema::empty();
            let width = values.schema.fields().len();
            for column in 0..width {
                let cells: Vec<&Expr> =
                    values.values.iter().filter_map(|row| row.get(column)).collect();
                alike(&cells, &schema, hints);
            }
        }
        _ => {}
    }
}

/// LIMIT and OFFSET, which are `bigint`; DataFusion has put a cast around them.
fn count_of(count: &Expr, hints: &mut Hints) {
    match count {
        Expr::Cast(cast) => count_of(&cast.expr, hints),
        other => hints.note(other, &DataType::Int64),
    }
}

/// The columns of set operations have one type.
fn of_columns(inputs: &[&LogicalPlan], hints: &mut Hints) {
    let width = inputs.first().map_or(0, |input| input.schema().fields().len());
    for column in 0..width {
        let known = inputs.iter().find_map(|input| {
            let field = input.schema().fields().get(column)?;
            (output_parameter(input, column).is_none() && !field.data_type().is_null())
                .then(|| field.data_type().clone())
        });
        let Some(known) = known else { continue };
        for input in inputs {
            if let Some(expr) = output_parameter(input, column) {
                hints.note(expr, &known);
            }
        }
    }
}

fn output_parameter(plan: &LogicalPlan, column: usize) -> Option<&Expr> {
    match plan {
        LogicalPlan::Projection(projection) => {
            projection.expr.get(column).filter(|expr| parameter(inner(expr)).is_some())
        }
        _ => None,
    }
}

/// What is below names and casts that coercion put there.
fn inner(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => inner(&alias.expr),
        Expr::Cast(cast) if cast.field.name().is_empty() => inner(&cast.expr),
        other => other,
    }
}

fn of_expr(expr: &Expr, schema: &DFSchema, hints: &mut Hints) {
    match expr {
        Expr::Cast(cast) => hints.note(&cast.expr, cast.field.data_type()),
        Expr::Not(operand)
        | Expr::IsTrue(operand)
        | Expr::IsFalse(operand)
        | Expr::IsUnknown(operand)
        | Expr::IsNotTrue(operand)
        | Expr::IsNotFalse(operand)
        | Expr::IsNotUnknown(operand) => hints.note(operand, &DataType::Boolean),
        Expr::IsNull(operand) | Expr::IsNotNull(operand) => {
            hints.note_undetermined(operand, "42P18");
        }
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And | Operator::Or => {
                hints.note(&binary.left, &DataType::Boolean);
                hints.note(&binary.right, &DataType::Boolean);
            }
            _ => alike(&[binary.left.as_ref(), binary.right.as_ref()], schema, hints),
        },
        Expr::Between(between) => {
            alike(&[&between.expr, &between.low, &between.high], schema, hints);
        }
        Expr::InList(list) => {
            let all: Vec<&Expr> = std::iter::once(list.expr.as_ref()).chain(&list.list).collect();
            alike(&all, schema, hints);
        }
        Expr::Case(case) => {
            for (when, _) in &case.when_then_expr {
                match &case.expr {
                    Some(operand) => alike(&[operand.as_ref(), when.as_ref()], schema, hints),
                    None => hints.note(when, &DataType::Boolean),
                }
            }
            let results = case.when_then_expr.iter().map(|(_, then)| then.as_ref());
            let results: Vec<&Expr> = results.chain(case.else_expr.as_deref()).collect();
            alike(&results, schema, hints);
        }
        Expr::ScalarFunction(call) => {
            let args: Vec<&Expr> = call.args.iter().collect();
            of_function(call.name(), &args, schema, hints);
        }
        Expr::AggregateFunction(call) => {
            let args: Vec<&Expr> = call.params.args.iter().collect();
            of_function(call.func.name(), &args, schema, hints);
        }
        Expr::WindowFunction(call) => {
            let args: Vec<&Expr> = call.params.args.iter().collect();
            let name = call.fun.name();
            match (name, args.as_slice()) {
                ("lag" | "lead", [_, offset, ..]) | ("nth_value", [_, offset]) => {
                    hints.note(offset, &DataType::Int32);
                }
                ("ntile", [n]) => hints.note(n, &DataType::Int32),
                _ => of_function(name, &args, schema, hints),
            }
        }
        _ => {}
    }
}

/// Parameters take the type of the first of their neighbours that has one.
fn alike(exprs: &[&Expr], schema: &DFSchema, hints: &mut Hints) {
    if !exprs.iter().any(|expr| parameter(expr).is_some()) {
        return;
    }
    let known = exprs.iter().filter(|expr| parameter(expr).is_none()).find_map(|expr| {
        expr.get_type(schema).ok().filter(|data_type| *data_type != DataType::Null)
    });
    let Some(known) = known else { return };
    for expr in exprs {
        hints.note(expr, &known);
    }
}

fn of_function(name: &str, args: &[&Expr], schema: &DFSchema, hints: &mut Hints) {
    if !args.iter().any(|arg| parameter(arg).is_some()) {
        return;
    }
    match (name, args) {
        ("coalesce" | "greatest" | "least" | "nullif" | "make_array" | "series", _) => {
            return alike(args, schema, hints);
        }
        ("array_element" | "array_slice", [_, subscripts @ ..]) => {
            for subscript in subscripts {
                hints.note(subscript, &DataType::Int32);
            }
            return;
        }
        ("count" | "pg_typeof" | "json_build_object" | "jsonb_build_object", _)
        | ("json_build_array" | "jsonb_build_array" | "concat" | "num_nulls", _) => {
            for arg in args {
                hints.note_undetermined(arg, "42P18");
            }
            return;
        }
        ("format" | "concat_ws", [first, rest @ ..]) => {
            hints.note(first, &DataType::Utf8);
            for arg in rest {
                hints.note_undetermined(arg, "42P18");
            }
            return;
        }
        ("to_json" | "to_jsonb" | "array_length" | "cardinality" | "array_ndims", [first, ..]) => {
            hints.note_undetermined(first, "42804");
        }
        _ => {}
    }
    let known: Vec<Option<u32>> = args.iter().map(|arg| known_oid(arg, schema)).collect();
    if let Some(function) = choose(name, &known) {
        for (arg, oid) in args.iter().zip(&function.arguments) {
            if let Some(data_type) = arrow_type_of(*oid) {
                hints.note(arg, &data_type);
            }
        }
    }
}

/// The type of an argument; `None` for a parameter or literal that has none yet.
fn known_oid(arg: &Expr, schema: &DFSchema) -> Option<u32> {
    if parameter(arg).is_some() || crate::types::operators::is_unknown(arg) {
        return None;
    }
    let data_type = arg.get_type(schema).ok().filter(|data_type| *data_type != DataType::Null)?;
    Some(pg_type_of_data_type(&data_type).oid)
}

/// PostgreSQL's choice among functions of one name.
fn choose(name: &str, known: &[Option<u32>]) -> Option<&'static FunctionRow> {
    let name = match name {
        "character_length" => "length",
        "btrim" | "trim" => "btrim",
        "checked_round" => "round",
        other => other,
    };
    let category = |oid: u32| type_info(oid).map_or('X', |info| info.category);
    let fits = |function: &&'static FunctionRow| {
        function.arguments.len() == known.len()
            && known.iter().zip(&function.arguments).all(|(known, declared)| match known {
                Some(known) => known == declared || category(*known) == category(*declared),
                None => category(*declared) != 'P',
            })
    };
    let candidates: Vec<_> = function_by_name(name).filter(fits).collect();
    let exact = |function: &FunctionRow| {
        let pairs = known.iter().zip(&function.arguments);
        pairs.filter(|(known, declared)| **known == Some(**declared)).count()
    };
    let best = candidates.iter().map(|function| exact(function)).max()?;
    let mut candidates: Vec<_> =
        candidates.into_iter().filter(|function| exact(function) == best).collect();
    for (at, known) in known.iter().enumerate() {
        if known.is_some() || candidates.len() < 2 {
            continue;
        }
        let declared = |function: &FunctionRow| function.arguments.get(at).copied().unwrap_or(0);
        let strings = candidates.iter().any(|function| category(declared(function)) == 'S');
        if strings {
            candidates.retain(|function| category(declared(function)) == 'S');
        }
        let preferred = |function: &FunctionRow| {
            type_info(declared(function)).is_some_and(|info| info.preferred())
        };
        if candidates.iter().any(|function| preferred(function)) {
            candidates.retain(|function| preferred(function));
        }
    }
    candidates.first().copied()
}
