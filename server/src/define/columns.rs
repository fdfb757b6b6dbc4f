//! The columns of a CREATE TABLE with defaults, expressions, keys and checks.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use sqlparser::ast::{
    self, ColumnOption, ConstraintCharacteristics, DeferrableInitial, GeneratedAs, TableConstraint,
};
use tarn_catalog::details::{ForeignKey, TableCheck, TableDetails, TableKey};
use tarn_catalog::rights::{Privilege, Reach};
use tarn_catalog::{CatalogError, TableName};
use tarn_planner::statement::{TableClauses, fold, like_mark};
use tarn_planner::write::{column_field, target_of};
use tarn_planner::{PlannerError, Statement};

use super::expressions;
use crate::access::check::Asker;
use crate::error::{Error, Result};
use crate::lookup::SessionLookup;
use crate::query::unsupported;
use crate::session::Session;

/// What a CREATE TABLE says of its columns.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) fields: Vec<Field>,
    pub(crate) details: TableDetails,
}

/// One column of CREATE TABLE or ADD COLUMN.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) field: Field,
    pub(crate) default: Option<String>,
    pub(crate) generated: Option<String>,
    pub(crate) comment: Option<String>,
}

/// Reads the columns and constraints of a CREATE TABLE.
pub(super) async fn declared(
    session: &Arc<Session>,
    statement: &Statement,
    name: &TableName,
    create: &ast::CreateTable,
    clauses: &TableClauses,
) -> Result<Declared> {
    let mut declared = Declared::default();
    for column in &create.columns {
        let mut likes = clauses.likes.iter().enumerate();
        match likes.find(|(at, _)| like_mark(*at) == column.name.value) {
            Some((_, (table, parts))) => {
                declared
                    .append(super::tables::like_of(session, table, Some(parts)).await?.declared);
            }
            None => declared.push(column_of(column)?),
        }
    }
    check_unique(&declared.fields)?;
    // Constraints may name any column, so they come when all are known.
    let mut constraints = Vec::new();
    for column in &create.columns {
        constraints.extend(constraints_of(column));
    }
    constraints.extend(create.constraints.iter().cloned());
    for constraint in &constraints {
        declared.constrain(session, name, constraint)?;
    }
    expressions::check_declared(session, statement, name.table(), &declared).await?;
    declared.note_keys(session);
    Ok(declared)
}

impl Declared {
    pub(crate) fn push(&mut self, column: Column) {
        self.fields.push(column.field);
        self.details.defaults.push(column.default);
        self.details.generated.push(column.generated);
        self.details.column_comments.push(column.comment);
    }

    /// Puts the columns of another table behind those that there are.
    fn append(&mut self, mut other: Self) {
        let (n_before, n_added) = (self.fields.len(), other.fields.len());
        let (own, added) = (&mut self.details, &mut other.details);
        for (own, added) in [
            (&mut own.defaults, &mut added.defaults),
            (&mut own.generated, &mut added.generated),
            (&mut own.column_comments, &mut added.column_comments),
        ] {
            own.resize(n_before, None);
            added.resize(n_added, None);
            own.append(added);
        }
        own.checks.append(&mut added.checks);
        own.keys.append(&mut added.keys);
        self.fields.append(&mut other.fields);
    }

    /// Tells once that keys are not enforced.
    fn note_keys(&self, session: &Arc<Session>) {
        if !self.details.keys.is_empty() || !self.details.foreign_keys.is_empty() {
            session.notice("NOTICE", "00000", "keys are noted and not enforced");
        }
    }

