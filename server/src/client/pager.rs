//! Sends output that does not fit the screen through a pager.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use unicode_width::UnicodeWidthStr;

/// Used when `$PAGER` is not set: lines are cut at the screen's edge instead of wrapped, colours
/// are kept, the screen is not cleared at the end.
const DEFAULT_PAGER: &str = "less -SRX";
/// Output kept before it is clear whether the screen is enough.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Output collected before it is written.
const CHUNK_BYTES: usize = 32 << 10;

/// Standard output that turns into a pager when it grows too large for the screen.
#[derive(Debug)]
pub(super) struct Pager {
    command: String,
    screen_columns: usize,
    screen_rows: usize,
    held: Vec<u8>,
    n_lines: usize,
    /// Start in `held` of the line not yet measured.
    line_start: usize,
    child: Option<Child>,
    /// The pager could not be started: everything goes to standard output.
    direct: bool,
}

impl Pager {
    /// Starts with nothing shown. `command` is the user's pager, if set.
    pub(super) fn new(command: Option<&str>, screen_columns: usize, screen_rows: usize) -> Self {
        Self {
            command: command.unwrap_or(DEFAULT_PAGER).to_owned(),
            screen_columns,
            screen_rows,
            held: Vec::new(),
            n_lines: 0,
            line_start: 0,
            child: None,
            direct: false,
        }
    }

    /// True when a pager has the screen.
    pub(super) fn is_paging(&self) -> bool {
        self.child.is_some()
    }

    /// Writes what is held, then waits until the person leaves the pager.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let written = self.release();
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait()?;
        } else {
            io::stdout().flush()?;
        }
        written
    }

    fn release(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.line_start = 0;
        match self.child.as_mut().and_then(|child| child.stdin.as_mut()) {
            Some(input) => input.write_all(&held),
            None => io::stdout().write_all(&held),
        }
    }

    /// Counts the new lines held and starts the pager when they do not fit.
    fn measure(&mut self) {
        let mut too_wide = false;
        while let Some(rest) = self.held.get(self.line_start..)
            && let Some(end) = rest.iter().position(|byte| *byte == b'\n')
        {
            let line = rest.get(..end).unwrap_or_default();
            too_wide |= line.len() > self.screen_columns && shown_width(line) > self.screen_columns;
            self.n_lines += 1;
            self.line_start += end + 1;
        }
        // The prompt needs a line as well.
        if too_wide || self.n_lines + 1 > self.screen_rows || self.held.len() > HELD_BYTES_MAX {
            self.start();
        }
    }

    fn start(&mut self) {
        // A progress line may stand there.
        let _ = io::stderr().write_all(b"\r\x1b[2K");
        let child = Command::new("sh").args(["-c", &self.command]).stdin(Stdio::piped()).spawn();
        match child {
            Ok(child) => self.child = Some(child),
            Err(_) => self.direct = true,
        }
    }
}

/// Returns the columns a line takes, without its colour codes.
fn shown_width(line: &[u8]) -> usize {
    let text = String::from_utf8_lossy(line);
    let mut width = 0;
    for (index, part) in text.split('\x1b').enumerate() {
        let shown =
            if index == 0 { part } else { part.split_once('m').map_or("", |(_, shown)| shown) };
        width += shown.width();
    }
    width
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.child.is_none() && !self.direct {
            self.measure();
        }
        if (self.child.is_some() || self.direct) && self.held.len() >= CHUNK_BYTES {
            self.release()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room() {
        assert_eq!(shown_width("\x1b[1mab\x1b[0m 日".as_bytes()), 5);
    }
}
