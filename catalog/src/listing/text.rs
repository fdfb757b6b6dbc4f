//! Delimited text and JSON: bytes, and what a sample of them says about columns.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use ::object_store::{ObjectMeta, ObjectStore};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::reader::infer_json_schema_from_iterator;
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::footers::read_range;
use super::options::FileOptions;

/// All samples of a table together may take about this much reading.
const SAMPLES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How much of each of `n_files` files is looked at.
pub(super) fn sample_bytes(n_files: usize) -> usize {
    (SAMPLES_BYTES_MAX / n_files.max(1)).clamp(64 * 1024, 4 * 1024 * 1024)
}

/// How a delimited text is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CsvLayout {
    /// The columns in the order of the file.
    pub(super) schema: SchemaRef,
    /// Whether the first line holds the names.
    pub(super) header: bool,
    /// The byte between values.
    pub(super) delimiter: u8,
}

/// The beginning of a text.
#[derive(Debug)]
pub(super) struct Sample {
    bytes: Vec<u8>,
    complete: bool,
}

/// The content of a file in order, decompressed.
///
/// It is read in ranges of `chunk_bytes`, two at a time, so that a slow reader holds no connection
/// open and each request can be checked against the tag of the file that was listed.
pub(super) fn content(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    chunk_bytes: u64,
    options: &FileOptions,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let starts = (0..file.size).step_by(usize::try_from(chunk_bytes).unwrap_or(usize::MAX).max(1));
    let (store, file) = (Arc::clone(store), file.clone());
    let name = file.location.as_ref().to_ascii_lowercase();
    let size = file.size;
    let read = move |start: u64| {
        let (store, file) = (Arc::clone(&store), file.clone());
        let range = start..size.min(start.saturating_add(chunk_bytes));
        async move { read_range(&store, &file, range).await.map_err(DataFusionError::from) }
    };
    let chunks = futures::stream::iter(starts).map(read).buffered(2).boxed();
    options.compression_of_file(&name).convert_stream(chunks)
}

/// Reads the first `bytes_max` bytes or a little more.
pub(super) async fn sample(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    bytes_max: usize,
    options: &FileOptions,
) -> Result<Sample> {
    let chunk_bytes = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut chunks = content(store, file, chunk_bytes, options)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= bytes_max {
            let complete = chunks.try_next().await?.is_none();
            return Ok(Sample { bytes, complete });
        }
    }
    Ok(Sample { bytes, complete: true })
}

/// Guesses column types, and delimiter and header where the options do not say them.
///
/// Lines that do not fit the others are left to the scan, which names them; then all columns are
/// text.
pub(super) fn csv_layout(sample: &Sample, path: &str, options: &FileOptions) -> Result<CsvLayout> {
    let bytes = sample.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&sample.bytes);
    let bytes = if sample.complete { bytes } else { whole_lines(bytes, options) };
    let bytes = &*without_comments(bytes, options);
    let delimiter = options.delimiter.unwrap_or_else(|| delimiter(bytes, path, options));
    let first_line = bytes.get(..first_line_end(bytes, options)).unwrap_or_default();
    let infer = |bytes: &[u8], header: bool| {
        let format = options.sample_format(delimiter, header);
        format.infer_schema(bytes, None).map(|(schema, _)| schema)
    };
    let first = infer(first_line, false)?;
    let below = infer(bytes, true);
    let sniffed = || below.as_ref().map_or(true, |below| is_header(&first, below));
    let header = options.header.unwrap_or_else(sniffed);
    let typed = if header { below } else { infer(bytes, false) };
    let named = if header { infer(first_line, true)? } else { first };
    let mut taken = HashSet::new();
    let fields = named.fields().iter().enumerate().map(|(index, field)| {
        let data_type = match &typed {
            Ok(typed) => {
                typed.fields().get(index).map_or(DataType::Utf8, |f| f.data_type().clone())
            }
            Err(_) => DataType::Utf8,
        };
        Field::new(column_name(field.name(), header, index, &mut taken), data_type, true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    if schema.fields().is_empty() {
        return Err(DataFusionError::Execution("it is empty or has no columns".into()));
    }
    Ok(CsvLayout { schema, header, delimiter })
}

/// A first line is data when the columns below are not all text and it is of their types.
fn is_header(first: &Schema, below: &Schema) -> bool {
    let mut typed = false;
    for (first, below) in first.fields().iter().zip(below.fields()) {
        match (first.data_type(), below.data_type()) {
            (_, DataType::Utf8 | DataType::Null) => {}
            (DataType::Null, _) => {}
            (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => {
                typed = true
            }
            (a, b) if a == b => typed = true,
            (DataType::Timestamp(..), DataType::Timestamp(..)) => typed = true,
            _ => return true,
        }
    }
    !typed
}

fn column_name(raw: &str, header: bool, index: usize, taken: &mut HashSet<String>) -> String {
    let raw = raw.trim();
    let own = match raw {
        _ if !header => format!("column_{}", index + 1),
        "" => format!("column_{}", index + 1),
        name => name.to_owned(),
    };
    let numbered = (2..).map(|n| format!("{own}_{n}"));
    let free = std::iter::once(own.clone()).chain(numbered).find(|name| !taken.contains(name));
    let name = free.unwrap_or(own);
    taken.insert(name.clone());
    name
}

/// The candidate that splits the first lines into the most columns, equally many in each.
fn delimiter(bytes: &[u8], path: &str, options: &FileOptions) -> u8 {
    const LINES_COMPARED: usize = 20;
    let lower = path.to_ascii_lowercase();
    if lower.trim_end_matches(".gz").trim_end_matches(".zst").ends_with(".tsv") {
        return b'\t';
    }
    let score = |delimiter: u8| {
        let mut counts = Vec::new();
        let mut rest = bytes;
        while counts.len() < LINES_COMPARED && !rest.is_empty() {
            let (line, after) = rest.split_at(first_line_end(rest, options));
            rest = after;
            if !line.trim_ascii().is_empty() {
                counts.push(count_outside_quotes(line, delimiter, options));
            }
        }
        let first = counts.first().copied().unwrap_or_default();
        let steady = counts.iter().all(|count| *count == first);
        (first > 0, steady, first)
    };
    // The comma is last: of equals the last one wins.
    b"|\t;,".iter().copied().max_by_key(|delimiter| score(*delimiter)).unwrap_or(b',')
}

fn count_outside_quotes(line: &[u8], wanted: u8, options: &FileOptions) -> usize {
    let mut quoting = Quoting::new(options);
    line.iter().filter(|byte| quoting.is_outside(**byte) && **byte == wanted).count()
}

/// Where the first line ends, its line feed included.
fn first_line_end(bytes: &[u8], options: &FileOptions) -> usize {
    let mut quoting = Quoting::new(options);
    let mut at = bytes.iter();
    match at.position(|byte| quoting.is_outside(*byte) && *byte == b'\n') {
        Some(index) => index + 1,
        None => bytes.len(),
    }
}

/// Cuts off a last line that is not whole.
fn whole_lines<'a>(bytes: &'a [u8], options: &FileOptions) -> &'a [u8] {
    let mut quoting = Quoting::new(options);
    let mut end = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if quoting.is_outside(*byte) && *byte == b'\n' {
            end = index + 1;
        }
    }
    bytes.get(..end).filter(|lines| !lines.is_empty()).unwrap_or(bytes)
}

