//! Casts between text and other types, to types that metadata tells, and of arrays.
//!
//! ```text
//! CAST('…' AS uuid)        ->  convert(text -> uuid)          PostgreSQL's syntax and errors
//! CAST(x AS text)          ->  convert(bool -> text)          as the value is printed
//! CAST(x AS varchar(3))    ->  convert(text -> varchar(3))    cut
//! CAST(x AS bigint)        ->  CAST(x AS bigint)              where Arrow does the same
//! ```
//! Casts that the SQL planner made have a target field with a name; those that are left become
//! plain ones, as DataFusion's physical plan gives them another nullability otherwise.

use arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use tarn_catalog::pg_type::{
    FIELD_PG_TYPE, FIELD_PG_TYPMOD, TIMETZ, json_kind, pg_type_of, type_info,
};

use super::expressions::{input_schema, map_named};
use crate::functions::array::frame::{depth, leaf, list_of};
use crate::functions::convert::convert;
use crate::functions::fault::fault;
use crate::types::bits::{self, is_bits};
use crate::types::{ASSIGNMENT, is_text, name_in_metadata};

/// Replaces casts that DataFusion evaluates otherwise than PostgreSQL.
#[derive(Debug, Default)]
pub struct PostgresCasts;

impl AnalyzerRule for PostgresCasts {
    fn name(&self) -> &'static str {
        "postgres_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_plan).map(|result| result.data)
    }
}

fn rewrite_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = input_schema(&plan)?;
    let result = map_named(plan, |expr| match expr {
        Expr::Cast(cast) => rewrite(cast, &schema),
        Expr::ScalarFunction(call) => Ok(without_blanks(call, &schema)),
        expr => Ok(Transformed::no(expr)),
    })?;
    result.map_data(LogicalPlan::recompute_schema)
}

fn rewrite(mut cast: Cast, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (_, source) = cast.expr.to_field(schema)?;
    let (n_from, n_to) = (depth(source.data_type()), depth(cast.field.data_type()));
    if n_to > 0 && n_from > n_to {
        // `int[]` is the name of arrays of any number of dimensions: the value keeps its own.
        let deeper = list_of(leaf(cast.field.data_type()), n_from);
        let field = cast.field.as_ref().clone().with_data_type(deeper);
        cast.field = std::sync::Arc::new(field);
    }
    let explicit = !cast.field.name().is_empty() || !cast.field.metadata().is_empty();
    if explicit {
        check_temporal(&source, &cast.field)?;
    }
    if cast.field.data_type().is_decimal()
        && source.data_type().is_numeric()
        && !cast.field.metadata().is_empty()
    {
        return Ok(Transformed::yes(named_decimal(cast)));
    }
    if needs_conversion(&source, &cast.field) {
        check(&source, &cast.field)?;
        let assignment = cast.field.metadata().contains_key(ASSIGNMENT);
        let mut metadata = cast.field.metadata().clone();
        metadata.remove(ASSIGNMENT);
        let target = cast.field.as_ref().clone().with_metadata(metadata);
        return Ok(Transformed::yes(convert(*cast.expr, &source, &target, assignment)));
    }
    if source.data_type() == cast.field.data_type() {
        return Ok(Transformed::yes(*cast.expr));
    }
    if explicit {
        let plain = Cast::new(cast.expr, cast.field.data_type().clone());
        return Ok(Transformed::yes(Expr::Cast(plain)));
    }
    Ok(Transformed::no(Expr::Cast(cast)))
}

/// Functions take text, and what becomes text of `char(n)` loses the blanks at the end.
fn without_blanks(mut call: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    if call.name() == "octet_length" || call.name() == "bit_length" {
        return of_bits(call, schema);
    }
    const KEEP: &[&str] = &["convert_type", "rtrim", "coalesce", "pg_typeof", "octet_length"];
    if KEEP.contains(&call.name()) {
        return Transformed::no(Expr::ScalarFunction(call));
    }
    let mut changed = false;
    let text = Field::new("", DataType::Utf8, true);
    for arg in &mut call.args {
        let plain = matches!(arg, Expr::Column(_))
            || matches!(arg, Expr::ScalarFunction(inner) if inner.name() == "convert_type");
        if !plain {
            continue;
        }
        let Ok((_, field)) = arg.to_field(schema) else { continue };
        if name_in_metadata(&field) == Some("bpchar") {
            let inner = std::mem::replace(arg, Expr::Literal(ScalarValue::Null, None));
            let text = text.clone().with_data_type(field.data_type().clone());
            *arg = convert(inner, &field, &text, false);
            changed = true;
        }
    }
    let call = Expr::ScalarFunction(call);
    if changed { Transformed::yes(call) } else { Transformed::no(call) }
}

