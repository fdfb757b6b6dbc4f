//! Deletion vectors: which rows of a file are deleted.
//!
//! A descriptor in the log points at a serialised 64-bit roaring bitmap: inline in the log (`i`), in
//! a file next to the table named by a UUID (`u`), or in a file with an absolute URL (`p`). Stored
//! form, all in one file with a version byte in front:
//!
//! ```text
//! offset ─▶ size (4, big endian) | magic (4, little endian) | bitmap | CRC-32 (4, big endian)
//!                                  └────────── size bytes ───────────┘
//! ```
//!
//! Source: Delta protocol, sections "Deletion Vectors" and "Deletion Vector Format".

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use roaring::RoaringTreemap;
use url::Url;
use uuid::Uuid;

use super::index::object_path;
use crate::{CatalogError, Result};

pub(super) mod write;

const MAGIC: u32 = 1_681_511_377;
const UUID_TEXT_BYTES: usize = 20;
const Z85_ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
/// A bitmap of a billion scattered rows is below this; a larger size is damage, not data.
const BYTES_MAX: i32 = 512 << 20;

/// Where the deleted rows of a file are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DeletionVector {
    pub(super) storage_type: String,
    pub(super) path_or_inline: String,
    pub(super) offset: Option<i32>,
    pub(super) size_bytes: i32,
    pub(super) cardinality: u64,
}

impl DeletionVector {
    /// Reads the vector and returns the rows that remain of a file of `n_rows` rows.
    pub(super) async fn load(
        &self,
        table: &str,
        table_url: &Url,
        store: &dyn ObjectStore,
        n_rows: u64,
    ) -> Result<RowSelection> {
        let bitmap = self.deleted_rows(table, table_url, store).await?;
        remaining_rows(&bitmap, n_rows).map_err(|what| self.damaged(table, &what))
    }

    fn damaged(&self, table: &str, what: &str) -> CatalogError {
        CatalogError::Corrupt {
            table: table.to_owned(),
            what: format!("deletion vector {}: {what}", self.path_or_inline),
            source: None,
        }
    }

    /// Reads the vector: the numbers of the rows that are deleted.
    pub(super) async fn deleted_rows(
        &self,
        table: &str,
        table_url: &Url,
        store: &dyn ObjectStore,
    ) -> Result<RoaringTreemap> {
        let damaged = |what: String| self.damaged(table, &what);
        if !(4..=BYTES_MAX).contains(&self.size_bytes) {
            return Err(damaged(format!("size of {} bytes", self.size_bytes)));
        }
        let bytes = match self.storage_type.as_str() {
            "i" => decode_z85(self.path_or_inline.as_bytes())
                .map(Bytes::from)
                .ok_or_else(|| damaged("not base85".to_owned()))?,
            "u" | "p" => {
                let file = self.file().ok_or_else(|| damaged("no UUID".into()))?;
                self.read(table, table_url, store, &file).await?
            }
            other => return Err(damaged(format!("storage type \"{other}\""))),
        };
        let bitmap = parse_bitmap(&bytes).map_err(damaged)?;
        if bitmap.len() != self.cardinality {
            return Err(damaged(format!(
                "{} rows, but the log says {}",
                bitmap.len(),
                self.cardinality
            )));
        }
        Ok(bitmap)
    }

    /// The file that holds the vector, as the log writes paths; `None` if it is in the log itself.
    pub(super) fn file(&self) -> Option<String> {
        match self.storage_type.as_str() {
            "u" => relative_path(&self.path_or_inline),
            "p" => Some(self.path_or_inline.clone()),
            _ => None,
        }
    }

    /// The magic number and the bitmap, checked against size and checksum.
    async fn read(
        &self,
        table: &str,
        table_url: &Url,
        store: &dyn ObjectStore,
        file: &str,
    ) -> Result<Bytes> {
        let path = object_path(table, table_url, file)?;
        let start = u64::from(self.offset.unwrap_or(1).unsigned_abs());
        let size = u64::from(self.size_bytes.unsigned_abs());
        let stored = store.get_range(&path, start..start + size + 8).await.map_err(|source| {
            CatalogError::Storage {
                what: format!("deletion vector {path} of table \"{table}\""),
                source: Box::new(source),
            }
        })?;
        let damaged = |what: &str| CatalogError::Corrupt {
            table: table.to_owned(),
            what: format!("deletion vector {path} at {start}: {what}"),
            source: None,
        };
        let mut rest = stored.as_ref();
        let stored_size = take_u32(&mut rest).map(u32::from_be_bytes);
        if stored_size != Some(self.size_bytes.unsigned_abs()) {
            return Err(damaged("its size differs from the log"));
        }
        let (body, mut tail) = rest
            .split_at_checked(usize::try_from(size).unwrap_or(usize::MAX))
            .ok_or_else(|| damaged("the file ends too early"))?;
        if take_u32(&mut tail).map(u32::from_be_bytes) != Some(crc32(body)) {
            return Err(damaged("its checksum is wrong"));
        }
        Ok(stored.slice_ref(body))
    }
}

