//! JSON as rows whose columns the query defines.
//!
//! ```text
//! FROM json_to_record(d) AS t (a int, b text)
//!   => FROM LATERAL (SELECT CAST(json_column(d, 'a') AS int) AS a, …) AS t
//! FROM json_to_recordset(d) AS t (a int)
//!   => FROM LATERAL (SELECT CAST(json_column(unnest(json_array_elements(d)), 'a') AS int) AS a) AS t
//! FROM json_populate_record(NULL::r, d) AS t
//!   => FROM LATERAL (SELECT "tarn populate"(d) FROM r) AS t     until `r` is bound, then as above
//! ```

use arrow::datatypes::Field;
use sqlparser::ast::{
    CastKind, CharacterLength, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments,
    Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Value,
};
use sqlparser::parser::Parser;
use tarn_catalog::pg_type::{format_type, pg_type_of_column};

use super::call;
use super::sets::{list_call, select_without_from};
use crate::dialect::TarnDialect;
use crate::error::{PlannerError, Result};
use crate::provider::Tables;
use crate::statement::fold;

/// Stands for the columns of a relation; no query can write it.
const POPULATE: &str = "tarn populate";

/// Turns a function that returns records into a subquery.
///
/// # Errors
/// 42601 where the columns are not defined, `Unsupported` for rows to start from.
pub(super) fn rewrite(factor: &mut TableFactor) -> Result<()> {
    let (function, args, alias) = match &*factor {
        TableFactor::Table { name, args: Some(args), alias, .. } => (name, &args.args, alias),
        TableFactor::Function { name, args, alias, .. } => (name, args, alias),
        _ => return Ok(()),
    };
    let Some(ObjectNamePart::Identifier(function)) = function.0.last() else { return Ok(()) };
    let name = fold(function);
    let set = match name.as_str() {
        "json_to_record" | "jsonb_to_record" | "json_populate_record" | "jsonb_populate_record" => {
            None
        }
        "json_to_recordset" | "json_populate_recordset" => Some("json_array_elements"),
        "jsonb_to_recordset" | "jsonb_populate_recordset" => Some("jsonb_array_elements"),
        _ => return Ok(()),
    };
    let row = |document: &Expr| match set {
        Some(elements) => call("unnest", vec![list_call(elements, vec![document.clone()])]),
        None => document.clone(),
    };
    let (subquery, alias) = match args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(document))] if name.contains("_to_") => {
            let (alias, columns) = defined(alias.as_ref())?;
            let items = columns.into_iter().map(|(name, sql)| item(&row(document), name, sql));
            let alias = TableAlias { columns: vec![], ..alias };
            (select_without_from(items.collect()), alias)
        }
        [
            FunctionArg::Unnamed(FunctionArgExpr::Expr(base)),
            FunctionArg::Unnamed(FunctionArgExpr::Expr(document)),
        ] if name.contains("_populate_") => {
            let table = relation_of(base)?;
            let plain =
                TableAlias { explicit: true, name: function.clone(), columns: vec![], at: None };
            (populated(row(document), table), alias.clone().unwrap_or(plain))
        }
        _ => return Ok(()),
    };
    *factor = TableFactor::Derived { lateral: true, subquery, alias: Some(alias), sample: None };
    Ok(())
}

/// The columns that an alias defines: `AS t (a int, b text)`.
fn defined(alias: Option<&TableAlias>) -> Result<(TableAlias, Vec<(Ident, DataType)>)> {
    let columns = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
    let typed = columns.iter().map(|c| Some((c.name.clone(), c.data_type.clone()?)));
    let typed: Option<Vec<_>> = typed.collect();
    match (alias, typed.filter(|typed| !typed.is_empty())) {
        (Some(alias), Some(typed)) => Ok((alias.clone(), typed)),
        _ => Err(PlannerError::Semantics {
            code: "42601",
            message: "a column definition list is required for functions returning \"record\""
                .to_owned(),
            position: None,
        }),
    }
}

