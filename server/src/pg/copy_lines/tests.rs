use tarn_planner::statement::{Columns, Header};

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
    }
}

fn shown(values: Option<Vec<Value>>) -> String {
    let Some(values) = values else { return "unterminated".to_owned() };
    let shown = values.iter().map(|value| match (value.is_null, value.is_quoted_null) {
        (true, _) => "NULL".to_owned(),
        (_, true) => "quoted NULL".to_owned(),
        _ => format!("{:?}", String::from_utf8_lossy(&value.bytes)),
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn text() {
    let check = |line: &str, expected: &str| {
        let values = text_values(line.as_bytes(), &options(CopyFormat::Text));
        assert_eq!(shown(values), expected, "{line}");
    };
    check("1\t\\N\tx", r#""1" NULL "x""#);
    check("", r#""""#);
    check("\t", r#""" """#);
    check(r"a\tb\\c\nd", r#""a\tb\\c\nd""#);
    check(r"\101\x42\q", r#""ABq""#);
    check("a\\\tb", r#""a\tb""#);
    check(r"\\N", r#""\\N""#);
}

#[test]
fn csv() {
    let check = |line: &str, expected: &str| {
        let values = csv_values(line.as_bytes(), &options(CopyFormat::Csv));
        assert_eq!(shown(values), expected, "{line}");
    };
    check("1,,x", r#""1" NULL "x""#);
    check("\"\",\"a,b\",\"c\"\"d\"", r#"quoted NULL "a,b" "c\"d""#);
    check("a\"b\"c", r#""abc""#);
    check("\"open", "unterminated");
}

#[test]
fn lines_in_pieces() {
    let check = |format: CopyFormat, pieces: &[&str], expected: &[&str]| {
        let options = options(format);
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece.as_bytes());
            while let Some(line) = lines.next(&options, false) {
                found.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        while let Some(line) = lines.next(&options, true) {
            found.push(String::from_utf8_lossy(&line).into_owned());
        }
        assert_eq!(found, expected, "{pieces:?}");
    };
    check(CopyFormat::Text, &["a\nb", "c\r\n", "d"], &["a", "bc", "d"]);
    check(CopyFormat::Text, &["a\\", "\nb\n"], &["a\\\nb"]);
    check(CopyFormat::Text, &["\\.\n", "x\n"], &["\\.", "x"]);
    check(CopyFormat::Csv, &["\"a\n", "b\",c\nd\n"], &["\"a\nb\",c", "d"]);
    check(CopyFormat::Csv, &["\"a\"\"\n\"\n"], &["\"a\"\"\n\""]);
}
