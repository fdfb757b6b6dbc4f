//! Lists as arrays, structs as records.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, GenericListViewArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use bytes::{BufMut, BytesMut};
use tarn_catalog::pg_type;

use super::column::{Column, Encoder, typed};
use super::{EncodeError, EncodeSettings, Format, set_length};

/// PostgreSQL's limit on the dimensions of an array.
const DIMENSIONS_MAX: usize = 6;

/// Where the elements of each list are among all elements.
enum Ranges {
    Offsets(OffsetBuffer<i32>),
    LargeOffsets(OffsetBuffer<i64>),
    View(ScalarBuffer<i32>, ScalarBuffer<i32>),
    LargeView(ScalarBuffer<i64>, ScalarBuffer<i64>),
    Fixed(usize),
}

impl Ranges {
    fn get(&self, row: usize) -> Range<usize> {
        let narrow = |value: Option<&i32>| value.map_or(0, |v| usize::try_from(*v).unwrap_or(0));
        let wide = |value: Option<&i64>| value.map_or(0, |v| usize::try_from(*v).unwrap_or(0));
        match self {
            Self::Offsets(offsets) => narrow(offsets.get(row))..narrow(offsets.get(row + 1)),
            Self::LargeOffsets(offsets) => wide(offsets.get(row))..wide(offsets.get(row + 1)),
            Self::View(offsets, sizes) => {
                let start = narrow(offsets.get(row));
                start..start + narrow(sizes.get(row))
            }
            Self::LargeView(offsets, sizes) => {
                let start = wide(offsets.get(row));
                start..start + wide(sizes.get(row))
            }
            Self::Fixed(size) => row * size..(row + 1) * size,
        }
    }
}

/// One dimension of nested lists.
pub(super) struct Level {
    ranges: Ranges,
    nulls: Option<NullBuffer>,
}

impl Level {
    /// Takes a list array apart into its ranges and its elements.
    pub(super) fn new(array: &ArrayRef) -> Result<(Self, ArrayRef), EncodeError> {
        let (ranges, elements) = match array.data_type() {
            DataType::List(_) => {
                let list = typed::<GenericListArray<i32>>(array)?;
                (Ranges::Offsets(list.offsets().clone()), list.values().clone())
            }
            DataType::LargeList(_) => {
                let list = typed::<GenericListArray<i64>>(array)?;
                (Ranges::LargeOffsets(list.offsets().clone()), list.values().clone())
            }
            DataType::ListView(_) => {
                let list = typed::<GenericListViewArray<i32>>(array)?;
                let ranges = Ranges::View(list.offsets().clone(), list.sizes().clone());
                (ranges, list.values().clone())
            }
            DataType::LargeListView(_) => {
                let list = typed::<GenericListViewArray<i64>>(array)?;
                let ranges = Ranges::LargeView(list.offsets().clone(), list.sizes().clone());
                (ranges, list.values().clone())
            }
            DataType::FixedSizeList(_, size) => {
                let list = typed::<FixedSizeListArray>(array)?;
                (Ranges::Fixed(usize::try_from(*size).unwrap_or(0)), list.values().clone())
            }
            DataType::Map(_, _) => {
                let map = array.as_map_opt().ok_or(EncodeError::SchemaMismatch)?;
                let entries: ArrayRef = Arc::new(map.entries().clone());
                (Ranges::Offsets(map.offsets().clone()), entries)
            }
            _ => return Err(EncodeError::SchemaMismatch),
        };
        Ok((Self { ranges, nulls: array.logical_nulls() }, elements))
    }

    /// The elements of a row's list.
    pub(super) fn get(&self, row: usize) -> Range<usize> {
        self.ranges.get(row)
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| row < nulls.len() && nulls.is_null(row))
    }
}

/// The element type of arrays and of the vectors in system relations.
pub(super) fn element_of(oid: u32) -> Option<u32> {
    let info = pg_type::type_info(oid)?;
    (info.is_array() || is_vector(oid)).then_some(info.element)
}

/// `int2vector` and `oidvector` count from zero and have a text form of their own.
fn is_vector(oid: u32) -> bool {
    matches!(oid, 22 | 30)
}

/// The writer of an array of any number of dimensions.
struct ListEncoder {
    /// From the outermost dimension inwards; at least one.
    levels: Vec<Level>,
    elements: Column,
    element_oid: u32,
    /// Whether the text of elements may need quotes.
    quoted: bool,
    vector: bool,
}

