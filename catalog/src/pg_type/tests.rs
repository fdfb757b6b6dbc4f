//! The expected names were taken from PostgreSQL 15.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};

use super::*;

#[test]
fn the_table_is_sorted_and_consistent() {
    for pair in types().windows(2) {
        assert!(pair[0].oid < pair[1].oid, "{} is out of order", pair[1].name);
    }
    for info in types() {
        assert_eq!(type_info(info.oid), Some(info));
        assert_eq!(type_by_catalog_name(info.name), Some(info));
        if info.is_array() {
            let element = type_info(info.element).expect(info.name);
            assert_eq!(element.array, info.oid, "{}", info.name);
        } else if info.array != 0 {
            let array = type_info(info.array).expect(info.name);
            assert_eq!((array.element, array.size), (info.oid, -1), "{}", info.name);
        }
    }
    let float8 = type_info(701).unwrap();
    assert_eq!((float8.name, float8.size, float8.by_value), ("float8", 8, true));
    assert_eq!((float8.input, float8.receive), ("float8in", "float8recv"));
    assert!(!type_info(774).unwrap().by_value && !type_info(2950).unwrap().by_value);
}

#[test]
fn types_are_formatted_as_by_postgresql() {
    let cases: &[(u32, Option<i32>, &str)] = &[
        (1700, Some(655_366), "numeric(10,2)"),
        (1700, Some(-1), "numeric"),
        (1700, None, "numeric"),
        (1700, Some(329_730), "numeric(5,-2)"),
        (1043, Some(14), "character varying(10)"),
        (1043, Some(-1), "character varying"),
        (1042, Some(14), "character(10)"),
        (1042, Some(-1), "bpchar"),
        (1042, None, "character"),
        (1560, Some(3), "bit(3)"),
        (1560, Some(-1), "\"bit\""),
        (1560, None, "bit"),
        (1562, Some(9), "bit varying(9)"),
        (1114, Some(3), "timestamp(3) without time zone"),
        (1184, Some(0), "timestamp(0) with time zone"),
        (1083, Some(6), "time(6) without time zone"),
        (1266, Some(2), "time(2) with time zone"),
        (1186, Some(2_147_418_115), "interval(3)"),
        (1186, Some(470_351_871), "interval day to second"),
        (1186, Some(470_286_338), "interval day to second(2)"),
        (1186, Some(327_679), "interval year"),
        (1186, Some(402_653_185), "interval minute to second(1)"),
        (18, None, "\"char\""),
        (18, Some(-1), "\"char\""),
        (1007, Some(-1), "integer[]"),
        (1015, Some(14), "character varying(10)[]"),
        (1231, Some(655_366), "numeric(10,2)[]"),
        (0, Some(-1), "-"),
        (99_999, Some(-1), "???"),
        (2276, None, "\"any\""),
        (22, None, "int2vector"),
        (19, Some(i32::MIN), "name"),
        (1700, Some(i32::MAX), "numeric(32767,-5)"),
    ];
    for (oid, modifier, expected) in cases {
        assert_eq!(format_type(*oid, *modifier), *expected, "{oid} {modifier:?}");
    }
}

#[test]
fn names_are_found_as_by_postgresql() {
    let cases = [
        ("int4", 23),
        ("integer", 23),
        ("pg_catalog.int4", 23),
        ("timestamp(3) with time zone", 1184),
        ("varchar(10)[]", 1015),
        ("_text", 1009),
        ("char", 1042),
        ("\"char\"", 18),
        ("pg_catalog.char", 18),
        ("double precision", 701),
        ("INT [ ]", 1007),
        ("decimal", 1700),
        ("float", 701),
        ("bit varying(3)", 1562),
        ("int2vector", 22),
        ("time", 1083),
        ("time without time zone", 1083),
        ("regclass", 2205),
        ("numeric(10,2)", 1700),
        ("int4[][]", 1007),
        ("record", 2249),
    ];
    for (name, oid) in cases {
        assert_eq!(type_by_name(name).map(|info| info.oid), Some(oid), "{name}");
    }
    for name in ["", "[]", "nothing", "\"INT4\"", "pg_catalog.", "(", "\""] {
        assert_eq!(type_by_name(name), None, "{name}");
    }
}

