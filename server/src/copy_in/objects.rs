//! Cuts JSON that is copied into pieces of whole objects.
//!
//! ```text
//! {"a": 1}\n{"a": 2}\n          lines are whole objects
//! [{"a": 1},\n {"a": 2}]        so are the elements of an array: its own signs become spaces
//! ```
//! A line that begins with a brace begins an object, whatever is before it: so one that is broken
//! takes no other one with it.

use bytes::Bytes;
use tarn_planner::statement::CopyOptions;

use super::chunks::{Chunk, Chunker};

/// Cuts what is copied, whatever its format.
#[derive(Debug)]
pub(super) enum Cutter {
    /// Text and CSV.
    Lines(Chunker),
    /// JSON.
    Objects(ObjectChunker),
}

impl Cutter {
    pub(super) fn new(options: &CopyOptions, is_json: bool, n_bytes_chunk: usize) -> Self {
        match is_json {
            true => Self::Objects(ObjectChunker::new(n_bytes_chunk)),
            false => Self::Lines(Chunker::new(options, n_bytes_chunk)),
        }
    }

    /// Bytes that wait.
    pub(super) fn n_bytes(&self) -> usize {
        match self {
            Self::Lines(chunker) => chunker.n_bytes(),
            Self::Objects(chunker) => chunker.bytes.len(),
        }
    }

    /// Takes more bytes and gives what is whole, if it is enough.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<Chunk> {
        match self {
            Self::Lines(chunker) => chunker.push(bytes),
            Self::Objects(chunker) => chunker.push(bytes),
        }
    }

    /// Gives what is left.
    pub(super) fn finish(&mut self) -> Option<Chunk> {
        match self {
            Self::Lines(chunker) => chunker.finish(),
            Self::Objects(chunker) => chunker.finish(),
        }
    }
}

/// Whether the objects are elements of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Array {
    /// Nothing has come yet that says so.
    Unknown,
    Inside,
    /// They are not, or it is closed.
    None,
}

/// Cuts JSON that arrives in pieces.
#[derive(Debug)]
pub(super) struct ObjectChunker {
    /// Bytes of a chunk, unless an object is longer.
    n_bytes_chunk: usize,
    bytes: Vec<u8>,
    n_scanned: usize,
    /// Where the object begins that is not whole yet.
    whole_end: usize,
    /// Line ends before `bytes`.
    n_lines_before: u64,
    is_first: bool,
    scan: Scan,
}

/// Where in an object the next byte is.
#[derive(Debug)]
struct Scan {
    array: Array,
    /// Brackets that are open.
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    begins_line: bool,
}

/// What a byte says of the place where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Border {
    None,
    /// An object begins with it.
    Before,
    /// An object ends with it.
    AfterObject,
    /// A line ends with it, between objects.
    AfterLine,
}

impl ObjectChunker {
    fn new(n_bytes_chunk: usize) -> Self {
        let scan = Scan {
            array: Array::Unknown,
            depth: 0,
            in_string: false,
            is_escaped: false,
            begins_line: true,
        };
        Self {
            n_bytes_chunk,
            bytes: Vec::new(),
            n_scanned: 0,
            whole_end: 0,
            n_lines_before: 0,
            is_first: true,
            scan,
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Option<Chunk> {
        self.bytes.extend_from_slice(bytes);
        for (at, byte) in self.bytes.iter_mut().enumerate().skip(self.n_scanned) {
            match self.scan.step(byte) {
                Border::None => {}
                Border::Before => self.whole_end = at,
                Border::AfterLine => self.whole_end = at + 1,
                // What is behind an object on its line belongs to it, but memory has its bounds.
                Border::AfterObject => {
                    let is_long = at - self.whole_end >= self.n_bytes_chunk;
                    if is_long || self.scan.array == Array::Inside {
                        self.whole_end = at + 1;
                    }
                }
            }
        }
        self.n_scanned = self.bytes.len();
        (self.whole_end >= self.n_bytes_chunk).then(|| self.cut(self.whole_end))
    }

    fn finish(&mut self) -> Option<Chunk> {
        if std::mem::replace(&mut self.scan.array, Array::None) == Array::Inside {
            // The array is cut off: this is what its reader will stumble over.
            self.bytes.push(b'[');
        }
        let end = self.bytes.len();
        (end > 0).then(|| self.cut(end))
    }

    fn cut(&mut self, at: usize) -> Chunk {
        let rest = self.bytes.split_off(at.min(self.bytes.len()));
        let bytes = Bytes::from(std::mem::replace(&mut self.bytes, rest));
        let n_lines_before = self.n_lines_before;
        self.n_lines_before += n_line_ends(&bytes);
        self.n_scanned = self.bytes.len();
        self.whole_end = 0;
        Chunk { bytes, n_lines_before, is_first: std::mem::take(&mut self.is_first), fault: None }
    }
}

impl Scan {
    /// Takes the next byte, which becomes a space where it is no part of an object.
    fn step(&mut self, byte: &mut u8) -> Border {
        let begins_line = std::mem::replace(&mut self.begins_line, *byte == b'\n');
        if begins_line && *byte == b'{' {
            self.array = if self.array == Array::Unknown { Array::None } else { self.array };
            (self.depth, self.in_string, self.is_escaped) = (1, false, false);
            return Border::Before;
        }
        if *byte == b'\n' {
            // No string holds a line end.
            (self.in_string, self.is_escaped) = (false, false);
            return if self.depth == 0 { Border::AfterLine } else { Border::None };
        }
        if self.in_string {
            self.in_string = self.is_escaped || *byte != b'"';
            self.is_escaped = !self.is_escaped && *byte == b'\\';
            return Border::None;
        }
        if self.array == Array::Unknown && !byte.is_ascii_whitespace() {
            // A byte order mark may stand before the first object.
            if b"\xef\xbb\xbf".contains(byte) {
                *byte = b' ';
                return Border::None;
            }
            if *byte == b'[' {
                *byte = b' ';
                self.array = Array::Inside;
                return Border::None;
            }
            self.array = Array::None;
        }
        self.structure(byte)
    }

    fn structure(&mut self, byte: &mut u8) -> Border {
        let is_inside = self.array == Array::Inside;
        match *byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                if self.depth == 0 {
                    return Border::AfterObject;
                }
            }
            b']' if is_inside => {
                *byte = b' ';
                self.array = Array::None;
            }
            b',' if is_inside && self.depth == 0 => *byte = b' ',
            _ => {}
        }
        Border::None
    }
}

/// The line ends in some bytes.
pub(super) fn n_line_ends(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).fold(0, |n, _| n + 1)
}

#[cfg(test)]
mod tests;
