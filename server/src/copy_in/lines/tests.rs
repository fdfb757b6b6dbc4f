use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, TimeUnit};
use bytes::Bytes;
use tarn_planner::statement::{Columns, CopyErrors, CopyFormat};

use super::*;

fn reader(errors: CopyErrors) -> LineReader {
    let fields = vec![
        Field::new("n", DataType::Int32, true),
        Field::new("price", DataType::Decimal128(15, 2), true),
        Field::new("day", DataType::Date32, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("share", DataType::Float64, true),
        Field::new("name", DataType::Utf8View, true),
    ];
    let options = CopyOptions {
        format: CopyFormat::Csv,
        delimiter: b',',
        null: String::new(),
        header: Header::Off,
        quote: b'"',
        escape: b'"',
        force_quote: Columns::Named(vec![]),
        force_not_null: Columns::Named(vec!["name".to_owned()]),
        force_null: Columns::Named(vec!["day".to_owned()]),
        errors,
    };
    LineReader::new("t", Arc::new(Schema::new(fields)), options, Zone::Fixed(0))
}

fn chunk(text: String) -> Chunk {
    Chunk { bytes: Bytes::from(text), n_lines_before: 0, is_first: true, fault: None }
}

/// A line: all forms in turn, one of which only PostgreSQL's own reader takes.
fn line(n: usize) -> String {
    let price = ["12.5", "-0.01", "", " 7 ", "123456789.25"][n % 5];
    let day = ["2024-02-29", "\"\"", "", "1969-12-31"][n % 4];
    let at = ["2024-02-29 23:59:59.5", "", "2000-01-01T00:00:00"][n % 3];
    let name = ["plain", "\"with, comma\"", "\"two\nlines\"", "", "é", "\"\"\"\""][n % 6];
    format!("{n},{price},{day},{at},{}.5,{name}\n", n % 10)
}

#[test]
fn columns_are_read_as_lines_are() {
    let text: String = (0..9_000).map(line).collect();
    let ignore = CopyErrors { ignore: true, ..CopyErrors::default() };
    // Where errors are ignored lines are read one by one.
    let [by_column, by_line] = [CopyErrors::default(), ignore].map(|errors| {
        let reader = reader(errors);
        let batches = reader.read(&chunk(text.clone())).expect("is valid");
        assert_eq!(reader.skipped().0, 0);
        concat_batches(reader.batch_schema(), &batches).expect("one schema")
    });
    assert_eq!(by_column.num_rows(), 9_000);
    assert_eq!(by_column, by_line);
}

#[test]
fn the_first_error_is_told() {
    let cases = [
        // A later column of an earlier line, behind a field with a line end.
        (vec!["1,1,,,1,\"a\nb\"", "2,2,,,x,c", "y,3,,,1,d"], "line 3, column share: \"x\""),
        (vec!["1,1,,,1,a", "2,2,2023-02-29,,1,c"], "line 2, column day: \"2023-02-29\""),
        (vec!["1,1,,,1,a", "2,2,,,1", "z,2,,,1,c"], "line 2: \"2,2,,,1\""),
        (vec!["1,1,,,1,a", "q,2,,,1,b", "2,2"], "line 2, column n: \"q\""),
        (vec!["1,1,,,1,a", "2,2,,,1,\"c"], "line 2: \"2,2,,,1,\"c\n\""),
    ];
    for (lines, expected) in cases {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let error = reader(CopyErrors::default()).read(&chunk(text)).expect_err(expected);
        let context = error.context().unwrap_or_default();
        assert_eq!(context, format!("COPY t, {expected}"));
    }
}

#[test]
fn a_line_that_ends_otherwise_is_told_behind_the_errors_before_it() {
    let fault = |text: &str| Chunk {
        fault: Some(LineFault { message: "unquoted newline found in data", n_line: 7 }),
        n_lines_before: 5,
        ..chunk(text.to_owned())
    };
    let context = |text: &str| {
        let error = reader(CopyErrors::default()).read(&fault(text)).expect_err(text);
        (error.sqlstate().to_owned(), error.context().unwrap_or_default().to_owned())
    };
    assert_eq!(context("1,1,,,1,a\n"), ("22P04".to_owned(), "COPY t, line 7".to_owned()));
    let first = ("22P02".to_owned(), "COPY t, line 6, column n: \"x\"".to_owned());
    assert_eq!(context("x,1,,,1,a\n"), first);
}
