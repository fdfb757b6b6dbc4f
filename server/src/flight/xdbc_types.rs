//! The SQL types that `GetXdbcTypeInfo` lists, for ODBC and JDBC bridges.

use std::sync::OnceLock;

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// How values of a type are written and measured.
#[derive(Clone, Copy)]
enum Kind {
    /// A number of so many digits in base 10, no sign left out.
    Exact { digits: i32, scale_max: i32 },
    /// A number of so many digits in base 2.
    Approximate { bits: i32 },
    /// Text of any length.
    Text,
    /// Bytes of any length.
    Bytes,
    /// A point in time written in so many characters.
    Time { chars: i32, subcode: Option<XdbcDatetimeSubcode> },
    /// Anything else of so many characters.
    Other { chars: i32 },
}

/// The longest text or byte string, in bytes: what 32-bit offsets of one batch can hold.
const VALUE_BYTES_MAX: i32 = i32::MAX;

const TYPES: &[(&str, XdbcDataType, Kind)] = {
    use XdbcDataType as X;
    use XdbcDatetimeSubcode as S;
    &[
        ("boolean", X::XdbcBit, Kind::Other { chars: 1 }),
        ("smallint", X::XdbcSmallint, Kind::Exact { digits: 5, scale_max: 0 }),
        ("integer", X::XdbcInteger, Kind::Exact { digits: 10, scale_max: 0 }),
        ("bigint", X::XdbcBigint, Kind::Exact { digits: 19, scale_max: 0 }),
        ("real", X::XdbcReal, Kind::Approximate { bits: 24 }),
        ("double precision", X::XdbcDouble, Kind::Approximate { bits: 53 }),
        ("numeric", X::XdbcNumeric, Kind::Exact { digits: 76, scale_max: 76 }),
        ("decimal", X::XdbcDecimal, Kind::Exact { digits: 76, scale_max: 76 }),
        ("character", X::XdbcChar, Kind::Text),
        ("character varying", X::XdbcVarchar, Kind::Text),
        ("text", X::XdbcLongvarchar, Kind::Text),
        ("uuid", X::XdbcChar, Kind::Other { chars: 36 }),
        ("bytea", X::XdbcVarbinary, Kind::Bytes),
        ("date", X::XdbcDate, Kind::Time { chars: 10, subcode: None }),
        ("time", X::XdbcTime, Kind::Time { chars: 15, subcode: Some(S::XdbcSubcodeTime) }),
        (
            "time with time zone",
            X::XdbcTime,
            Kind::Time { chars: 21, subcode: Some(S::XdbcSubcodeTimeWithTimezone) },
        ),
        (
            "timestamp",
            X::XdbcTimestamp,
            Kind::Time { chars: 26, subcode: Some(S::XdbcSubcodeTimestamp) },
        ),
        (
            "timestamp with time zone",
            X::XdbcTimestamp,
            Kind::Time { chars: 32, subcode: Some(S::XdbcSubcodeTimestampWithTimezone) },
        ),
        ("interval", X::XdbcInterval, Kind::Time { chars: 64, subcode: None }),
    ]
};

/// Returns the rows of `GetXdbcTypeInfo`, those of one type when a filter is given.
///
/// # Errors
/// None that the table above can cause.
pub(super) fn types(filter: Option<i32>) -> Result<RecordBatch, FlightError> {
    static TABLE: OnceLock<XdbcTypeInfoData> = OnceLock::new();
    if let Some(table) = TABLE.get() {
        return table.record_batch(filter);
    }
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, kind) in TYPES {
        builder.append(row(name, *data_type, *kind));
    }
    let table = builder.build()?;
    TABLE.get_or_init(|| table).record_batch(filter)
}

fn row(name: &str, data_type: XdbcDataType, kind: Kind) -> XdbcTypeInfo {
    let quoted = !matches!(kind, Kind::Exact { .. } | Kind::Approximate { .. })
        && data_type != XdbcDataType::XdbcBit;
    let numeric = !quoted && data_type != XdbcDataType::XdbcBit;
    let (column_size, scale_max, radix, datetime_subcode) = match kind {
        Kind::Exact { digits, scale_max } => (digits, Some(scale_max), Some(10), None),
        Kind::Approximate { bits } => (bits, None, Some(2), None),
        Kind::Text | Kind::Bytes => (VALUE_BYTES_MAX, None, None, None),
        Kind::Time { chars, subcode } => (chars, subcode.map(|_| 6), None, subcode),
        Kind::Other { chars } => (chars, None, None, None),
    };
    let has_scale = matches!(kind, Kind::Exact { scale_max: 1.., .. });
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size: Some(column_size),
        literal_prefix: quoted.then(|| "'".to_owned()),
        literal_suffix: quoted.then(|| "'".to_owned()),
        create_params: match kind {
            _ if has_scale => Some(vec!["precision".to_owned(), "scale".to_owned()]),
            Kind::Text if data_type != XdbcDataType::XdbcLongvarchar => {
                Some(vec!["length".to_owned()])
            }
            _ => None,
        },
        nullable: Nullable::NullabilityNullable,
        case_sensitive: matches!(kind, Kind::Text),
        searchable: if matches!(kind, Kind::Text) { Searchable::Full } else { Searchable::Basic },
        unsigned_attribute: numeric.then_some(false),
        fixed_prec_scale: false,
        auto_increment: numeric.then_some(false),
        local_type_name: Some(name.to_owned()),
        minimum_scale: scale_max.map(|_| 0),
        maximum_scale: scale_max,
        sql_data_type: data_type,
        datetime_subcode,
        num_prec_radix: radix,
        interval_precision: None,
    }
}
