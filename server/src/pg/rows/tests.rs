//! Arrow types that parameters never have; the frozen values of `params::tests` cover the rest.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::*;
use tarn_planner::calendar::IntervalStyle;

use super::*;

/// Encodes a column and takes the messages apart; `None` is NULL.
fn try_values(
    field: Field,
    array: ArrayRef,
    format: Format,
    settings: &EncodeSettings,
) -> Result<Vec<Option<Vec<u8>>>, EncodeError> {
    let schema = Arc::new(Schema::new(vec![field]));
    let encoder = RowEncoder::try_new(&schema, &[format], settings)?;
    let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
    let mut out = BytesMut::new();
    let result = encoder.encode(&batch, 0..usize::MAX, &mut out);
    let mut values = Vec::new();
    let mut rest = &out[..];
    while let [b'D', a, b, c, d, 0, 1, tail @ ..] = rest {
        let message = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        let (body, behind) = tail.split_at(message - 6);
        let length = i32::from_be_bytes(body[..4].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap_or(0), body.len() - 4);
        values.push((length >= 0).then(|| body[4..].to_vec()));
        rest = behind;
    }
    assert!(rest.is_empty(), "an unfinished message is left");
    result.map(|()| values)
}

fn field_of(array: &ArrayRef) -> Field {
    Field::new("c", array.data_type().clone(), true)
}

fn text_with(array: impl Array + 'static, settings: &EncodeSettings) -> Vec<String> {
    let array: ArrayRef = Arc::new(array);
    let values = try_values(field_of(&array), array, Format::Text, settings).unwrap();
    let shown = |value: Option<Vec<u8>>| {
        value.map_or_else(|| "-".to_owned(), |v| String::from_utf8(v).unwrap())
    };
    values.into_iter().map(shown).collect()
}

fn text(array: impl Array + 'static) -> Vec<String> {
    text_with(array, &EncodeSettings::default())
}