    /// Adds one constraint; whether a condition can be asked is for the caller to see.
    pub(crate) fn constrain(
        &mut self,
        session: &Arc<Session>,
        table: &TableName,
        constraint: &TableConstraint,
    ) -> Result<()> {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let columns = key_columns(&key.columns)?;
                self.add_key(table, key.name.as_ref(), true, columns, key.characteristics)
            }
            TableConstraint::Unique(key) => {
                let columns = key_columns(&key.columns)?;
                self.add_key(table, key.name.as_ref(), false, columns, key.characteristics)
            }
            TableConstraint::ForeignKey(key) => self.add_reference(session, table, key),
            TableConstraint::Check(check) => {
                let text = check.expr.to_string();
                if check.enforced == Some(false) {
                    return Err(unsupported("CHECK … NOT ENFORCED"));
                }
                let name = match &check.name {
                    Some(name) => self.new_name(table, &fold(name))?,
                    None => self.free_name(&check_name(table, &check.expr, &self.fields)),
                };
                self.details.checks.push(TableCheck { name, expression: text });
                Ok(())
            }
            other => Err(unsupported(format!("the constraint {other}"))),
        }
    }

    fn add_key(
        &mut self,
        table: &TableName,
        name: Option<&ast::Ident>,
        primary: bool,
        columns: Vec<String>,
        characteristics: Option<ConstraintCharacteristics>,
    ) -> Result<()> {
        let rely = relies(characteristics)?;
        for column in &columns {
            let field = self.field(column, "column")?;
            if primary {
                field.set_nullable(false);
            }
        }
        if primary && self.details.keys.iter().any(|key| key.primary) {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", table.table());
            return Err(Error::Value { code: "42P16", message });
        }
        let name = match name {
            Some(name) => self.new_name(table, &fold(name))?,
            None if primary => self.free_name(&format!("{}_pkey", table.table())),
            None => self.free_name(&format!("{}_{}_key", table.table(), columns.join("_"))),
        };
        self.details.keys.push(TableKey { name, primary, columns, rely });
        Ok(())
    }

    fn field(&mut self, column: &str, what: &str) -> Result<&mut Field> {
        let found = self.fields.iter_mut().find(|field| field.name() == column);
        found.ok_or_else(|| {
            let message = format!("{what} \"{column}\" named in key does not exist");
            Error::Value { code: "42703", message }
        })
    }

    fn add_reference(
        &mut self,
        session: &Arc<Session>,
        table: &TableName,
        key: &ast::ForeignKeyConstraint,
    ) -> Result<()> {
        let columns: Vec<String> = key.columns.iter().map(fold).collect();
        for column in &columns {
            if !self.fields.iter().any(|field| field.name() == column) {
                let message = format!(
                    "column \"{column}\" referenced in foreign key constraint does not exist"
                );
                return Err(Error::Value { code: "42703", message });
            }
        }
        let target = target_of(&key.foreign_table)?;
        let own = target.table == table.table()
            && target.schema.as_ref().is_none_or(|schema| schema == table.schema());
        let found = match own {
            true => Some(table.clone()),
            false => SessionLookup::new(session)
                .resolve(target.schema.as_deref(), &target.table)
                .map(|(name, _)| name),
        };
        let Some(other) = found else {
            let name = target.table;
            return Err(
                PlannerError::UndefinedTable { name, position: None, suggestion: None }.into()
            );
        };
        let referred: Vec<String> = key.referred_columns.iter().map(fold).collect();
        if !own {
            require_references(session, &other, &referred)?;
        }
        if !referred.is_empty() && referred.len() != columns.len() {
            let message = "number of referencing and referenced columns for foreign key disagree";
            return Err(Error::Value { code: "42830", message: message.to_owned() });
        }
        let name = match &key.name {
            Some(name) => self.new_name(table, &fold(name))?,
            None => self.free_name(&format!("{}_{}_fkey", table.table(), columns.join("_"))),
        };
        self.details.foreign_keys.push(ForeignKey {
            name,
            columns,
            schema: other.schema().to_owned(),
            table: other.table().to_owned(),
            referred,
            rely: relies(key.characteristics)?,
        });
        Ok(())
    }

    pub(crate) fn has_constraint(&self, name: &str) -> bool {
        let details = &self.details;
        details.keys.iter().any(|key| key.name == name)
            || details.foreign_keys.iter().any(|key| key.name == name)
            || details.checks.iter().any(|check| check.name == name)
    }

    fn new_name(&self, table: &TableName, name: &str) -> Result<String> {
        if self.has_constraint(name) {
            let table = table.table();
            let message = format!("constraint \"{name}\" for relation \"{table}\" already exists");
            return Err(Error::Value { code: "42710", message });
        }
        Ok(name.to_owned())
    }

    /// The name, or the name with the first number that makes it a new one.
    fn free_name(&self, name: &str) -> String {
        let numbered = (1..).map(|number| format!("{name}{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !self.has_constraint(name)).unwrap_or_else(|| name.to_owned())
    }
}

/// `t_a_check` for a check of one column, `t_check` for others, as in PostgreSQL.
fn check_name(table: &TableName, expr: &ast::Expr, fields: &[Field]) -> String {
    let used = expressions::columns_in(expr);
    let mut used = fields.iter().filter(|field| used.contains(field.name()));
    match (used.next(), used.next()) {
        (Some(only), None) => format!("{}_{}_check", table.table(), only.name()),
        _ => format!("{}_check", table.table()),
    }
}

fn key_columns(columns: &[ast::IndexColumn]) -> Result<Vec<String>> {
    let name = |column: &ast::IndexColumn| match &column.column.expr {
        ast::Expr::Identifier(ident) => Ok(fold(ident)),
        other => Err(unsupported(format!("a key of {other}"))),
    };
    columns.iter().map(name).collect()
}

/// Whether a key says RELY, which the parser hands on as words that contradict each other.
fn relies(characteristics: Option<ConstraintCharacteristics>) -> Result<bool> {
    let Some(said) = characteristics else { return Ok(false) };
    if said.enforced == Some(true) {
        return Err(unsupported("ENFORCED for a key"));
    }
    Ok(said.deferrable == Some(false) && said.initially == Some(DeferrableInitial::Deferred))
}

/// A column's own constraints in the form of the table's.
pub(crate) fn constraints_of(column: &ast::ColumnDef) -> Vec<TableConstraint> {
    let index_column = || ast::IndexColumn {
        column: ast::OrderByExpr {
            expr: ast::Expr::Identifier(column.name.clone()),
            options: ast::OrderByOptions { asc: None, nulls_first: None },
            with_fill: None,
        },
        operator_class: None,
    };
    let constraint = |option: &ast::ColumnOptionDef| {
        let name = option.name.clone();
        Some(match &option.option {
            ColumnOption::PrimaryKey(key) => {
                TableConstraint::PrimaryKey(ast::PrimaryKeyConstraint {
                    name,
                    columns: vec![index_column()],
                    ..key.clone()
                })
            }
            ColumnOption::Unique(key) => TableConstraint::Unique(ast::UniqueConstraint {
                name,
                columns: vec![index_column()],
                ..key.clone()
            }),
            ColumnOption::ForeignKey(key) => {
                TableConstraint::ForeignKey(ast::ForeignKeyConstraint {
                    name,
                    columns: vec![column.name.clone()],
                    ..key.clone()
                })
            }
            ColumnOption::Check(check) => {
                TableConstraint::Check(ast::CheckConstraint { name, ..check.clone() })
            }
            _ => return None,
        })
    };
    column.options.iter().filter_map(constraint).collect()
}

/// One column's field, default, expression and remark; its constraints are read elsewhere.
pub(crate) fn column_of(column: &ast::ColumnDef) -> Result<Column> {
    refuse_serial(&column.data_type)?;
    let mut nullable = true;
    let (mut default, mut generated, mut comment) = (None, None, None);
    for option in &column.options {
        match &option.option {
            ColumnOption::NotNull => nullable = false,
            ColumnOption::PrimaryKey(_) => nullable = false,
            ColumnOption::Null
            | ColumnOption::Unique(_)
            | ColumnOption::Collation(_)
            | ColumnOption::Check(_)
            | ColumnOption::ForeignKey(_) => {}
            ColumnOption::Default(expr) => default = default_text(expr)?,
            ColumnOption::Comment(text) => comment = Some(text.clone()),
            ColumnOption::Generated {
                generated_as: GeneratedAs::Always | GeneratedAs::ExpStored,
                generation_expr: Some(expr),
                generation_expr_mode,
                ..
            } => {
                if matches!(generation_expr_mode, Some(ast::GeneratedExpressionMode::Virtual)) {
                    return Err(unsupported("GENERATED ALWAYS AS (…) VIRTUAL"));
                }
                generated = Some(expr.to_string());
            }
            ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
                let what = "an identity column".to_owned();
                let hint = "There are no sequences: declare an integer and give its values.";
                return Err(PlannerError::Unsupported { what, hint: Some(hint.to_owned()) }.into());
            }
            other => return Err(unsupported(format!("the column option {other}"))),
        }
    }
    let name = fold(&column.name);
    if default.is_some() && generated.is_some() {
        let message =
            format!("both default and generation expression specified for column \"{name}\"");
        return Err(Error::Value { code: "42601", message });
    }
    let field = column_field(&name, &column.data_type, nullable)?;
    Ok(Column { field, default, generated, comment })
}

