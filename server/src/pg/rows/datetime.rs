//! Dates and times as text on the wire, within PostgreSQL's limits.
//!
//! How they look is the planner's ([`tarn_planner::calendar`]).

use bytes::BytesMut;
use tarn_planner::calendar::{
    self, MICROS_PER_DAY, MICROS_PER_SECOND, Piece, TimeSettings, date_in_range, timestamp_in_range,
};

use super::EncodeError;

/// From 1970-01-01 to 2000-01-01, where PostgreSQL starts to count.
pub(crate) const PG_EPOCH_DAYS: i64 = 10_957;
pub(crate) const PG_EPOCH_MICROS: i64 = PG_EPOCH_DAYS * MICROS_PER_DAY;

/// Appends a date given in days since 1970.
pub(super) fn put_date(
    target: &mut BytesMut,
    days: i64,
    settings: &TimeSettings,
) -> Result<(), EncodeError> {
    let out_of_range = EncodeError::DatetimeOutOfRange { type_name: "date" };
    let days = date_in_range(days).ok_or(out_of_range)?;
    let mut out = Piece::new();
    calendar::put_date(&mut out, i64::from(days), settings);
    target.extend_from_slice(out.as_bytes());
    Ok(())
}

/// Appends a timestamp given in microseconds since 1970, or an instant in the session's zone.
pub(super) fn put_timestamp(
    target: &mut BytesMut,
    micros: i64,
    with_zone: bool,
    settings: &TimeSettings,
) -> Result<(), EncodeError> {
    let out_of_range = || EncodeError::DatetimeOutOfRange { type_name: "timestamp" };
    let micros = timestamp_in_range(micros).ok_or_else(out_of_range)?;
    let mut out = Piece::new();
    if with_zone {
        let shift = settings.zone.offset_at(micros) * MICROS_PER_SECOND;
        micros.checked_add(shift).ok_or_else(out_of_range)?;
        calendar::put_timestamptz(&mut out, micros, settings);
    } else {
        calendar::put_timestamp(&mut out, micros, settings);
    }
    target.extend_from_slice(out.as_bytes());
    Ok(())
}

/// Appends a time given in microseconds since midnight; 24:00:00 is one.
pub(super) fn put_time(target: &mut BytesMut, micros: i64) -> Result<(), EncodeError> {
    let mut out = Piece::new();
    calendar::put_time(&mut out, time_in_range(micros)?);
    target.extend_from_slice(out.as_bytes());
    Ok(())
}

/// Checks microseconds since midnight.
pub(super) fn time_in_range(micros: i64) -> Result<i64, EncodeError> {
    let out_of_range = EncodeError::DatetimeOutOfRange { type_name: "time" };
    (0..=MICROS_PER_DAY).contains(&micros).then_some(micros).ok_or(out_of_range)
}
