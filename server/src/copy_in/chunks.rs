//! Cuts what is copied into pieces of whole lines, which can be read side by side.
//!
//! As in PostgreSQL the first line says how lines end, and the others must end so, too:
//!
//! ```text
//! a\n b\n         a\r\n b\r\n       a\r b\r        lines; the last are handed on as a\n b\n
//! a\n b\r\n       22P04 literal carriage return found in data
//! a\r\n b\n       22P04 literal newline found in data
//! ```

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
    /// Why the line behind it is none.
    pub(crate) fault: Option<LineFault>,
}

/// A line that ends otherwise than the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineFault {
    pub(crate) message: &'static str,
    /// Its number in the data, from 1 on.
    pub(crate) n_line: u64,
}

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Newline,
    Return,
    ReturnNewline,
}

/// What stands at a byte that may end a line.
enum LineEnd {
    /// The end of the line; the next one begins there.
    At(usize),
    /// The next byte is needed to tell.
    Open,
    /// The end that other lines do not have.
    Other,
}

/// Why the search for line ends has stopped.
enum Stop {
    /// All bytes have been looked at.
    Bytes,
    /// At the mark that ends the data, or at a fault.
    Data,
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
    /// As the first line does.
    ending: Option<Ending>,
    /// No more bytes come.
    is_last: bool,
    fault: Option<LineFault>,
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
            ending: None,
            is_last: false,
            fault: None,
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
        if matches!(self.scan(), Stop::Data) {
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
        // A carriage return at the very end waits for what is behind it.
        self.is_last = true;
        let is_over = matches!(self.scan(), Stop::Data) || self.is_end_mark(self.bytes.len());
        let end = if is_over { self.line_start } else { self.bytes.len() };
        self.end(end)
    }

    fn end(&mut self, at: usize) -> Option<Chunk> {
        self.is_done = true;
        (at > 0 || self.is_first || self.fault.is_some()).then(|| self.cut(at))
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
        let (is_first, fault) = (std::mem::take(&mut self.is_first), self.fault.take());
        Chunk { bytes, n_lines_before, is_first, fault }
    }

    /// Looks for line ends.
    fn scan(&mut self) -> Stop {
        while let Some(found) = self.next_special() {
            let at = self.scanned + found;
            let Some(&byte) = self.bytes.get(at) else { break };
            self.scanned = at + 1;
            let is_escaped = self.escaped_at == Some(at);
            if is_escaped {
                self.escaped_at = None;
            }
            if matches!(byte, b'\n' | b'\r') {
                if self.in_quotes || is_escaped {
                    self.n_line_ends += u64::from(byte == b'\n');
                    continue;
                }
                match self.end_line(at, byte) {
                    Some(stop) => return stop,
                    None => continue,
                }
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
        Stop::Bytes
    }

    /// Ends the line at a byte that can do so; `None` where the search goes on.
    fn end_line(&mut self, at: usize, byte: u8) -> Option<Stop> {
        let is_mark = self.is_end_mark(at);
        match self.line_end(at, byte) {
            LineEnd::At(_) if is_mark => Some(Stop::Data),
            LineEnd::At(next) => {
                if self.ending == Some(Ending::Return)
                    && let Some(end) = self.bytes.get_mut(at)
                {
                    *end = b'\n';
                }
                self.n_line_ends += 1;
                (self.line_start, self.scanned) = (next, next);
                None
            }
            LineEnd::Open => {
                self.scanned = at;
                Some(Stop::Bytes)
            }
            LineEnd::Other => {
                let n_line = self.n_lines_before + self.n_line_ends + 1;
                let message = self.other_end(byte, is_mark);
                self.fault = Some(LineFault { message, n_line });
                Some(Stop::Data)
            }
        }
    }

    fn line_end(&mut self, at: usize, byte: u8) -> LineEnd {
        use Ending::{Newline, Return, ReturnNewline};
        match (byte, self.ending) {
            (b'\n', None | Some(Newline)) => {
                self.ending = Some(Newline);
                LineEnd::At(at + 1)
            }
            (b'\r', Some(Return)) => LineEnd::At(at + 1),
            (b'\r', None | Some(ReturnNewline)) => match self.bytes.get(at + 1) {
                None if !self.is_last => LineEnd::Open,
                Some(b'\n') => {
                    self.ending = Some(ReturnNewline);
                    LineEnd::At(at + 2)
                }
                _ if self.ending.is_some() => LineEnd::Other,
                _ => {
                    self.ending = Some(Return);
                    LineEnd::At(at + 1)
                }
            },
            _ => LineEnd::Other,
        }
    }

    /// PostgreSQL's words for a line end that the lines before do not have.
    fn other_end(&self, byte: u8, is_mark: bool) -> &'static str {
        let is_single = self.ending != Some(Ending::ReturnNewline);
        if is_mark && (is_single || (byte == b'\n' && !self.is_csv)) {
            return "end-of-copy marker does not match previous newline style";
        }
        match (byte, self.is_csv) {
            (b'\n', true) => "unquoted newline found in data",
            (b'\n', false) => "literal newline found in data",
            (_, true) => "unquoted carriage return found in data",
            (_, false) => "literal carriage return found in data",
        }
    }

    fn next_special(&self) -> Option<usize> {
        let rest = self.bytes.get(self.scanned..)?;
        if !self.is_csv {
            return memchr::memchr3(b'\n', b'\r', b'\\', rest);
        }
        if !self.in_quotes {
            return memchr::memchr3(b'\n', b'\r', self.quote, rest);
        }
        if self.escape == self.quote {
            return memchr::memchr2(b'\n', self.quote, rest);
        }
        memchr::memchr3(b'\n', self.quote, self.escape, rest)
    }

    /// Whether the line that ends here is `\.`.
    fn is_end_mark(&self, end: usize) -> bool {
        self.bytes.get(self.line_start..end).unwrap_or_default() == b"\\."
    }
}
