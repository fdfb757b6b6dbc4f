use tarn_planner::statement::{Columns, CopyErrors, Header};

use super::super::chunks::Chunker;
use super::*;

fn options(format: CopyFormat) -> CopyOptions {
    let csv = format == CopyFormat::Csv;
    CopyOptions {
        format,
        delimiter: if csv { b',' } else { b'\t' },
        null: if csv { String::new() } else { "\\N".to_owned() },
        header: Header::Off,
        quote: b'"',
        escape: b'"',
        force_quote: Columns::Named(vec![]),
        force_not_null: Columns::Named(vec![]),
        force_null: Columns::Named(vec![]),
        errors: CopyErrors::default(),
    }
}

fn check(format: CopyFormat, line: &str, expected: &str) {
    for end in ["", "\n", "\r\n"] {
        let mut fields = Fields::new(&options(format));
        let bytes = format!("{line}{end}").into_bytes();
        let shown = match fields.read(&bytes, 0) {
            None => "unterminated".to_owned(),
            Some(_) => {
                let values = (0..fields.len()).filter_map(|at| fields.get(at, &bytes));
                let shown = values.map(|value| match (value.is_null, value.is_quoted_null) {
                    (true, _) => "NULL".to_owned(),
                    (_, true) => "quoted NULL".to_owned(),
                    _ => format!("{:?}", String::from_utf8_lossy(value.bytes)),
                });
                shown.collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(shown, expected, "{line:?} with {end:?}");
    }
}

#[test]
fn text() {
    let check = |line: &str, expected: &str| check(CopyFormat::Text, line, expected);
    check("1\t\\N\tx", r#""1" NULL "x""#);
    check("", r#""""#);
    check("\t", r#""" """#);
    check(r"a\tb\\c\nd", r#""a\tb\\c\nd""#);
    check(r"\101\x42\q", r#""ABq""#);
    check("a\\\tb", r#""a\tb""#);
    check(r"\\N", r#""\\N""#);
    check(r"x\n	y", r#""x\n" "y""#);
}

#[test]
fn csv() {
    let check = |line: &str, expected: &str| check(CopyFormat::Csv, line, expected);
    check("1,,x", r#""1" NULL "x""#);
    check("\"\",\"a,b\",\"c\"\"d\"", r#"quoted NULL "a,b" "c\"d""#);
    check("a\"b\"c", r#""abc""#);
    check("x,\"y\"", r#""x" "y""#);
}

#[test]
fn unterminated() {
    let mut fields = Fields::new(&options(CopyFormat::Csv));
    assert_eq!(fields.read(b"\"open", 0), None);
}

#[test]
fn chunks_of_whole_lines() {
    let check = |format: CopyFormat, pieces: &[&str], expected: &[(&str, u64)]| {
        let mut chunker = Chunker::new(&options(format), 1);
        let mut found: Vec<_> = pieces.iter().filter_map(|p| chunker.push(p.as_bytes())).collect();
        found.extend(chunker.finish());
        let shown: Vec<_> = found
            .iter()
            .map(|chunk| (String::from_utf8_lossy(&chunk.bytes).into_owned(), chunk.n_lines_before))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(text, n)| ((*text).to_owned(), *n)).collect();
        assert_eq!(shown, expected, "{pieces:?}");
    };
    check(CopyFormat::Text, &["a\nb", "c\r\n", "d"], &[("a\n", 0), ("bc\r\n", 1), ("d", 2)]);
    check(CopyFormat::Text, &["a\\", "\nb\n"], &[("a\\\nb\n", 0)]);
    check(CopyFormat::Text, &["x\n\\.\n", "y\n"], &[("x\n", 0)]);
    check(CopyFormat::Text, &["x\n\\", ".\r\ny\n"], &[("x\n", 0)]);
    check(CopyFormat::Csv, &["\"a\n", "b\",c\nd\n"], &[("\"a\nb\",c\nd\n", 0)]);
    check(CopyFormat::Csv, &["\"a\"\"\n\"\nb"], &[("\"a\"\"\n\"\n", 0), ("b", 2)]);
    check(CopyFormat::Csv, &["a,b\n\\."], &[("a,b\n", 0)]);
}

#[test]
fn zero_bytes_behind_backslashes_are_noticed() {
    let mut fields = Fields::new(&options(CopyFormat::Text));
    for (line, expected) in [(r"a\x00b", true), (r"a\000", true), (r"a\x41", false)] {
        assert!(fields.read(line.as_bytes(), 0).is_some());
        assert_eq!(fields.has_zero(), expected, "{line}");
    }
}
