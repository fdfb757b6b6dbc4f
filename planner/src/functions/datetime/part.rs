//! `extract(part FROM value)`, a number, and `date_part(part, value)`, a float.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Builder, Float64Builder};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, IntervalMonthDayNanoType, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use tarn_catalog::pg_type::{FIELD_PG_TYPMOD, TIMETZ, TimeTz};

use super::calendar::{
    Civil, JULIAN_OF_1970, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
    day_of_week, finite, finite_day, iso_week, out_of_range, split,
};
use super::convert::read_text;
use super::span::Span;
use super::text::TimeSettings;
use super::types::{INTERVAL, TIME, TIMESTAMP, timestamptz};
use super::zone::Zone;
use crate::functions::fault::fault;
use crate::functions::frame::undefined;

pub(super) static EXTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf("extract"));

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![udf("date_part"), Arc::clone(&EXTRACT)]
}

fn udf(name: &'static str) -> Arc<ScalarUDF> {
    let signature = Signature::any(2, Volatility::Stable);
    Arc::new(ScalarUDF::from(Part { name, signature }))
}

/// PostgreSQL's names for parts, in one spelling.
pub(super) fn unit(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "c" | "cent" | "century" | "centuries" => "century",
        "d" | "day" | "days" => "day",
        "dec" | "decs" | "decade" | "decades" => "decade",
        "dow" => "dow",
        "doy" => "doy",
        "epoch" => "epoch",
        "h" | "hr" | "hrs" | "hour" | "hours" => "hour",
        "isodow" => "isodow",
        "isoyear" => "isoyear",
        "j" | "jd" | "julian" => "julian",
        "m" | "min" | "mins" | "minute" | "minutes" => "minute",
        "mil" | "mils" | "millennia" | "millennium" => "millennium",
        "ms" | "msec" | "msecs" | "mseconds" | "msecond" | "millisecon" | "millisecond"
        | "milliseconds" => "milliseconds",
        "mon" | "mons" | "month" | "months" => "month",
        "qtr" | "quarter" => "quarter",
        "s" | "sec" | "secs" | "second" | "seconds" => "second",
        "timezone" => "timezone",
        "timezone_h" | "timezone_hour" => "timezone_hour",
        "timezone_m" | "timezone_minute" => "timezone_minute",
        "us" | "usec" | "usecs" | "useconds" | "usecond" | "microsecon" | "microsecond"
        | "microseconds" => "microseconds",
        "w" | "week" | "weeks" => "week",
        "y" | "yr" | "yrs" | "year" | "years" => "year",
        _ => return None,
    })
}

/// Digits before and after the point of a part as numeric.
fn digits(unit: &str, source: Option<Source>) -> (u8, i8) {
    match unit {
        "epoch" | "julian" if source == Some(Source::Date) => (16, 0),
        "second" => (8, 6),
        "epoch" => (22, 6),
        "milliseconds" => (8, 3),
        "julian" => (28, 20),
        _ => (10, 0),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Date,
    Time,
    Timetz,
    Timestamp,
    Timestamptz,
    Interval,
}

impl Source {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::FixedSizeBinary(12) => Self::Timetz,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::Timestamptz,
            DataType::Interval(_) | DataType::Duration(_) => Self::Interval,
            _ => return None,
        })
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Date => DataType::Date32,
            Self::Time => TIME,
            Self::Timetz => TIMETZ,
            Self::Timestamp => TIMESTAMP,
            Self::Timestamptz => timestamptz(),
            Self::Interval => INTERVAL,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time without time zone",
            Self::Timetz => "time with time zone",
            Self::Timestamp => "timestamp without time zone",
            Self::Timestamptz => "timestamp with time zone",
            Self::Interval => "interval",
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Part {
    name: &'static str,
    signature: Signature,
}

impl Part {
    fn exact(&self) -> bool {
        self.name == "extract"
    }
}

impl ScalarUDFImpl for Part {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(if self.exact() { DataType::Decimal128(28, 6) } else { DataType::Float64 })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let literal = args.scalar_arguments.get(1).is_some_and(Option::is_some);
        let known = args.arg_fields.get(1).is_some_and(|field| {
            let t = field.data_type();
            Source::of(t).is_some() || *t == DataType::Null || (literal && t.is_string())
        });
        if !known {
            return Err(undefined(self.name, args.arg_fields));
        }
        let name = args.scalar_arguments.first().copied().flatten();
        let name = name.and_then(|name| name.try_as_str().flatten());
        let data_type = match name.and_then(unit) {
            Some(unit) if self.exact() => {
                let source = args.arg_fields.get(1).and_then(|f| Source::of(f.data_type()));
                let (precision, scale) = digits(unit, source);
                DataType::Decimal128(precision, scale)
            }
            _ => self.return_type(&[])?,
        };
        let mut field = Field::new(self.name, data_type, true);
        if self.exact() {
            let plain = [(FIELD_PG_TYPMOD.to_owned(), "-1".to_owned())];
            field = field.with_metadata(plain.into());
        }
        Ok(Arc::new(field))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [unit_name, value] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("{} needs two arguments", self.name));
        };
        let scalar = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let constant = scalar(unit_name) && scalar(value);
        let n_rows = if constant { 1 } else { args.number_rows };
        let settings = TimeSettings::of(&args.config_options);
        let array = value.to_array(n_rows)?;
        let (array, source) = match Source::of(array.data_type()) {
            Some(source) => (cast(&array, &source.data_type())?, source),
            None => {
                let texts = cast(&array, &DataType::Utf8)?;
                let texts = texts.as_string::<i32>();
                (read_text(texts, &timestamptz(), None, &settings)?, Source::Timestamptz)
            }
        };
        let names = match unit_name {
            ColumnarValue::Scalar(name) => Names::One(name.try_as_str().flatten()),
            ColumnarValue::Array(names) => Names::Many(cast(names, &DataType::Utf8)?),
        };
        let parts = Parts { array, source, zone: settings.zone, exact: self.exact() };
        let result = parts.compute(&names, args.return_field.data_type())?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

