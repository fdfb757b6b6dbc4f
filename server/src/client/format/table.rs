//! Tables for people.
//!
//! ```text
//!  n_nationkey │ n_name               ─[ row 1 ]───┬─────────
//! ─────────────┼─────────              n_nationkey │ 0
//!            0 │ ALGERIA               n_name      │ ALGERIA
//! ```
//!
//! The first rows are kept until they decide the widths (and, with `\x auto`, the form); later rows
//! are written as they come, and a wider value then stands out of its column rather than being cut.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::super::wire::Column;
use super::RowWriter;
use super::cell::{Cell, cell, cell_width, push_aligned};
use super::types::Shape;

const SAMPLE_ROWS: usize = 1_000;
/// Wide values end the sample early.
const SAMPLE_BYTES: usize = 4 << 20;

/// When each column gets a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) enum Expanded {
    #[default]
    Off,
    On,
    /// When the table is wider than the screen.
    Auto,
}

/// How tables look.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct TableStyle {
    pub(in super::super) expanded: Expanded,
    /// Columns of the screen; absent when the output is no terminal.
    pub(in super::super) screen_columns: Option<usize>,
    pub(in super::super) color: bool,
}

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Keeps a sample, then streams.
#[derive(Debug)]
pub(super) struct TableWriter {
    names: Vec<String>,
    numeric: Vec<bool>,
    style: TableStyle,
    sample: Vec<Vec<Option<Cell>>>,
    sample_bytes: usize,
    /// Set once the sample is written.
    layout: Option<Layout>,
    n_rows: u64,
}

#[derive(Debug)]
struct Layout {
    widths: Vec<usize>,
    expanded: bool,
}

impl TableWriter {
    pub(super) fn new(columns: Vec<Column>, style: TableStyle) -> Self {
        let numeric = columns
            .iter()
            .map(|column| matches!(Shape::of(column), (shape, false) if shape.is_number()));
        Self {
            numeric: numeric.collect(),
            names: columns.into_iter().map(|column| cell(&column.name).join(" ")).collect(),
            style,
            sample: Vec::new(),
            sample_bytes: 0,
            layout: None,
            n_rows: 0,
        }
    }

    /// Decides the layout from the sample and writes the header and the sample.
    fn flush_sample(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut widths: Vec<usize> = self.names.iter().map(|name| name.width()).collect();
        for row in &self.sample {
            for (width, value) in widths.iter_mut().zip(row) {
                *width = (*width).max(value.as_ref().map_or(NULL.len(), cell_width));
            }
        }
        let table_width = widths.iter().map(|width| width + 3).sum::<usize>().saturating_sub(1);
        let expanded = match self.style.expanded {
            Expanded::Off => false,
            Expanded::On => true,
            // A single column gains nothing from the other form: plans stay readable.
            Expanded::Auto => {
                let too_wide = |columns| self.names.len() > 1 && table_width > columns;
                self.style.screen_columns.is_some_and(too_wide)
            }
        };
        let layout = Layout { widths, expanded };
        if !layout.expanded {
            self.write_header(out, &layout)?;
        }
        for row in std::mem::take(&mut self.sample) {
            self.write_row(out, &layout, &row)?;
        }
        self.layout = Some(layout);
        Ok(())
    }

