//! MERGE INTO as one join.
//!
//! ```text
//! MERGE INTO t USING s ON c                 SELECT t.row,
//!   WHEN MATCHED AND p THEN UPDATE …          CASE WHEN both AND p THEN 2
//!   WHEN MATCHED THEN DELETE                       WHEN both THEN 3
//!   WHEN NOT MATCHED THEN INSERT …                 WHEN no t THEN 1 ELSE 0 END AS action,
//!                                             CASE WHEN … END AS each column
//!                                           FROM target AS t RIGHT JOIN (SELECT *, TRUE … s) ON c
//! ```
//! The join keeps the side that a clause needs also without a partner: the source for NOT MATCHED,
//! the target for NOT MATCHED BY SOURCE.

use arrow::datatypes::Schema;
use sqlparser::ast::{
    self, BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, Merge, MergeAction,
    MergeClauseKind, MergeInsertKind, ObjectName, OutputClause, TableFactor, TableWithJoins,
};
use tarn_catalog::memory::TableDetails;

use super::change::assignments;
use super::insert::{column_index, default_expr, is_default, type_literal};
use super::tree::{
    alias_of, column_of, derived, named, returning_query, row_number, select_query, star,
    target_factor,
};
use super::{ACTION, Action, Effect, ROW, WriteQuery, generated_only};
use crate::error::{PlannerError, Result};
use crate::parser::write_words::{ALL_COLUMNS, DEFAULT_VALUES, NOTHING};
use crate::statement::fold;

/// The column that tells rows of the source from those that the join has made up.
const PRESENT: &str = "tarn source";

/// What one WHEN clause does.
struct Clause {
    condition: Expr,
    action: Action,
    /// The values of all columns.
    values: Vec<Expr>,
}

pub(super) fn merge_query(
    merge: &Merge,
    table: &str,
    schema: &Schema,
    details: &TableDetails,
) -> Result<WriteQuery> {
    let target = alias_of(&merge.table, table);
    let source = source_alias(&merge.source)?;
    if source.value == target.value {
        return Err(PlannerError::Semantics {
            code: "42712",
            message: format!("name \"{}\" specified more than once", target.value),
            position: None,
        });
    }
    if merge.clauses.is_empty() {
        let message = "syntax error at end of input".to_owned();
        return Err(PlannerError::Syntax { message, position: None });
    }
    check_reachable(merge)?;
    let scope = Scope { table, schema, details, target: &target, source: &source };
    let mut clauses = Vec::with_capacity(merge.clauses.len());
    for clause in &merge.clauses {
        clauses.push(scope.clause(clause)?);
    }
    let action = case(&clauses, |clause| number(clause.action as i64), Some(number(0)));
    let values = (0..schema.fields().len()).map(|at| {
        let value = |clause: &Clause| {
            clause.values.get(at).cloned().unwrap_or_else(|| Expr::value(ast::Value::Null))
        };
        named(case(&clauses, value, None), &format!("tarn value {at}"))
    });
    let columns = [row_number(&target), named(action, ACTION)].into_iter().chain(values).collect();
    let marked = TableWithJoins { relation: merge.source.clone(), joins: vec![] };
    let present = named(Expr::value(ast::Value::Boolean(true)), PRESENT);
    let marked = derived(select_query(vec![star(), present], marked), source.clone());
    let constraint = JoinConstraint::On((*merge.on).clone());
    let join = Join { relation: marked, global: false, join_operator: join_of(merge, constraint) };
    let from = TableWithJoins { relation: target_factor(&target), joins: vec![join] };
    let items = match &merge.output {
        None => None,
        Some(OutputClause::Returning { select_items, .. }) => Some(select_items.as_slice()),
        Some(OutputClause::Output { .. }) => {
            return Err(PlannerError::unsupported("MERGE … OUTPUT"));
        }
    };
    let others = TableWithJoins { relation: merge.source.clone(), joins: vec![] };
    let (returning, clause) = returning_query(items, &target, &[others]);
    Ok(WriteQuery {
        query: Some(ast::Statement::Query(select_query(columns, from))),
        effect: Effect::Merge,
        alias: target,
        has_old: false,
        clause,
        others: vec![],
        keeps_more: false,
        returning,
        replaces: None,
        columns: (0..schema.fields().len()).collect(),
        assigned: (0..schema.fields().len()).collect(),
        by_name: false,
    })
}