/// `octet_length` and `bit_length` of bit strings, which are held as texts.
fn of_bits(mut call: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let bits = call.args.first().and_then(|arg| arg.to_field(schema).ok());
    if !bits.is_some_and(|(_, field)| is_bits(&field)) {
        return Transformed::no(Expr::ScalarFunction(call));
    }
    call.func = match call.name() {
        "octet_length" => bits::octets(),
        _ => datafusion::functions::unicode::character_length(),
    };
    Transformed::yes(Expr::ScalarFunction(call))
}

/// Numbers are cast as numbers are, and then get the digits that they were declared with.
fn named_decimal(cast: Cast) -> Expr {
    let data_type = cast.field.data_type().clone();
    let mut metadata = cast.field.metadata().clone();
    metadata.remove(ASSIGNMENT);
    let target = cast.field.as_ref().clone().with_metadata(metadata);
    let plain = Field::new("", data_type.clone(), true);
    convert(Expr::Cast(Cast::new(cast.expr, data_type)), &plain, &target, false)
}

/// Whether a field's metadata says more than its Arrow type.
fn has_own_type(field: &Field) -> bool {
    let metadata = field.metadata();
    metadata.contains_key(FIELD_PG_TYPE) || metadata.contains_key(FIELD_PG_TYPMOD)
}

fn needs_conversion(source: &Field, target: &Field) -> bool {
    let (from, to) = (source.data_type(), target.data_type());
    if has_own_type(target) || has_own_type(source) {
        // What is the same type already keeps its values as they are.
        let same = from == to
            && name_in_metadata(source) == name_in_metadata(target)
            && source.metadata().get(FIELD_PG_TYPMOD) == target.metadata().get(FIELD_PG_TYPMOD);
        return !same || target.metadata().contains_key(ASSIGNMENT);
    }
    if *from == DataType::Null || from == to {
        return false;
    }
    match (is_text(from), is_text(to)) {
        (true, true) => false,
        (true, false) | (false, true) => true,
        (false, false) => {
            json_kind(from).is_some()
                || json_kind(to).is_some()
                || (from.is_list() && to.is_list() && elements_convert(from, to))
        }
    }
}

fn elements_convert(from: &DataType, to: &DataType) -> bool {
    match (element(from), element(to)) {
        (Some(from), Some(to)) => {
            let rounds = ((from.data_type().is_floating() || from.data_type().is_decimal())
                && to.data_type().is_integer())
                || (*from.data_type() == DataType::Float64 && *to.data_type() == DataType::Float32);
            let nested = from.data_type().is_list() && to.data_type().is_list();
            rounds
                || needs_conversion(from, to)
                || (nested && elements_convert(from.data_type(), to.data_type()))
        }
        _ => false,
    }
}

fn element(data_type: &DataType) -> Option<&Field> {
    match data_type {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => Some(element),
        _ => None,
    }
}

/// Numbers are no dates, other than to Arrow.
fn check_temporal(source: &Field, target: &Field) -> Result<()> {
    let number = |data_type: &DataType| data_type.is_numeric() || *data_type == DataType::Boolean;
    let (from, to) = (source.data_type(), target.data_type());
    let temporal = |data_type: &DataType| data_type.is_temporal() || *data_type == TIMETZ;
    if (temporal(from) && number(to)) || (number(from) && temporal(to)) {
        return Err(no_cast(source, target));
    }
    Ok(())
}

fn no_cast(source: &Field, target: &Field) -> datafusion::error::DataFusionError {
    let name = |field: &Field| {
        let oid = pg_type_of(field).oid;
        type_info(oid).map_or("unknown", |info| info.sql_name)
    };
    fault("42846", format!("cannot cast type {} to {}", name(source), name(target)))
}

/// Refuses casts that PostgreSQL does not have.
fn check(source: &Field, target: &Field) -> Result<()> {
    let (from, to) = (source.data_type(), target.data_type());
    let is_json = |data_type| json_kind(data_type).is_some();
    let number = |data_type: &DataType| matches!(data_type, DataType::Int32 | DataType::Int64);
    let text = |data_type: &DataType| is_text(data_type) || *data_type == DataType::Null;
    if (is_bits(target)
        && !text(from)
        && !(number(from) && name_in_metadata(target) == Some("bit")))
        || (is_bits(source) && !text(to) && !number(to))
    {
        return Err(no_cast(source, target));
    }
    let text_or_null = |data_type: &DataType| is_text(data_type) || *data_type == DataType::Null;
    let possible = match (is_json(from), is_json(to)) {
        (false, false) => true,
        (true, true) => true,
        (false, true) => text_or_null(from),
        (true, false) => {
            let binary = json_kind(from) == Some(tarn_catalog::pg_type::Json::Binary);
            is_text(to) || (binary && (to.is_numeric() || *to == DataType::Boolean))
        }
    };
    if possible {
        return Ok(());
    }
    Err(no_cast(source, target))
}
