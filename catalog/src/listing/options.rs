//! How the files of a table are written, where its definition says so: OPTIONS of CREATE TABLE.
//!
//! What is not said is found out from the files, as for tables that a discovery finds.

use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format as CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::discovery::Format;
use crate::{CatalogError, Result};

/// The options of tables of delimited text, with those of the other programs that have them.
const CSV_OPTIONS: &str = "header, delimiter (or sep), quote, escape, null (or nullvalue), comment, \
                           compression";
/// The options of tables of JSON.
const JSON_OPTIONS: &str = "compression";

/// How the files of a table are written, as far as its definition says.
///
/// An option that is not known is refused when it is read back: a server that ignored it would
/// read other rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FileOptions {
    /// Whether the first line holds the names of the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The character between values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<u8>,
    /// The character around values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<u8>,
    /// The character before a quote inside of quotes; a doubled quote is one as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<u8>,
    /// The character that begins a line which is no row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<u8>,
    /// The text that stands for NULL, instead of the empty one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null: Option<String>,
    /// How the files are packed, whatever their names say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl FileOptions {
    /// Reads OPTIONS of a table of this format.
    ///
    /// # Errors
    /// `InvalidFileOption` for names that are not known or given twice, for values that they do not
    /// take, and for characters that contradict each other.
    pub fn of_pairs(format: Format, pairs: &[(String, String)]) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in pairs {
            let folded = name.to_ascii_lowercase();
            let is_new = match (format, folded.as_str()) {
                (Format::Csv, "header") => set(&mut options.header, boolean(name, value)?),
                (Format::Csv, "delimiter" | "sep") => {
                    set(&mut options.delimiter, character(name, value)?)
                }
                (Format::Csv, "quote") => set(&mut options.quote, character(name, value)?),
                (Format::Csv, "escape") => set(&mut options.escape, character(name, value)?),
                (Format::Csv, "comment") => set(&mut options.comment, character(name, value)?),
                (Format::Csv, "null" | "nullvalue") => set(&mut options.null, value.clone()),
                (Format::Csv | Format::Json, "compression") => {
                    options.compression_of(name, value)?
                }
                _ => return Err(unknown(format, name)),
            };
            if !is_new {
                return Err(invalid(name, "it is given twice".to_owned()));
            }
        }
        options.check()?;
        Ok(options)
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn compression_of(&mut self, name: &str, value: &str) -> Result<bool> {
        let compression = match value.to_ascii_lowercase().as_str() {
            // What the names of the files say.
            "auto" => return Ok(self.compression.is_none()),
            "none" | "uncompressed" => Compression::None,
            "gzip" | "gz" => Compression::Gzip,
            "zstd" | "zst" => Compression::Zstd,
            "bzip2" | "bz2" => Compression::Bzip2,
            "xz" => Compression::Xz,
            _ => {
                let reason =
                    format!("\"{value}\" is not one of auto, none, gzip, zstd, bzip2 and xz");
                return Err(invalid(name, reason));
            }
        };
        Ok(set(&mut self.compression, compression))
    }

    /// One character cannot mean two things.
    fn check(&self) -> Result<()> {
        let delimiter = ("delimiter", self.delimiter);
        let (quote, comment) = (("quote", Some(self.quote_byte())), ("comment", self.comment));
        let escape = ("escape", self.escape);
        for (one, other) in [
            (delimiter, quote),
            (delimiter, escape),
            (delimiter, comment),
            (quote, comment),
            (escape, comment),
        ] {
            if one.1.is_some() && one.1 == other.1 {
                let reason = format!("it is the same character as {}", other.0);
                return Err(invalid(one.0, reason));
            }
        }
        Ok(())
    }

    /// The character around values.
    pub(super) fn quote_byte(&self) -> u8 {
        self.quote.unwrap_or(b'"')
    }

    /// The character before a quote, where it is not the quote itself, which needs no saying.
    pub(super) fn escape_byte(&self) -> Option<u8> {
        self.escape.filter(|escape| *escape != self.quote_byte())
    }

    /// How a file of this name is packed.
    pub(super) fn compression_of_file(&self, name: &str) -> FileCompressionType {
        match self.compression {
            Some(Compression::None) => FileCompressionType::UNCOMPRESSED,
            Some(Compression::Gzip) => FileCompressionType::GZIP,
            Some(Compression::Zstd) => FileCompressionType::ZSTD,
            Some(Compression::Bzip2) => FileCompressionType::BZIP2,
            Some(Compression::Xz) => FileCompressionType::XZ,
            None if name.ends_with(".gz") => FileCompressionType::GZIP,
            None if name.ends_with(".zst") => FileCompressionType::ZSTD,
            None => FileCompressionType::UNCOMPRESSED,
        }
    }

    /// Which texts are NULL, where it is not the empty one.
    fn null_pattern(&self) -> Option<Regex> {
        // An escaped text is a pattern whatever it holds.
        let text = self.null.as_ref().filter(|text| !text.is_empty())?;
        Regex::new(&format!("^(?:{})$", regex::escape(text))).ok()
    }

    /// The form in which columns are guessed; lines of comments have been taken out before.
    pub(super) fn sample_format(&self, delimiter: u8, header: bool) -> CsvFormat {
        let mut format = CsvFormat::default()
            .with_delimiter(delimiter)
            .with_header(header)
            .with_quote(self.quote_byte());
        if let Some(escape) = self.escape_byte() {
            format = format.with_escape(escape);
        }
        match self.null_pattern() {
            Some(pattern) => format.with_null_regex(pattern),
            None => format,
        }
    }

    /// Tells a reader.
    pub(super) fn apply(&self, mut reader: ReaderBuilder) -> ReaderBuilder {
        reader = reader.with_quote(self.quote_byte());
        if let Some(escape) = self.escape_byte() {
            reader = reader.with_escape(escape);
        }
        if let Some(comment) = self.comment {
            reader = reader.with_comment(comment);
        }
        match self.null_pattern() {
            Some(pattern) => reader.with_null_regex(pattern),
            None => reader,
        }
    }
}

/// Whether it was not set before.
fn set<T>(place: &mut Option<T>, value: T) -> bool {
    place.replace(value).is_none()
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err(invalid(name, format!("\"{value}\" is neither true nor false"))),
    }
}

/// One character of ASCII; `\t` is a tabulator, as other programs write it.
fn character(name: &str, value: &str) -> Result<u8> {
    let byte = match value.as_bytes() {
        b"\\t" => Some(b'\t'),
        [byte] if byte.is_ascii() && !b"\r\n\0".contains(byte) => Some(*byte),
        _ => None,
    };
    byte.ok_or_else(|| invalid(name, format!("\"{value}\" is not one character of ASCII")))
}

fn unknown(format: Format, name: &str) -> CatalogError {
    let reason = match format {
        Format::Csv => format!("a csv table has {CSV_OPTIONS}"),
        Format::Json => format!("a json table has {JSON_OPTIONS}"),
        Format::Parquet => "a parquet table has no options, its files say all of it".to_owned(),
        Format::Delta => "a Delta table has TBLPROPERTIES instead of options".to_owned(),
    };
    invalid(name, reason)
}

fn invalid(name: &str, reason: String) -> CatalogError {
    CatalogError::InvalidFileOption { name: name.to_owned(), reason }
}