fn take_u32(bytes: &mut &[u8]) -> Option<[u8; 4]> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(*head)
}

fn parse_bitmap(bytes: &[u8]) -> Result<RoaringTreemap, String> {
    let mut rest = bytes;
    match take_u32(&mut rest).map(u32::from_le_bytes) {
        Some(MAGIC) => {
            RoaringTreemap::deserialize_from(rest).map_err(|error| format!("bad bitmap: {error}"))
        }
        Some(other) => Err(format!("unknown form {other}")),
        None => Err("empty".to_owned()),
    }
}

/// The rows of a file of `n_rows` rows that are in the set, and no others.
pub(super) fn only_rows(rows: &RoaringTreemap, n_rows: u64) -> Result<RowSelection, String> {
    let mut others = RoaringTreemap::new();
    others.insert_range(0..n_rows);
    if rows.max().is_some_and(|last| last >= n_rows) {
        return Err(format!("names rows beyond the file's {n_rows}"));
    }
    others -= rows;
    remaining_rows(&others, n_rows)
}

/// Turns deleted rows into runs of rows to skip and to read that cover the file exactly.
pub(super) fn remaining_rows(
    deleted: &RoaringTreemap,
    n_rows: u64,
) -> Result<RowSelection, String> {
    if deleted.max().is_some_and(|last| last >= n_rows) {
        return Err(format!("deletes rows beyond the file's {n_rows}"));
    }
    let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
    let mut selectors = Vec::new();
    // Rows before `next` are covered; `run_start..next` is the run of deleted rows being collected.
    let (mut run_start, mut next) = (0_u64, 0_u64);
    for row in deleted {
        if row > next {
            if next > run_start {
                selectors.push(RowSelector::skip(count(next - run_start)));
            }
            selectors.push(RowSelector::select(count(row - next)));
            run_start = row;
        }
        next = row + 1;
    }
    if next > run_start {
        selectors.push(RowSelector::skip(count(next - run_start)));
    }
    if n_rows > next {
        selectors.push(RowSelector::select(count(n_rows - next)));
    }
    Ok(RowSelection::from(selectors))
}

/// `<prefix><base85 UUID>` -> `<prefix>/deletion_vector_<uuid>.bin`.
fn relative_path(encoded: &str) -> Option<String> {
    let split = encoded.len().checked_sub(UUID_TEXT_BYTES)?;
    let (prefix, text) = encoded.split_at_checked(split)?;
    let uuid = Uuid::from_slice(&decode_z85(text.as_bytes())?).ok()?;
    Some(if prefix.is_empty() {
        format!("deletion_vector_{uuid}.bin")
    } else {
        format!("{prefix}/deletion_vector_{uuid}.bin")
    })
}

/// Base85 in the alphabet of ZeroMQ (RFC 32/Z85): five characters hold four bytes.
fn decode_z85(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(5) {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len() / 5 * 4);
    for group in text.chunks_exact(5) {
        let mut value = 0_u64;
        for character in group {
            let digit = Z85_ALPHABET.iter().position(|candidate| candidate == character)?;
            value = value * 85 + u64::try_from(digit).ok()?;
        }
        decoded.extend_from_slice(&u32::try_from(value).ok()?.to_be_bytes());
    }
    Some(decoded)
}

/// The inverse of [`decode_z85`], for a whole number of groups.
pub(super) fn encode_z85(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 4 * 5);
    for group in bytes.chunks_exact(4) {
        let value = group.iter().fold(0_u32, |value, byte| (value << 8) | u32::from(*byte));
        for power in (0..5).rev() {
            let digit = usize::try_from(value / 85_u32.pow(power) % 85).unwrap_or_default();
            text.push(char::from(Z85_ALPHABET.get(digit).copied().unwrap_or(b'0')));
        }
    }
    text
}

/// CRC-32 as in zlib, a byte at a time by table.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0_u32; 256];
        let mut index = 0;
        while index < 256 {
            #[expect(clippy::cast_possible_truncation, reason = "index is below 256")]
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = (crc ^ u32::from(*byte)).to_le_bytes();
        TABLE.get(usize::from(low)).copied().unwrap_or_default() ^ (crc >> 8)
    });
    !crc
}

#[cfg(test)]
mod tests;
