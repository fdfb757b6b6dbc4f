//! From names to numbers (`to_regclass`), back (`regclass_out`), and what a search path sees.

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use tarn_catalog::CatalogError;
use tarn_catalog::pg_catalog::{FunctionRow, function_by_name, function_by_oid};
use tarn_catalog::pg_type::{format_type, type_by_name};

use super::function::{Call, Kind, Spec, Value, stable};
use super::lookup::{is_visible, parts, quote_identifier, relation, relation_name};
use crate::error::PlannerError;

pub(super) const FUNCTIONS: &[Spec] = &[
    // Casts of literals: an object that does not exist is an error.
    stable("to_regclass_oid", (1, 1), Kind::Reg("regclass"), |call, row| {
        required(call, row, relation_oid(call, row), |name| {
            PlannerError::Catalog(CatalogError::TableNotFound { name })
        })
    }),
    stable("to_regtype_oid", (1, 1), Kind::Reg("regtype"), |call, row| {
        required(call, row, type_oid(call, row), |name| undefined("42704", "type", &name))
    }),
    stable("to_regproc_oid", (1, 1), Kind::Reg("regproc"), |call, row| {
        required(call, row, function_oid(call, row), |name| PlannerError::UndefinedFunction {
            name: format!("\"{name}\""),
            position: None,
        })
    }),
    stable("to_regprocedure_oid", (1, 1), Kind::Reg("regprocedure"), |call, row| {
        required(call, row, procedure_oid(call, row), |name| PlannerError::UndefinedFunction {
            name: format!("\"{name}\""),
            position: None,
        })
    }),
    stable("to_regnamespace_oid", (1, 1), Kind::Reg("regnamespace"), |call, row| {
        required(call, row, namespace_oid(call, row), |name| {
            PlannerError::Catalog(CatalogError::SchemaNotFound { name })
        })
    }),
    stable("to_regrole_oid", (1, 1), Kind::Reg("regrole"), |call, row| {
        required(call, row, role_oid(call, row), |name| undefined("42704", "role", &name))
    }),
    stable("to_regcollation_oid", (1, 1), Kind::Reg("regcollation"), |call, row| {
        required(call, row, collation_oid(call, row), |name| undefined("42704", "collation", &name))
    }),
    // The functions of these names: NULL for what does not exist.
    stable("to_regclass", (1, 1), Kind::Reg("regclass"), |call, row| {
        Ok(Value::oid(relation_oid(call, row)))
    }),
    stable("to_regtype", (1, 1), Kind::Reg("regtype"), |call, row| {
        Ok(Value::oid(type_oid(call, row)))
    }),
    stable("to_regproc", (1, 1), Kind::Reg("regproc"), |call, row| {
        Ok(Value::oid(function_oid(call, row)))
    }),
    stable("to_regprocedure", (1, 1), Kind::Reg("regprocedure"), |call, row| {
        Ok(Value::oid(procedure_oid(call, row)))
    }),
    stable("to_regnamespace", (1, 1), Kind::Reg("regnamespace"), |call, row| {
        Ok(Value::oid(namespace_oid(call, row)))
    }),
    stable("to_regrole", (1, 1), Kind::Reg("regrole"), |call, row| {
        Ok(Value::oid(role_oid(call, row)))
    }),
    stable("to_regcollation", (1, 1), Kind::Reg("regcollation"), |call, row| {
        Ok(Value::oid(collation_oid(call, row)))
    }),
    // Casts of numbers to text; a number without an object prints as itself.
    stable("regclass_out", (1, 1), Kind::Text, |call, row| shown(call, row, relation_name)),
    stable("regtype_out", (1, 1), Kind::Text, |call, row| {
        shown(call, row, |_, oid| Some(format_type(oid, None)).filter(|name| name != "???"))
    }),
    stable("regproc_out", (1, 1), Kind::Text, |call, row| {
        shown(call, row, |_, oid| function_name(oid))
    }),
    stable("regprocedure_out", (1, 1), Kind::Text, |call, row| {
        shown(call, row, |_, oid| procedure_name(oid))
    }),
    stable("regnamespace_out", (1, 1), Kind::Text, |call, row| shown(call, row, namespace_name)),
    stable("regrole_out", (1, 1), Kind::Text, |call, row| shown(call, row, role_name)),
    stable("regoper_out", (1, 1), Kind::Text, |call, row| shown(call, row, |_, _| None)),
    stable("regoperator_out", (1, 1), Kind::Text, |call, row| shown(call, row, |_, _| None)),
    stable("regcollation_out", (1, 1), Kind::Text, |call, row| {
        shown(call, row, |_, oid| collation_name(oid))
    }),
    stable("pg_get_userbyid", (1, 1), Kind::Name, |call, row| {
        let Some(oid) = call.oid(0, row) else { return Ok(Value::Null) };
        Ok(Value::Text(role_name(call, oid).unwrap_or_else(|| format!("unknown (OID={oid})"))))
    }),
    stable("pg_table_is_visible", (1, 1), Kind::Bool, |call, row| {
        let found = call.oid(0, row).and_then(|oid| call.table(oid));
        Ok(found.map_or(Value::Null, |(schema, entry)| {
            Value::Bool(is_visible(call.facts, schema, entry))
        }))
    }),
    // All of these live in pg_catalog, which every search path has.
    stable("pg_type_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_function_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_operator_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_opclass_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_opfamily_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_conversion_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_collation_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_statistics_obj_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_ts_config_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_ts_dict_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_ts_parser_is_visible", (1, 1), Kind::Bool, always),
    stable("pg_ts_template_is_visible", (1, 1), Kind::Bool, always),
];