    fn write_header(&self, out: &mut dyn Write, layout: &Layout) -> io::Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        let (bold, reset) = self.paint(BOLD);
        let mut line = String::new();
        let mut rule = String::new();
        for (index, ((name, width), numeric)) in
            self.names.iter().zip(&layout.widths).zip(&self.numeric).enumerate()
        {
            if index > 0 {
                line.push('│');
                rule.push('┼');
            }
            line.push(' ');
            line.push_str(bold);
            push_aligned(&mut line, name, *width, *numeric);
            line.push_str(reset);
            line.push(' ');
            rule.extend(std::iter::repeat_n('─', width + 2));
        }
        writeln!(out, "{}\n{rule}", line.trim_end())
    }

    fn write_row(
        &mut self,
        out: &mut dyn Write,
        layout: &Layout,
        row: &[Option<Cell>],
    ) -> io::Result<()> {
        self.n_rows += 1;
        if layout.expanded {
            self.write_record(out, layout, row)
        } else {
            self.write_line(out, layout, row)
        }
    }

    fn write_line(
        &self,
        out: &mut dyn Write,
        layout: &Layout,
        row: &[Option<Cell>],
    ) -> io::Result<()> {
        if row.is_empty() {
            return Ok(());
        }
        let (dim, reset) = self.paint(DIM);
        let n_lines = row.iter().flatten().map(Vec::len).max().unwrap_or(1);
        let mut line = String::new();
        for line_index in 0..n_lines {
            line.clear();
            for (index, ((value, width), numeric)) in
                row.iter().zip(&layout.widths).zip(&self.numeric).enumerate()
            {
                if index > 0 {
                    line.push('│');
                }
                line.push(' ');
                match value {
                    None if line_index == 0 => {
                        line.push_str(dim);
                        push_aligned(&mut line, NULL, *width, *numeric);
                        line.push_str(reset);
                        line.push(' ');
                    }
                    None => push_aligned(&mut line, "", width + 1, false),
                    Some(lines) => {
                        push_aligned(
                            &mut line,
                            lines.get(line_index).map_or("", String::as_str),
                            *width,
                            *numeric,
                        );
                        // A mark where the value goes on, so that it is not read as the next row.
                        let goes_on = row.len() > 1 && line_index + 1 < lines.len();
                        line.push(if goes_on { '↵' } else { ' ' });
                    }
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn write_record(
        &self,
        out: &mut dyn Write,
        layout: &Layout,
        row: &[Option<Cell>],
    ) -> io::Result<()> {
        let (bold, reset) = self.paint(BOLD);
        let (dim, _) = self.paint(DIM);
        let name_width = self.names.iter().map(|name| name.width()).max().unwrap_or(0);
        let value_width = layout.widths.iter().copied().max().unwrap_or(0);
        let title = format!("─[ row {} ]", self.n_rows);
        // The left part spans the names; a title longer than that pushes the joint out of sight.
        let n_left = (name_width + 2).saturating_sub(title.width());
        let screen = self.style.screen_columns.unwrap_or(100);
        let n_right = (value_width + 2).min(screen.saturating_sub(name_width + 3));
        let joint = if title.width() <= name_width + 2 { "┬" } else { "" };
        writeln!(out, "{title}{}{joint}{}", "─".repeat(n_left), "─".repeat(n_right))?;
        for (name, value) in self.names.iter().zip(row) {
            let mut line = format!(" {bold}");
            push_aligned(&mut line, name, name_width, false);
            line.push_str(reset);
            match value {
                None => writeln!(out, "{line} │ {dim}{NULL}{reset}")?,
                Some(lines) => {
                    for (index, text) in lines.iter().enumerate() {
                        if index > 0 {
                            line = " ".repeat(name_width + 1);
                        }
                        writeln!(out, "{}", format!("{line} │ {text}").trim_end())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn paint(&self, code: &'static str) -> (&'static str, &'static str) {
        if self.style.color { (code, RESET) } else { ("", "") }
    }
}

const NULL: &str = "NULL";

impl RowWriter for TableWriter {
    fn row(&mut self, out: &mut dyn Write, values: &[Option<&str>]) -> io::Result<()> {
        let row: Vec<Option<Cell>> = values.iter().map(|value| value.map(cell)).collect();
        match self.layout.take() {
            Some(layout) => {
                let written = self.write_row(out, &layout, &row);
                self.layout = Some(layout);
                written
            }
            None => {
                self.sample_bytes +=
                    values.iter().flatten().map(|value| value.len()).sum::<usize>();
                self.sample.push(row);
                if self.sample.len() >= SAMPLE_ROWS || self.sample_bytes >= SAMPLE_BYTES {
                    self.flush_sample(out)?;
                }
                Ok(())
            }
        }
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.layout.is_none() { self.flush_sample(out) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