/// The side that is kept without a partner.
fn join_of(merge: &Merge, on: JoinConstraint) -> JoinOperator {
    let has =
        |kinds: &[MergeClauseKind]| merge.clauses.iter().any(|c| kinds.contains(&c.clause_kind));
    let source = has(&[MergeClauseKind::NotMatched, MergeClauseKind::NotMatchedByTarget]);
    let target = has(&[MergeClauseKind::NotMatchedBySource]);
    match (target, source) {
        (false, false) => JoinOperator::Inner(on),
        (false, true) => JoinOperator::RightOuter(on),
        (true, false) => JoinOperator::LeftOuter(on),
        (true, true) => JoinOperator::FullOuter(on),
    }
}

fn source_alias(source: &TableFactor) -> Result<Ident> {
    let alias = match source {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(alias.name.clone()),
        TableFactor::Table { name, .. } => name.0.last().and_then(|p| p.as_ident()).cloned(),
        _ => None,
    };
    alias.ok_or_else(|| PlannerError::Semantics {
        code: "42601",
        message: "the source of a MERGE must have an alias".to_owned(),
        position: None,
    })
}

/// A clause behind one of its kind without a condition is never reached.
fn check_reachable(merge: &Merge) -> Result<()> {
    let kind = |kind: &MergeClauseKind| match kind {
        MergeClauseKind::Matched => 0,
        MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => 1,
        MergeClauseKind::NotMatchedBySource => 2,
    };
    let mut closed = [false; 3];
    for clause in &merge.clauses {
        let Some(closed) = closed.get_mut(kind(&clause.clause_kind)) else { continue };
        if *closed {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(PlannerError::Semantics {
                code: "42601",
                message: message.to_owned(),
                position: None,
            });
        }
        *closed = clause.predicate.is_none();
    }
    Ok(())
}

struct Scope<'a> {
    table: &'a str,
    schema: &'a Schema,
    details: &'a TableDetails,
    target: &'a Ident,
    source: &'a Ident,
}

