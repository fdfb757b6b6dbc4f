//! Values as they are shown in a table.

use unicode_width::UnicodeWidthStr;

const TAB: &str = "    ";

/// A value as it is shown: one line or more, without control characters.
pub(super) type Cell = Vec<String>;

/// Makes a value safe to show: lines are split, control characters are spelled out. A value could
/// otherwise move the cursor or rename the window.
pub(super) fn cell(value: &str) -> Cell {
    if value.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return vec![value.to_owned()];
    }
    let clean = |line: &str| {
        let mut shown = String::with_capacity(line.len());
        for c in line.chars() {
            match c {
                '\t' => shown.push_str(TAB),
                '\r' => shown.push_str("\\r"),
                c if c.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => shown.push(c),
            }
        }
        shown
    };
    let mut lines: Cell =
        value.split('\n').map(|line| clean(line.strip_suffix('\r').unwrap_or(line))).collect();
    // A closing line feed, as plans have, would show as an empty line.
    if lines.len() > 1 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Returns the columns that a cell takes on the screen.
pub(super) fn cell_width(cell: &Cell) -> usize {
    cell.iter().map(|line| line.width()).max().unwrap_or(0)
}

/// Appends text, padded to a width.
pub(super) fn push_aligned(line: &mut String, text: &str, width: usize, right: bool) {
    let n_pad = width.saturating_sub(text.width());
    if right {
        line.extend(std::iter::repeat_n(' ', n_pad));
        line.push_str(text);
    } else {
        line.push_str(text);
        line.extend(std::iter::repeat_n(' ', n_pad));
    }
}