fn binary(array: impl Array + 'static) -> Vec<String> {
    binary_as("", array)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn try_binary_as(pg_type: &str, array: impl Array + 'static) -> Result<Vec<String>, EncodeError> {
    let array: ArrayRef = Arc::new(array);
    let metadata = [(pg_type::FIELD_PG_TYPE.to_owned(), pg_type.to_owned())].into();
    let field = field_of(&array).with_metadata(metadata);
    let values = try_values(field, array, Format::Binary, &EncodeSettings::default())?;
    Ok(values
        .into_iter()
        .map(|value| value.map_or_else(|| "-".to_owned(), |v| to_hex(&v)))
        .collect())
}

fn binary_as(pg_type: &str, array: impl Array + 'static) -> Vec<String> {
    try_binary_as(pg_type, array).unwrap()
}

#[test]
fn integers_of_all_widths() {
    assert_eq!(text(Int8Array::from(vec![Some(-128), None])), ["-128", "-"]);
    assert_eq!(binary(Int8Array::from(vec![Some(-128), None])), ["ff80", "-"]);
    assert_eq!(binary(UInt8Array::from(vec![255])), ["00ff"]);
    assert_eq!(binary(UInt16Array::from(vec![65535])), ["0000ffff"]);
    assert_eq!(binary(UInt32Array::from(vec![u32::MAX])), ["ffffffff"]);
    assert_eq!(text(UInt64Array::from(vec![u64::MAX])), ["18446744073709551615"]);
    assert_eq!(
        binary(UInt64Array::from(vec![u64::MAX, 0])),
        ["000500040000000007341a5802e103bb064f", "0000000000000000"]
    );
    // Identifiers may come in any integer.
    assert_eq!(binary_as("oid", UInt32Array::from(vec![u32::MAX])), ["ffffffff"]);
    assert_eq!(binary_as("oid", Int64Array::from(vec![16384])), ["00004000"]);
    assert_eq!(binary_as("regclass", Int32Array::from(vec![1259])), ["000004eb"]);
    assert_eq!(binary_as("float8", Int32Array::from(vec![1])), ["3ff0000000000000"]);
    let beyond = try_binary_as("oid", Int64Array::from(vec![-1])).unwrap_err();
    assert_eq!((beyond.sqlstate(), beyond.to_string()), ("22003", "oid out of range".to_owned()));
    let beyond = try_binary_as("int2", Int64Array::from(vec![40_000])).unwrap_err();
    assert_eq!(beyond.to_string(), "smallint out of range");
}

#[test]
fn functions_and_types_have_names() {
    let shown = |pg_type: &str, oids: Vec<u32>| {
        let array: ArrayRef = Arc::new(UInt32Array::from(oids));
        let metadata = [(pg_type::FIELD_PG_TYPE.to_owned(), pg_type.to_owned())].into();
        let field = field_of(&array).with_metadata(metadata);
        let values = try_values(field, array, Format::Text, &EncodeSettings::default()).unwrap();
        let values = values.into_iter().map(|value| String::from_utf8(value.unwrap()).unwrap());
        values.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("regtype", vec![23, 1007, 0, 99_999]), "integer integer[] - 99999");
    assert_eq!(shown("regproc", vec![1242, 0, 4_000_000_000]), "boolin - 4000000000");
    assert_eq!(shown("oid", vec![0]), "0");
}

#[test]
fn decimals_of_all_widths() {
    let decimal = Decimal32Array::from(vec![12345, -5]).with_precision_and_scale(9, 3).unwrap();
    assert_eq!(text(decimal), ["12.345", "-0.005"]);
    let decimal = Decimal64Array::from(vec![12345]).with_precision_and_scale(18, 0).unwrap();
    assert_eq!(text(decimal), ["12345"]);
    let decimal = Decimal128Array::from(vec![125, 0]).with_precision_and_scale(5, -2).unwrap();
    assert_eq!(text(decimal.clone()), ["12500", "0"]);
    assert_eq!(binary(decimal), ["0002000100000000000109c4", "0000000000000000"]);
    let huge = i256::from_string(&"9".repeat(76)).unwrap();
    let decimal = Decimal256Array::from(vec![huge, huge.wrapping_neg(), i256::from_i128(7)]);
    let decimal = decimal.with_precision_and_scale(76, 10).unwrap();
    let whole = "9".repeat(66);
    assert_eq!(
        text(decimal),
        [format!("{whole}.9999999999"), format!("-{whole}.9999999999"), "0.0000000007".to_owned()]
    );
    // Outside of what the type promises: an error, not a wrong number.
    let broken = Decimal256Array::from(vec![i256::MIN]).with_precision_and_scale(76, 0).unwrap();
    assert_eq!(try_binary_as("", broken).unwrap_err().sqlstate(), "22003");
}

#[test]
fn strings_and_bytes_of_all_kinds() {
    let long = "longer than twelve bytes";
    assert_eq!(text(StringViewArray::from(vec![Some(long), None])), [long, "-"]);
    assert_eq!(text(LargeStringArray::from(vec!["a"])), ["a"]);
    assert_eq!(text(BinaryViewArray::from(vec![b"\x00\xff".as_ref()])), ["\\x00ff"]);
    assert_eq!(text(LargeBinaryArray::from(vec![b"".as_ref()])), ["\\x"]);
    let escape = EncodeSettings { bytea_output: ByteaOutput::Escape, ..EncodeSettings::default() };
    let bytes = BinaryArray::from(vec![b"a\\\x00\xff~\x7f".as_ref()]);
    assert_eq!(text_with(bytes, &escape), ["a\\\\\\000\\377~\\177"]);
    assert_eq!(binary_as("char", StringArray::from(vec!["rx", ""])), ["72", "00"]);
    assert_eq!(binary_as("jsonb", StringArray::from(vec!["1"])), ["0131"]);
    assert_eq!(binary_as("name", StringArray::from(vec!["a"])), ["61"]);
    let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let bytes = "a0eebc999c0b4ef8bb6d6bb9bd380a11";
    assert_eq!(binary_as("uuid", StringArray::from(vec![uuid])), [bytes]);
    let invalid = try_binary_as("uuid", StringArray::from(vec!["no uuid"])).unwrap_err();
    assert_eq!(invalid.to_string(), "invalid input syntax for type uuid: \"no uuid\"");
    let unsupported = try_binary_as("point", StringArray::from(vec!["(1,2)"])).unwrap_err();
    assert_eq!(unsupported.sqlstate(), "0A000");
}

#[test]
fn floats_of_sixteen_bits_and_nothing() {
    let halves = Float16Array::from(vec![half_of(1.5), half_of(f32::INFINITY)]);
    assert_eq!(text(halves.clone()), ["1.5", "Infinity"]);
    assert_eq!(binary(halves), ["3fc00000", "7f800000"]);
    assert_eq!(text(NullArray::new(2)), ["-", "-"]);
    assert_eq!(binary(NullArray::new(1)), ["-"]);
}

fn half_of(value: f32) -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::from_f32(value)
}

