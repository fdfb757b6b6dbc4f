//! From expressions on a table's columns to expressions on the columns of one file.
//!
//! A file may know a column under another name (column mapping), lack it (added later), store it
//! narrower (type widening), or differ in nullability and metadata only. DataFusion's adapter casts
//! and fills in NULLs but finds columns by name, so it is shown the file's schema under logical names
//! and its result is renamed back:
//!
//! ```text
//! price > 5  ──default adapter──▶  CAST(price@3 AS double) > 5  ──▶  CAST("col-7f3a"@3 AS double) > 5
//! ```
//!
//! Renamed fields inside structs cannot be reached by renaming a column reference: there the array
//! read is relabelled by [`RelabelExpr`], which moves no data. The same expression turns texts into
//! values of the types that Delta lacks (`sql_types`); what filters on them say of the texts is added
//! for the Parquet source (`follows`).

mod follows;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::datasource::physical_plan::parquet::ParquetVirtualColumn;
use datafusion::functions::core::getfield::GetFieldFunc;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapter, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use delta_kernel::table_features::ColumnMappingMode;

use super::layout::{ColumnMapping, column_id, physical_name, plain_type};
use super::sql_types;
use crate::CatalogError;

/// Where Parquet's field ids appear in an Arrow schema read from a file.
pub(super) const PARQUET_FIELD_ID: &str = "PARQUET:field_id";

/// Makes adapters for the files of one table.
#[derive(Debug)]
pub(super) struct DeltaAdapterFactory {
    pub(super) mapping: Arc<ColumnMapping>,
}

impl PhysicalExprAdapterFactory for DeltaAdapterFactory {
    fn create(
        &self,
        logical_file_schema: SchemaRef,
        physical_file_schema: SchemaRef,
    ) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let relabelled = relabel_fields(
            physical_file_schema.fields(),
            &self.mapping.fields,
            logical_file_schema.fields(),
            self.mapping.mode,
        );
        let relabelled = Arc::new(Schema::new(relabelled));
        Ok(Arc::new(DeltaAdapter {
            inner: DefaultPhysicalExprAdapter::new(logical_file_schema, Arc::clone(&relabelled)),
            relabelled,
            physical: physical_file_schema,
        }))
    }
}

#[derive(Debug)]
struct DeltaAdapter {
    inner: DefaultPhysicalExprAdapter,
    /// The file's schema under logical names.
    relabelled: SchemaRef,
    physical: SchemaRef,
}

impl PhysicalExprAdapter for DeltaAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let expr = self.inner.rewrite(expr)?;
        expr.transform_down(|expr| {
            let stored = match self.stored_column(&expr) {
                Some(stored) => stored,
                None => match self.stored_struct_field(&expr)? {
                    Some(stored) => stored,
                    None => return Ok(Transformed::no(expr)),
                },
            };
            Ok(Transformed::new(stored, true, TreeNodeRecursion::Jump))
        })
        .data()?
        .transform_up(|expr| Ok(follows::with_bounds(expr)))
        .data()
    }
}

impl DeltaAdapter {
    /// `price@3` -> `col-7f3a@3`, relabelled if it has nested names.
    fn stored_column(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
        let column = expr.downcast_ref::<Column>()?;
        let index = column.index();
        let (from, to) = (self.physical.fields().get(index)?, self.relabelled.fields().get(index)?);
        Some(relabelled(Arc::new(Column::new(from.name(), index)), from, to))
    }

