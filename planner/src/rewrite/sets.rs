//! Set-returning functions, in FROM and in select lists.
//!
//! A function that returns a set is a scalar function that returns a list, and `unnest` around it:
//!
//! ```text
//! SELECT generate_series(1, t.n)          SELECT unnest(series(1, t.n)) AS generate_series
//! FROM unnest(a, b) AS t (x, y)           FROM LATERAL (SELECT unnest(a) AS x, unnest(b) AS y) AS t
//! FROM f(x) WITH ORDINALITY AS t (v, n)   FROM LATERAL (SELECT unnest(f(x)) AS v,
//!                                                              unnest(series(1, cardinality(f(x)))) AS n) AS t
//! FROM upper('x') AS u                    FROM (SELECT upper('x') AS u) AS u
//! ```
//!
//! Several in one select list run side by side, as `unnest` does.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, Ident, LambdaFunction,
    LambdaFunctionParameter, LambdaSyntax, ObjectName, ObjectNamePart, OneOrManyWithParens, Query,
    Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins,
    Value,
};

use super::call as function_call;
use crate::functions::series_table;
use crate::parser::shorthand::ROWS_FROM;
use crate::statement::fold;
use crate::walk::{self, Editor, Reader};

/// A set-returning function.
struct SetFunction {
    /// PostgreSQL's name.
    name: &'static str,
    /// The scalar function that returns the rows as a list; the same name where that is free.
    list: &'static str,
    /// The columns of its rows; none for rows of one value, which is called as the function.
    columns: &'static [&'static str],
}

const fn values(name: &'static str, list: &'static str) -> SetFunction {
    SetFunction { name, list, columns: &[] }
}

const fn records(name: &'static str, columns: &'static [&'static str]) -> SetFunction {
    SetFunction { name, list: name, columns }
}

/// The functions whose rows are lists; `unnest` itself stays as it is.
const SET_FUNCTIONS: &[SetFunction] = &[
    values("generate_series", "series"),
    values("generate_subscripts", "series"),
    values("string_to_table", "string_to_array"),
    values("regexp_split_to_table", "regexp_split_to_array"),
    values("regexp_matches", "regexp_matches_list"),
    values("regexp_matches", "regexp_matches"),
    values("json_array_elements", "json_array_elements"),
    values("jsonb_array_elements", "jsonb_array_elements"),
    values("json_array_elements_text", "json_array_elements_text"),
    values("jsonb_array_elements_text", "jsonb_array_elements_text"),
    values("json_object_keys", "json_object_keys"),
    values("jsonb_object_keys", "jsonb_object_keys"),
    values("jsonb_path_query", "jsonb_path_query"),
    records("json_each", &["key", "value"]),
    records("jsonb_each", &["key", "value"]),
    records("json_each_text", &["key", "value"]),
    records("jsonb_each_text", &["key", "value"]),
    records("_pg_expandarray", &["x", "n"]),
    records("pg_options_to_table", &["option_name", "option_value"]),
    records("pg_partition_tree", &["relid", "parentrelid", "isleaf", "level"]),
    records("aclexplode", &["grantor", "grantee", "privilege_type", "is_grantable"]),
];

/// Marks a function as the one that returns the list.
const LIST: char = '\u{1}';

fn set_function(name: &str) -> Option<&'static SetFunction> {
    SET_FUNCTIONS.iter().find(|function| function.name == name)
}

/// The call of a set-returning function that gives its rows as a list.
pub(super) fn list_call(name: &str, args: Vec<Expr>) -> Expr {
    function_call(&format!("{LIST}{name}"), args)
}

/// Whether calls of a function return several rows.
pub(super) fn returns_set(name: &str) -> bool {
    name == "unnest" || name == ROWS_FROM || set_function(name).is_some()
}

/// Rewrites a call outside of FROM.
pub(super) fn rewrite_call(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let [ObjectNamePart::Identifier(ident)] = function.name.0.as_slice() else { return };
    if let Some(name) = ident.value.strip_prefix(LIST) {
        function.name = ObjectName::from(vec![Ident::new(name)]);
        return;
    }
    let name = fold(ident);
    if name == "unnest" || name == "generate_subscripts" {
        let sqlparser::ast::FunctionArguments::List(list) = &mut function.args else { return };
        let args: Vec<Expr> = list
            .args
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => Some(arg.clone()),
                _ => None,
            })
            .collect();
        let rows = match (name.as_str(), args.as_slice()) {
            ("unnest", [array]) if is_list(array) => return,
            ("unnest", [array]) => function_call("list_rows", vec![array.clone()]),
            ("unnest", _) => return,
            _ => subscripts(&args),
        };
        *expr = function_call("unnest", vec![rows]);
        return;
    }
    if let Some(set) = set_function(&name) {
        function.name = ObjectName::from(vec![Ident::new(set.list)]);
        *expr = function_call("unnest", vec![expr.clone()]);
    }
}