#[test]
fn times_of_all_units() {
    assert_eq!(text(Date64Array::from(vec![-1, 86_400_000])), ["1969-12-31", "1970-01-02"]);
    assert_eq!(text(Time32SecondArray::from(vec![3661])), ["01:01:01"]);
    assert_eq!(text(Time32MillisecondArray::from(vec![1])), ["00:00:00.001"]);
    assert_eq!(text(Time64NanosecondArray::from(vec![1_999])), ["00:00:00.000001"]);
    assert_eq!(text(TimestampSecondArray::from(vec![0])), ["1970-01-01 00:00:00"]);
    assert_eq!(
        text(TimestampNanosecondArray::from(vec![-1, 1_500])),
        ["1969-12-31 23:59:59.999999", "1970-01-01 00:00:00.000001"]
    );
    assert_eq!(text(DurationSecondArray::from(vec![90_061])), ["1 day 01:01:01"]);
    assert_eq!(text(IntervalYearMonthArray::from(vec![-14])), ["-1 years -2 mons"]);
    let day_time = IntervalDayTime::new(1, -1_500);
    assert_eq!(text(IntervalDayTimeArray::from(vec![day_time])), ["1 day -00:00:01.5"]);
    for (array, name) in [
        (Arc::new(TimestampSecondArray::from(vec![i64::MAX])) as ArrayRef, "timestamp"),
        (Arc::new(TimestampMicrosecondArray::from(vec![i64::MIN + 1])), "timestamp"),
        (Arc::new(Date32Array::from(vec![i32::MAX - 1])), "date"),
        (Arc::new(Time64MicrosecondArray::from(vec![-1])), "time"),
        (Arc::new(DurationSecondArray::from(vec![i64::MAX])), "interval"),
    ] {
        for format in [Format::Text, Format::Binary] {
            let settings = EncodeSettings::default();
            let error = try_values(field_of(&array), array.clone(), format, &settings).unwrap_err();
            assert_eq!(error, EncodeError::DatetimeOutOfRange { type_name: name });
        }
    }
}

#[test]
fn time_zones_and_styles() {
    // 2024-01-05 10:00:00.5 and 2024-07-05 10:00:00 in UTC, and a time before zones had names.
    let instants = [1_704_448_800_500_000, 1_720_173_600_000_000, -3_000_000_000_000_000];
    let instants = TimestampMicrosecondArray::from(instants.to_vec()).with_timezone("UTC");
    let shown = |zone: &str, date_style: DateStyle| {
        let zone = Zone::by_name(zone).unwrap();
        let times = TimeSettings { zone, style: date_style, ..EncodeSettings::default().times };
        let settings = EncodeSettings { times, ..EncodeSettings::default() };
        text_with(instants.clone(), &settings).join("|")
    };
    let cases = CASES_ZONES;
    for (zone, style, expected) in cases {
        assert_eq!(shown(zone, *style), *expected, "{zone} {style:?}");
    }
    for text in ["", "nowhere", "+99", "+5:5:5:5", "-", "+1x"] {
        assert_eq!(Zone::by_name(text), None, "{text}");
    }
}

