//! Dates, times, zones and intervals as values and as text, for those who write them elsewhere
//! than in SQL.
//!
//! The code is that of casts (`functions/datetime`), so that the wire and `CAST … AS text` agree.

pub use crate::functions::datetime::calendar::{
    Civil, MICROS_PER_DAY, MICROS_PER_SECOND, day_in_range as date_in_range,
    in_range as timestamp_in_range,
};
pub use crate::functions::datetime::named::{NamedMoment, NamedTrouble, read_named};
pub use crate::functions::datetime::piece::Piece;
pub use crate::functions::datetime::show::{put_date, put_time, put_timestamp, put_timestamptz};
pub use crate::functions::datetime::span::Span;
pub use crate::functions::datetime::span_text::{Style as IntervalStyle, span_text};
pub use crate::functions::datetime::text::{DateOrder, DateStyle, TimeSettings};
pub use crate::functions::datetime::timetz::read_timetz;
pub use crate::functions::datetime::zone::Zone;