/// Chooses the writer for lists.
pub(super) fn list(
    array: &ArrayRef,
    oid: u32,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError> {
    let (level, mut elements) = Level::new(array)?;
    let mut levels = vec![level];
    while elements.data_type().is_list() {
        let (level, inner) = Level::new(&elements)?;
        levels.push(level);
        elements = inner;
    }
    let element_oid = element_of(oid).unwrap_or_else(|| {
        let field = Field::new("", elements.data_type().clone(), true);
        pg_type::pg_type_of(&field).oid
    });
    let bare = elements.data_type().is_numeric() || *elements.data_type() == DataType::Boolean;
    let list = ListEncoder {
        levels,
        elements: Column::new(&elements, element_oid, format, settings)?,
        element_oid,
        quoted: !bare,
        vector: is_vector(oid),
    };
    Ok(match format {
        Format::Text if list.vector => {
            Box::new(move |row: usize, out: &mut BytesMut| list.put_vector(row, out))
        }
        Format::Text => Box::new(move |row: usize, out: &mut BytesMut| {
            if list.has_elements(0, row) {
                list.put_text(0, row, out)
            } else {
                out.extend_from_slice(b"{}");
                Ok(())
            }
        }),
        Format::Binary => Box::new(move |row: usize, out: &mut BytesMut| list.put_binary(row, out)),
    })
}

impl ListEncoder {
    /// Whether there is a value or NULL in any dimension; PostgreSQL has one empty array only.
    fn has_elements(&self, depth: usize, row: usize) -> bool {
        let Some(level) = self.levels.get(depth) else {
            return true;
        };
        let mut rows = level.get(row);
        let next = self.levels.get(depth + 1);
        rows.any(|row| {
            next.is_some_and(|next| next.is_null(row)) || self.has_elements(depth + 1, row)
        })
    }

    /// Appends `{1,NULL,"a b"}`, with braces inside braces for more dimensions.
    fn put_text(&self, depth: usize, row: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
        let Some(level) = self.levels.get(depth) else {
            return Err(EncodeError::SchemaMismatch);
        };
        let next = self.levels.get(depth + 1);
        let mut separator = b'{';
        for element in level.get(row) {
            out.put_u8(separator);
            separator = b',';
            let null = match next {
                Some(next) => next.is_null(element),
                None => self.elements.is_null(element),
            };
            if null {
                out.extend_from_slice(b"NULL");
            } else if next.is_some() {
                self.put_text(depth + 1, element, out)?;
            } else {
                let at = out.len();
                self.elements.encode_value(element, out)?;
                if self.quoted && array_needs_quotes(out.get(at..).unwrap_or_default()) {
                    quote_tail(out, at, |_| b'\\');
                }
            }
        }
        if separator == b'{' {
            out.put_u8(b'{');
        }
        out.put_u8(b'}');
        Ok(())
    }

    /// Appends `1 2 3`.
    fn put_vector(&self, row: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
        let Some(level) = self.levels.first() else {
            return Err(EncodeError::SchemaMismatch);
        };
        for (index, element) in level.get(row).enumerate() {
            if index > 0 {
                out.put_u8(b' ');
            }
            if self.elements.is_null(element) {
                out.put_u8(b'0');
            } else {
                self.elements.encode_value(element, out)?;
            }
        }
        Ok(())
    }

    /// Appends the dimensions and then the elements, each with its length.
    fn put_binary(&self, row: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
        if self.levels.len() > DIMENSIONS_MAX {
            return Err(EncodeError::RaggedArray);
        }
        let mut sizes = [0_usize; DIMENSIONS_MAX];
        self.measure(0, row, &mut sizes, &mut [false; DIMENSIONS_MAX])?;
        let sizes = sizes.get(..self.levels.len()).unwrap_or_default();
        // An empty vector has a dimension all the same.
        let empty = sizes.contains(&0) && !self.vector;
        let n_dimensions = if empty { 0 } else { i32::try_from(sizes.len()).unwrap_or(0) };
        out.put_i32(n_dimensions);
        let flags_at = out.len();
        out.put_i32(0);
        out.put_u32(self.element_oid);
        if empty {
            return Ok(());
        }
        for size in sizes {
            out.put_i32(i32::try_from(*size).map_err(|_| EncodeError::RowTooLarge)?);
            out.put_i32(i32::from(!self.vector));
        }
        if self.put_elements(0, row, out)? {
            // The flag that says that there are NULLs.
            set_length(out, flags_at, 1)?;
        }
        Ok(())
    }

    /// Finds the size of each dimension and that all lists of a dimension are of one size.
    fn measure(
        &self,
        depth: usize,
        row: usize,
        sizes: &mut [usize; DIMENSIONS_MAX],
        seen: &mut [bool; DIMENSIONS_MAX],
    ) -> Result<(), EncodeError> {
        let Some(level) = self.levels.get(depth) else {
            return Ok(());
        };
        let rows = level.get(row);
        let (Some(size), Some(seen_before)) = (sizes.get_mut(depth), seen.get_mut(depth)) else {
            return Err(EncodeError::RaggedArray);
        };
        if *seen_before && *size != rows.len() {
            return Err(EncodeError::RaggedArray);
        }
        *size = rows.len();
        *seen_before = true;
        let Some(next) = self.levels.get(depth + 1) else {
            return Ok(());
        };
        for row in rows {
            if next.is_null(row) {
                return Err(EncodeError::RaggedArray);
            }
            self.measure(depth + 1, row, sizes, seen)?;
        }
        Ok(())
    }

    /// Appends the elements in order and says whether any was NULL.
    fn put_elements(
        &self,
        depth: usize,
        row: usize,
        out: &mut BytesMut,
    ) -> Result<bool, EncodeError> {
        let Some(level) = self.levels.get(depth) else {
            return Err(EncodeError::SchemaMismatch);
        };
        let last = depth + 1 == self.levels.len();
        let mut any_null = false;
        for element in level.get(row) {
            if last {
                any_null |= self.elements.is_null(element);
                self.elements.encode(element, out)?;
            } else {
                any_null |= self.put_elements(depth + 1, element, out)?;
            }
        }
        Ok(any_null)
    }
}

/// What PostgreSQL takes for white space in arrays and records.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn array_needs_quotes(text: &[u8]) -> bool {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(*byte);
    text.is_empty() || text.iter().any(special) || text.eq_ignore_ascii_case(b"null")
}