/// The relation whose rows are made: that of `NULL::r`.
fn relation_of(base: &Expr) -> Result<ObjectName> {
    match base {
        Expr::Nested(inner) => relation_of(inner),
        Expr::Cast { expr, data_type: DataType::Custom(name, modifiers), .. }
            if modifiers.is_empty()
                && matches!(expr.as_ref(), Expr::Value(value) if value.value == Value::Null) =>
        {
            Ok(name.clone())
        }
        _ => Err(PlannerError::Unsupported {
            what: "json_populate_record with a row to start from".to_owned(),
            hint: Some("Name the row type alone: NULL::table.".to_owned()),
        }),
    }
}

fn populated(row: Expr, table: ObjectName) -> Box<Query> {
    let mut marker = call(POPULATE, vec![row]);
    if let Expr::Function(function) = &mut marker {
        function.name = ObjectName::from(vec![Ident::with_quote('"', POPULATE)]);
    }
    let relation = crate::utility::table_factor(table);
    let from = TableWithJoins { relation, joins: vec![] };
    crate::write::select_query(vec![SelectItem::UnnamedExpr(marker)], from)
}

/// Puts the columns of a relation, which is bound now, in the place of the mark.
pub(super) fn populate(select: &mut Select, tables: &Tables) {
    let (Some(row), [from]) = (marked(select), select.from.as_slice()) else { return };
    let TableFactor::Table { name, .. } = &from.relation else { return };
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(fold).collect();
    let Some((table, schema)) = parts.split_last() else { return };
    let Some(source) = tables.get(&(schema.last().cloned(), table.clone())) else { return };
    let items: Option<Vec<SelectItem>> = source
        .schema()
        .fields()
        .iter()
        .map(|field| Some(item(&row, Ident::with_quote('"', field.name()), sql_type(field)?)))
        .collect();
    let Some(items) = items else { return };
    if let SetExpr::Select(replaced) = *select_without_from(items).body {
        *select = *replaced;
    }
}

/// The row behind the mark.
fn marked(select: &Select) -> Option<Expr> {
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    let Expr::Function(function) = expr else { return None };
    if function.name.0.last()?.as_ident()?.value != POPULATE {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(row))] => Some(row.clone()),
        _ => None,
    }
}

/// The type of a column as SQL has it.
fn sql_type(field: &Field) -> Option<DataType> {
    let found = pg_type_of_column(field);
    let text = format_type(found.oid, Some(found.modifier));
    let dialect = TarnDialect::default();
    Parser::new(&dialect).try_with_sql(&text).ok()?.parse_data_type().ok()
}

/// One column of the rows: `CAST(json_column(row, 'a', 'text') AS int) AS a`.
fn item(row: &Expr, name: Ident, data_type: DataType) -> SelectItem {
    let text = |text: String| Expr::value(Value::SingleQuotedString(text));
    let form = text(form_of(&data_type));
    let value = call("json_column", vec![row.clone(), text(fold(&name)), form]);
    let expr = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type,
        array: false,
        format: None,
    };
    SelectItem::ExprWithAlias { expr, alias: name }
}

/// How a JSON value is written for a cast to a type; with the length of one that has a length,
/// which the cast would cut to.
fn form_of(data_type: &DataType) -> String {
    let limit = |length: &Option<CharacterLength>| match length {
        Some(CharacterLength::IntegerLength { length, .. }) => Some(*length),
        _ => None,
    };
    match data_type {
        DataType::Array(_) => "array".to_owned(),
        DataType::JSON | DataType::JSONB => "json".to_owned(),
        DataType::Varchar(length) | DataType::CharacterVarying(length) => match limit(length) {
            Some(length) => format!("character varying({length})"),
            None => "text".to_owned(),
        },
        DataType::Char(length) | DataType::Character(length) => {
            format!("character({})", limit(length).unwrap_or(1))
        }
        _ => "text".to_owned(),
    }
}