/// Takes out the lines that begin with the character of comments.
fn without_comments<'a>(bytes: &'a [u8], options: &FileOptions) -> Cow<'a, [u8]> {
    let Some(comment) = options.comment else { return Cow::Borrowed(bytes) };
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let is_comment = *first == comment;
        // Quotes mean nothing in a comment.
        let end = match is_comment {
            true => rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1),
            false => first_line_end(rest, options),
        };
        let (line, after) = rest.split_at(end);
        rest = after;
        if !is_comment {
            kept.extend_from_slice(line);
        }
    }
    Cow::Owned(kept)
}

/// Follows where values are inside of quotes.
struct Quoting {
    quote: u8,
    escape: Option<u8>,
    inside: bool,
    escaped: bool,
}

impl Quoting {
    fn new(options: &FileOptions) -> Self {
        let (quote, escape) = (options.quote_byte(), options.escape_byte());
        Self { quote, escape, inside: false, escaped: false }
    }

    /// Whether the next byte is outside of quotes.
    fn is_outside(&mut self, byte: u8) -> bool {
        if self.escaped {
            self.escaped = false;
        } else if self.inside && Some(byte) == self.escape {
            self.escaped = true;
        } else {
            self.inside ^= byte == self.quote;
        }
        !self.inside
    }
}

/// Guesses columns from JSON objects, one after another or in one array, in order of appearance.
pub(super) fn json_schema(sample: &Sample) -> Result<SchemaRef> {
    let mut bytes = sample.bytes.clone();
    ArrayOpener::default().open(&mut bytes);
    let objects = serde_json::Deserializer::from_slice(&bytes).into_iter::<Object>();
    let mut places: HashMap<String, usize> = HashMap::new();
    // The end of a sample may cut a value into halves.
    let whole = objects.take_while(|object| sample.complete || object.is_ok());
    let schema = infer_json_schema_from_iterator(whole.map(|object| {
        let object = object.map_err(|e| ArrowError::JsonError(e.to_string()))?;
        for (key, _) in &object.0 {
            if !places.contains_key(key) {
                places.insert(key.clone(), places.len());
            }
        }
        Ok(Value::Object(object.0.into_iter().collect()))
    }))?;
    if schema.fields().is_empty() {
        return Err(DataFusionError::Execution("it is empty or has no columns".into()));
    }
    let mut fields = schema.fields().to_vec();
    fields.sort_by_key(|field| places.get(field.name()).copied());
    Ok(Arc::new(Schema::new(fields)))
}

/// A JSON object that remembers the order of its keys.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Object, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Turns the elements of a top-level array into values one after another, in place.
///
/// ```text
/// [ {"a": 1},\n {"a": [2, 3]} ]   ->     {"a": 1} \n {"a": [2, 3]}
/// ```
/// Text that does not start with a bracket stays as it is.
#[derive(Debug, Default)]
pub(super) struct ArrayOpener {
    state: ArrayState,
    depth: usize,
    quoted: bool,
    escaped: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum ArrayState {
    #[default]
    Start,
    Inside,
    Plain,
}

impl ArrayOpener {
    /// Works on the next piece of the text.
    pub(super) fn open(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            match self.state {
                ArrayState::Plain => return,
                ArrayState::Start if byte.is_ascii_whitespace() => {}
                // A byte order mark may stand before the first value.
                ArrayState::Start if b"\xef\xbb\xbf".contains(byte) => *byte = b' ',
                ArrayState::Start if *byte == b'[' => {
                    *byte = b' ';
                    self.state = ArrayState::Inside;
                }
                ArrayState::Start => self.state = ArrayState::Plain,
                ArrayState::Inside => self.inside(byte),
            }
        }
    }

    fn inside(&mut self, byte: &mut u8) {
        if self.quoted {
            self.quoted = self.escaped || *byte != b'"';
            self.escaped = !self.escaped && *byte == b'\\';
            return;
        }
        match *byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => self.depth -= 1,
            b',' if self.depth == 0 => *byte = b' ',
            b']' => {
                *byte = b' ';
                self.state = ArrayState::Plain;
            }
            _ => {}
        }
    }
}
