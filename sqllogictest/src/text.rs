//! PostgreSQL's text form of single values, for the engines that deliver binary values or Arrow.
//!
//! Written against PostgreSQL's documented output formats and not shared with the server, so that both are checked.

use std::fmt::Write;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
pub(crate) const PG_EPOCH_DAYS: i64 = 10_957;

/// `float8out` with `extra_float_digits = 1`: shortest digits, exponent from 1e15 on.
pub(crate) fn float8(value: f64) -> String {
    special(value).unwrap_or_else(|| scientific_to_pg(&format!("{value:e}"), 15))
}

/// `float4out`: shortest digits, exponent from 1e6 on.
pub(crate) fn float4(value: f32) -> String {
    special(f64::from(value)).unwrap_or_else(|| scientific_to_pg(&format!("{value:e}"), 6))
}

fn special(value: f64) -> Option<String> {
    if value.is_nan() {
        return Some("NaN".to_owned());
    }
    value
        .is_infinite()
        .then(|| if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() })
}

/// Turns Rust's shortest scientific form (`1.25e-7`) into PostgreSQL's choice of notation.
fn scientific_to_pg(text: &str, exponent_limit: i32) -> String {
    let (mantissa, exponent) = text.split_once('e').expect("format {:e} has an exponent");
    let exponent: i32 = exponent.parse().expect("format {:e} has a whole exponent");
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    if exponent < -4 || exponent >= exponent_limit {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{exponent_sign}{:02}", exponent.abs());
    }
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{digits}");
    }
    let n_whole = exponent.unsigned_abs() as usize + 1;
    if digits.len() <= n_whole {
        return format!("{sign}{digits}{}", "0".repeat(n_whole - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..n_whole], &digits[n_whole..])
}

/// `date_out`, ISO style, from days since 1970-01-01.
pub(crate) fn date(days: i64) -> String {
    if days >= i64::from(i32::MAX) {
        return "infinity".to_owned();
    }
    if days <= i64::from(i32::MIN) {
        return "-infinity".to_owned();
    }
    // Howard Hinnant's days-to-civil algorithm over 400-year eras.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if year <= 0 {
        return format!("{:04}-{month:02}-{day:02} BC", 1 - year);
    }
    format!("{year:04}-{month:02}-{day:02}")
}

/// `time_out` from microseconds since midnight.
pub(crate) fn time(micros: i64) -> String {
    let seconds = micros / MICROS_PER_SECOND;
    let mut text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    push_fraction(&mut text, micros % MICROS_PER_SECOND);
    text
}

/// `timestamp_out`, ISO style, from microseconds since 1970-01-01.
pub(crate) fn timestamp(micros: i64) -> String {
    match micros {
        i64::MAX => return "infinity".to_owned(),
        i64::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    let day = date(micros.div_euclid(MICROS_PER_DAY));
    let time = time(micros.rem_euclid(MICROS_PER_DAY));
    match day.strip_suffix(" BC") {
        Some(day) => format!("{day} {time} BC"),
        None => format!("{day} {time}"),
    }
}

/// `timestamptz_out` in a zone that is `offset_s` seconds ahead of UTC.
pub(crate) fn timestamptz(micros: i64, offset_s: i32) -> String {
    if matches!(micros, i64::MAX | i64::MIN) {
        return timestamp(micros);
    }
    let text = timestamp(micros + i64::from(offset_s) * MICROS_PER_SECOND);
    text + &offset(offset_s)
}

/// A zone in seconds east of Greenwich: `+02`, `-03:30`.
pub(crate) fn offset(offset_s: i32) -> String {
    let sign = if offset_s < 0 { '-' } else { '+' };
    let ahead = offset_s.unsigned_abs();
    let mut text = format!("{sign}{:02}", ahead / 3_600);
    for (unit, seconds) in [(3_600, ahead / 60 % 60), (60, ahead % 60)] {
        if !ahead.is_multiple_of(unit) {
            write!(text, ":{seconds:02}").expect("writing to a string");
        }
    }
    text
}

/// `interval_out` in style `postgres`.
pub(crate) fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut is_before_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        // PostgreSQL writes a plus where a positive field follows a negative one.
        let plus = if is_before_negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        parts.push(format!("{plus}{value} {unit}{plural}"));
        is_before_negative = value < 0;
    }
    if micros != 0 || parts.is_empty() {
        let sign = match (micros < 0, is_before_negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let ahead = micros.unsigned_abs();
        let seconds = ahead / 1_000_000;
        let mut text =
            format!("{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
        push_fraction(&mut text, i64::try_from(ahead % 1_000_000).unwrap_or(0));
        parts.push(text);
    }
    parts.join(" ")
}

fn push_fraction(text: &mut String, micros: i64) {
    if micros != 0 {
        let fraction = format!("{micros:06}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
}

/// `byteaout` in hex.
pub(crate) fn bytea(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string");
    }
    text
}

/// `uuid_out`.
pub(crate) fn uuid(bytes: &[u8]) -> String {
    let hex = bytea(bytes).split_off(2);
    match hex.len() {
        32 => format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        ),
        _ => hex,
    }
}

/// `array_out`; nested arrays are handed over as finished text.
pub(crate) fn array(elements: &[Option<String>], is_nested: bool) -> String {
    let elements: Vec<String> = elements
        .iter()
        .map(|element| match element {
            None => "NULL".to_owned(),
            Some(text) if is_nested => text.clone(),
            Some(text) => quote_element(text),
        })
        .collect();
    format!("{{{}}}", elements.join(","))
}

fn quote_element(text: &str) -> String {
    let is_plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| {
            matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace()
        });
    if is_plain {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `record_out`.
pub(crate) fn record(fields: &[Option<String>]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|field| match field {
            None => String::new(),
            Some(text)
                if !text.is_empty()
                    && !text.contains(|c: char| {
                        matches!(c, '(' | ')' | ',' | '"' | '\\') || c.is_ascii_whitespace()
                    }) =>
            {
                text.clone()
            }
            Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\"")),
        })
        .collect();
    format!("({})", fields.join(","))
}
