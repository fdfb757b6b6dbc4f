use super::*;

fn check(columns: &[(&str, u32)], rows: &[&[Option<&str>]], style: TableStyle, expect: &str) {
    let columns = columns.iter().map(|(name, type_oid)| Column {
        name: (*name).to_owned(),
        type_oid: *type_oid,
        modifier: -1,
    });
    let mut writer = TableWriter::new(columns.collect(), style);
    let mut out = Vec::new();
    for row in rows {
        assert!(writer.row(&mut out, row).is_ok());
    }
    assert!(writer.finish(&mut out).is_ok());
    assert_eq!(String::from_utf8_lossy(&out), expect.trim_start_matches('\n'));
}

#[test]
fn numbers_stand_right_and_nulls_show() {
    let rows: &[&[Option<&str>]] =
        &[&[Some("1"), Some("a"), Some("x")], &[Some("100"), None, Some("日本")]];
    check(
        &[("id", 23), ("name", 25), ("t", 25)],
        rows,
        TableStyle::default(),
        "
  id │ name │ t
─────┼──────┼──────
   1 │ a    │ x
 100 │ NULL │ 日本
",
    );
}

#[test]
fn lines_and_control_characters() {
    check(
        &[("a", 25), ("b", 25)],
        &[&[Some("one\ntwo\n"), Some("\x1b[2J\tx")]],
        TableStyle::default(),
        "
 a   │ b
─────┼──────────────
 one↵│ \\x1b[2J    x
 two │
",
    );
}

#[test]
fn expanded_when_too_wide() {
    let style = TableStyle { expanded: Expanded::Auto, screen_columns: Some(20), color: false };
    let rows: &[&[Option<&str>]] =
        &[&[Some("1"), Some("a long value here")], &[None, Some("x\ny")]];
    check(
        &[("identifier", 23), ("b", 25)],
        rows,
        style,
        "
─[ row 1 ]──┬───────
 identifier │ 1
 b          │ a long value here
─[ row 2 ]──┬───────
 identifier │ NULL
 b          │ x
            │ y
",
    );
}

#[test]
fn empty_results() {
    check(&[("a", 25)], &[], TableStyle::default(), " a\n───\n");
    check(&[], &[&[], &[]], TableStyle::default(), "");
}

#[test]
fn rows_after_the_sample_are_streamed() {
    let mut writer = TableWriter::new(
        vec![Column { name: "a".to_owned(), type_oid: 25, modifier: -1 }],
        TableStyle::default(),
    );
    let mut out = Vec::new();
    for _ in 0..SAMPLE_ROWS {
        assert!(writer.row(&mut out, &[Some("x")]).is_ok());
    }
    let n_bytes = out.len();
    assert!(n_bytes > SAMPLE_ROWS);
    assert!(writer.row(&mut out, &[Some("wider than the column")]).is_ok());
    assert!(out.get(n_bytes..).is_some_and(|tail| tail == " wider than the column\n".as_bytes()));
}
