use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, ListArray, StringArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, IntervalMonthDayNano, TimeUnit};
use datafusion::common::ScalarValue;
use uuid::Uuid;

use super::bounds::{uuid_high, uuid_low};
use super::text_filters::texts_of;
use super::texts::time_micros;
use super::{decode, encode, interval, note, restored};
use crate::pg_type::{FIELD_PG_TYPE, FIELD_PG_TYPMOD, Json, json_type};

const UUID: DataType = DataType::FixedSizeBinary(16);

fn list_of(inner: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(inner, true)))
}

#[test]
fn types_come_back_from_what_is_noted() {
    let time = DataType::Time64(TimeUnit::Microsecond);
    let text = DataType::Utf8;
    let cases = [
        (UUID, text.clone()),
        (json_type(Json::Text), text.clone()),
        (json_type(Json::Binary), text.clone()),
        (time.clone(), text.clone()),
        (DataType::Decimal256(45, 3), text.clone()),
        (DataType::Decimal256(76, 0), text.clone()),
        (list_of(UUID), list_of(text.clone())),
        (list_of(list_of(time)), list_of(list_of(text))),
    ];
    for (logical, stored) in cases {
        let field = Field::new("c", logical.clone(), true);
        let (name, modifier) = note(&field).unwrap_or_default();
        let mut noted = HashMap::from([(FIELD_PG_TYPE.to_owned(), name)]);
        noted.extend(modifier.map(|modifier| (FIELD_PG_TYPMOD.to_owned(), modifier)));
        assert_eq!(restored(stored, noted).0, logical);
    }
}

#[test]
fn names_that_do_not_fit_say_nothing() {
    for (name, stored) in [("uuid", DataType::Int64), ("oid", DataType::Utf8), ("numeric", UUID)] {
        let noted = HashMap::from([(FIELD_PG_TYPE.to_owned(), name.to_owned())]);
        assert_eq!(restored(stored.clone(), noted), (stored, HashMap::new()));
    }
    let noted = HashMap::from([(FIELD_PG_TYPE.to_owned(), "varchar".to_owned())]);
    assert_eq!(restored(DataType::Utf8, noted.clone()), (DataType::Utf8, noted));
}

#[test]
fn values_come_back_from_their_texts() {
    let uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef).into_bytes();
    let values =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(uuid), None].into_iter(), 16);
    let values: ArrayRef = Arc::new(values.expect("sixteen bytes each"));
    let texts = encode(&values).expect("texts");
    assert_eq!(texts.as_string::<i32>().value(0), "01234567-89ab-cdef-0123-456789abcdef");
    assert_eq!(decode(&texts, &UUID).expect("values").as_ref(), Some(&values));

    let list: ArrayRef = Arc::new(ListArray::new(
        Arc::new(Field::new_list_field(UUID, true)),
        OffsetBuffer::from_lengths([2, 0]),
        values,
        None,
    ));
    assert_eq!(*encode(&list).expect("texts").data_type(), list_of(DataType::Utf8));

    let oids: ArrayRef = Arc::new(UInt32Array::from(vec![Some(u32::MAX), None]));
    let stored = encode(&oids).expect("numbers");
    assert_eq!(*stored.data_type(), DataType::Int64);
    assert_eq!(decode(&stored, &DataType::UInt32).expect("values"), Some(oids));

    let foreign: ArrayRef = Arc::new(StringArray::from(vec!["no uuid"]));
    assert!(decode(&foreign, &UUID).is_err());
    assert_eq!(decode(&foreign, &DataType::Utf8).expect("as it is"), None);
}

#[test]
fn intervals_come_back_from_their_texts() {
    let cases = [
        (0, 0, 0, "00:00:00"),
        (14, -3, 14_706_789_000_000, "1 year 2 mons -3 days +04:05:06.789"),
        (-1, 2, -1_000_000_000, "-1 mons +2 days -00:00:01"),
        (-13, 0, 0, "-1 years -1 mons"),
        (0, 1, 360_000_000_000_001, "1 day 100:00:00.000000001"),
        (i32::MIN, i32::MAX, i64::MIN, ""),
    ];
    for (months, days, nanoseconds, text) in cases {
        let value = IntervalMonthDayNano { months, days, nanoseconds };
        let written = interval::text_of(value);
        if !text.is_empty() {
            assert_eq!(written, text);
            assert_eq!(interval::value_of(&written), Some(value));
        }
    }
    let months = IntervalMonthDayNano { months: 1, days: 7, nanoseconds: 5_400_000_000_000 };
    assert_eq!(interval::value_of("1 month 1 week 1 hour 30 minutes"), Some(months));
    for text in ["", "1", "day", "1 fortnight", "1:2:3", "1 day 00:60:00", "99999999999 days"] {
        assert_eq!(interval::value_of(text), None, "{text}");
    }
}

