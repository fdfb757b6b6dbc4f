//! WITH inside of WITH: names that hide others.
//!
//! ```text
//! WITH x AS (…) SELECT * FROM (WITH x AS (…) SELECT n FROM x) AS y
//!   => the inner x and its uses get another name, as the planner below refuses two of one name
//! ```

use std::ops::ControlFlow;

use sqlparser::ast::{Ident, ObjectName, Query, TableAlias, TableFactor};

use crate::statement::fold;
use crate::walk::{self, Editor};

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
