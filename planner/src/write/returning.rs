//! RETURNING that says more than what the target's rows are now.
//!
//! ```text
//! UPDATE t SET a = s.a FROM s WHERE … RETURNING t.a, old.a, s.b
//!
//! SELECT row, s.a AS …, t.a AS "tarn old 0", s.b AS "tarn other 0" FROM target AS t, s WHERE …
//! SELECT t.a, "tarn old 0" AS a, "tarn other 0" AS b FROM touched AS t
//! ```
//! The statement's query yields the columns of the other relations, and those of the target as they
//! were, behind everything else; RETURNING names these. `old` and `new` are PostgreSQL 18's,
//! `merge_action()` and the source in MERGE PostgreSQL 17's.

use std::ops::ControlFlow;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::common::DFSchema;
use sqlparser::ast::{
    self, Expr, Ident, ObjectName, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Statement as Ast, TableFactor, TableWithJoins,
};

use super::tree::{column_of, named, quoted, select_query, target_factor, target_query};
use super::{ACTION, Action, Effect, WriteQuery, old_name};
use crate::error::{PlannerError, Result};
use crate::statement::fold;
use crate::walk::{self, Editor, Reader};

/// What a RETURNING clause says, and what it may name.
#[derive(Debug, Clone, Default)]
pub(super) struct Returning {
    pub(super) items: Vec<SelectItem>,
    /// The relations beside the target.
    pub(super) from: Vec<TableWithJoins>,
}

/// A column of another relation than the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherColumn {
    /// What the statement calls the relation.
    relation: String,
    name: String,
}

/// The name under which the statement's query yields it.
fn other_name(at: usize) -> String {
    format!("tarn other {at}")
}