/// Whether an expression is what this module puts inside of `unnest`.
fn is_list(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let ident = function.name.0.last().and_then(|part| part.as_ident());
    ident.is_some_and(|ident| {
        let name = ident.value.trim_start_matches(LIST);
        name == "list_rows" || SET_FUNCTIONS.iter().any(|function| function.list == name)
    })
}

/// The numbers of an array's elements in one dimension.
fn subscripts(args: &[Expr]) -> Expr {
    let bounds: Vec<Expr> = args.iter().take(2).cloned().collect();
    let lower = function_call("array_lower", bounds.clone());
    let upper = function_call("array_upper", bounds);
    match args.get(2) {
        None => function_call("series", vec![lower, upper]),
        Some(reverse) => {
            let number = |digits: &str| Expr::value(Value::Number(digits.to_owned(), false));
            let pick = |then: &Expr, otherwise: &Expr| Expr::Case {
                case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                operand: None,
                conditions: vec![sqlparser::ast::CaseWhen {
                    condition: reverse.clone(),
                    result: then.clone(),
                }],
                else_result: Some(Box::new(otherwise.clone())),
            };
            let minus = Expr::UnaryOp {
                op: sqlparser::ast::UnaryOperator::Minus,
                expr: Box::new(number("1")),
            };
            let step = pick(&minus, &number("1"));
            function_call("series", vec![pick(&upper, &lower), pick(&lower, &upper), step])
        }
    }
}

/// `(f(x)).n`: a field of the rows of a function.
pub(super) fn rewrite_field(expr: &mut Expr) {
    use sqlparser::ast::AccessExpr;
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    let [AccessExpr::Dot(Expr::Identifier(field))] = access_chain.as_slice() else { return };
    if let Expr::Nested(inner) = root.as_ref()
        && matches!(inner.as_ref(), Expr::Function(_))
    {
        let name = Expr::value(Value::SingleQuotedString(fold(field)));
        *expr = function_call("get_field", vec![(**inner).clone(), name]);
    }
}

/// A call in FROM and what stands around it.
struct Call {
    name: Ident,
    args: Vec<Expr>,
    alias: Option<TableAlias>,
    with_ordinality: bool,
    lateral: bool,
}

/// Turns functions in FROM into subqueries; those that are relations of their own stay.
pub(super) fn rewrite(factor: &mut TableFactor) {
    if is_series(factor) {
        // Made below; it would be wrapped again and again.
        return;
    }
    let Some(call) = call_of(factor) else {
        unqualify(factor);
        return;
    };
    let name = fold(&call.name);
    if name == "range" || crate::functions::is_table_function(&name) {
        unqualify(factor);
        return;
    }
    *factor = derived(call, &name);
}

/// `pg_catalog.f(x)` is `f(x)`.
fn unqualify(factor: &mut TableFactor) {
    if let TableFactor::Table { name, args: Some(_), .. } = factor
        && let Some(plain) = plain_name(name)
    {
        *name = ObjectName::from(vec![plain]);
    }
}

fn plain_name(name: &ObjectName) -> Option<Ident> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(function)]
            if matches!(fold(schema).as_str(), "pg_catalog" | "information_schema") =>
        {
            Some(function.clone())
        }
        [ObjectNamePart::Identifier(function)] => Some(function.clone()),
        _ => None,
    }
}

fn call_of(factor: &TableFactor) -> Option<Call> {
    let plain = |args: &[FunctionArg]| {
        args.iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
    };
    Some(match factor {
        TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => Call {
            name: plain_name(name)?,
            args: plain(&args.args)?,
            alias: alias.clone(),
            with_ordinality: *with_ordinality,
            lateral: false,
        },
        TableFactor::Function { lateral, name, args, with_ordinality, alias } => Call {
            name: plain_name(name)?,
            args: plain(args)?,
            alias: alias.clone(),
            with_ordinality: *with_ordinality,
            lateral: *lateral,
        },
        TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset: false, .. } => {
            Call {
                name: Ident::new("unnest"),
                args: array_exprs.clone(),
                alias: alias.clone(),
                with_ordinality: *with_ordinality,
                lateral: false,
            }
        }
        _ => return None,
    })
}