    /// `get_field(point@2, 'x')` -> `get_field(col-1@2, 'col-2')`.
    ///
    /// Relabelling the struct would do as well, but the Parquet source has promised at planning time
    /// to apply filters on struct fields and recognises only this form when it opens the file: it
    /// would silently leave such a filter out.
    fn stored_struct_field(
        &self,
        expr: &Arc<dyn PhysicalExpr>,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        let Some(get) = ScalarFunctionExpr::try_downcast_func::<GetFieldFunc>(expr.as_ref()) else {
            return Ok(None);
        };
        let Some((source, keys)) = get.args().split_first() else {
            return Ok(None);
        };
        let Some(index) = source.downcast_ref::<Column>().map(Column::index) else {
            return Ok(None);
        };
        let (Some(mut from), Some(mut to)) =
            (self.physical.fields().get(index), self.relabelled.fields().get(index))
        else {
            return Ok(None);
        };
        let mut args: Vec<Arc<dyn PhysicalExpr>> = vec![Arc::new(Column::new(from.name(), index))];
        for key in keys {
            let key = key.downcast_ref::<Literal>().and_then(|key| key.value().try_as_str());
            let (DataType::Struct(stored), DataType::Struct(named)) =
                (from.data_type(), to.data_type())
            else {
                return Ok(None);
            };
            let position = named.iter().position(|field| Some(Some(field.name().as_str())) == key);
            let Some(fields) = position.and_then(|i| Some((stored.get(i)?, named.get(i)?))) else {
                return Ok(None);
            };
            (from, to) = fields;
            args.push(Arc::new(Literal::new(ScalarValue::from(from.name().as_str()))));
        }
        let field = ScalarFunctionExpr::try_new(
            Arc::new(get.fun().clone()),
            args,
            &self.physical,
            Arc::new(get.config_options().clone()),
        )?;
        Ok(Some(relabelled(Arc::new(field), from, to)))
    }
}

/// The expression under the names of `to`.
fn relabelled(
    stored: Arc<dyn PhysicalExpr>,
    from: &FieldRef,
    to: &FieldRef,
) -> Arc<dyn PhysicalExpr> {
    let is_other = from.data_type().is_nested() || sql_types::is_foreign(to.data_type());
    if !is_other || from.data_type() == to.data_type() {
        return stored;
    }
    let stored_type = from.data_type().clone();
    Arc::new(RelabelExpr { stored, stored_type, field: Arc::clone(to) })
}

/// The file's fields under logical names, position by position.
///
/// Fields that belong to no column keep a name that no column can have: a dropped column must not
/// come back under a later column of the same name.
fn relabel_fields(
    physical: &Fields,
    mapped: &Fields,
    logical: &Fields,
    mode: ColumnMappingMode,
) -> Fields {
    let relabel = |stored: &FieldRef| -> FieldRef {
        // The reader makes this column; it is in no file.
        if ParquetVirtualColumn::try_from(stored).is_ok() {
            return Arc::clone(stored);
        }
        let is_match = |column: &FieldRef| match mode {
            ColumnMappingMode::Id => match stored.metadata().get(PARQUET_FIELD_ID) {
                Some(id) => column_id(column) == Some(id),
                None => physical_name(column, mode) == stored.name(),
            },
            ColumnMappingMode::None | ColumnMappingMode::Name => {
                physical_name(column, mode) == stored.name()
            }
        };
        let Some(column) = mapped.iter().find(|column| is_match(column)) else {
            let name = format!("{}\0", stored.name());
            return Arc::new(Field::new(name, stored.data_type().clone(), true));
        };
        let target = logical.iter().find(|field| field.name() == column.name());
        let target_type = target.map(|field| field.data_type());
        let data_type = relabel_type(stored.data_type(), column.data_type(), target_type, mode);
        let is_nullable = target.is_none_or(|field| field.is_nullable());
        Arc::new(Field::new(column.name(), data_type, is_nullable))
    };
    physical.iter().map(relabel).collect()
}

fn relabel_type(
    stored: &DataType,
    mapped: &DataType,
    logical: Option<&DataType>,
    mode: ColumnMappingMode,
) -> DataType {
    match (stored, mapped, logical) {
        // Texts become values where the array is read: nothing else knows of the texts.
        (_, _, Some(logical)) if sql_types::stored_type(logical).is_some() => logical.clone(),
        (DataType::Struct(s), DataType::Struct(m), Some(DataType::Struct(l))) => {
            DataType::Struct(relabel_fields(s, m, l, mode))
        }
        (DataType::List(s), DataType::List(m), Some(DataType::List(l))) => {
            DataType::List(relabel_inner(s, m, l, mode))
        }
        (DataType::Map(s, sorted), DataType::Map(m, _), Some(DataType::Map(l, _))) => {
            // Keys and values are found by position: their names differ between writers.
            let entries = match (s.data_type(), m.data_type(), l.data_type()) {
                (DataType::Struct(s), DataType::Struct(m), DataType::Struct(l)) => {
                    let inner = s.iter().zip(m).zip(l);
                    inner.map(|((s, m), l)| relabel_inner(s, m, l, mode)).collect()
                }
                _ => return stored.clone(),
            };
            let entries = Field::new(l.name(), DataType::Struct(entries), false);
            DataType::Map(Arc::new(entries), *sorted)
        }
        _ => plain_type(stored),
    }
}