#[test]
fn times_are_read_strictly() {
    assert_eq!(time_micros("00:00:00"), Some(0));
    assert_eq!(time_micros("23:59:59.999999"), Some(86_399_999_999));
    assert_eq!(time_micros("24:00:00"), Some(86_400_000_000));
    for text in ["9:00:00", "24:00:01", "12:00", "12:00:00.1234567", "noon", "-1:00:00"] {
        assert_eq!(time_micros(text), None, "{text}");
    }
}

/// Bounds of sets of UUIDs, written in any letters, hold for all of them.
#[test]
fn bounds_of_uuids_hold() {
    let mut seed = 7_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..20_000 {
        let prefix = u128::from(next()) << 64;
        let uuids = (0..4).map(|_| {
            let bits = (u128::from(next()) << 64) | u128::from(next());
            // Some that begin alike.
            let n_common = u32::try_from(round % 120).unwrap_or_default();
            let mask = u128::MAX >> n_common;
            Uuid::from_u128((prefix & !mask) | (bits & mask))
        });
        let uuids: Vec<Uuid> = uuids.collect();
        let mut texts: Vec<String> = uuids
            .iter()
            .map(|uuid| {
                let cased = |c: char| if next() % 3 == 0 { c.to_ascii_uppercase() } else { c };
                uuid.to_string().chars().map(cased).collect()
            })
            .collect();
        texts.sort();
        let (min, max) = (texts.first().cloned(), texts.last().cloned());
        let (min, max) = (min.unwrap_or_default(), max.unwrap_or_default());
        let cut = |text: &str| text.chars().take(32).collect::<String>();
        let cut_max = format!("{}\u{10ffff}", cut(&max));
        for (min, max) in [(min.clone(), max), (cut(&min), cut_max)] {
            let (low, high) = (uuid_low(&min), uuid_high(&min, &max));
            for uuid in &uuids {
                assert!(low <= *uuid.as_bytes() && *uuid.as_bytes() <= high, "{min} {uuid} {max}");
            }
        }
    }
}

#[test]
fn bounds_of_uuids_are_close() {
    let low = "0190a5b0-0000-7000-8000-000000000001";
    let high = "0190a5b9-0000-7000-8000-000000000001";
    assert_eq!(uuid_low(low), Uuid::parse_str(low).unwrap_or_default().into_bytes());
    assert_eq!(uuid_high(low, low), Uuid::parse_str(low).unwrap_or_default().into_bytes());
    assert!(uuid_high(low, high) < Uuid::from_u128(0x0190_a5ba << 96).into_bytes());
    assert_eq!(uuid_high("", ""), [255; 16]);
}

/// Every text of a value lies between the two that a filter asks for, and in the order of values.
#[test]
fn texts_of_values_lie_where_filters_look() {
    let uuid = |value: u128| {
        let bytes = Uuid::from_u128(value).into_bytes().to_vec();
        texts_of(&ScalarValue::FixedSizeBinary(16, Some(bytes))).expect("two texts")
    };
    let values: [u128; 8] =
        [0, 9, 10, 0xa0b, 0xf_u128 << 100, (0xf_u128 << 100) + 1, 0xabcd_u128 << 112, u128::MAX];
    for value in values {
        let (low, high) = uuid(value);
        let small = Uuid::from_u128(value).to_string();
        let mixed: String = small
            .chars()
            .enumerate()
            .map(|(at, c)| if at % 3 == 0 { c.to_ascii_uppercase() } else { c })
            .collect();
        for text in [small.to_uppercase(), mixed, small] {
            assert!(low <= text && text <= high, "{low} {text} {high}");
            // What is greater is not before the least text of a smaller value, and so on.
            for other in values {
                let (other_low, other_high) = uuid(other);
                assert!(value < other || text >= other_low, "{text} {other_low}");
                assert!(value > other || text <= other_high, "{text} {other_high}");
            }
        }
    }
    let time = |text: &str| {
        let micros = time_micros(text).expect("a time");
        let value = ScalarValue::Time64Microsecond(Some(micros));
        (micros, texts_of(&value).expect("two texts"))
    };
    let texts = [
        "00:00:00",
        "00:00:00.000001",
        "09:59:59.999999",
        "10:00:00",
        "10:00:00.0",
        "10:00:00.000000",
        "10:00:00.5",
        "10:00:00.500",
        "10:00:00.50000000",
        "10:00:01",
        "23:59:59.9",
        "24:00:00",
    ];
    for text in texts {
        for other in texts {
            let ((micros, _), (bound, (low, high))) = (time(text), time(other));
            assert!(micros < bound || text >= low.as_str(), "{text} {low}");
            assert!(micros > bound || text <= high.as_str(), "{text} {high}");
        }
    }
    assert_eq!(texts_of(&ScalarValue::FixedSizeBinary(16, None)), None);
    assert_eq!(texts_of(&ScalarValue::Utf8(Some("x".to_owned()))), None);
}