fn always(_: &Call<'_>, _: usize) -> Result<Value> {
    Ok(Value::Bool(true))
}

fn undefined(code: &'static str, what: &str, name: &str) -> PlannerError {
    let message = format!("{what} \"{name}\" does not exist");
    PlannerError::Semantics { code, message, position: None }
}

/// A number found, or the error that says what was looked for.
fn required(
    call: &Call<'_>,
    row: usize,
    found: Option<u32>,
    error: impl FnOnce(String) -> PlannerError,
) -> Result<Value> {
    match found {
        Some(oid) => Ok(Value::Int(i64::from(oid))),
        None => {
            let name = call.shown(0, row)?.unwrap_or_default();
            Err(DataFusionError::External(Box::new(error(name))))
        }
    }
}

/// A number as its object's name; text is a name already and is written as PostgreSQL would.
fn shown(
    call: &Call<'_>,
    row: usize,
    name: impl FnOnce(&Call<'_>, u32) -> Option<String>,
) -> Result<Value> {
    match call.oid(0, row) {
        Some(0) => Ok(Value::text("-")),
        Some(oid) => Ok(Value::Text(name(call, oid).unwrap_or_else(|| oid.to_string()))),
        None => Ok(Value::from_text(call.shown(0, row)?)),
    }
}

/// The number of the relation that an argument of type `regclass` means.
pub(super) fn relation_oid(call: &Call<'_>, row: usize) -> Option<u32> {
    match call.oid(0, row) {
        Some(oid) => Some(oid),
        None => relation(call.facts, call.text(0, row)?).map(|(_, entry)| entry.oid),
    }
}

fn type_oid(call: &Call<'_>, row: usize) -> Option<u32> {
    match call.oid(0, row) {
        Some(oid) => Some(oid),
        None => type_by_name(call.text(0, row)?).map(|info| info.oid),
    }
}

/// The last part of a name that is not qualified or qualified with `pg_catalog`.
fn system_name(name: &str) -> Option<String> {
    match parts(name)?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == "pg_catalog" => Some(name.clone()),
        _ => None,
    }
}