/// A subquery that computes the function for the relations before it.
fn derived(call: Call, name: &str) -> TableFactor {
    // Without columns in its arguments a function depends on nothing.
    let lateral = call.lateral || call.args.iter().any(has_column);
    let table = call.alias.as_ref().map_or_else(|| call.name.clone(), |alias| alias.name.clone());
    let mut names = call
        .alias
        .as_ref()
        .map(|alias| alias.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter();
    let named_as_table = call.alias.is_some();
    let mut items = Vec::new();
    let mut item = |expr: Expr, default: Ident| {
        let alias = names.next().unwrap_or(default);
        items.push(SelectItem::ExprWithAlias { expr, alias });
    };
    let record = set_function(name).filter(|set| !set.columns.is_empty());
    let lists = lists_of(&call, name);
    let from = series_relation(&call, name);
    if let Some(record) = record {
        for column in record.columns {
            let field = Expr::value(Value::SingleQuotedString((*column).to_owned()));
            let row = function_call(
                "unnest",
                vec![lists.first().cloned().unwrap_or_else(|| field.clone())],
            );
            let value = function_call("get_field", vec![row, field]);
            item(value, Ident::with_quote('"', *column));
        }
    } else if from.is_some() {
        let value = Expr::Identifier(Ident::with_quote('"', SERIES));
        item(value, if named_as_table { table.clone() } else { call.name.clone() });
    } else {
        let several = lists.len() > 1;
        for list in &lists {
            let default = match name {
                // The output parameter of these has a name of its own.
                _ if is_value_function(name) => Ident::with_quote('"', "value"),
                _ if named_as_table && !several => table.clone(),
                _ => call.name.clone(),
            };
            let value = if returns_set(name) {
                function_call("unnest", vec![list.clone()])
            } else {
                list.clone()
            };
            item(value, default);
        }
    }
    if call.with_ordinality {
        item(ordinality(&lists, returns_set(name)), Ident::with_quote('"', "ordinality"));
    }
    let mut query = match from {
        Some(relation) => {
            crate::write::select_query(items, TableWithJoins { relation, joins: vec![] })
        }
        None => select_without_from(items),
    };
    if let SetExpr::Select(select) = query.body.as_mut() {
        super::names::name_outputs(select);
    }
    let alias = TableAlias { explicit: true, name: table, columns: vec![], at: None };
    TableFactor::Derived { lateral, subquery: query, alias: Some(alias), sample: None }
}

fn is_value_function(name: &str) -> bool {
    name.starts_with("json") && name.contains("_array_elements")
}

/// `SELECT e FROM json_array_elements(x) AS e` is `SELECT e.value …`: the row of a function with one
/// value is that value.
pub(super) fn name_values(select: &mut Select) {
    let joined = select.from.iter().flat_map(|tables| {
        std::iter::once(&tables.relation).chain(tables.joins.iter().map(|join| &join.relation))
    });
    let aliases: Vec<String> = joined
        .filter_map(|factor| {
            let call = call_of(factor)?;
            let alias = call.alias.filter(|alias| alias.columns.is_empty())?;
            is_value_function(&fold(&call.name)).then(|| fold(&alias.name))
        })
        .collect();
    if aliases.is_empty() {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item
            && aliases.contains(&fold(name))
        {
            let (expr, alias) = (Expr::Identifier(name.clone()), name.clone());
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
    // Nothing breaks this walk.
    let _ = walk::edit_select(select, &mut Values { aliases });
}

struct Values {
    aliases: Vec<String>,
}

impl Editor for Values {
    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        super::rows::join_column_name(expr);
        ControlFlow::Continue(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.aliases.contains(&fold(name))
        {
            let value = Ident::with_quote('"', "value");
            *expr = Expr::CompoundIdentifier(vec![name.clone(), value]);
        }
        ControlFlow::Continue(())
    }
}

/// The lists that run side by side.
fn lists_of(call: &Call, name: &str) -> Vec<Expr> {
    if name == "unnest" {
        return call
            .args
            .iter()
            .map(|array| function_call("list_rows", vec![array.clone()]))
            .collect();
    }
    if name == "generate_subscripts" {
        return vec![subscripts(&call.args)];
    }
    if name == ROWS_FROM {
        return call.args.iter().flat_map(rows_of).collect();
    }
    let function = match set_function(name) {
        Some(set) => format!("{LIST}{}", set.list),
        None => return vec![function_of(call)],
    };
    vec![function_call(&function, call.args.clone())]
}

/// The lists of one function of `ROWS FROM`.
fn rows_of(function: &Expr) -> Vec<Expr> {
    let Expr::Function(function) = function else { return vec![function.clone()] };
    let sqlparser::ast::FunctionArguments::List(list) = &function.args else { return vec![] };
    let Some(name) = plain_name(&function.name) else { return vec![] };
    let args = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => Some(arg.clone()),
        _ => None,
    });
    let folded = fold(&name);
    let call =
        Call { name, args: args.collect(), alias: None, with_ordinality: false, lateral: false };
    if returns_set(&folded) {
        lists_of(&call, &folded)
    } else {
        vec![function_call("make_array", vec![function_of(&call)])]
    }
}

fn function_of(call: &Call) -> Expr {
    let mut expr = function_call("f", call.args.clone());
    if let Expr::Function(function) = &mut expr {
        function.name = ObjectName::from(vec![call.name.clone()]);
    }
    expr
}

/// `generate_series` of plain numbers as a relation that makes rows as they are read.
fn series_relation(call: &Call, name: &str) -> Option<TableFactor> {
    let plain = name == "generate_series"
        && !call.with_ordinality
        && matches!(call.args.len(), 2 | 3)
        && call.args.iter().all(is_int4)
        && !call.args.get(2).is_some_and(is_zero);
    if !plain {
        return None;
    }
    let args = call.args.iter().cloned();
    let args = args.map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
    Some(TableFactor::Table {
        name: ObjectName::from(vec![Ident::new(series_table::NAME)]),
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::with_quote('"', SERIES),
            columns: vec![TableAliasColumnDef {
                name: Ident::with_quote('"', SERIES),
                data_type: None,
            }],
            at: None,
        }),
        args: Some(sqlparser::ast::TableFunctionArgs { args: args.collect(), settings: None }),
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    })
}

