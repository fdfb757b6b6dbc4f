//! `pg_type`: the types of [`crate::pg_type`] with the numbers of their functions.

use arrow::array::RecordBatch;

use super::constant_rows::function_by_name;
use super::objects::{OWNER_OID, Relation, relations};
use super::relations::{COMPOSITE_FLAG, ColumnsOf, letter};
use crate::Result;
use crate::pg_type::{TypeInfo, type_info, types};

/// The pseudo-type of rows, whose functions row types share.
const RECORD: u32 = 2249;

/// The number of a function by its name, zero for `-`.
fn function(name: &str) -> u32 {
    function_by_name(name).next().map_or(0, |row| row.oid)
}

fn modifier_function(info: &TypeInfo, suffix: &str) -> u32 {
    info.modifier_stem().map_or(0, |stem| function(&format!("{stem}{suffix}")))
}

/// A type of the list, or the row type of a relation.
struct TypeRow<'a> {
    info: TypeInfo,
    name: &'a str,
    schema: u32,
}

fn type_rows<'a>(relations: &'a [Relation<'a>]) -> Vec<TypeRow<'a>> {
    let listed = types().iter().map(|info| TypeRow { info: *info, name: info.name, schema: 11 });
    let record = type_info(RECORD);
    let of_relation = |relation: &'a Relation<'a>| {
        let info = TypeInfo {
            oid: relation.oid | COMPOSITE_FLAG,
            kind: 'c',
            category: 'C',
            relid: relation.oid,
            array: 0,
            ..*record?
        };
        Some(TypeRow { info, name: relation.name, schema: relation.schema_oid })
    };
    let users = relations.iter().filter(|relation| !relation.system);
    listed.chain(users.filter_map(of_relation)).collect()
}

pub(super) fn pg_type(columns: ColumnsOf<'_>) -> Result<RecordBatch> {
    let relations = relations(columns.snapshot);
    let all = type_rows(&relations);
    let each = || all.iter().map(|row| &row.info);
    let categories: Vec<String> = each().map(|info| info.category.to_string()).collect();
    let kinds: Vec<String> = each().map(|info| info.kind.to_string()).collect();
    let delimiters: Vec<String> = each().map(|info| info.delimiter().to_string()).collect();
    columns
        .of(all.len())
        .oid("oid", each().map(|info| info.oid))
        .text("typname", all.iter().map(|row| row.name))
        .oid("typnamespace", all.iter().map(|row| row.schema))
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
