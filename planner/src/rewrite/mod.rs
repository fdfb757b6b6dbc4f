//! Rewrites of the syntax tree that bring PostgreSQL's SQL to what DataFusion plans.
//!
//! | module | before | after |
//! |---|---|---|
//! | `relations` | `t VERSION AS OF 2` | `"t@version 2" AS t`, with a list of what to look up |
//! | `calls` | `FROM table_changes('t', 2)` | `FROM "table_changes('t', 2)" AS table_changes` |
//! | `names` | `SELECT count(*), a, a` | `SELECT count(*) AS count, a, a AS "a\u{1}1"` |
//! | `casts` | `x::regclass`, `pg_catalog.f(y)`, `a OPERATOR(pg_catalog.=) b` | `regclass_out(x)`, `f(y)`, `a = b` |
//! | `subqueries` | `ARRAY(SELECT x …)` | `(SELECT array_agg(x) …)` |
//! | `joins` | `l JOIN r USING (k)` | the same in parentheses with a mark |
//! | `membership` | `x IN (SELECT …)` as a value | `is_member(x, (SELECT array_agg(…) …))` |
//! | `sets` | `FROM generate_series(1, t.n) AS g` | `FROM LATERAL (SELECT unnest(series(1, t.n)) AS g) AS g` |
//! | `records` | `FROM json_to_record(d) AS t (a int)` | `FROM LATERAL (SELECT CAST(…) AS a) AS t` |
//! | `bits` | `X'1F'` | `'00011111'::"bit"` |
//! | `slices` | `a[2:]` | `array_slice(a, 2, 2147483647)` |
//! | `system_columns` | `t.tableoid` | `to_regclass_oid('t')` |
//!
//! Nothing here matches the text of one client's query: each rule is about a construct.

mod aggregates;
mod bits;
pub(crate) mod calls;
mod casts;
mod checks;
mod clauses;
mod joins;
mod literals;
mod membership;
mod names;
mod outputs;
mod records;
mod refused;
mod relations;
mod rows;
mod sets;
mod slices;
mod subqueries;
mod system_columns;
mod times;
mod values;
pub(crate) mod whole_rows;
mod with;

use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, ObjectName, Query, Select, Statement as Ast, TableFactor};

pub use calls::{PointSpec, TableCall, name_parts};
pub(crate) use checks::has_aggregate;
pub use names::strip_suffix;
pub use relations::{Relation, RelationKey, TravelSpec};

use crate::error::{PlannerError, Result};
use crate::parser::char_offset;
use crate::walk::{self, Editor};

/// A rewritten statement and the relations that it names.
#[derive(Debug)]
pub struct Rewritten {
    /// The tree for DataFusion's planner.
    pub ast: Ast,
    /// Every relation to look up, once each.
    pub relations: Vec<Relation>,
}

/// Applies all rewrites to a copy of `ast`, which was parsed from `source`.
///
/// # Errors
/// `Unsupported` for clauses that the planner below would ignore.
pub fn rewrite(ast: &Ast, source: &str) -> Result<Rewritten> {
    let mut ast = ast.clone();
    let relations = relations::Collector::default();
    let mut rewriter = Rewriter {
        source,
        relations,
        n_marks: 0,
        scopes: with::Scopes::default(),
        n_visits_left: source.len().saturating_add(N_VISITS_MORE),
        error: None,
    };
    // Whether the walk ended early is known from the error it left.
    let _ = walk::edit_statement(&mut ast, &mut rewriter);
    match rewriter.error {
        Some(error) => Err(error),
        None => Ok(Rewritten { ast, relations: rewriter.relations.finish() }),
    }
}

struct Rewriter<'a> {
    /// The text, for positions in errors.
    source: &'a str,
    relations: relations::Collector,
    /// Joins that were marked so far, to tell them apart.
    n_marks: usize,
    scopes: with::Scopes,
    /// Queries and expressions that may still be visited.
    n_visits_left: usize,
    error: Option<PlannerError>,
}

/// How many queries and expressions a rewritten statement may have beside those of its text,
/// which has at most one for each byte.
const N_VISITS_MORE: usize = 1_000_000;

