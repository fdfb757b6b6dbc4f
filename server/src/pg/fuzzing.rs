//! What a fuzzer calls: everything that reads bytes of a client before its statement runs.
//!
//! Each function takes arbitrary bytes and returns a word for what became of them, so that a
//! fuzzer without instrumentation knows inputs that do something new. None may panic, and none may
//! take more memory than its input explains.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use bytes::BytesMut;
use datafusion::scalar::ScalarValue;
use tarn_planner::statement::{Columns, CopyErrors, CopyFormat, CopyOptions, Header};

use super::copy_reader::CopyReader;
use super::params::decode_parameter_in;
use super::rows::{EncodeSettings, Format, RowEncoder};
use super::wire::{Received, decode};
use super::{frame, startup};
use crate::copy_in::chunks::Chunker;
use crate::copy_in::lines::LineReader;
use crate::tls::common_name;
use tarn_planner::calendar::Zone;

/// Reads messages until there is none, as a connection does.
#[must_use]
pub fn messages(bytes: &[u8]) -> String {
    let mut input = BytesMut::from(bytes);
    let mut seen = String::new();
    loop {
        match decode(&mut input) {
            Ok(Some(Received::Message(message))) => {
                let text = format!("{message:?}");
                seen.extend(text.chars().take_while(char::is_ascii_alphanumeric));
            }
            Ok(Some(Received::Malformed(kind, error))) => {
                seen.push_str(&format!("{kind}:{}", error.sqlstate()));
            }
            Ok(None) => return seen,
            Err(error) => return format!("{seen}!{}", error.sqlstate()),
        }
    }
}

/// Reads the first packet of a connection.
#[must_use]
pub fn startup_packet(bytes: &[u8]) -> String {
    match startup::read_packet_for_fuzzing(bytes) {
        Ok(names) => names,
        Err(error) => error.to_string().chars().filter(char::is_ascii_alphabetic).collect(),
    }
}

/// Reads what a client answers to the offer of SCRAM, and the certificate that it shows.
#[must_use]
pub fn credentials(bytes: &[u8]) -> String {
    let name = common_name(bytes).map_or(0, |name| name.len());
    let outcome = match frame::password_length(bytes) {
        Ok(None) => "incomplete".to_owned(),
        Ok(Some(length)) => {
            let body = bytes.get(5..length + 1).unwrap_or_default();
            startup::read_answer_for_fuzzing(body)
        }
        Err(error) => error.sqlstate().to_owned(),
    };
    format!("{outcome} {name}")
}

/// The types whose values are read: every one that a parameter can be declared as.
pub const PARAMETER_OIDS: &[u32] = &[
    16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 600, 650, 700, 701, 790, 829, 869, 1000, 1001,
    1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1042, 1043, 1082, 1083, 1114, 1115, 1182, 1183,
    1184, 1185, 1186, 1187, 1231, 1266, 1270, 1560, 1562, 1700, 2201, 2205, 2206, 2249, 2278, 2950,
    2951, 3614, 3802, 3807, 3904, 3926,
];

/// Reads a value of a type in text or binary form, and writes what was read in both forms.
#[must_use]
pub fn parameter(oid: u32, binary: bool, bytes: &[u8]) -> String {
    let format = if binary { Format::Binary } else { Format::Text };
    match decode_parameter_in(oid, format, Some(bytes), &Zone::UTC) {
        Ok(value) => format!("{} {}", value.data_type(), written(&value)),
        Err(error) => format!("{} {}", error.code, error.message.len()),
    }
}

/// Writes a value as a row of one column.
fn written(value: &ScalarValue) -> String {
    let Ok(column) = value.to_array() else { return "no array".to_owned() };
    let field = Field::new("a", column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field]));
    let Ok(batch) = RecordBatch::try_new(Arc::clone(&schema), vec![column]) else {
        return "no batch".to_owned();
    };
    let write = |format: Format| {
        let mut out = BytesMut::new();
        let encoder = RowEncoder::try_new(&schema, &[format], &EncodeSettings::default());
        match encoder.and_then(|encoder| encoder.encode(&batch, 0..1, &mut out)) {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.sqlstate().to_owned(),
        }
    };
    format!("{} {}", write(Format::Text), write(Format::Binary))
}

/// The forms of COPY data that [`copy_data`] reads.
pub const N_COPY_FORMS: usize = 5;

/// Reads data of a COPY that arrives in two pieces.
#[must_use]
pub fn copy_data(form: usize, bytes: &[u8]) -> String {
    let (format, header, escape) = match form {
        0 => (CopyFormat::Text, Header::Off, b'\\'),
        1 => (CopyFormat::Csv, Header::Off, b'"'),
        2 => (CopyFormat::Csv, Header::Match, b'\\'),
        3 => (CopyFormat::Text, Header::On, b'\\'),
        _ => (CopyFormat::Binary, Header::Off, b'"'),
    };
    let named = || Columns::Named(vec!["b".to_owned()]);
    let options = CopyOptions {
        format,
        delimiter: if format == CopyFormat::Csv { b',' } else { b'\t' },
        null: if format == CopyFormat::Csv { String::new() } else { "\\N".to_owned() },
        header,
        quote: b'"',
        escape,
        force_quote: named(),
        force_not_null: named(),
        force_null: Columns::All,
        errors: CopyErrors::default(),
    };
    let fields =
        vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)];
    let schema = Arc::new(Schema::new(fields));
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let read = if format == CopyFormat::Binary {
        let mut reader = CopyReader::of(schema, Zone::UTC);
        let read = reader.push(first).and_then(|()| reader.push(second));
        read.and_then(|()| reader.finish())
    } else {
        let mut chunker = Chunker::new(&options, 8);
        let mut chunks: Vec<_> = [first, second].iter().filter_map(|b| chunker.push(b)).collect();
        chunks.extend(chunker.finish());
        let reader = LineReader::new("t", schema, options, Zone::UTC);
        let read: Result<Vec<_>, _> = chunks.iter().map(|chunk| reader.read(chunk)).collect();
        read.map(|batches| batches.concat())
    };
    match read {
        Ok(batches) => format!("{}", batches.iter().map(RecordBatch::num_rows).sum::<usize>()),
        Err(error) => format!("{} {}", error.sqlstate(), error.to_string().len()),
    }
}
