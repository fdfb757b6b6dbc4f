//! `pg_type`: the types of [`crate::pg_type`] with the numbers of their functions.

use arrow::array::RecordBatch;

use super::constant_rows::function_by_name;
use super::objects::OWNER_OID;
use super::relations::{ColumnsOf, letter};
use crate::Result;
use crate::pg_type::{TypeInfo, types};

/// The number of a function by its name, zero for `-`.
fn function(name: &str) -> u32 {
    function_by_name(name).next().map_or(0, |row| row.oid)
}

fn modifier_function(info: &TypeInfo, suffix: &str) -> u32 {
    info.modifier_stem().map_or(0, |stem| function(&format!("{stem}{suffix}")))
}

pub(super) fn pg_type(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let all = types();
    let each = || all.iter();
    let categories: Vec<String> = each().map(|info| info.category.to_string()).collect();
    let kinds: Vec<String> = each().map(|info| info.kind.to_string()).collect();
    let delimiters: Vec<String> = each().map(|info| info.delimiter().to_string()).collect();
    columns
        .of(all.len())
        .oid("oid", each().map(|info| info.oid))
        .text("typname", each().map(|info| info.name))
        .all_int("typnamespace", 11)
        .all_int("typowner", i64::from(OWNER_OID))
        .int("typlen", each().map(|info| i64::from(info.size)))
        .bool("typbyval", each().map(|info| info.by_value))
        .text("typtype", kinds.iter().map(String::as_str))
        .text("typcategory", categories.iter().map(String::as_str))
        .bool("typispreferred", each().map(TypeInfo::preferred))
        .all_true("typisdefined")
        .text("typdelim", delimiters.iter().map(String::as_str))
        .oid("typrelid", each().map(|info| info.relid))
        .oid("typsubscript", each().map(|info| function(info.subscript())))
        .oid("typelem", each().map(|info| info.element))
        .oid("typarray", each().map(|info| info.array))
        .oid("typinput", each().map(|info| function(info.input)))
        .oid("typoutput", each().map(|info| function(info.output)))
        .oid("typreceive", each().map(|info| function(info.receive)))
        .oid("typsend", each().map(|info| function(info.send)))
        .oid("typmodin", each().map(|info| modifier_function(info, "in")))
        .oid("typmodout", each().map(|info| modifier_function(info, "out")))
        .text("typalign", each().map(|info| letter(Some(info.align))))
        .text("typstorage", each().map(|info| letter(Some(info.storage))))
        .all_int("typtypmod", -1)
        .oid("typcollation", each().map(TypeInfo::collation))
        .finish()
}
