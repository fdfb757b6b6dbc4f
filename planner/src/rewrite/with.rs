//! WITH inside of WITH: names that hide others.
//!
//! ```text
//! WITH x AS (…) SELECT * FROM (WITH x AS (…) SELECT n FROM x) AS y
//!   => the inner x and its uses get another name, as the planner below refuses two of one name
//! ```

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, ObjectName, Query, SetExpr, TableAlias, TableFactor};

use crate::error::{PlannerError, Result};
use crate::statement::fold;
use crate::walk::{self, Editor, Reader};

/// Functions that give another value each time.
const VOLATILE: &[&str] =
    &["random", "gen_random_uuid", "uuid", "clock_timestamp", "timeofday", "nextval"];

/// Refuses what WITH means otherwise here than in PostgreSQL.
///
/// The planner below puts the query in the places of its name, so that two places would see two
/// different random numbers.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check(query: &Query) -> Result<()> {
    let Some(with) = &query.with else { return Ok(()) };
    let mut volatile: Vec<String> = Vec::new();
    for cte in &with.cte_tables {
        if writes(&cte.query) {
            return Err(PlannerError::Unsupported {
                what: "data-modifying statements in WITH".to_owned(),
                hint: Some("Run the statements one by one inside of a transaction.".to_owned()),
            });
        }
        let name = fold(&cte.alias.name);
        let mut uses = Volatility { names: &volatile, found: false };
        // What the walk found is what counts, not where it ended.
        let _ = walk::read_query(&cte.query, &mut uses);
        if uses.found {
            volatile.push(name);
        }
    }
    for name in &volatile {
        let mut count = Count { name, n_uses: 0 };
        for cte in with.cte_tables.iter().filter(|cte| fold(&cte.alias.name) != *name) {
            let _ = walk::read_query(&cte.query, &mut count);
        }
        let _ = walk::read_set_expr(&query.body, &mut count);
        if count.n_uses > 1 {
            let what = format!("naming \"{name}\" twice, as its values change with each call");
            let hint = "Put its rows into a temporary table first.".to_owned();
            return Err(PlannerError::Unsupported { what, hint: Some(hint) });
        }
    }
    Ok(())
}

fn writes(query: &Query) -> bool {
    matches!(
        query.body.as_ref(),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
    )
}

fn names(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, args: None, .. } => match name.0.as_slice() {
            [part] => part.as_ident().map(fold),
            _ => None,
        },
        _ => None,
    }
}

/// Looks for volatile functions and for names of queries that have some.
struct Volatility<'a> {
    names: &'a [String],
    found: bool,
}

impl Reader for Volatility<'_> {
    fn enter_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.found |= names(factor).is_some_and(|name| self.names.contains(&name));
        ControlFlow::Continue(())
    }

    fn enter_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(fold);
            self.found |= name.is_some_and(|name| VOLATILE.contains(&name.as_str()));
        }
        ControlFlow::Continue(())
    }
}

struct Count<'a> {
    name: &'a str,
    n_uses: usize,
}

impl Reader for Count<'_> {
    fn enter_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.n_uses += usize::from(names(factor).is_some_and(|name| name == self.name));
        ControlFlow::Continue(())
    }
}

/// The names that the queries around have defined.
#[derive(Default)]
pub(super) struct Scopes {
    names: Vec<Vec<String>>,
    n_renamed: usize,
}

impl Scopes {
    /// Renames what a query defines anew, and remembers its names until [`Self::leave`].
    pub(super) fn enter(&mut self, query: &mut Query) {
        let own: Vec<String> = query
            .with
            .iter()
            .flat_map(|with| &with.cte_tables)
            .map(|cte| fold(&cte.alias.name))
            .collect();
        let hidden: Vec<String> = own
            .iter()
            .filter(|name| self.names.iter().flatten().any(|n| n == *name))
            .cloned()
            .collect();
        for name in hidden {
            self.n_renamed += 1;
            rename(query, &name, format!("{name}\u{1}{}", self.n_renamed));
        }
        self.names.push(own);
    }

    pub(super) fn leave(&mut self) {
        self.names.pop();
    }
}

fn rename(query: &mut Query, from: &str, to: String) {
    let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
    let mut walker = Uses { from: from.to_owned(), to: Ident::with_quote('"', to), hidden: 0 };
    let mut defined = false;
    if let Some(with) = &mut query.with {
        for cte in &mut with.cte_tables {
            let own = fold(&cte.alias.name) == from;
            if defined || (own && recursive) {
                // Nothing breaks this walk.
                let _ = walk::edit_query(&mut cte.query, &mut walker);
            }
            if own {
                defined = true;
                cte.alias.name = walker.to.clone();
            }
        }
    }
    let with = query.with.take();
    let _ = walk::edit_query(query, &mut walker);
    query.with = with;
}

struct Uses {
    from: String,
    to: Ident,
    /// Queries around that define the name once more.
    hidden: usize,
}

impl Uses {
    fn defines(&self, query: &Query) -> bool {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        tables.into_iter().any(|cte| fold(&cte.alias.name) == self.from)
    }
}

impl Editor for Uses {
    fn enter_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.hidden += usize::from(self.defines(query));
        ControlFlow::Continue(())
    }

    fn leave_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.hidden = self.hidden.saturating_sub(usize::from(self.defines(query)));
        ControlFlow::Continue(())
    }

    fn enter_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && self.hidden == 0
            && let [part] = name.0.as_slice()
            && let Some(ident) = part.as_ident()
            && fold(ident) == self.from
        {
            if alias.is_none() {
                let name = ident.clone();
                *alias = Some(TableAlias { explicit: true, name, columns: vec![], at: None });
            }
            *name = ObjectName::from(vec![self.to.clone()]);
        }
        ControlFlow::Continue(())
    }
}