/// An element, key or value: it has no name of its own.
fn relabel_inner(
    stored: &FieldRef,
    mapped: &FieldRef,
    logical: &FieldRef,
    mode: ColumnMappingMode,
) -> FieldRef {
    let data_type =
        relabel_type(stored.data_type(), mapped.data_type(), Some(logical.data_type()), mode);
    let field = Field::new(logical.name(), data_type, logical.is_nullable());
    Arc::new(field.with_metadata(logical.metadata().clone()))
}

/// A stored column with other names for its nested fields, or with values in the place of texts.
#[derive(Debug, Clone, Eq)]
struct RelabelExpr {
    stored: Arc<dyn PhysicalExpr>,
    /// The type of what is stored.
    stored_type: DataType,
    field: FieldRef,
}

// By hand: the derived form moves out of `Arc<dyn PhysicalExpr>`.
impl Hash for RelabelExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.stored.hash(state);
        self.field.hash(state);
    }
}

impl PartialEq for RelabelExpr {
    fn eq(&self, other: &Self) -> bool {
        self.stored.eq(&other.stored) && self.field == other.field
    }
}

impl fmt::Display for RelabelExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RELABEL({})", self.stored)
    }
}

impl PhysicalExpr for RelabelExpr {
    fn return_field(&self, _: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let stored = self.stored.evaluate(batch)?.into_array(batch.num_rows())?;
        let values = relabel_array(&stored, self.field.data_type());
        let values = values.map_err(|error| unreadable(self.field.name(), error))?;
        Ok(ColumnarValue::Array(values))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.stored]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let stored = children.pop().unwrap_or_else(|| Arc::clone(&self.stored));
        let stored_type = self.stored_type.clone();
        Ok(Arc::new(Self { stored, stored_type, field: Arc::clone(&self.field) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stored.fmt_sql(f)
    }
}

/// Says which column has a text that is no value of the column's type.
fn unreadable(column: &str, error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::ArrowError(error, _) => CatalogError::StoredText {
            column: column.to_owned(),
            what: match *error {
                ArrowError::ParseError(text) => text,
                other => other.to_string(),
            },
        }
        .into(),
        other => other,
    }
}

/// The same buffers under a type that differs in nested names and nullability only; texts that
/// stand for values of another type are read.
pub(super) fn relabel_array(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if let Some(values) = sql_types::decode(array, to)? {
        return Ok(values);
    }
    match to {
        DataType::Struct(fields) => {
            let Some(stored) = array.as_struct_opt() else {
                return Ok(Arc::clone(array));
            };
            Ok(Arc::new(relabel_struct(stored, fields)?))
        }
        DataType::List(element) => {
            let Some(stored) = array.as_list_opt::<i32>() else {
                return Ok(Arc::clone(array));
            };
            let values = relabel_array(stored.values(), element.data_type())?;
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(element),
                stored.offsets().clone(),
                values,
                stored.nulls().cloned(),
            )?))
        }
        DataType::Map(entries, sorted) => {
            let (Some(stored), DataType::Struct(fields)) =
                (array.as_map_opt(), entries.data_type())
            else {
                return Ok(Arc::clone(array));
            };
            Ok(Arc::new(MapArray::try_new(
                Arc::clone(entries),
                stored.offsets().clone(),
                relabel_struct(stored.entries(), fields)?,
                stored.nulls().cloned(),
                *sorted,
            )?))
        }
        _ => Ok(Arc::clone(array)),
    }
}

fn relabel_struct(stored: &StructArray, fields: &Fields) -> Result<StructArray> {
    let columns: Result<Vec<ArrayRef>> = stored
        .columns()
        .iter()
        .zip(fields)
        .map(|(column, field)| relabel_array(column, field.data_type()))
        .collect();
    Ok(StructArray::try_new_with_length(
        fields.clone(),
        columns?,
        stored.nulls().cloned(),
        stored.len(),
    )?)
}
