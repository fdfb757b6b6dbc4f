//! What the bounds in a log are good for: writers round them, and leave some values out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, TimeUnit, TimestampMicrosecondType};

/// Digits that pass through a double unchanged.
///
/// deltalake 1.6 writes the bounds of decimals as doubles: 12345678901234.5678 becomes
/// 12345678901234.568.
pub(super) const EXACT_DIGITS_MAX: u8 = 15;

/// Numbers below this are not rounded by a double: 10^15.
const EXACT_MAX: u128 = 1_000_000_000_000_000;

/// Lowers a minimum to where the true one cannot be below it.
pub(super) fn lowered(min: ArrayRef) -> ArrayRef {
    widened(min, i128::saturating_sub)
}

/// Raises a maximum to where the true one cannot be above it, NaN aside.
pub(super) fn raised(max: ArrayRef) -> ArrayRef {
    widened(round_up_milliseconds(max), i128::saturating_add)
}

/// Moves long decimals by more than what two roundings to a double can have moved them.
fn widened(bound: ArrayRef, away: fn(i128, i128) -> i128) -> ArrayRef {
    let DataType::Decimal128(precision, scale) = *bound.data_type() else { return bound };
    if precision <= EXACT_DIGITS_MAX {
        return bound;
    }
    let moved = bound.as_primitive::<Decimal128Type>().unary::<_, Decimal128Type>(|value| {
        let size = value.unsigned_abs();
        if size < EXACT_MAX { value } else { away(value, (value.saturating_abs() >> 50) + 1) }
    });
    match moved.with_precision_and_scale(precision, scale) {
        Ok(moved) => Arc::new(moved),
        Err(_) => bound,
    }
}

/// Delta truncates timestamps in statistics to milliseconds, so the true maximum may be up to 999
/// microseconds later. Source: Delta protocol, "Per-file Statistics".
fn round_up_milliseconds(max: ArrayRef) -> ArrayRef {
    let DataType::Timestamp(TimeUnit::Microsecond, zone) = max.data_type() else {
        return max;
    };
    let micros = max.as_primitive::<TimestampMicrosecondType>();
    let raised = micros.unary::<_, TimestampMicrosecondType>(|value| {
        if value % 1000 == 0 { value.saturating_add(999) } else { value }
    });
    Arc::new(raised.with_timezone_opt(zone.clone()))
}