fn function_oid(call: &Call<'_>, row: usize) -> Option<u32> {
    if let Some(oid) = call.oid(0, row) {
        return Some(oid);
    }
    let text = call.text(0, row)?;
    if text.contains('(') {
        return procedure_oid(call, row);
    }
    function_by_name(&system_name(text)?).next().map(|found| found.oid)
}

/// Finds a function by name and argument types: `abs(int)`.
fn procedure_oid(call: &Call<'_>, row: usize) -> Option<u32> {
    if let Some(oid) = call.oid(0, row) {
        return Some(oid);
    }
    let (name, arguments) = call.text(0, row)?.trim().split_once('(')?;
    let arguments = arguments.strip_suffix(')')?.trim();
    let types = match arguments {
        "" => Vec::new(),
        list => list
            .split(',')
            .map(|name| type_by_name(name).map(|info| info.oid))
            .collect::<Option<Vec<_>>>()?,
    };
    let name = system_name(name)?;
    let found = function_by_name(&name).find(|found| found.arguments == types);
    found.map(|found| found.oid)
}

fn function_name(oid: u32) -> Option<String> {
    let found = function_by_oid(oid)?;
    // `regproc` shows what it would read: an overloaded name needs its schema.
    let overloaded = function_by_name(found.name).nth(1).is_some();
    let name = quote_identifier(found.name);
    Some(if overloaded { format!("pg_catalog.{name}") } else { name })
}

/// The name of a collation by its number.
pub(super) fn collation_name(oid: u32) -> Option<String> {
    let (_, name) = COLLATIONS.iter().find(|(known, _)| *known == oid)?;
    Some(quote_identifier(name))
}

const COLLATIONS: &[(u32, &str)] = &[(100, "default"), (950, "C"), (951, "POSIX")];

fn collation_oid(call: &Call<'_>, row: usize) -> Option<u32> {
    if let Some(oid) = call.oid(0, row) {
        return Some(oid);
    }
    let name = system_name(call.text(0, row)?)?;
    COLLATIONS.iter().find(|(_, known)| *known == name).map(|(oid, _)| *oid)
}

/// The name and argument types of a function by its number.
pub(super) fn procedure_name(oid: u32) -> Option<String> {
    let found = function_by_oid(oid)?;
    Some(format!("{}({})", quote_identifier(found.name), argument_types(found, ",")))
}

/// The argument types of a function as SQL spells them.
pub(super) fn argument_types(function: &FunctionRow, between: &str) -> String {
    let last = function.arguments.len();
    let types = function.arguments.iter().zip(1..).map(|(oid, at)| {
        let variadic = function.variadic != 0 && at == last && between.len() > 1;
        let name = format_type(*oid, None);
        if variadic { format!("VARIADIC {name}") } else { name }
    });
    types.collect::<Vec<_>>().join(between)
}

fn namespace_oid(call: &Call<'_>, row: usize) -> Option<u32> {
    if let Some(oid) = call.oid(0, row) {
        return Some(oid);
    }
    let parts = parts(call.text(0, row)?)?;
    let [name] = parts.as_slice() else { return None };
    call.facts.catalog.schema(name).map(|schema| schema.oid)
}

fn namespace_name(call: &Call<'_>, oid: u32) -> Option<String> {
    let schemas = &call.facts.catalog.schemas;
    schemas.iter().find(|schema| schema.oid == oid).map(|schema| quote_identifier(&schema.name))
}

fn role_oid(call: &Call<'_>, row: usize) -> Option<u32> {
    if let Some(oid) = call.oid(0, row) {
        return Some(oid);
    }
    let parts = parts(call.text(0, row)?)?;
    let [name] = parts.as_slice() else { return None };
    call.facts.catalog.roles.iter().find(|role| role.name == *name).map(|role| role.oid)
}

/// The name of a role by its number.
pub(super) fn role_name(call: &Call<'_>, oid: u32) -> Option<String> {
    call.facts.catalog.roles.iter().find(|role| role.oid == oid).map(|role| role.name.clone())
}
