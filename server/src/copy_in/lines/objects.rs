//! Objects of JSON to rows, by the readers that text and CSV have.

use std::ops::Range;

use super::{N_ROWS_PER_BATCH, N_ROWS_PER_GROUP, Reading, shown};
use crate::copy_in::members::{Members, Problem};
use crate::copy_in::objects::n_line_ends;
use crate::error::{Error, Result};

impl Reading<'_> {
    /// Reads some objects; returns where the next one begins.
    ///
    /// Between objects the number of the line is that of the line ends before.
    pub(super) fn objects(&mut self, members: &Members, start: usize) -> Result<usize> {
        let ignores_errors = self.reader.options.errors.ignore;
        let Some(text) = self.text.filter(|_| !ignores_errors) else {
            return self.object(members, start);
        };
        let n_rows_max = N_ROWS_PER_GROUP.min(N_ROWS_PER_BATCH.saturating_sub(self.n_rows));
        let (mut n_rows, mut end) = (0, start);
        self.fields.clear();
        while n_rows < n_rows_max {
            let begin = self.skip_spaces(end);
            if begin >= self.bytes.len() {
                break;
            }
            let limit = self.limit(begin);
            let Ok(next) = members.read(&mut self.fields, self.bytes, begin..limit) else { break };
            (n_rows, end) = (n_rows + 1, next);
        }
        if n_rows == 0 {
            return self.object(members, start);
        }
        // An object that was given up.
        self.fields.truncate(n_rows * self.columns.len());
        let (n_line, n_rows_before) = (self.n_line, self.n_rows);
        if let Err(error) = self.take_columns(text, n_rows) {
            // Another object before may have an error, too, in a later column.
            (self.n_line, self.n_rows, self.record_end) = (n_line, n_rows_before, 0);
            let mut at = start;
            while at < end {
                at = self.object(members, at)?;
            }
            return Err(error);
        }
        self.n_rows += n_rows;
        self.n_line += n_line_ends(self.bytes.get(start..end).unwrap_or_default());
        Ok(end)
    }

    /// Reads one object; returns where the next one may begin.
    fn object(&mut self, members: &Members, start: usize) -> Result<usize> {
        let begin = self.skip_spaces(start);
        self.n_line += n_line_ends(self.bytes.get(start..begin).unwrap_or_default());
        if begin >= self.bytes.len() {
            return Ok(begin);
        }
        let limit = self.limit(begin);
        // The line at hand, for errors.
        self.n_line += 1;
        if self.invalid_at < self.bytes.len() && (begin..limit).contains(&self.invalid_at) {
            let byte = self.bytes.get(self.invalid_at);
            let shown = byte.map_or_else(String::new, |byte| format!("0x{byte:02x}"));
            let message = format!("invalid byte sequence for encoding \"UTF8\": {shown}");
            return Err(self.error("22021", message, None));
        }
        self.fields.clear();
        let read = members.read(&mut self.fields, self.bytes, begin..limit);
        let (next, taken) = match read {
            Ok(next) => (next, self.take_row()),
            Err(problem) => (limit, Err(self.told(problem, begin..limit))),
        };
        match taken {
            Ok(()) => self.n_rows += 1,
            Err(error) if self.reader.options.errors.ignore => self.skip(error)?,
            Err(error) => return Err(error),
        }
        let n_ends = n_line_ends(self.bytes.get(begin..next).unwrap_or_default());
        self.n_line = self.n_line.saturating_sub(1) + n_ends;
        Ok(next)
    }

    fn skip_spaces(&self, start: usize) -> usize {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let n_spaces = rest.iter().position(|byte| !byte.is_ascii_whitespace());
        start + n_spaces.unwrap_or(rest.len())
    }

    /// Where an object ends at the latest: before the next line that begins with a brace.
    fn limit(&mut self, start: usize) -> usize {
        if start >= self.record_end {
            let rest = self.bytes.get(start..).unwrap_or_default();
            let mut ends = memchr::memchr_iter(b'\n', rest);
            let found = ends.find(|at| rest.get(at + 1) == Some(&b'{'));
            self.record_end = found.map_or(self.bytes.len(), |at| start + at + 1);
        }
        self.record_end
    }

    fn told(&self, problem: Problem, range: Range<usize>) -> Error {
        let Problem { code, message, place } = problem;
        let Some((column, value)) = place else {
            let line = self.bytes.get(range).unwrap_or_default().trim_ascii_end();
            return self.error(code, message, Some(line));
        };
        let (table, line, value) = (&self.reader.table, self.n_line, shown(&value));
        let context = format!("COPY {table}, line {line}, column {column}: \"{value}\"");
        Error::CopyData { code, message, context }
    }
}