fn refuse_serial(data_type: &ast::DataType) -> Result<()> {
    let type_name = data_type.to_string().to_lowercase();
    let serial = ["serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"];
    if !serial.contains(&type_name.as_str()) {
        return Ok(());
    }
    let what = format!("the type {type_name}");
    let hint = "There are no sequences: declare an integer and give its values.".to_owned();
    Err(PlannerError::Unsupported { what, hint: Some(hint) }.into())
}

/// A default as it is kept; none for NULL.
pub(crate) fn default_text(expr: &ast::Expr) -> Result<Option<String>> {
    let text = expr.to_string();
    if text.eq_ignore_ascii_case("null") {
        return Ok(None);
    }
    if text.to_lowercase().contains("nextval(") {
        return Err(unsupported("a default from a sequence"));
    }
    expressions::refuse_subquery(expr, "DEFAULT expression")?;
    Ok(Some(text))
}

/// Refuses two columns of one name.
pub(crate) fn check_unique(fields: &[Field]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match fields.iter().find(|field| !seen.insert(field.name().as_str())) {
        Some(field) => Err(PlannerError::DuplicateColumn { name: field.name().clone() }.into()),
        None => Ok(()),
    }
}

/// The columns as a schema.
pub(super) fn schema_of(fields: &[Field]) -> Schema {
    Schema::new(fields.to_vec())
}

/// Sees that the session may refer to columns of another table: all of them where none is named.
fn require_references(session: &Arc<Session>, table: &TableName, columns: &[String]) -> Result<()> {
    let asker = Asker::of(session);
    asker.require_usage(table.schema())?;
    let reach = asker.reach(table, Privilege::References);
    let may = match &reach {
        Reach::All => true,
        Reach::Columns(_) => !columns.is_empty() && columns.iter().all(|name| reach.has(name)),
    };
    if may {
        return Ok(());
    }
    let name = table.table().to_owned();
    Err(CatalogError::PermissionDenied { kind: "table", name }.into())
}