enum Names<'a> {
    One(Option<&'a str>),
    Many(ArrayRef),
}

struct Parts {
    array: ArrayRef,
    source: Source,
    zone: Zone,
    exact: bool,
}

/// A part as a count of units, and how many of the units make a whole.
struct Amount {
    value: i128,
    per_whole: i64,
}

fn whole(value: i64) -> Option<Amount> {
    Some(Amount { value: i128::from(value), per_whole: 1 })
}

fn fraction(value: i64, per_whole: i64) -> Option<Amount> {
    Some(Amount { value: i128::from(value), per_whole })
}

impl Parts {
    fn compute(&self, names: &Names<'_>, target: &DataType) -> Result<ArrayRef> {
        let n_rows = self.array.len();
        let amount = |row: usize| -> Result<Option<(Amount, bool)>> {
            let name = match names {
                Names::One(name) => *name,
                Names::Many(names) => {
                    let names = names.as_string::<i32>();
                    names.is_valid(row).then(|| names.value(row))
                }
            };
            let Some(name) = name else { return Ok(None) };
            let found = self.found(name)?;
            if self.array.is_null(row) {
                return Ok(None);
            }
            if let Some(sign) = self.infinite(row) {
                return self.of_infinity(found, sign);
            }
            Ok(self.amount(found, name, row)?.map(|amount| (amount, false)))
        };
        if let DataType::Decimal128(precision, scale) = target {
            let mut out = Decimal128Builder::with_capacity(n_rows);
            let one = 10_i128.pow(u32::try_from(*scale).unwrap_or(0));
            for row in 0..n_rows {
                let found = amount(row)?;
                if matches!(found, Some((_, true))) {
                    return Err(fault("0A000", "infinite numeric values are not supported"));
                }
                let value =
                    found.map(|(amount, _)| amount.value * one / i128::from(amount.per_whole));
                out.append_option(value);
            }
            return Ok(Arc::new(out.finish().with_precision_and_scale(*precision, *scale)?));
        }
        let mut out = Float64Builder::with_capacity(n_rows);
        for row in 0..n_rows {
            #[expect(clippy::cast_precision_loss, reason = "the result is a float")]
            let value = amount(row)?.map(|(amount, infinite)| {
                let value = amount.value as f64;
                if infinite { value * f64::INFINITY } else { value / amount.per_whole as f64 }
            });
            out.append_option(value);
        }
        Ok(Arc::new(out.finish()))
    }

    fn found(&self, name: &str) -> Result<&'static str> {
        unit(name).ok_or_else(|| {
            let (name, source) = (name.to_ascii_lowercase(), self.source_name());
            fault("22023", format!("unit \"{name}\" not recognized for type {source}"))
        })
    }

    /// `date_part` of a date is that of a timestamp.
    fn source_name(&self) -> &'static str {
        if self.source == Source::Date && !self.exact {
            return Source::Timestamp.name();
        }
        self.source.name()
    }

    fn unsupported(&self, name: &str) -> datafusion::error::DataFusionError {
        let (name, source) = (name.to_ascii_lowercase(), self.source_name());
        fault("0A000", format!("unit \"{name}\" not supported for type {source}"))
    }

    fn infinite(&self, row: usize) -> Option<i128> {
        match self.source {
            Source::Date => {
                let day = self.array.as_primitive::<Date32Type>().value(row);
                (!finite_day(day)).then_some(if day > 0 { 1 } else { -1 })
            }
            Source::Timestamp | Source::Timestamptz => {
                let at = self.array.as_primitive::<TimestampMicrosecondType>().value(row);
                (!finite(at)).then_some(if at > 0 { 1 } else { -1 })
            }
            _ => None,
        }
    }

    /// What only grows is infinite too, what comes again is unknown.
    #[expect(clippy::unnecessary_wraps, reason = "the same shape as of finite values")]
    fn of_infinity(&self, unit: &str, sign: i128) -> Result<Option<(Amount, bool)>> {
        let grows = matches!(
            unit,
            "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch"
        );
        Ok(grows.then_some((Amount { value: sign, per_whole: 1 }, true)))
    }

    fn amount(&self, unit: &'static str, name: &str, row: usize) -> Result<Option<Amount>> {
        let found = match self.source {
            Source::Interval => {
                let value = self.array.as_primitive::<IntervalMonthDayNanoType>().value(row);
                of_span(unit, Span::from_arrow(value))
            }
            Source::Time => {
                let time = self.array.as_primitive::<Time64MicrosecondType>().value(row);
                match unit {
                    "epoch" => fraction(time, MICROS_PER_SECOND),
                    _ => of_time(unit, time),
                }
            }
            Source::Timetz => {
                let bytes = self.array.as_fixed_size_binary().value(row);
                let time = TimeTz::from_bytes(bytes).ok_or_else(out_of_range)?;
                let east = -i64::from(time.west());
                match unit {
                    "epoch" => fraction(time.utc_micros(), MICROS_PER_SECOND),
                    _ => of_zone(unit, east).or_else(|| of_time(unit, time.micros())),
                }
            }
            Source::Date => {
                let day = i64::from(self.array.as_primitive::<Date32Type>().value(row));
                match unit {
                    "epoch" => whole(day * 86_400),
                    "julian" => whole(day + JULIAN_OF_1970),
                    _ => of_day(unit, day).or_else(|| {
                        // `extract` knows that dates have no time.
                        if self.exact { None } else { of_time(unit, 0) }
                    }),
                }
            }
            Source::Timestamp => {
                let at = self.array.as_primitive::<TimestampMicrosecondType>().value(row);
                of_timestamp(unit, at, at)
            }
            Source::Timestamptz => {
                let at = self.array.as_primitive::<TimestampMicrosecondType>().value(row);
                let offset = self.zone.offset_at(at);
                of_zone(unit, offset).or_else(|| of_timestamp(unit, self.zone.to_local(at), at))
            }
        };
        found.map(Some).ok_or_else(|| self.unsupported(name))
    }
}