fn record_needs_quotes(text: &[u8]) -> bool {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'(' | b')' | b',') || is_space(*byte);
    text.is_empty() || text.iter().any(special)
}

/// Puts what was written last in quotes, with a byte before each quote and backslash in it.
///
/// Works from the back in place, so that values need no buffer of their own.
fn quote_tail(out: &mut BytesMut, at: usize, escape: impl Fn(u8) -> u8) {
    let special = |byte: &&u8| matches!(**byte, b'"' | b'\\');
    let tail = out.get(at..).unwrap_or_default();
    let (length, n_special) = (tail.len(), tail.iter().filter(special).count());
    out.put_bytes(0, n_special + 2);
    let Some(place) = out.get_mut(at..) else {
        return;
    };
    let mut write_at = place.len();
    let mut put = |place: &mut [u8], byte: u8| {
        write_at -= 1;
        if let Some(slot) = place.get_mut(write_at) {
            *slot = byte;
        }
    };
    put(place, b'"');
    for read_at in (0..length).rev() {
        let byte = place.get(read_at).copied().unwrap_or(0);
        put(place, byte);
        if special(&&byte) {
            put(place, escape(byte));
        }
    }
    put(place, b'"');
}

/// Chooses the writer for structs.
pub(super) fn record(
    array: &ArrayRef,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Encoder, EncodeError> {
    let record = array.as_struct_opt().ok_or(EncodeError::SchemaMismatch)?;
    let n_fields = i32::try_from(record.num_columns()).map_err(|_| EncodeError::TooManyColumns)?;
    let fields = record.fields().iter().zip(record.columns());
    let fields = fields.map(|(field, values)| {
        let oid = pg_type::pg_type_of(field).oid;
        Ok((oid, Column::new(values, oid, format, settings)?))
    });
    let fields = fields.collect::<Result<Vec<_>, EncodeError>>()?;
    Ok(match format {
        Format::Text => Box::new(move |row: usize, out: &mut BytesMut| {
            out.put_u8(b'(');
            for (index, (_, column)) in fields.iter().enumerate() {
                if index > 0 {
                    out.put_u8(b',');
                }
                if column.is_null(row) {
                    continue;
                }
                let at = out.len();
                column.encode_value(row, out)?;
                if record_needs_quotes(out.get(at..).unwrap_or_default()) {
                    quote_tail(out, at, |byte| byte);
                }
            }
            out.put_u8(b')');
            Ok(())
        }),
        Format::Binary => Box::new(move |row: usize, out: &mut BytesMut| {
            out.put_i32(n_fields);
            for (oid, column) in &fields {
                out.put_u32(*oid);
                column.encode(row, out)?;
            }
            Ok(())
        }),
    })
}
