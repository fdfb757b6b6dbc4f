use tarn_planner::statement::{Columns, CopyErrors, Header};

use super::super::chunks::{Chunker, LineFault};
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

/// What chunks of one line each are made of, with the line ends before each of them.
fn chunks(format: CopyFormat, pieces: &[&str]) -> Vec<(String, u64, Option<LineFault>)> {
    let mut chunker = Chunker::new(&options(format), 1);
    let mut found: Vec<_> = pieces.iter().filter_map(|p| chunker.push(p.as_bytes())).collect();
    found.extend(chunker.finish());
    let shown = found.iter().map(|chunk| {
        let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
        (text, chunk.n_lines_before, chunk.fault)
    });
    shown.collect()
}

fn check_chunks(format: CopyFormat, pieces: &[&str], expected: &[(&str, u64)]) {
    let expected: Vec<_> =
        expected.iter().map(|(text, n)| ((*text).to_owned(), *n, None)).collect();
    assert_eq!(chunks(format, pieces), expected, "{pieces:?}");
}

#[test]
fn chunks_of_whole_lines() {
    let check = check_chunks;
    check(CopyFormat::Text, &["a\nb", "c\n", "d"], &[("a\n", 0), ("bc\n", 1), ("d", 2)]);
    check(CopyFormat::Text, &["a\\", "\nb\n"], &[("a\\\nb\n", 0)]);
    check(CopyFormat::Text, &["x\n\\.\n", "y\n"], &[("x\n", 0)]);
    check(CopyFormat::Text, &["x\r\n\\", ".\r\ny\r\n"], &[("x\r\n", 0)]);
    check(CopyFormat::Csv, &["\"a\n", "b\",c\nd\n"], &[("\"a\nb\",c\nd\n", 0)]);
    check(CopyFormat::Csv, &["\"a\"\"\n\"\nb"], &[("\"a\"\"\n\"\n", 0), ("b", 2)]);
    check(CopyFormat::Csv, &["a,b\n\\."], &[("a,b\n", 0)]);
}

#[test]
fn the_first_line_says_how_lines_end() {
    let check = check_chunks;
    // A carriage return at the end of a piece waits for the next one.
    check(CopyFormat::Text, &["a\r", "\nb\r", "\n"], &[("a\r\n", 0), ("b\r\n", 1)]);
    check(CopyFormat::Text, &["a\r", "b\rc"], &[("a\nb\n", 0), ("c", 2)]);
    check(CopyFormat::Text, &["a\rb\r"], &[("a\nb\n", 0)]);
    check(CopyFormat::Text, &["a\r"], &[("a\n", 0)]);
    check(CopyFormat::Text, &["a\r\\.\r", "b\r"], &[("a\n", 0)]);
    check(CopyFormat::Csv, &["b,c\r1,2\r", "3,4\r"], &[("b,c\n1,2\n", 0), ("3,4\n", 2)]);
    check(CopyFormat::Csv, &["\"a\rb\",\"\n\"\rc\r"], &[("\"a\rb\",\"\n\"\nc\n", 0)]);
    // What is escaped or in quotes ends no line, whatever the others end with.
    check(CopyFormat::Text, &["a\nb\\\rc\n"], &[("a\nb\\\rc\n", 0)]);
    check(CopyFormat::Csv, &["a\n\"b\r\nc\"\n"], &[("a\n\"b\r\nc\"\n", 0)]);
}

#[test]
fn lines_that_end_otherwise_are_faults() {
    use CopyFormat::{Csv, Text};
    let cases = [
        (Text, "a\nb\r\n", "a\n", 2, "literal carriage return found in data"),
        (Text, "a\nb\rc\n", "a\n", 2, "literal carriage return found in data"),
        (Text, "a\nb\r", "a\n", 2, "literal carriage return found in data"),
        (Text, "a\r\nb\rc\r\n", "a\r\n", 2, "literal carriage return found in data"),
        (Text, "a\r\nb\r\nc\n", "a\r\nb\r\n", 3, "literal newline found in data"),
        (Text, "a\rb\n", "a\n", 2, "literal newline found in data"),
        (Csv, "\"x\ny\"\nb\rc\n", "\"x\ny\"\n", 3, "unquoted carriage return found in data"),
        (Csv, "a\r\nb\n", "a\r\n", 2, "unquoted newline found in data"),
        (Csv, "a\rb\n", "a\n", 2, "unquoted newline found in data"),
        (Text, "x\n\\.\r\n", "x\n", 2, "end-of-copy marker does not match previous newline style"),
        (Csv, "x\r\\.\n", "x\n", 2, "end-of-copy marker does not match previous newline style"),
    ];
    for (format, text, before, n_line, message) in cases {
        let found = chunks(format, &[text]);
        let fault = LineFault { message, n_line };
        assert_eq!(found, [(before.to_owned(), 0, Some(fault))], "{text:?}");
    }
    // Only the end of the data tells that nothing follows.
    let fault = LineFault { message: "literal carriage return found in data", n_line: 2 };
    let expected = [("a\r\n".to_owned(), 0, None), (String::new(), 1, Some(fault))];
    assert_eq!(chunks(Text, &["a\r\nb\r"]), expected);
}

#[test]
fn an_escaped_return_is_no_end() {
    let mut fields = Fields::new(&options(CopyFormat::Text));
    let bytes = b"x\ta\\\r\n";
    assert_eq!(fields.read(bytes, 0), Some(bytes.len()));
    assert_eq!(fields.get(1, bytes).map(|value| value.bytes), Some(b"a\r".as_slice()));
}

#[test]
fn zero_bytes_behind_backslashes_are_noticed() {
    let mut fields = Fields::new(&options(CopyFormat::Text));
    for (line, expected) in [(r"a\x00b", true), (r"a\000", true), (r"a\x41", false)] {
        assert!(fields.read(line.as_bytes(), 0).is_some());
        assert_eq!(fields.has_zero(), expected, "{line}");
    }
}