/// Parts of a zone given in seconds east of Greenwich.
fn of_zone(unit: &str, east: i64) -> Option<Amount> {
    whole(match unit {
        "timezone" => east,
        "timezone_hour" => east / 3_600,
        "timezone_minute" => east / 60 % 60,
        _ => return None,
    })
}

fn of_timestamp(unit: &str, local: i64, instant: i64) -> Option<Amount> {
    let (day, time) = split(local);
    match unit {
        "epoch" => fraction(instant, MICROS_PER_SECOND),
        "julian" => {
            let day = i128::from(day + JULIAN_OF_1970);
            let value = day * i128::from(MICROS_PER_DAY) + i128::from(time);
            Some(Amount { value, per_whole: MICROS_PER_DAY })
        }
        _ => of_day(unit, day).or_else(|| of_time(unit, time)),
    }
}

fn of_time(unit: &str, time: i64) -> Option<Amount> {
    let seconds = time % MICROS_PER_MINUTE;
    match unit {
        "hour" => whole(time / MICROS_PER_HOUR),
        "minute" => whole(time / MICROS_PER_MINUTE % 60),
        "second" => fraction(seconds, MICROS_PER_SECOND),
        "milliseconds" => fraction(seconds, 1_000),
        "microseconds" => whole(seconds),
        _ => None,
    }
}

fn of_day(unit: &str, day: i64) -> Option<Amount> {
    let civil = Civil::from_days(day);
    let year = civil.year;
    whole(match unit {
        "day" => civil.day,
        "month" => civil.month,
        "quarter" => (civil.month - 1) / 3 + 1,
        // There is no year nought.
        "year" => shown_year(year),
        "decade" => year.div_euclid(10),
        "century" if year > 0 => (year + 99) / 100,
        "century" => -((99 - (year - 1)) / 100),
        "millennium" if year > 0 => (year + 999) / 1_000,
        "millennium" => -((999 - (year - 1)) / 1_000),
        "dow" => day_of_week(day),
        "isodow" => (day_of_week(day) + 6) % 7 + 1,
        "doy" => day - Civil { year, month: 1, day: 1 }.to_days() + 1,
        "week" => iso_week(day).1,
        "isoyear" => shown_year(iso_week(day).0),
        _ => return None,
    })
}

fn shown_year(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

fn of_span(unit: &str, span: Span) -> Option<Amount> {
    let years = i64::from(span.months / 12);
    match unit {
        "year" => whole(years),
        "decade" => whole(years / 10),
        "century" => whole(years / 100),
        "millennium" => whole(years / 1_000),
        "quarter" => whole(i64::from(span.months % 12) / 3 + 1),
        "month" => whole(i64::from(span.months % 12)),
        "day" => whole(i64::from(span.days)),
        // A year has 365.25 days, a month that is left over 30.
        "epoch" => {
            let days = i128::from(years) * 36_525 + i128::from(span.months % 12) * 3_000;
            let days = days + i128::from(span.days) * 100;
            let micros = days * i128::from(MICROS_PER_DAY / 100) + i128::from(span.micros);
            Some(Amount { value: micros, per_whole: MICROS_PER_SECOND })
        }
        "hour" => whole(span.micros / MICROS_PER_HOUR),
        "minute" => whole(span.micros / MICROS_PER_MINUTE % 60),
        _ => of_time(unit, span.micros),
    }
}