impl Rewriter<'_> {
    fn flow(&mut self, result: Result<()>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl Rewriter<'_> {
    /// Counts what is visited: some rewrites write an operand twice.
    fn visit(&mut self) -> ControlFlow<()> {
        self.n_visits_left = self.n_visits_left.saturating_sub(1);
        if self.n_visits_left > 0 {
            return ControlFlow::Continue(());
        }
        let what = "parts of a statement as it is rewritten".to_owned();
        self.flow(Err(PlannerError::TooComplex { what }))
    }

    fn check(&mut self, result: std::result::Result<(), checks::Misuse>) -> ControlFlow<()> {
        let source = self.source;
        self.flow(result.map_err(|misuse| PlannerError::Semantics {
            code: misuse.code,
            message: misuse.message,
            position: misuse.at.map(|at| char_offset(source, at) + 1),
        }))
    }
}

impl Editor for Rewriter<'_> {
    fn enter_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.visit()?;
        self.check(checks::query(query))?;
        self.scopes.enter(query);
        let checked = with::check(query);
        self.flow(checked)?;
        aggregates::order(query);
        if let Some(with) = &query.with {
            self.relations.add_ctes(with);
        }
        if !query.locks.is_empty() {
            // Row locks have no meaning on immutable snapshots; PostgreSQL's clients add them freely.
            query.locks.clear();
        }
        values::rewrite(&mut query.body);
        values::split(&mut query.body);
        outputs::qualify_order(query);
        joins::rewrite(query, &mut self.n_marks);
        let result = subqueries::fetch_to_limit(query);
        self.flow(result)
    }

    fn leave_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
        self.scopes.leave();
        ControlFlow::Continue(())
    }

    fn enter_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let result = match calls::read(factor) {
            Ok(Some(call)) => self.relations.visit_call(factor, call),
            Ok(None) => records::rewrite(factor).and_then(|()| {
                sets::rewrite(factor);
                self.relations.visit(factor)
            }),
            Err(error) => Err(error),
        };
        self.flow(result)
    }

    fn enter_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.check(checks::select(select))?;
        // Before anything is rewritten, as outputs are named after what is written.
        names::name_outputs(select);
        outputs::qualify_having(select);
        clauses::rewrite(select);
        sets::name_values(select);
        // Before relations are renamed, as the names are needed as written.
        forget_alias_of_star(select);
        system_columns::rewrite(select);
        membership::rewrite(select);
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.visit()?;
        times::enter(expr);
        self.check(checks::expression(expr))?;
        self.check(literals::check(expr))?;
        self.check(bits::rewrite(expr))?;
        rows::rewrite(expr);
        subqueries::rewrite(expr);
        ControlFlow::Continue(())
    }

    fn leave_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let checked = refused::check(expr);
        if checked.is_err() {
            return self.flow(checked);
        }
        names_without_parentheses(expr);
        char_without_length(expr);
        rows::rewrite_value(expr);
        sets::rewrite_field(expr);
        slices::rewrite(expr);
        casts::rewrite(expr);
        sets::rewrite_call(expr);
        clauses::plain_bounds(expr);
        let result = times::rewrite(expr);
        self.flow(result)
    }
}

/// `current_schema` and `current_role` are calls, as the parser knows of `current_user`.
fn names_without_parentheses(expr: &mut Expr) {
    let Expr::Identifier(ident) = &*expr else { return };
    let name = ident.value.to_ascii_lowercase();
    if ident.quote_style.is_none() && matches!(name.as_str(), "current_schema" | "current_role") {
        *expr = call(&name, vec![]);
    }
}

/// `char 'x'` has no modifier, other than `'x'::char`, which is `char(1)`.
fn char_without_length(expr: &mut Expr) {
    if let Expr::TypedString(typed) = expr
        && matches!(typed.data_type, ast::DataType::Char(None) | ast::DataType::Character(None))
    {
        let name = ObjectName::from(vec![ast::Ident::new("bpchar")]);
        typed.data_type = ast::DataType::Custom(name, vec![]);
    }
}

/// Forgets the alias of a star, as PostgreSQL does: `t.* AS x`.
fn forget_alias_of_star(select: &mut Select) {
    for item in &mut select.projection {
        if let ast::SelectItem::QualifiedWildcard(_, options) = item {
            options.opt_alias = None;
        }
    }
}

/// An unquoted call of a function by name.
pub(crate) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let arg = |expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr));
    Expr::Function(ast::Function {
        name: ObjectName::from(vec![ast::Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(arg).collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}

#[cfg(test)]
mod tests;
