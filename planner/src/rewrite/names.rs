//! Names of output columns as PostgreSQL gives them.
//!
//! PostgreSQL names an unnamed column after its outermost function, column, CASE or cast, and
//! `?column?` otherwise (parser/parse_target.c, `FigureColname`); it allows two columns of one
//! name. DataFusion names columns after the expression and refuses equal ones, so every column
//! that is not a plain reference gets an alias, and repeated names a suffix that
//! [`strip_suffix`] takes off the final schema.

use std::collections::HashMap;

use sqlparser::ast::{
    AccessExpr, DataType, Expr, Function, Ident, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Subscript,
};

use crate::statement::fold;

/// Separates a name from the number that makes it unique; no client can type it by accident.
const SUFFIX: char = '\u{1}';

/// Takes the uniqueness suffix off an output column's name.
#[must_use]
pub fn strip_suffix(name: &str) -> &str {
    name.split_once(SUFFIX).map_or(name, |(name, _)| name)
}

/// Gives aliases to the items of a select list.
pub(super) fn name_outputs(select: &mut Select) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let stars = Stars::of(select);
    for item in &mut select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = name_of(expr).unwrap_or_else(|| "?column?".to_owned());
                let n_before = count(&mut seen, &name);
                let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                // Nobody can name `?column?`, but the relation of a star may have one.
                let starred = if plain {
                    stars.cover(expr)
                } else {
                    name == "?column?" && (stars.all || !stars.relations.is_empty())
                };
                if !(plain && n_before == 0) || starred {
                    let alias = unique(&name, n_before + usize::from(starred));
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                let name = fold(alias);
                let n_before = count(&mut seen, &name);
                if n_before > 0 {
                    *alias = unique(&name, n_before);
                }
            }
            _ => {}
        }
    }
}

/// The stars of a select list, whose columns plain columns beside them repeat.
struct Stars {
    all: bool,
    relations: Vec<String>,
}

impl Stars {
    fn of(select: &Select) -> Self {
        let mut stars = Self { all: false, relations: vec![] };
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) => stars.all = true,
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let last = name.0.last().and_then(|part| part.as_ident()).map(fold);
                    stars.relations.extend(last);
                }
                _ => {}
            }
        }
        stars
    }

    fn cover(&self, expr: &Expr) -> bool {
        match expr {
            Expr::CompoundIdentifier(parts) => {
                let relation = parts.len().checked_sub(2).and_then(|at| parts.get(at)).map(fold);
                self.all || relation.is_some_and(|relation| self.relations.contains(&relation))
            }
            Expr::Identifier(_) => self.all,
            _ => false,
        }
    }
}

fn count(seen: &mut HashMap<String, usize>, name: &str) -> usize {
    let n = seen.entry(name.to_owned()).or_default();
    *n += 1;
    *n - 1
}

fn unique(name: &str, n_before: usize) -> Ident {
    match n_before {
        0 => Ident::with_quote('"', name),
        n => Ident::with_quote('"', format!("{name}{SUFFIX}{n}")),
    }
}

/// PostgreSQL's name for an expression; `None` where it has no opinion.
pub(super) fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(fold(ident)),
        Expr::CompoundIdentifier(idents) => idents.last().map(fold),
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.last() {
            Some(AccessExpr::Dot(inner)) => name_of(inner),
            Some(AccessExpr::Subscript(Subscript::Index { .. } | Subscript::Slice { .. }))
            | None => name_of(root),
        },
        Expr::Function(function) => Some(name_of_function(function)),
        Expr::Cast { expr, data_type, .. } => {
            let inner = if is_cast(expr) { None } else { name_of(expr) };
            inner.or_else(|| Some(name_of_type(data_type)))
        }
        Expr::TypedString(typed) => Some(name_of_type(&typed.data_type)),
        Expr::Interval(_) => Some("interval".to_owned()),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => name_of(inner),
        Expr::Case { else_result, .. } => Some(
            else_result
                .as_deref()
                .filter(|e| !matches!(e, Expr::Case { .. }))
                .and_then(strong_name)
                .unwrap_or_else(|| "case".to_owned()),
        ),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Substring { shorthand, .. } => {
            Some(if *shorthand { "substr" } else { "substring" }.to_owned())
        }
        Expr::Trim { trim_where, .. } => Some(
            match trim_where.as_ref().map(ToString::to_string).as_deref() {
                Some("LEADING") => "ltrim",
                Some("TRAILING") => "rtrim",
                _ => "btrim",
            }
            .to_owned(),
        ),
        Expr::BinaryOp { op: sqlparser::ast::BinaryOperator::Overlaps, .. } => {
            Some("overlaps".to_owned())
        }
        Expr::IsNormalized { negated: false, .. } => Some("is_normalized".to_owned()),
        Expr::Overlay { .. } => Some("overlay".to_owned()),
        Expr::AtTimeZone { .. } => Some("timezone".to_owned()),
        Expr::Exists { negated: false, .. } => Some("exists".to_owned()),
        Expr::Array(_) => Some("array".to_owned()),
        Expr::Tuple(_) => Some("row".to_owned()),
        Expr::Value(_) => None,
        Expr::Subquery(query) => match query.body.as_ref() {
            sqlparser::ast::SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(expr)) => name_of(expr),
                Some(SelectItem::ExprWithAlias { alias, .. }) => {
                    Some(strip_suffix(&fold(alias)).to_owned())
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Of casts of a cast the outermost gives the name.
fn is_cast(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { expr: inner, .. } => is_cast(inner) || name_of(inner).is_none(),
        Expr::TypedString(_) | Expr::Interval(_) | Expr::Value(_) => true,
        Expr::Nested(inner) => is_cast(inner),
        _ => false,
    }
}

/// A CASE takes the name of its ELSE branch only if that is a column or a function.
fn strong_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Function(_) => name_of(expr),
        Expr::Nested(inner) => strong_name(inner),
        Expr::Cast { expr, .. } => strong_name(expr),
        _ => None,
    }
}

fn name_of_function(function: &Function) -> String {
    let last = |name: &ObjectName| name.0.last().and_then(|p| p.as_ident()).map(fold);
    last(&function.name).unwrap_or_else(|| "?column?".to_owned())
}

/// The internal type name, which is what PostgreSQL calls a cast of a literal.
fn name_of_type(data_type: &DataType) -> String {
    let text = data_type.to_string().to_lowercase();
    let base = text.trim_end_matches("[]").split('(').next().unwrap_or_default();
    let base = base.trim();
    if base == "float" && (1..=24).any(|bits| text == format!("float({bits})")) {
        return "float4".to_owned();
    }
    if let Some(quoted) = base.strip_prefix('"') {
        // `"char"` is another type than `char`.
        return quoted.trim_end_matches('"').to_owned();
    }
    match base {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "double precision" | "double" | "float" => "float8",
        "real" => "float4",
        "boolean" => "bool",
        "decimal" | "dec" => "numeric",
        "character varying" => "varchar",
        "char" | "character" => "bpchar",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time with time zone" => "timetz",
        "bit varying" => "varbit",
        "time without time zone" => "time",
        other => other.rsplit('.').next().unwrap_or(other),
    }
    .to_owned()
}
