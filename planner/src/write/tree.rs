//! Pieces of syntax trees.

use sqlparser::ast::{
    self, Expr, GroupByExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr,
    Statement as Ast, TableFactor, TableWithJoins,
};

use super::returning::Returning;
use super::{ROW, TARGET};

/// A name as it is, whatever its letters.
pub(super) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// `alias."column"`.
pub(super) fn column_of(alias: &Ident, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![alias.clone(), quoted(column)])
}

/// `expr AS "name"`.
pub(super) fn named(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(name) }
}

/// The number of the target's row.
pub(super) fn row_number(alias: &Ident) -> SelectItem {
    named(column_of(alias, ROW), ROW)
}

/// The name under which a statement speaks of its target.
pub(super) fn alias_of(factor: &TableFactor, table: &str) -> Ident {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } => alias.name.clone(),
        _ => quoted(table),
    }
}

/// `AS alias`.
pub(super) fn table_alias(name: Ident) -> ast::TableAlias {
    ast::TableAlias { explicit: true, name, columns: vec![], at: None }
}

/// `target AS alias`.
pub(super) fn target_factor(alias: &Ident) -> TableFactor {
    relation(TARGET, alias.clone())
}

/// `"name" AS alias`.
pub(super) fn relation(name: &str, alias: Ident) -> TableFactor {
    let name = ObjectName(vec![ast::ObjectNamePart::Identifier(quoted(name))]);
    let mut relation = crate::utility::table_factor(name);
    if let TableFactor::Table { alias: slot, .. } = &mut relation {
        *slot = Some(table_alias(alias));
    }
    relation
}

/// `(query) AS alias`.
pub(super) fn derived(subquery: Box<Query>, alias: Ident) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery, alias: Some(table_alias(alias)), sample: None }
}

/// `SELECT items FROM target AS alias, others WHERE selection`.
pub(super) fn target_query(
    items: Vec<SelectItem>,
    alias: &Ident,
    others: Vec<TableWithJoins>,
    selection: Option<Expr>,
) -> Ast {
    let target = TableWithJoins { relation: target_factor(alias), joins: vec![] };
    let mut query = select_query(items, target);
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from.extend(others);
        select.selection = selection;
    }
    Ast::Query(query)
}

/// The query of a RETURNING clause over the rows that were touched, and the clause with the
/// relations that it may name beside them.
pub(super) fn returning_query(
    items: Option<&[SelectItem]>,
    alias: &Ident,
    others: &[TableWithJoins],
) -> (Option<Ast>, Option<Returning>) {
    let Some(items) = items else { return (None, None) };
    let query = target_query(items.to_vec(), alias, vec![], None);
    (Some(query), Some(Returning { items: items.to_vec(), from: others.to_vec() }))
}

/// `*`.
pub(super) fn star() -> SelectItem {
    SelectItem::Wildcard(ast::WildcardAdditionalOptions::default())
}

/// A relation without a name, where none is read.
pub(super) fn no_table() -> TableWithJoins {
    TableWithJoins { relation: crate::utility::table_factor(ObjectName(vec![])), joins: vec![] }
}

/// `SELECT projection FROM from`.
pub(crate) fn select_query(projection: Vec<SelectItem>, from: TableWithJoins) -> Box<Query> {
    let token = ast::helpers::attached_token::AttachedToken::empty;
    let select = Select {
        select_token: token(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: vec![from],
        lateral_views: vec![],
        prewhere: None,
        selection: None,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    };
    Box::new(Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    })
}
