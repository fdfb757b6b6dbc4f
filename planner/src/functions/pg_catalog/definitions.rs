//! How objects are defined and described: types, views, functions, remarks.

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use tarn_catalog::pg_catalog::{
    COMPOSITE_FLAG, FunctionRow, constraint_definition, function_by_oid, index_definition,
};
use tarn_catalog::pg_type::format_type;
use tarn_catalog::{CatalogError, TableKind};

use super::function::{Call, Kind, Spec, Value, stable};
use super::lookup::{quote_identifier, quote_literal, relation, relation_name};
use super::names::{argument_types, procedure_name, relation_oid};
use crate::error::PlannerError;

pub(super) const FUNCTIONS: &[Spec] = &[
    stable("format_type", (2, 2), Kind::Text, |call, row| {
        let Some(oid) = call.oid(0, row) else { return Ok(Value::Null) };
        let modifier = call.int(1, row).and_then(|modifier| i32::try_from(modifier).ok());
        if oid & COMPOSITE_FLAG != 0 {
            // The row type of a relation has the relation's name.
            let name = relation_name(call, oid & !COMPOSITE_FLAG);
            return Ok(Value::Text(name.unwrap_or_else(|| "???".to_owned())));
        }
        Ok(Value::Text(format_type(oid, modifier)))
    })
    .called_on_null(),
    // Expressions are stored as SQL text, so the text is the answer.
    stable("pg_get_expr", (2, 3), Kind::Text, |call, row| Ok(Value::from_text(call.text(0, row)))),
    stable("pg_get_viewdef", (1, 2), Kind::Text, |call, row| {
        let found = relation_oid(call, row).and_then(|oid| call.table(oid));
        let definition = found.and_then(|(_, entry)| entry.view_definition.as_deref());
        // PostgreSQL indents by one and closes with a semicolon; psql's \sv relies on neither.
        Ok(Value::from_text(
            definition.map(|text| format!(" {};", text.trim().trim_end_matches(';'))),
        ))
    }),
    stable("pg_get_functiondef", (1, 1), Kind::Text, |call, row| {
        Ok(Value::from_text(function(call, row).map(function_definition)))
    }),
    stable("pg_get_function_result", (1, 1), Kind::Text, |call, row| {
        Ok(Value::from_text(function(call, row).map(result_type)))
    }),
    stable("pg_get_function_arguments", (1, 1), Kind::Text, arguments),
    stable("pg_get_function_identity_arguments", (1, 1), Kind::Text, arguments),
    stable("pg_get_function_sqlbody", (1, 1), Kind::Text, nothing),
    stable("pg_get_function_arg_default", (2, 2), Kind::Text, nothing),
    // tarn has no constraints, indexes, triggers, rules, partitions, sequences and the like.
    stable("pg_get_constraintdef", (1, 2), Kind::Text, |call, row| {
        let found = call.oid(0, row);
        Ok(Value::from_text(found.and_then(|oid| constraint_definition(&call.facts.catalog, oid))))
    }),
    stable("pg_get_indexdef", (1, 3), Kind::Text, |call, row| {
        let column = call.int(1, row).and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
        let found = call.oid(0, row);
        let catalog = &call.facts.catalog;
        Ok(Value::from_text(found.and_then(|oid| index_definition(catalog, oid, column))))
    }),
    stable("pg_get_triggerdef", (1, 2), Kind::Text, nothing),
    stable("pg_get_ruledef", (1, 2), Kind::Text, nothing),
    stable("pg_get_partkeydef", (1, 1), Kind::Text, nothing),
    stable("pg_get_partition_constraintdef", (1, 1), Kind::Text, nothing),
    stable("pg_get_serial_sequence", (2, 2), Kind::Text, serial_sequence),
    stable("pg_get_statisticsobjdef", (1, 1), Kind::Text, nothing),
    stable("pg_get_statisticsobjdef_columns", (1, 1), Kind::Text, nothing),
    stable("pg_get_statisticsobjdef_expressions", (1, 1), Kind::TextList, nothing),
    stable("pg_get_replica_identity_index", (1, 1), Kind::Oid, nothing),
    stable("pg_get_multixact_members", (1, 1), Kind::Text, nothing),
    stable("pg_sequence_last_value", (1, 1), Kind::Int8, nothing),
    stable("pg_relation_is_publishable", (1, 1), Kind::Bool, |call, row| {
        let found = relation_oid(call, row).and_then(|oid| call.table(oid));
        Ok(Value::Bool(found.is_some_and(|(_, entry)| entry.oid >= 16_384)))
    }),
    stable("pg_relation_is_updatable", (2, 2), Kind::Int4, |_, _| Ok(Value::Int(0))),
    stable("pg_column_is_updatable", (3, 3), Kind::Bool, |_, _| Ok(Value::Bool(false))),
    stable("pg_index_column_has_property", (3, 3), Kind::Bool, nothing),
    stable("pg_index_has_property", (2, 2), Kind::Bool, nothing),
    stable("pg_indexam_has_property", (2, 2), Kind::Bool, nothing),
    stable("obj_description", (1, 2), Kind::Text, |call, row| {
        let Some(oid) = call.oid(0, row) else { return Ok(Value::Null) };
        let class = if call.n_arguments() > 1 { call.text(1, row) } else { Some("pg_class") };
        Ok(Value::from_text(match class {
            Some("pg_class") => call.table(oid).and_then(|(_, entry)| entry.comment.clone()),
            Some("pg_namespace") => namespace_remark(call, oid),
            _ => None,
        }))
    }),
    stable("col_description", (2, 2), Kind::Text, |call, row| {
        let (Some(oid), Some(number)) = (call.oid(0, row), call.int(1, row)) else {
            return Ok(Value::Null);
        };
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let found = call.table(oid).zip(at);
        Ok(Value::from_text(
            found.and_then(|((_, entry), at)| entry.details.column_comment(at).map(str::to_owned)),
        ))
    }),
    stable("shobj_description", (2, 2), Kind::Text, |call, row| {
        let Some(oid) = call.oid(0, row) else { return Ok(Value::Null) };
        let catalog = &call.facts.catalog;
        let role = || catalog.roles.iter().find(|role| role.oid == oid)?.comment.clone();
        let database = || catalog.databases.iter().find(|known| known.oid == oid)?.comment.clone();
        Ok(Value::from_text(match call.text(1, row) {
            Some("pg_authid") => role(),
            Some("pg_database") => database(),
            _ => None,
        }))
    }),
    stable("pg_describe_object", (3, 3), Kind::Text, describe_object),
];