impl WriteQuery {
    /// A query for the columns of each relation that RETURNING may name beside the target, with what
    /// the statement calls it; none where RETURNING needs them not.
    ///
    /// # Errors
    /// `Unsupported` for relations without a name.
    pub fn other_relations(&self, with: Option<&ast::With>) -> Result<Vec<(String, Ast)>> {
        let Some(clause) = &self.clause else { return Ok(vec![]) };
        let mut names = Vec::new();
        for from in &clause.from {
            collect(from, &mut names)?;
        }
        let query = |name: &Ident| {
            let kind =
                SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![name.clone()]));
            let all = SelectItem::QualifiedWildcard(kind, Default::default());
            let mut query = match self.effect {
                Effect::Merge => {
                    let from = clause.from.first().cloned();
                    let from = from.unwrap_or_else(super::tree::no_table);
                    Ast::Query(select_query(vec![all], from))
                }
                _ => target_query(vec![all], &self.alias, clause.from.clone(), None),
            };
            if let Ast::Query(query) = &mut query {
                query.with = with.cloned();
            }
            query
        };
        Ok(names.iter().map(|name| (fold(name), query(name))).collect())
    }

    /// Whether RETURNING says more than what the target's rows are now.
    #[must_use]
    pub fn returns_more(&self) -> bool {
        let Some(clause) = &self.clause else { return false };
        !clause.from.is_empty()
            || clause.items.iter().any(|item| match item {
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => single(name).is_some_and(|name| self.is_state(&fold(name))),
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    walk::read_expr(expr, &mut States(self)).is_break()
                }
                _ => false,
            })
    }

    /// Lets RETURNING name the columns of other relations, and the target's as they were.
    ///
    /// # Errors
    /// 42702 for names that several relations have.
    pub fn return_more(
        &mut self,
        schema: &Schema,
        others: Vec<(String, Vec<String>)>,
    ) -> Result<()> {
        let Some(clause) = self.clause.clone() else { return Ok(()) };
        self.keep_old(schema);
        let others = others.into_iter().flat_map(|(relation, names)| {
            let column = move |name| OtherColumn { relation: relation.clone(), name };
            names.into_iter().map(column)
        });
        self.others = others.collect();
        if let Some(Ast::Query(query)) = &mut self.query
            && let Some(select) = innermost(query)
        {
            let items = self.others.iter().enumerate().map(|(at, other)| {
                named(column_of(&quoted(&other.relation), &other.name), &other_name(at))
            });
            select.projection.extend(items);
        }
        let mut items = Vec::new();
        for item in clause.items {
            self.put_item(item, schema, &mut items)?;
        }
        let from = TableWithJoins { relation: target_factor(&self.alias), joins: vec![] };
        self.returning = Some(Ast::Query(select_query(items, from)));
        self.keeps_more = true;
        Ok(())
    }

    /// How many columns of other relations the query yields at its end.
    #[must_use]
    pub fn n_others(&self) -> usize {
        self.others.len()
    }

    /// Whether the query yields the target's columns as they were, too.
    #[must_use]
    pub fn has_old(&self) -> bool {
        self.has_old
    }

    /// Whether RETURNING reads more than the table's columns.
    #[must_use]
    pub fn keeps_more(&self) -> bool {
        self.keeps_more
    }

    /// The columns that RETURNING reads, of a statement whose query yields these.
    #[must_use]
    pub fn returned_schema(&self, schema: &SchemaRef, query: &DFSchema) -> SchemaRef {
        if !self.keeps_more {
            return SchemaRef::clone(schema);
        }
        let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
        let mut take = |name: &str| {
            let found = query.fields().iter().find(|field| field.name() == name);
            fields.extend(found.map(|field| {
                FieldRef::new(field.as_ref().clone().with_name(name).with_nullable(true))
            }));
        };
        if self.has_old {
            (0..schema.fields().len()).for_each(|at| take(&old_name(at)));
        }
        if self.effect == Effect::Merge {
            take(ACTION);
        }
        (0..self.others.len()).for_each(|at| take(&other_name(at)));
        SchemaRef::new(Schema::new(fields))
    }

    /// The names of the columns behind those that were.
    pub(super) fn other_names(&self) -> impl Iterator<Item = String> + use<> {
        (0..self.others.len()).map(other_name)
    }

    /// Whether a name stands for a state of the target's rows.
    fn is_state(&self, name: &str) -> bool {
        ["old", "new"].contains(&name) && fold(&self.alias) != name
    }

    fn put_item(
        &self,
        item: SelectItem,
        schema: &Schema,
        items: &mut Vec<SelectItem>,
    ) -> Result<()> {
        let target = fold(&self.alias);
        match item {
            SelectItem::Wildcard(_) if self.effect == Effect::Merge => {
                self.put_others(None, items);
                self.put_columns(&target, schema, items)
            }
            SelectItem::Wildcard(_) => {
                self.put_columns(&target, schema, items)?;
                self.put_others(None, items);
                Ok(())
            }
            SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                options,
            ) => {
                let relation = single(&name).map(fold).unwrap_or_default();
                if relation == target || self.is_state(&relation) {
                    return self.put_columns(&relation, schema, items);
                }
                if self.put_others(Some(&relation), items) == 0 {
                    let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
                    items.push(SelectItem::QualifiedWildcard(kind, options));
                }
                Ok(())
            }
            SelectItem::UnnamedExpr(expr) => {
                let name = output_name(&expr);
                let expr = self.resolved(expr, schema)?;
                items.push(match name {
                    Some(name) => named(expr, &name),
                    None => SelectItem::UnnamedExpr(expr),
                });
                Ok(())
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let expr = self.resolved(expr, schema)?;
                items.push(SelectItem::ExprWithAlias { expr, alias });
                Ok(())
            }
            other => {
                items.push(other);
                Ok(())
            }
        }
    }

    /// All columns of the target, in one of its states.
    fn put_columns(
        &self,
        relation: &str,
        schema: &Schema,
        items: &mut Vec<SelectItem>,
    ) -> Result<()> {
        for field in schema.fields() {
            let name = column_of(&quoted(relation), field.name());
            items.push(named(self.resolved(name, schema)?, field.name()));
        }
        Ok(())
    }

    fn put_others(&self, relation: Option<&str>, items: &mut Vec<SelectItem>) -> usize {
        let before = items.len();
        for (at, other) in self.others.iter().enumerate() {
            if relation.is_none_or(|relation| other.relation == relation) {
                items.push(named(Expr::Identifier(quoted(&other_name(at))), &other.name));
            }
        }
        items.len().saturating_sub(before)
    }

    fn resolved(&self, mut expr: Expr, schema: &Schema) -> Result<Expr> {
        let mut names = Names { write: self, schema, depth: 0, error: None };
        // It never breaks off.
        let _ = walk::edit_expr(&mut expr, &mut names);
        match names.error {
            Some(error) => Err(error),
            None => Ok(expr),
        }
    }

    /// A column of the target as it was, or is now.
    fn state_of(&self, is_old: bool, at: usize, field: &Field) -> Expr {
        let now = column_of(&self.alias, field.name());
        let nothing = Expr::value(ast::Value::Null);
        let when = |condition: Expr, value: Expr, otherwise: Expr| {
            let token = ast::helpers::attached_token::AttachedToken::empty;
            Expr::Case {
                case_token: token(),
                end_token: token(),
                operand: None,
                conditions: vec![ast::CaseWhen { condition, result: value }],
                else_result: Some(Box::new(otherwise)),
            }
        };
        let never = Expr::value(ast::Value::Boolean(false));
        match (self.effect, is_old) {
            (Effect::Append, true) | (Effect::Delete, false) => when(never, now, nothing),
            (Effect::Update | Effect::Merge, true) => Expr::Identifier(quoted(&old_name(at))),
            (Effect::Merge, false) => when(is_action(Action::Delete), nothing, now),
            _ => now,
        }
    }

    /// What a name stands for; `None` where it is as it should be.
    fn column(&self, relation: Option<&str>, name: &str, schema: &Schema) -> Result<Option<Expr>> {
        let own = schema.fields().iter().position(|field| field.name() == name);
        if let Some(relation) = relation
            && self.is_state(relation)
        {
            let found = own.and_then(|at| Some((at, schema.fields().get(at)?)));
            return Ok(found.map(|(at, field)| self.state_of(relation == "old", at, field)));
        }
        let target = fold(&self.alias);
        if relation.is_some_and(|relation| relation == target) {
            return Ok(None);
        }
        let mut found = self.others.iter().enumerate().filter(|(_, other)| {
            other.name == name && relation.is_none_or(|relation| other.relation == relation)
        });
        let Some((at, _)) = found.next() else { return Ok(None) };
        if found.next().is_some() || (relation.is_none() && own.is_some()) {
            let message = format!("column reference \"{name}\" is ambiguous");
            return Err(PlannerError::Semantics { code: "42702", message, position: None });
        }
        Ok(Some(Expr::Identifier(quoted(&other_name(at)))))
    }
}

