//! Which relations a statement names, and at which version.

use std::collections::BTreeSet;

use sqlparser::ast::{Expr, Ident, ObjectName, TableAlias, TableFactor, TableVersion, Value, With};
use sqlparser::tokenizer::Location;

use super::calls::{Named, TableCall};
use crate::error::{PlannerError, Result};
use crate::statement::fold;

/// A relation to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The key under which the planner will ask for it.
    pub key: RelationKey,
    /// The schema where one was written.
    pub schema: Option<String>,
    /// The database where one was written.
    pub database: Option<String>,
    /// The table's name.
    pub table: String,
    /// The version asked for.
    pub travel: TravelSpec,
    /// What is read of its past instead of its rows.
    pub call: Option<TableCall>,
    /// Where the name stands in the text.
    pub location: Location,
    /// Whether a WITH clause somewhere in the statement defines this name, so that the relation
    /// need not exist.
    pub maybe_cte: bool,
}

/// Schema and table as they stand in the rewritten tree.
pub type RelationKey = (Option<String>, String);

/// A version as written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TravelSpec {
    /// No version.
    Latest,
    /// `VERSION AS OF number`.
    Version(u64),
    /// `TIMESTAMP AS OF 'text'`.
    Timestamp(String),
}

/// Gathers relations while the tree is walked.
#[derive(Default)]
pub(super) struct Collector {
    relations: Vec<Relation>,
    ctes: BTreeSet<String>,
}

impl Collector {
    pub(super) fn add_ctes(&mut self, with: &With) {
        self.ctes.extend(with.cte_tables.iter().map(|cte| fold(&cte.alias.name)));
    }

    pub(super) fn finish(mut self) -> Vec<Relation> {
        for relation in &mut self.relations {
            relation.maybe_cte = relation.schema.is_none() && self.ctes.contains(&relation.table);
        }
        self.relations
    }

    /// Notes the relation of one FROM item and moves its version into its name.
    pub(super) fn visit(&mut self, factor: &mut TableFactor) -> Result<()> {
        name_function_column(factor);
        let TableFactor::Table {
            name, alias, args: None, version, sample, with_ordinality, ..
        } = factor
        else {
            return Ok(());
        };
        if sample.is_some() {
            return Err(PlannerError::unsupported("TABLESAMPLE"));
        }
        if *with_ordinality {
            return Err(PlannerError::unsupported("WITH ORDINALITY on a table"));
        }
        let parts: Vec<Ident> = name.0.iter().filter_map(|p| p.as_ident().cloned()).collect();
        let (database, schema, table) = parts_of(&parts)?;
        let location = parts.first().map_or_else(|| Location::new(0, 0), |ident| ident.span.start);
        let travel = version.take().map_or(Ok(TravelSpec::Latest), travel_spec)?;
        let mut key = (schema.clone(), table.clone());
        if travel != TravelSpec::Latest || database.is_some() {
            let suffix = match &travel {
                TravelSpec::Latest => String::new(),
                TravelSpec::Version(version) => format!("@version {version}"),
                TravelSpec::Timestamp(text) => format!("@timestamp {text}"),
            };
            key.1 = format!("{table}{suffix}");
            rename(name, &key);
            if travel != TravelSpec::Latest && alias.is_none() {
                *alias = Some(alias_of(&table));
            }
        }
        let relation = Relation {
            key,
            schema,
            database,
            table,
            travel,
            call: None,
            location,
            maybe_cte: false,
        };
        self.add(relation);
        Ok(())
    }

    fn add(&mut self, relation: Relation) {
        if !self.relations.iter().any(|known| known.key == relation.key) {
            self.relations.push(relation);
        }
    }

    /// Notes the table of a call in FROM and puts a name in the call's place.
    pub(super) fn visit_call(&mut self, factor: &mut TableFactor, named: Named) -> Result<()> {
        let (database, schema, table) = parts_of(&named.table)?;
        let key = (None, named.key);
        if let TableFactor::Table { name, args, alias, .. } = factor {
            *args = None;
            rename(name, &key);
            alias.get_or_insert_with(|| alias_of(&named.function));
        }
        self.add(Relation {
            key,
            schema,
            database,
            table,
            travel: TravelSpec::Latest,
            call: Some(named.call),
            location: named.location,
            maybe_cte: false,
        });
        Ok(())
    }
}

/// Database, schema and table of a name.
fn parts_of(parts: &[Ident]) -> Result<(Option<String>, Option<String>, String)> {
    let folded: Vec<String> = parts.iter().map(fold).collect();
    match folded.as_slice() {
        [table] => Ok((None, None, table.clone())),
        [schema, table] => Ok((None, Some(schema.clone()), table.clone())),
        [database, schema, table] => {
            Ok((Some(database.clone()), Some(schema.clone()), table.clone()))
        }
        _ => {
            let written: Vec<String> = parts.iter().map(ToString::to_string).collect();
            let name = written.join(".");
            Err(PlannerError::Semantics {
                code: "42601",
                message: format!("improper qualified name (too many dotted names): {name}"),
                position: None,
            })
        }
    }
}

/// `generate_series(1, 3) AS g` calls its column g as well as its relation.
fn name_function_column(factor: &mut TableFactor) {
    let TableFactor::Table { name, alias: Some(alias), args: Some(_), .. } = factor else { return };
    let function = name.0.last().and_then(|part| part.as_ident()).map(fold);
    if alias.columns.is_empty() && matches!(function.as_deref(), Some("generate_series" | "range"))
    {
        alias.columns.push(sqlparser::ast::TableAliasColumnDef {
            name: alias.name.clone(),
            data_type: None,
        });
    }
}

fn rename(name: &mut ObjectName, key: &RelationKey) {
    let idents = key.0.iter().chain([&key.1]).map(|part| Ident::with_quote('"', part.clone()));
    *name = ObjectName::from(idents.collect::<Vec<_>>());
}

fn alias_of(table: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::with_quote('"', table), columns: vec![], at: None }
}

fn travel_spec(version: TableVersion) -> Result<TravelSpec> {
    match version {
        TableVersion::VersionAsOf(Expr::Value(value)) => match &value.value {
            Value::Number(number, _) => {
                number.parse().map(TravelSpec::Version).map_err(|_| PlannerError::Semantics {
                    code: "22003",
                    message: format!("version {number} is not a version number"),
                    position: None,
                })
            }
            other => Err(PlannerError::unsupported(format!("VERSION AS OF {other}"))),
        },
        TableVersion::TimestampAsOf(expr) | TableVersion::ForSystemTimeAsOf(expr) => {
            timestamp_text(&expr).map(TravelSpec::Timestamp)
        }
        other => Err(PlannerError::unsupported(format!("{other}"))),
    }
}

/// Takes the text out of `'…'`, `TIMESTAMP '…'` and `'…'::timestamptz`.
pub(super) fn timestamp_text(expr: &Expr) -> Result<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Ok(text.clone()),
            other => Err(PlannerError::unsupported(format!("TIMESTAMP AS OF {other}"))),
        },
        Expr::TypedString(typed) => match &typed.value.value {
            Value::SingleQuotedString(text) => Ok(text.clone()),
            other => Err(PlannerError::unsupported(format!("TIMESTAMP AS OF {other}"))),
        },
        Expr::Cast { expr, .. } | Expr::Nested(expr) => timestamp_text(expr),
        other => Err(PlannerError::Unsupported {
            what: format!("TIMESTAMP AS OF {other}"),
            hint: Some("Write the time as a literal, such as '2026-01-31 12:00:00+00'.".to_owned()),
        }),
    }
}