fn nothing(_: &Call<'_>, _: usize) -> Result<Value> {
    Ok(Value::Null)
}

/// No column has a sequence; table and column must exist all the same.
fn serial_sequence(call: &Call<'_>, row: usize) -> Result<Value> {
    let (Some(table), Some(column)) = (call.text(0, row), call.text(1, row)) else {
        return Ok(Value::Null);
    };
    let Some((_, entry)) = relation(call.facts, table) else {
        return Err(CatalogError::TableNotFound { name: table.to_owned() }.into());
    };
    if entry.columns.iter().any(|known| known.name == column) {
        return Ok(Value::Null);
    }
    let message = format!("column \"{column}\" of relation \"{}\" does not exist", entry.name);
    let error = PlannerError::Semantics { code: "42703", message, position: None };
    Err(DataFusionError::External(Box::new(error)))
}

/// An object by the relation that lists it, its number and the number of its column.
fn describe_object(call: &Call<'_>, row: usize) -> Result<Value> {
    let (Some(class), Some(oid)) = (call.oid(0, row), call.oid(1, row)) else {
        return Ok(Value::Null);
    };
    Ok(Value::from_text(match class {
        1259 => call.table(oid).and_then(|(_, entry)| {
            let kind = if entry.kind == TableKind::View { "view" } else { "table" };
            let relation = format!("{kind} {}", relation_name(call, oid)?);
            match call.int(2, row)? {
                0 => Some(relation),
                number => {
                    let at = usize::try_from(number).ok()?.checked_sub(1)?;
                    Some(format!("column {} of {relation}", entry.columns.get(at)?.name))
                }
            }
        }),
        2615 => {
            let schemas = &call.facts.catalog.schemas;
            let found = schemas.iter().find(|schema| schema.oid == oid);
            found.map(|schema| format!("schema {}", schema.name))
        }
        1247 => Some(format!("type {}", format_type(oid, None))),
        1255 => procedure_name(oid).map(|name| format!("function {name}")),
        _ => None,
    }))
}

fn namespace_remark(call: &Call<'_>, oid: u32) -> Option<String> {
    let schema = call.facts.catalog.schemas.iter().find(|schema| schema.oid == oid)?;
    let built_in = || tarn_catalog::pg_catalog::namespace_remark(&schema.name).map(str::to_owned);
    schema.comment.clone().or_else(built_in)
}

fn function(call: &Call<'_>, row: usize) -> Option<&'static FunctionRow> {
    function_by_oid(call.oid(0, row)?)
}

fn result_type(function: &FunctionRow) -> String {
    let name = format_type(function.result, None);
    if function.returns_set { format!("SETOF {name}") } else { name }
}

fn arguments(call: &Call<'_>, row: usize) -> Result<Value> {
    Ok(Value::from_text(function(call, row).map(|found| argument_types(found, ", "))))
}

fn function_definition(function: &FunctionRow) -> String {
    let name = quote_identifier(function.name);
    let arguments = argument_types(function, ", ");
    let result = result_type(function);
    let source = quote_literal(function.name);
    format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.{name}({arguments})\n RETURNS {result}\n \
         LANGUAGE internal\nAS {source}\n"
    )
}