impl Scope<'_> {
    fn clause(&self, clause: &ast::MergeClause) -> Result<Clause> {
        let has_target = is_null(column_of(self.target, ROW), false);
        let no_target = is_null(column_of(self.target, ROW), true);
        let has_source = is_null(column_of(self.source, PRESENT), false);
        let no_source = is_null(column_of(self.source, PRESENT), true);
        let mut condition = match clause.clause_kind {
            MergeClauseKind::Matched => and(has_target, has_source),
            MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => no_target,
            MergeClauseKind::NotMatchedBySource => no_source,
        };
        if let Some(predicate) = &clause.predicate {
            condition = and(condition, Expr::Nested(Box::new(predicate.clone())));
        }
        let (action, values) = match &clause.action {
            MergeAction::Delete { .. } => (Action::Delete, self.old_values()),
            MergeAction::Update(update) => self.update(update)?,
            MergeAction::Insert(insert) => self.insert(insert)?,
        };
        Ok(Clause { condition, action, values })
    }

    fn old_values(&self) -> Vec<Expr> {
        self.schema.fields().iter().map(|field| column_of(self.target, field.name())).collect()
    }

    fn update(&self, update: &ast::MergeUpdateExpr) -> Result<(Action, Vec<Expr>)> {
        if update.update_predicate.is_some() || update.delete_predicate.is_some() {
            return Err(PlannerError::unsupported("MERGE … UPDATE … WHERE"));
        }
        match update.assignments.as_slice() {
            [only] if is_mark(&only.value, NOTHING) => {
                return Ok((Action::Nothing, self.old_values()));
            }
            [only] if is_mark(&only.value, ALL_COLUMNS) => {
                return Ok((Action::Update, self.all_of_source()));
            }
            _ => {}
        }
        let assigned = assignments(&update.assignments, self.table, self.schema, self.details)?;
        let mut values = self.old_values();
        for (index, mut value) in assigned {
            type_literal(&mut value, index, self.schema);
            if let Some(slot) = values.get_mut(index) {
                *slot = value;
            }
        }
        Ok((Action::Update, values))
    }

    fn insert(&self, insert: &ast::MergeInsertExpr) -> Result<(Action, Vec<Expr>)> {
        if insert.insert_predicate.is_some() {
            return Err(PlannerError::unsupported("MERGE … INSERT … WHERE"));
        }
        let MergeInsertKind::Values(values) = &insert.kind else {
            return Ok((Action::Insert, self.all_of_source()));
        };
        let [row] = values.rows.as_slice() else {
            return Err(PlannerError::Semantics {
                code: "42601",
                message: "MERGE … INSERT takes one row of values".to_owned(),
                position: None,
            });
        };
        match row.content.as_slice() {
            [only] if is_mark(only, NOTHING) => return Ok((Action::Nothing, self.old_values())),
            [only] if is_mark(only, ALL_COLUMNS) => {
                return Ok((Action::Insert, self.all_of_source()));
            }
            [only] if is_mark(only, DEFAULT_VALUES) => {
                return self.inserted(&[], &[]).map(|values| (Action::Insert, values));
            }
            _ => {}
        }
        let columns = self.insert_columns(&insert.columns, row.content.len())?;
        super::insert::check_width(row.content.len(), columns.len())?;
        self.inserted(&columns, &row.content).map(|values| (Action::Insert, values))
    }

    fn insert_columns(&self, names: &[ObjectName], n_values: usize) -> Result<Vec<usize>> {
        if names.is_empty() {
            return Ok((0..self.schema.fields().len().min(n_values)).collect());
        }
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let Some(ident) = name.0.last().and_then(|part| part.as_ident()) else { continue };
            let name = fold(ident);
            let index = column_index(self.schema, &name, self.table)?;
            if columns.contains(&index) {
                return Err(PlannerError::DuplicateColumn { name });
            }
            columns.push(index);
        }
        Ok(columns)
    }

    /// A new row: what is given, and defaults.
    fn inserted(&self, columns: &[usize], given: &[Expr]) -> Result<Vec<Expr>> {
        let mut values = Vec::with_capacity(self.schema.fields().len());
        for (at, field) in self.schema.fields().iter().enumerate() {
            let value = columns.iter().position(|column| *column == at);
            let value = value.and_then(|place| given.get(place)).filter(|value| !is_default(value));
            let generated = self.details.generated_of(at).is_some();
            values.push(match value {
                Some(_) if generated => return Err(generated_only(field.name(), false)),
                Some(value) => {
                    let mut value = value.clone();
                    type_literal(&mut value, at, self.schema);
                    value
                }
                None => default_expr(self.details, at)?,
            });
        }
        Ok(values)
    }

    /// The source's columns of the same names; generated ones are computed anyway.
    fn all_of_source(&self) -> Vec<Expr> {
        let fields = self.schema.fields().iter().enumerate();
        let values = fields.map(|(at, field)| match self.details.generated_of(at) {
            Some(_) => Expr::value(ast::Value::Null),
            None => column_of(self.source, field.name()),
        });
        values.collect()
    }
}

pub(super) fn is_mark(expr: &Expr, mark: &str) -> bool {
    matches!(expr, Expr::Identifier(ident) if ident.value == mark)
}

/// `CASE WHEN condition THEN value … END` over all clauses.
fn case(clauses: &[Clause], value: impl Fn(&Clause) -> Expr, otherwise: Option<Expr>) -> Expr {
    let token = ast::helpers::attached_token::AttachedToken::empty;
    if clauses.is_empty() {
        return otherwise.unwrap_or_else(|| Expr::value(ast::Value::Null));
    }
    let conditions = clauses
        .iter()
        .map(|clause| ast::CaseWhen { condition: clause.condition.clone(), result: value(clause) });
    Expr::Case {
        case_token: token(),
        end_token: token(),
        operand: None,
        conditions: conditions.collect(),
        else_result: otherwise.map(Box::new),
    }
}

fn number(value: i64) -> Expr {
    Expr::value(ast::Value::Number(value.to_string(), false))
}

fn is_null(expr: Expr, yes: bool) -> Expr {
    if yes { Expr::IsNull(Box::new(expr)) } else { Expr::IsNotNull(Box::new(expr)) }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}