/// `"tarn action" = n`.
fn is_action(action: Action) -> Expr {
    Expr::BinaryOp {
        left: Box::new(Expr::Identifier(quoted(ACTION))),
        op: ast::BinaryOperator::Eq,
        right: Box::new(Expr::value(ast::Value::Number((action as i64).to_string(), false))),
    }
}

/// The names of the relations of an item of FROM.
fn collect(from: &TableWithJoins, names: &mut Vec<Ident>) -> Result<()> {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation));
    for factor in factors {
        match factor {
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                collect(table_with_joins, names)?;
            }
            TableFactor::Table { alias: Some(alias), .. }
            | TableFactor::Derived { alias: Some(alias), .. }
            | TableFactor::Function { alias: Some(alias), .. }
            | TableFactor::UNNEST { alias: Some(alias), .. }
            | TableFactor::NestedJoin { alias: Some(alias), .. } => names.push(alias.name.clone()),
            TableFactor::Table { name, alias: None, .. } => {
                names.extend(name.0.last().and_then(|part| part.as_ident()).cloned());
            }
            other => {
                let what = format!("RETURNING beside {other}");
                let hint = Some("Give it an alias.".to_owned());
                return Err(PlannerError::Unsupported { what, hint });
            }
        }
    }
    Ok(())
}

/// The SELECT inside of a query that only names others before it.
fn innermost(query: &mut Query) -> Option<&mut ast::Select> {
    match query.body.as_mut() {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(inner) => innermost(inner),
        _ => None,
    }
}

fn single(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident(),
        _ => None,
    }
}

/// The name of an output that is a column, or a cast of one.
fn output_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(fold(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(fold),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => output_name(expr),
        Expr::Function(function) if is_merge_action(function) => Some("merge_action".to_owned()),
        _ => None,
    }
}

fn is_merge_action(function: &ast::Function) -> bool {
    single(&function.name).is_some_and(|name| fold(name) == "merge_action")
}

/// Stops at `old.a`, `new.a` and `merge_action()`.
struct States<'a>(&'a WriteQuery);

impl Reader for States<'_> {
    fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let found = match expr {
            Expr::CompoundIdentifier(parts) => {
                parts.len() == 2 && parts.first().is_some_and(|part| self.0.is_state(&fold(part)))
            }
            Expr::Function(function) => self.0.effect == Effect::Merge && is_merge_action(function),
            _ => false,
        };
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Puts what the touched rows have in the places of names.
struct Names<'a> {
    write: &'a WriteQuery,
    schema: &'a Schema,
    /// Subqueries have columns of their own: only names with a relation are looked up there.
    depth: usize,
    error: Option<PlannerError>,
}

impl Editor for Names<'_> {
    fn enter_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let found = match &*expr {
            Expr::Identifier(ident) if self.depth == 0 => {
                self.write.column(None, &fold(ident), self.schema)
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [relation, name] => {
                    self.write.column(Some(&fold(relation)), &fold(name), self.schema)
                }
                _ => Ok(None),
            },
            Expr::Function(function)
                if self.write.effect == Effect::Merge && is_merge_action(function) =>
            {
                Ok(Some(action_text()))
            }
            _ => Ok(None),
        };
        match found {
            Ok(Some(found)) => *expr = found,
            Ok(None) => {}
            Err(error) => drop(self.error.get_or_insert(error)),
        }
        ControlFlow::Continue(())
    }
}

/// `merge_action()`: what became of the row.
fn action_text() -> Expr {
    let text = |text: &str| Expr::value(ast::Value::SingleQuotedString(text.to_owned()));
    let token = ast::helpers::attached_token::AttachedToken::empty;
    let when = |action, name| ast::CaseWhen { condition: is_action(action), result: text(name) };
    Expr::Case {
        case_token: token(),
        end_token: token(),
        operand: None,
        conditions: vec![when(Action::Insert, "INSERT"), when(Action::Update, "UPDATE")],
        else_result: Some(Box::new(text("DELETE"))),
    }
}