/// The alias of the relations that [`series_relation`] makes.
const SERIES: &str = "\u{1}series";

fn is_series(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Table { alias: Some(alias), .. } if alias.name.value == SERIES)
}

fn is_int4(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => {
            matches!(&value.value, Value::Number(digits, _) if digits.parse::<i32>().is_ok())
        }
        Expr::UnaryOp { op: sqlparser::ast::UnaryOperator::Minus, expr } => is_int4(expr),
        _ => false,
    }
}

fn is_zero(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value)
        if matches!(&value.value, Value::Number(digits, _) if digits.parse() == Ok(0_i32)))
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::DoubleColon,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    }
}

/// 1, 2, 3, … as far as the longest list goes.
fn ordinality(lists: &[Expr], sets: bool) -> Expr {
    let one = || cast(Expr::value(Value::Number("1".to_owned(), false)), DataType::BigInt(None));
    if !sets {
        return one();
    }
    let lengths: Vec<Expr> =
        lists.iter().map(|list| function_call("cardinality", vec![list.clone()])).collect();
    let length = match lengths.as_slice() {
        [one] => one.clone(),
        _ => function_call("greatest", lengths),
    };
    let end = cast(length, DataType::BigInt(None));
    function_call("unnest", vec![function_call(&format!("{LIST}series"), vec![one(), end])])
}

pub(super) fn select_without_from(items: Vec<SelectItem>) -> Box<Query> {
    let nothing = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(Query {
            with: None,
            body: Box::new(SetExpr::Values(sqlparser::ast::Values {
                explicit_row: false,
                value_keyword: false,
                rows: vec![],
            })),
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks: vec![],
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: vec![],
        }),
        alias: None,
        sample: None,
    };
    let mut query =
        crate::write::select_query(items, TableWithJoins { relation: nothing, joins: vec![] });
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from.clear();
    }
    query
}

fn has_column(expr: &Expr) -> bool {
    struct Finder;
    impl Reader for Finder {
        fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    walk::read_expr(expr, &mut Finder).is_break()
}

/// `ARRAY(SELECT e FROM unnest(a) AS x)` is `array_transform(a, x -> e)`.
pub(super) fn array_from_unnest(query: &Query) -> Option<Expr> {
    if query.with.is_some() || query.limit_clause.is_some() || query.order_by.is_some() {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let ([item], [from]) = (select.projection.as_slice(), select.from.as_slice()) else {
        return None;
    };
    let (SelectItem::UnnamedExpr(body) | SelectItem::ExprWithAlias { expr: body, .. }) = item
    else {
        return None;
    };
    let call_in_from = call_of(&from.relation)?;
    let Call { name, args, alias: Some(alias), with_ordinality: false, .. } = call_in_from else {
        return None;
    };
    let ([array], "unnest") = (args.as_slice(), fold(&name).as_str()) else { return None };
    let filtered = select.selection.is_some() || select.distinct.is_some();
    if filtered || !from.joins.is_empty() || super::subqueries::has_group(select) {
        return None;
    }
    let parameter = column_of(&alias)?;
    if matches!(body, Expr::Identifier(column) if fold(column) == fold(&parameter)) {
        return Some(array.clone());
    }
    let lambda = Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::One(LambdaFunctionParameter {
            name: parameter,
            data_type: None,
        }),
        body: Box::new(body.clone()),
        syntax: LambdaSyntax::Arrow,
    });
    Some(function_call("array_transform", vec![array.clone(), lambda]))
}

/// The name of the one column: of a table `t(x)` it is `x`, of a table `x` it is `x` too.
fn column_of(alias: &TableAlias) -> Option<Ident> {
    match alias.columns.as_slice() {
        [] => Some(alias.name.clone()),
        [column] => Some(column.name.clone()),
        _ => None,
    }
}