#[test]
fn interval_styles() {
    let interval = |months, days, nanoseconds| IntervalMonthDayNano { months, days, nanoseconds };
    let second = 1_000_000_000;
    let intervals = IntervalMonthDayNanoArray::from(vec![
        interval(14, 3, 14_706_789_000_000),
        interval(-14, 3, -4 * 3_600 * second),
        interval(0, 0, 0),
        interval(14, 0, 0),
        interval(0, -1, -second / 2),
        interval(0, 0, -second),
        interval(i32::MIN, i32::MIN, i64::MIN),
    ]);
    let cases = CASES_INTERVALS;
    for (interval_style, expected) in cases {
        let interval_style = *interval_style;
        let times = TimeSettings { interval_style, ..EncodeSettings::default().times };
        let settings = EncodeSettings { times, ..EncodeSettings::default() };
        assert_eq!(text_with(intervals.clone(), &settings).join("|"), *expected);
    }
}

#[test]
fn dictionaries_and_runs_are_undone() {
    let dictionary: DictionaryArray<Int8Type> =
        vec![Some("a"), None, Some("a")].into_iter().collect();
    assert_eq!(text(dictionary), ["a", "-", "a"]);
    let ends = Int32Array::from(vec![2, 3]);
    let runs = RunArray::try_new(&ends, &StringArray::from(vec![Some("x"), None])).unwrap();
    assert_eq!(text(runs.clone()), ["x", "x", "-"]);
    assert_eq!(binary(runs), ["78", "78", "-"]);
}

fn nested_lists(rows: &[&[Option<&[i32]>]]) -> ListArray {
    let mut builder = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    for row in rows {
        for inner in *row {
            match inner {
                Some(values) => builder.values().append_value(values.iter().copied().map(Some)),
                None => builder.values().append_null(),
            }
        }
        builder.append(true);
    }
    builder.finish()
}

#[test]
fn lists_of_all_kinds() {
    let lists = nested_lists(&[&[Some(&[1, 2]), Some(&[3, 4])], &[], &[Some(&[]), Some(&[])]]);
    assert_eq!(text(lists.clone()), ["{{1,2},{3,4}}", "{}", "{}"]);
    assert_eq!(text(lists.slice(1, 2)), ["{}", "{}"]);
    let [first, second, third] = &binary(lists)[..] else { panic!("three rows") };
    assert!(first.starts_with("00000002000000000000001700000002000000010000000200000001"));
    assert_eq!((second.as_str(), second), ("000000000000000000000017", third));
    for ragged in [nested_lists(&[&[Some(&[1]), Some(&[1, 2])]]), nested_lists(&[&[None]])] {
        assert_eq!(try_binary_as("", ragged).unwrap_err(), EncodeError::RaggedArray);
    }
    assert_eq!(text(nested_lists(&[&[None, Some(&[1])]])), ["{NULL,{1}}"]);
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        vec![Some(vec![Some(1), None]), None, Some(vec![Some(3), Some(4)])],
        2,
    );
    assert_eq!(text(fixed.clone()), ["{1,NULL}", "-", "{3,4}"]);
    assert_eq!(text(fixed.slice(2, 1)), ["{3,4}"]);
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let values = Arc::new(Int64Array::from(vec![7, 8, 9]));
    let views = ListViewArray::new(item, vec![1, 0].into(), vec![2, 1].into(), values, None);
    assert_eq!(text(views), ["{8,9}", "{7}"]);
    let vector =
        || ListArray::from_iter_primitive::<Int16Type, _, _>(vec![Some(vec![Some(1), Some(2)])]);
    assert_eq!(text(vector()), ["{1,2}"]);
    assert_eq!(
        binary_as("int2vector", vector()),
        ["000000010000000000000015000000020000000000000002000100000002".to_owned() + "0002"]
    );
    let oids = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(26)])]);
    assert_eq!(
        binary_as("_oid", oids),
        ["00000001000000000000001a0000000100000001000000040000001a"]
    );
}