#[test]
fn arrow_types_are_mapped() {
    let item = |data_type| Arc::new(Field::new("item", data_type, true));
    let cases = [
        (DataType::Int8, 21, 2, -1),
        (DataType::UInt8, 21, 2, -1),
        (DataType::UInt32, 26, 4, -1),
        (DataType::UInt64, 1700, -1, (20 << 16) + 4),
        (DataType::Float16, 700, 4, -1),
        (DataType::Decimal128(10, 2), 1700, -1, 655_366),
        (DataType::Decimal256(5, -2), 1700, -1, 329_730),
        (DataType::Utf8View, 25, -1, -1),
        (DataType::Null, 25, -1, -1),
        (DataType::Date64, 1082, 4, -1),
        (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), 1184, 8, -1),
        (DataType::Interval(IntervalUnit::YearMonth), 1186, 16, -1),
        (DataType::Struct(Fields::empty()), 2249, -1, -1),
        (DataType::List(item(DataType::Struct(Fields::empty()))), 2287, -1, -1),
        (DataType::List(item(DataType::List(item(DataType::Int32)))), 1007, -1, -1),
        (DataType::LargeList(item(DataType::Decimal128(10, 2))), 1231, -1, -1),
        (DataType::Dictionary(DataType::Int8.into(), DataType::Utf8.into()), 25, -1, -1),
    ];
    for (data_type, oid, size, modifier) in cases {
        let expected = PgType { oid, size, modifier };
        assert_eq!(pg_type_of_data_type(&data_type), expected, "{data_type}");
    }
}

#[test]
fn metadata_overrides_the_mapping() {
    let of = |data_type, metadata: &[(&str, &str)]| {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let metadata: HashMap<_, _> = metadata.iter().map(owned).collect();
        let pg_type = pg_type_of(&Field::new("c", data_type, true).with_metadata(metadata));
        (pg_type.oid, pg_type.size, pg_type.modifier)
    };
    assert_eq!(of(DataType::UInt32, &[(FIELD_PG_TYPE, "oid")]), (26, 4, -1));
    assert_eq!(of(DataType::Utf8, &[(FIELD_PG_TYPE, "char")]), (18, 1, -1));
    assert_eq!(
        of(DataType::Utf8, &[(FIELD_PG_TYPE, "varchar"), (FIELD_PG_TYPMOD, "14")]),
        (1043, -1, 14)
    );
    assert_eq!(of(DataType::Utf8, &[(FIELD_PG_TYPE, "no such type")]), (25, -1, -1));
    let uuid = [("ARROW:extension:name", "arrow.uuid")];
    assert_eq!(of(DataType::FixedSizeBinary(16), &uuid), (2950, 16, -1));
}

#[test]
fn parameters_get_arrow_types() {
    let list = |data_type| Some(DataType::List(Field::new("item", data_type, true).into()));
    assert_eq!(arrow_type_of(23), Some(DataType::Int32));
    assert_eq!(arrow_type_of(26), Some(DataType::UInt32));
    assert_eq!(arrow_type_of(2205), Some(DataType::UInt32));
    assert_eq!(arrow_type_of(705), Some(DataType::Utf8));
    assert_eq!(arrow_type_of(3802), Some(json_type(Json::Binary)));
    assert_eq!(arrow_type_of(1007), list(DataType::Int32));
    assert_eq!(arrow_type_of(22), list(DataType::Int16));
    assert_eq!(arrow_type_of(1000), list(DataType::Boolean));
    assert_eq!(arrow_type_of(2249), None);
    assert_eq!(arrow_type_of(2278), None);
    assert_eq!(arrow_type_of(0), None);
}
