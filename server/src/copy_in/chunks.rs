//! Cuts what is copied into pieces of whole lines, which can be read side by side.

use bytes::Bytes;
use tarn_planner::statement::{CopyFormat, CopyOptions};

/// Whole lines.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// Line ends before it.
    pub(crate) n_lines_before: u64,
    /// Whether the header is in it.
    pub(crate) is_first: bool,
}

/// Cuts bytes that arrive in pieces.
#[derive(Debug)]
pub(crate) struct Chunker {
    is_csv: bool,
    quote: u8,
    escape: u8,
    /// Bytes of a chunk, unless a line is longer.
    n_bytes_chunk: usize,
    bytes: Vec<u8>,
    scanned: usize,
    in_quotes: bool,
    /// The byte here has no meaning of its own.
    escaped_at: Option<usize>,
    /// Where the line begins that is not whole yet.
    line_start: usize,
    n_line_ends: u64,
    /// Line ends before `bytes`.
    n_lines_before: u64,
    is_first: bool,
    is_done: bool,
}

impl Chunker {
    pub(crate) fn new(options: &CopyOptions, n_bytes_chunk: usize) -> Self {
        Self {
            is_csv: options.format == CopyFormat::Csv,
            quote: options.quote,
            escape: options.escape,
            n_bytes_chunk,
            bytes: Vec::new(),
            scanned: 0,
            in_quotes: false,
            escaped_at: None,
            line_start: 0,
            n_line_ends: 0,
            n_lines_before: 0,
            is_first: true,
            is_done: false,
        }
    }

    /// Bytes that wait.
    pub(crate) fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes more bytes and gives the lines that are whole, if they are enough.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<Chunk> {
        if self.is_done {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        if self.scan() {
            return self.end(self.line_start);
        }
        let enough = self.line_start >= self.n_bytes_chunk;
        enough.then(|| self.cut(self.line_start))
    }

    /// Gives what is left; the last line may have no end.
    pub(crate) fn finish(&mut self) -> Option<Chunk> {
        if self.is_done {
            return None;
        }
        let is_mark = self.is_end_mark(self.bytes.len());
        let end = if is_mark { self.line_start } else { self.bytes.len() };
        self.end(end)
    }

    fn end(&mut self, at: usize) -> Option<Chunk> {
        self.is_done = true;
        (at > 0 || self.is_first).then(|| self.cut(at))
    }

    fn cut(&mut self, at: usize) -> Chunk {
        let rest = self.bytes.split_off(at);
        let bytes = Bytes::from(std::mem::replace(&mut self.bytes, rest));
        let n_lines_before = self.n_lines_before;
        self.n_lines_before += self.n_line_ends;
        self.n_line_ends = 0;
        self.scanned -= at.min(self.scanned);
        self.line_start = 0;
        self.escaped_at = self.escaped_at.and_then(|escaped| escaped.checked_sub(at));
        Chunk { bytes, n_lines_before, is_first: std::mem::take(&mut self.is_first) }
    }

    /// Looks for line ends; true at the mark that ends the data.
    fn scan(&mut self) -> bool {
        while let Some(found) = self.next_special() {
            let at = self.scanned + found;
            self.scanned = at + 1;
            let Some(&byte) = self.bytes.get(at) else { return false };
            let is_escaped = self.escaped_at == Some(at);
            if is_escaped {
                self.escaped_at = None;
            }
            if byte == b'\n' {
                self.n_line_ends += 1;
                if self.in_quotes || is_escaped {
                    continue;
                }
                if self.is_end_mark(at) {
                    self.n_line_ends -= 1;
                    return true;
                }
                self.line_start = at + 1;
                continue;
            }
            if is_escaped {
                continue;
            }
            if !self.is_csv {
                // A backslash before the end of a line makes that part of the value.
                let ends = at == self.line_start && self.bytes.get(at + 1) == Some(&b'.');
                self.escaped_at = (!ends).then_some(at + 1);
            } else if self.in_quotes && byte == self.escape && self.escape != self.quote {
                self.escaped_at = Some(at + 1);
            } else if byte == self.quote {
                // A doubled quote leaves and enters the quotes again.
                self.in_quotes = !self.in_quotes;
            }
        }
        self.scanned = self.bytes.len();
        false
    }

    fn next_special(&self) -> Option<usize> {
        let rest = self.bytes.get(self.scanned..)?;
        if !self.is_csv {
            return memchr::memchr2(b'\n', b'\\', rest);
        }
        if self.escape == self.quote {
            return memchr::memchr2(b'\n', self.quote, rest);
        }
        memchr::memchr3(b'\n', self.quote, self.escape, rest)
    }

    /// Whether the line that ends here is `\.`.
    fn is_end_mark(&self, end: usize) -> bool {
        let line = self.bytes.get(self.line_start..end).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line) == b"\\."
    }
}