fn record() -> StructArray {
    let names = Arc::new(StringArray::from(vec![Some("a\"b\\ c"), Some(""), None]));
    let numbers = Arc::new(Int32Array::from(vec![Some(1), None, None]));
    StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int32, true)), numbers as ArrayRef),
        (Arc::new(Field::new("s\"", DataType::Utf8, true)), names as ArrayRef),
    ])
}

#[test]
fn records_maps_and_json() {
    assert_eq!(text(record()), [r#"(1,"a""b\\ c")"#, r#"(,"")"#, "(,)"]);
    assert_eq!(binary(record())[2], "0000000200000017ffffffff00000019ffffffff");
    let list = ListArray::new(
        Arc::new(Field::new("item", record().data_type().clone(), true)),
        OffsetBuffer::from_lengths([3]),
        Arc::new(record()),
        None,
    );
    assert_eq!(text(list), [r#"{"(1,\"a\"\"b\\\\ c\")","(,\"\")","(,)"}"#]);
    let json: Vec<_> = binary_as("json", record());
    assert_eq!(json[0], to_hex(br#"{"n": 1, "s\"": "a\"b\\ c"}"#));
    let mut map = MapBuilder::new(None, StringBuilder::new(), Float64Builder::new());
    map.keys().append_value("k\n");
    map.values().append_value(f64::NAN);
    map.keys().append_value("l");
    map.values().append_null();
    map.append(true).unwrap();
    map.append(false).unwrap();
    let map = map.finish();
    assert_eq!(text(map.clone()), [r#"{"k\n": "NaN", "l": null}"#, "-"]);
    assert_eq!(binary(map)[0], to_hex(b"\x01{\"k\\n\": \"NaN\", \"l\": null}"));
}

#[test]
fn rows_are_framed_and_errors_leave_whole_messages() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Date32, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(7), None, Some(8)])),
        Arc::new(Date32Array::from(vec![None, Some(0), Some(i32::MAX - 1)])),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap();
    let settings = EncodeSettings::default();
    let encoder = RowEncoder::try_new(&schema, &[Format::Binary, Format::Text], &settings).unwrap();
    let mut out = BytesMut::new();
    encoder.encode(&batch, 0..2, &mut out).unwrap();
    let expected: &[u8] = b"D\0\0\0\x12\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\
        D\0\0\0\x18\0\x02\xff\xff\xff\xff\0\0\0\x0a1970-01-01";
    assert_eq!(out, expected);
    let error = encoder.encode(&batch, 1..3, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "date out of range");
    assert_eq!(out.len(), expected.len() + 25);
    let error = RowEncoder::try_new(&schema, &[Format::Text], &settings).unwrap_err();
    assert_eq!(error.sqlstate(), "08P01");
    let other = batch.project(&[0]).unwrap();
    assert_eq!(encoder.encode(&other, 0..1, &mut out), Err(EncodeError::SchemaMismatch));
}

/// What PostgreSQL 15 shows; zone, style, three instants.
#[rustfmt::skip] // A line a zone.
const CASES_ZONES: &[(&str, DateStyle, &str)] = &[
    ("UTC", DateStyle::Iso, "2024-01-05 10:00:00.5+00|2024-07-05 10:00:00+00|1874-12-07 18:40:00+00"),
    ("UTC", DateStyle::Sql, "01/05/2024 10:00:00.5 UTC|07/05/2024 10:00:00 UTC|12/07/1874 18:40:00 UTC"),
    ("UTC", DateStyle::Postgres, "Fri Jan 05 10:00:00.5 2024 UTC|Fri Jul 05 10:00:00 2024 UTC|Mon Dec 07 18:40:00 1874 UTC"),
    ("UTC", DateStyle::German, "05.01.2024 10:00:00.5 UTC|05.07.2024 10:00:00 UTC|07.12.1874 18:40:00 UTC"),
    ("America/New_York", DateStyle::Iso, "2024-01-05 05:00:00.5-05|2024-07-05 06:00:00-04|1874-12-07 13:43:58-04:56:02"),
    ("America/New_York", DateStyle::Sql, "01/05/2024 05:00:00.5 EST|07/05/2024 06:00:00 EDT|12/07/1874 13:43:58 LMT"),
    ("America/New_York", DateStyle::Postgres, "Fri Jan 05 05:00:00.5 2024 EST|Fri Jul 05 06:00:00 2024 EDT|Mon Dec 07 13:43:58 1874 LMT"),
    ("America/New_York", DateStyle::German, "05.01.2024 05:00:00.5 EST|05.07.2024 06:00:00 EDT|07.12.1874 13:43:58 LMT"),
    ("Asia/Kolkata", DateStyle::Iso, "2024-01-05 15:30:00.5+05:30|2024-07-05 15:30:00+05:30|1874-12-08 00:01:10+05:21:10"),
    ("Asia/Kolkata", DateStyle::Sql, "01/05/2024 15:30:00.5 IST|07/05/2024 15:30:00 IST|12/08/1874 00:01:10 MMT"),
    ("Asia/Kolkata", DateStyle::Postgres, "Fri Jan 05 15:30:00.5 2024 IST|Fri Jul 05 15:30:00 2024 IST|Tue Dec 08 00:01:10 1874 MMT"),
    ("Asia/Kolkata", DateStyle::German, "05.01.2024 15:30:00.5 IST|05.07.2024 15:30:00 IST|08.12.1874 00:01:10 MMT"),
    ("Europe/Berlin", DateStyle::Iso, "2024-01-05 11:00:00.5+01|2024-07-05 12:00:00+02|1874-12-07 19:33:28+00:53:28"),
    ("Asia/Kathmandu", DateStyle::Iso, "2024-01-05 15:45:00.5+05:45|2024-07-05 15:45:00+05:45|1874-12-08 00:21:16+05:41:16"),
];

/// What PostgreSQL 15 shows.
#[rustfmt::skip] // A line a style.
const CASES_INTERVALS: &[(IntervalStyle, &str)] = &[
    (IntervalStyle::Postgres, "1 year 2 mons 3 days 04:05:06.789|-1 years -2 mons +3 days -04:00:00|00:00:00|1 year 2 mons|-1 days -00:00:00.5|-00:00:01|-178956970 years -8 mons -2147483648 days -2562047:47:16.854775"),
    (IntervalStyle::Verbose, "@ 1 year 2 mons 3 days 4 hours 5 mins 6.789 secs|@ 1 year 2 mons -3 days 4 hours ago|@ 0|@ 1 year 2 mons|@ 1 day 0.5 secs ago|@ 1 sec ago|@ 178956970 years 8 mons 2147483648 days 2562047 hours 47 mins 16.854775 secs ago"),
    (IntervalStyle::SqlStandard, "+1-2 +3 +4:05:06.789|-1-2 +3 -4:00:00|0|1-2|-1 0:00:00.5|-0:00:01|-178956970-8 -2147483648 -2562047:47:16.854775"),
    (IntervalStyle::Iso8601, "P1Y2M3DT4H5M6.789S|P-1Y-2M3DT-4H|PT0S|P1Y2M|P-1DT-0.5S|PT-1S|P-178956970Y-8M-2147483648DT-2562047H-47M-16.854775S"),
];
