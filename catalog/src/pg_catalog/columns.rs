//! Builds the batch of a system relation from the few columns that matter.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, ListBuilder, RecordBatch,
    RecordBatchOptions, StringArray, StringBuilder, UInt32Array, new_empty_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

use crate::{CatalogError, Result};

/// The columns of a batch being built.
///
/// Columns that are not given hold NULL, or where NULL is not allowed zero, false, the empty text
/// or the empty list. The first error is kept until [`Columns::finish`].
#[derive(Debug)]
pub(crate) struct Columns {
    schema: SchemaRef,
    n_rows: usize,
    arrays: Vec<Option<ArrayRef>>,
    error: Option<CatalogError>,
}

impl Columns {
    pub(crate) fn new(schema: &SchemaRef, n_rows: usize) -> Self {
        let arrays = vec![None; schema.fields().len()];
        Self { schema: Arc::clone(schema), n_rows, arrays, error: None }
    }

    /// Gives a column; the values are cast to the column's type.
    pub(crate) fn set(mut self, column: &str, array: &ArrayRef) -> Self {
        let Ok(at) = self.schema.index_of(column) else {
            self.fail(format!("no column {column}"));
            return self;
        };
        let target = self.schema.field(at).data_type();
        match cast(array, target) {
            Ok(array) if array.len() == self.n_rows => {
                if let Some(slot) = self.arrays.get_mut(at) {
                    *slot = Some(array);
                }
            }
            Ok(array) => self.fail(format!("column {column} has {} rows", array.len())),
            Err(error) => self.fail(format!("column {column}: {error}")),
        }
        self
    }

    fn fail(&mut self, what: String) {
        self.error.get_or_insert(CatalogError::Internal { what });
    }

    /// Gives a column of text.
    pub(crate) fn text<'a, T: Into<Option<&'a str>>>(
        self,
        column: &str,
        values: impl Iterator<Item = T>,
    ) -> Self {
        let array: StringArray = values.map(Into::into).collect();
        self.set(column, &(Arc::new(array) as ArrayRef))
    }

    /// Gives a column of object identifiers.
    pub(crate) fn oid(self, column: &str, values: impl Iterator<Item = u32>) -> Self {
        let array = UInt32Array::from_iter_values(values);
        self.set(column, &(Arc::new(array) as ArrayRef))
    }

    /// Gives a column of whole numbers of any width.
    pub(crate) fn int<T: Into<Option<i64>>>(
        self,
        column: &str,
        values: impl Iterator<Item = T>,
    ) -> Self {
        let array: Int64Array = values.map(Into::into).collect();
        self.set(column, &(Arc::new(array) as ArrayRef))
    }

    /// Gives a column of truth values.
    pub(crate) fn bool(self, column: &str, values: impl Iterator<Item = bool>) -> Self {
        let array: BooleanArray = values.map(Some).collect();
        self.set(column, &(Arc::new(array) as ArrayRef))
    }

    /// Gives a column of lists of texts.
    pub(crate) fn lists(
        self,
        column: &str,
        values: impl Iterator<Item = Option<Vec<String>>>,
    ) -> Self {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for list in values {
            match list {
                Some(list) => lists.append_value(list.iter().map(Some)),
                None => lists.append(false),
            }
        }
        self.set(column, &(Arc::new(lists.finish()) as ArrayRef))
    }

    /// Gives one text in every row.
    pub(crate) fn all_text(self, column: &str, value: &str) -> Self {
        let n_rows = self.n_rows;
        self.text(column, repeat_n(value, n_rows))
    }

    /// Gives one number in every row.
    pub(crate) fn all_int(self, column: &str, value: i64) -> Self {
        let n_rows = self.n_rows;
        self.int(column, repeat_n(value, n_rows))
    }

    /// Gives true in every row.
    pub(crate) fn all_true(self, column: &str) -> Self {
        let n_rows = self.n_rows;
        self.bool(column, repeat_n(true, n_rows))
    }

    /// Returns the batch.
    pub(crate) fn finish(self) -> Result<RecordBatch> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let fields = self.schema.fields().iter().zip(self.arrays);
        let arrays = fields.map(|(field, array)| match array {
            Some(array) => Ok(array),
            None if field.is_nullable() => Ok(new_null_array(field.data_type(), self.n_rows)),
            None => zeros(field.data_type(), self.n_rows),
        });
        let arrays = arrays.collect::<Result<Vec<_>, ArrowError>>().map_err(internal)?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.n_rows));
        RecordBatch::try_new_with_options(self.schema, arrays, &options).map_err(internal)
    }
}

fn internal(error: ArrowError) -> CatalogError {
    CatalogError::Internal { what: format!("system relation: {error}") }
}

/// The value that stands for "nothing" where NULL is not allowed.
fn zeros(data_type: &DataType, n_rows: usize) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::Utf8 => Ok(Arc::new(StringArray::from_iter_values(repeat_n("", n_rows)))),
        DataType::List(element) => {
            let offsets = OffsetBuffer::from_lengths(repeat_n(0, n_rows));
            let values = new_empty_array(element.data_type());
            Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, None)?))
        }
        other => cast(&Int32Array::from(vec![0; n_rows]), other),
    }
}
