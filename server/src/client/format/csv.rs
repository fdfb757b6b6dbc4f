//! RFC 4180 with a header line. Records end in a line feed. NULL is an empty field and an empty
//! text is `""`, as in PostgreSQL's own CSV.

use std::io::{self, Write};

use super::super::wire::Column;
use super::RowWriter;

/// Writes each row as it comes.
#[derive(Debug)]
pub(super) struct CsvWriter {
    names: Option<Vec<String>>,
}

impl CsvWriter {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self { names: Some(columns.into_iter().map(|column| column.name).collect()) }
    }

    fn header(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.names.take() {
            Some(names) => record(out, names.iter().map(|name| Some(name.as_str()))),
            None => Ok(()),
        }
    }
}

impl RowWriter for CsvWriter {
    fn row(&mut self, out: &mut dyn Write, values: &[Option<&str>]) -> io::Result<()> {
        self.header(out)?;
        record(out, values.iter().copied())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.header(out)
    }
}

fn record<'a>(
    out: &mut dyn Write,
    fields: impl Iterator<Item = Option<&'a str>>,
) -> io::Result<()> {
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let Some(field) = field else { continue };
        if field.is_empty() || field.contains([',', '"', '\n', '\r']) {
            out.write_all(b"\"")?;
            out.write_all(field.replace('"', "\"\"").as_bytes())?;
            out.write_all(b"\"")?;
        } else {
            out.write_all(field.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() -> io::Result<()> {
        let columns = ["a", "b \"c\""].map(|name| Column {
            name: name.to_owned(),
            type_oid: 25,
            modifier: -1,
        });
        let mut writer = CsvWriter::new(columns.to_vec());
        let mut out = Vec::new();
        writer.row(&mut out, &[Some("x"), None])?;
        writer.row(&mut out, &[Some(""), Some("1,2\n\"3\"")])?;
        writer.finish(&mut out)?;
        assert_eq!(
            String::from_utf8_lossy(&out),
            "a,\"b \"\"c\"\"\"\nx,\n\"\",\"1,2\n\"\"3\"\"\"\n"
        );
        Ok(())
    }

    #[test]
    fn no_rows_still_have_a_header() -> io::Result<()> {
        let mut out = Vec::new();
        CsvWriter::new(vec![Column { name: "a".to_owned(), type_oid: 25, modifier: -1 }])
            .finish(&mut out)?;
        assert_eq!(out, b"a\n");
        Ok(())
    }
}
