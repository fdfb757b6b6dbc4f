use std::sync::Arc;

use super::*;
use tarn_planner::statement::{Columns, CopyErrors, CopyFormat, CopyOptions, Header};

fn schema() -> Schema {
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let row = DataType::Struct(vec![Field::new("x", DataType::Int32, true)].into());
    Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
        Field::new("l", list, true),
        Field::new("by", DataType::Binary, true),
        Field::new("row", row, true),
    ])
}

fn fields() -> Fields {
    Fields::new(&CopyOptions {
        format: CopyFormat::Text,
        delimiter: b'\t',
        null: "\\N".to_owned(),
        header: Header::Off,
        quote: b'"',
        escape: b'"',
        force_quote: Columns::Named(vec![]),
        force_not_null: Columns::Named(vec![]),
        force_null: Columns::Named(vec![]),
        errors: CopyErrors::default(),
    })
}

/// The fields of an object, `-` for NULL, or code and column of what is wrong.
fn read(members: &Members, text: &str) -> String {
    let (mut fields, bytes) = (fields(), text.as_bytes());
    match members.read(&mut fields, bytes, 0..bytes.len()) {
        Ok(_) => {
            let shown = |at| match fields.get(at, bytes) {
                Some(value) if !value.is_null => String::from_utf8_lossy(value.bytes).into_owned(),
                _ => "-".to_owned(),
            };
            (0..fields.len()).map(shown).collect::<Vec<_>>().join("|")
        }
        Err(problem) => {
            let column = problem.place.map(|(column, _)| column).unwrap_or_default();
            format!("{} {column}", problem.code)
        }
    }
}

#[test]
fn members_become_fields() {
    let members = Members::new("t", &schema(), &[]);
    for (text, expected) in [
        ("{}", "-|-|-|-|-"),
        ("{ \"t\" : \"x\" , \"n\" : -1 } ", "-1|x|-|-|-"),
        ("{\"t\":\"x\",\"n\":-1}", "-1|x|-|-|-"),
        ("{\"n\":1234567890123456789012,\"t\":0.10}", "1234567890123456789012|0.10|-|-|-"),
        ("{\"n\":1.9,\"t\":1.10}", "1.9|1.10|-|-|-"),
        ("{\"n\":2.00,\"t\":2.00}", "2|2.00|-|-|-"),
        ("{\"n\":null,\"t\":\"\"}", "-||-|-|-"),
        ("{\"t\":\"\\\\N \\u00e9\\n\"}", "-|\\N é\n|-|-|-"),
        ("{\"\\u0074\":true}", "-|true|-|-|-"),
        ("{\"t\":{\"k\":1,\"m\":\"v\"}}", "-|{\"k\":1,\"m\":\"v\"}|-|-|-"),
        ("{\"t\":[1, \"]\"]}", "-|[1, \"]\"]|-|-|-"),
        ("{\"l\":[1,null,\"a\\\"b\",[\"c\"]]}", "-|-|{\"1\",NULL,\"a\\\"b\",{\"c\"}}|-|-"),
        ("{\"l\":\"{a,b}\"}", "-|-|{a,b}|-|-"),
        ("{\"t\":\"a\",\"t\":null}", "-|-|-|-|-"),
        ("{\"l\":{}}", "22P02 l"),
        ("{\"by\":[1]}", "22P02 by"),
        ("{\"row\":{\"x\":1}}", "0A000 row"),
        ("{\"row\":null}", "-|-|-|-|-"),
        ("{\"t\":\"\\u0000\"}", "22P05 t"),
        ("{\"t\":\"\\ud800\"}", "22P02 t"),
        ("{\"other\":1}", "42703 "),
        ("{\"n\":01}", "22P02 "),
        ("{\"n\":1", "22P02 "),
        ("{\"n\":1}}", "22P02 "),
        ("{\"n\":1} x", "22P02 "),
        ("{\"t\":{\"k\":}}", "22P02 "),
        ("{n:1}", "22P02 "),
        ("[1]", "22P02 "),
        ("5", "22P02 "),
    ] {
        assert_eq!(read(&members, text), expected, "{text}");
    }
}

#[test]
fn other_members_are_left_out_where_columns_are_listed() {
    let members = Members::new("t", &schema(), &[]).leaving_out(true);
    assert_eq!(read(&members, "{\"other\":[{}],\"n\":1}"), "1|-|-|-|-");
    assert_eq!(read(&members, "{\"other\":[},\"n\":1}"), "22P02 ");
    assert_eq!(read(&members, "{\"other\":\"\\x\",\"n\":1}"), "22P02 ");
}

#[test]
fn marks_tell_null_from_nothing() {
    let mut fields = schema().fields().to_vec();
    fields.push(Arc::new(Field::new("given", DataType::Boolean, true)));
    let members = Members::new("t", &Schema::new(fields), &["t".to_owned()])
        .with_generated(vec!["g".to_owned()]);
    assert_eq!(read(&members, "{\"n\":1}"), "1|-|-|-|-|-");
    assert_eq!(read(&members, "{\"t\":null}"), "-|-|-|-|-|t");
    assert_eq!(read(&members, "{\"t\":\"\\n\"}"), "-|\n|-|-|-|t");
    assert_eq!(read(&members, "{\"g\":1}"), "42P10 ");
}
