//! Numbers: PostgreSQL's spelling of floats, and `numeric` of any precision.

use arrow::datatypes::i256;
use bytes::{BufMut, BytesMut};

use super::{EncodeError, Format};

/// Room for the digits of any number here: 76 digits of the widest decimal and its sign.
const DIGITS_MAX: usize = 80;

/// Appends an integer as text.
pub(super) fn put_integer(out: &mut BytesMut, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `float8` as text.
pub(super) fn put_float8(out: &mut BytesMut, value: f64, extra_float_digits: i32) {
    if put_special(out, value) {
        return;
    }
    if extra_float_digits > 0 {
        let mut buffer = ryu::Buffer::new();
        let spelled = buffer.format_finite(value);
        let bits = value.to_bits();
        let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0) - 1075;
        let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
        // Below this limit no short number lies between two floats.
        if value.abs() >= 2_f64.powi(49) && on_boundary(spelled, mantissa, exponent) {
            let reads_back = |text: &str| text.parse() == Ok(value);
            put_inside(out, value, mantissa, exponent, 15, reads_back);
        } else {
            put_shortest(out, spelled, 15);
        }
    } else {
        put_rounded(out, value, 15 + extra_float_digits.max(-15));
    }
}

/// Appends `float4` as text.
pub(super) fn put_float4(out: &mut BytesMut, value: f32, extra_float_digits: i32) {
    if put_special(out, f64::from(value)) {
        return;
    }
    if extra_float_digits > 0 {
        let mut buffer = ryu::Buffer::new();
        let spelled = buffer.format_finite(value);
        let bits = value.to_bits();
        let exponent = i32::try_from(bits >> 23 & 0xff).unwrap_or(0) - 150;
        let mantissa = u64::from(bits & ((1 << 23) - 1) | 1 << 23);
        if value.abs() >= 2_f32.powi(20) && on_boundary(spelled, mantissa, exponent) {
            let reads_back = |text: &str| text.parse() == Ok(value);
            put_inside(out, f64::from(value), mantissa, exponent, 6, reads_back);
        } else {
            put_shortest(out, spelled, 6);
        }
    } else {
        put_rounded(out, f64::from(value), 6 + extra_float_digits.max(-15));
    }
}

/// Appends the names of what is not a number, and zero.
fn put_special(out: &mut BytesMut, value: f64) -> bool {
    let name: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value.is_infinite() {
        if value > 0.0 { b"Infinity" } else { b"-Infinity" }
    } else if value == 0.0 {
        if value.is_sign_negative() { b"-0" } else { b"0" }
    } else {
        return false;
    };
    out.extend_from_slice(name);
    true
}

/// Whether a number lies right between a float and its neighbour: `1e23`.
///
/// Such a number reads back as the float only where ties go to the even one; PostgreSQL does not
/// rely on that and takes a longer number. The float is `mantissa` times two to `exponent`.
fn on_boundary(spelled: &str, mantissa: u64, exponent: i32) -> bool {
    let (digits, mut power) = match spelled.split_once('e') {
        Some((digits, power)) => (digits, power.parse::<i32>().unwrap_or(i32::MAX)),
        None => (spelled, 0),
    };
    let mut number = 0_u128;
    let mut behind_point = false;
    for byte in digits.bytes() {
        match byte {
            b'.' => behind_point = true,
            b'0'..=b'9' => {
                number = number.saturating_mul(10).saturating_add(u128::from(byte - b'0'));
                power = power.saturating_sub(i32::from(behind_point));
            }
            _ => {}
        }
    }
    // As an odd number times a power of two; what has no such form is no boundary.
    if number == 0 || power.abs() > 24 {
        return false;
    }
    let fives = 5_u128.pow(power.unsigned_abs());
    let number = match power {
        0.. => number.saturating_mul(fives),
        _ if number.is_multiple_of(fives) => number / fives,
        _ => return false,
    };
    let zeros = number.trailing_zeros();
    let (odd, twos) = (number >> zeros, power.saturating_add(zeros.cast_signed()));
    // Below a power of two the floats are twice as dense.
    let dense = mantissa.is_power_of_two();
    let mantissa = u128::from(mantissa);
    (twos == exponent - 1 && (odd == 2 * mantissa + 1 || (odd == 2 * mantissa - 1 && !dense)))
        || (twos == exponent - 2 && odd == 4 * mantissa - 1 && dense)
}

/// Appends the shortest number that reads back whichever way ties go.
fn put_inside(
    out: &mut BytesMut,
    value: f64,
    mantissa: u64,
    exponent: i32,
    n_digits_fixed: i32,
    reads_back: impl Fn(&str) -> bool,
) {
    let spelled = (0..17)
        .map(|precision| format!("{value:.precision$e}"))
        .find(|spelled| reads_back(spelled) && !on_boundary(spelled, mantissa, exponent));
    put_shortest(out, &spelled.unwrap_or_else(|| format!("{value:e}")), n_digits_fixed);
}

/// Rounds to a number of digits as C's `%g` does.
fn put_rounded(out: &mut BytesMut, value: f64, n_digits: i32) {
    let n_digits = n_digits.max(1);
    let precision = usize::try_from(n_digits - 1).unwrap_or(0);
    put_shortest(out, &format!("{value:.precision$e}"), n_digits);
}

/// Rewrites a number as other programs spell it (`1.5e-7`, `0.001`, `12.0`) in PostgreSQL's way.
///
/// An exponent is used below `1e-04` and from `1e+<n_digits_fixed>` on, and has two digits or more.
fn put_shortest(out: &mut BytesMut, spelled: &str, n_digits_fixed: i32) {
    let unsigned = spelled.strip_prefix('-').unwrap_or(spelled);
    // Most numbers only lose the fraction of whole ones: `12.0`.
    let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let tiny = unsigned.starts_with("0.0000");
    if to_i32(whole) <= n_digits_fixed && !tiny && !unsigned.contains('e') {
        let trimmed = spelled.strip_suffix(".0").unwrap_or(spelled);
        out.extend_from_slice(trimmed.as_bytes());
        return;
    }
    if unsigned.len() < spelled.len() {
        out.put_u8(b'-');
    }
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = [0_u8; DIGITS_MAX];
    let mut n_digits = 0_usize;
    // The exponent of the first digit that is not zero.
    let mut exponent = exponent.parse::<i32>().unwrap_or(0) + to_i32(whole.len()) - 1;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if n_digits == 0 && digit == b'0' {
            exponent -= 1;
        } else if let Some(place) = digits.get_mut(n_digits) {
            *place = digit;
            n_digits += 1;
        }
    }
    let digits = digits.get(..n_digits).unwrap_or_default();
    let significant = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    let digits = digits.get(..significant).unwrap_or_default();
    if exponent < -4 || exponent >= n_digits_fixed {
        put_with_point(out, digits, 1);
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let size = exponent.unsigned_abs();
        if size < 10 {
            out.put_u8(b'0');
        }
        put_integer(out, size);
    } else {
        put_with_point(out, digits, exponent + 1);
    }
}

/// Appends digits with the point behind the first `n_whole` of them, which may lie outside.
fn put_with_point(out: &mut BytesMut, digits: &[u8], n_whole: i32) {
    if n_whole <= 0 {
        out.extend_from_slice(b"0.");
        out.put_bytes(b'0', to_usize(-n_whole));
        out.extend_from_slice(digits);
        return;
    }
    let n_whole = to_usize(n_whole);
    match digits.split_at_checked(n_whole) {
        Some((whole, fraction)) => {
            out.extend_from_slice(whole);
            if !fraction.is_empty() {
                out.put_u8(b'.');
                out.extend_from_slice(fraction);
            }
        }
        None => {
            out.extend_from_slice(digits);
            out.put_bytes(b'0', n_whole - digits.len());
        }
    }
}

/// A decimal's digits without sign, point and leading zeros.
pub(super) struct Digits {
    bytes: [u8; DIGITS_MAX],
    length: usize,
    negative: bool,
}

impl Digits {
    pub(super) fn of(value: i128) -> Self {
        let mut digits = Self { bytes: [0; DIGITS_MAX], length: 0, negative: value < 0 };
        // Division of 128 bits is slow, and few decimals are that wide.
        match u64::try_from(value.unsigned_abs()) {
            Ok(size) => digits.push(itoa::Buffer::new().format(size).as_bytes()),
            Err(_) => digits.push(itoa::Buffer::new().format(value.unsigned_abs()).as_bytes()),
        }
        digits
    }

    /// `None` beyond 76 digits.
    pub(super) fn of_wide(value: i256) -> Option<Self> {
        if let Some(narrow) = value.to_i128() {
            return Some(Self::of(narrow));
        }
        let unit = i256::from_i128(10_i128.pow(38));
        let size = value.checked_abs()?;
        let high = size.checked_div(unit)?.to_i128()?;
        let low = size.checked_rem(unit)?.to_i128()?;
        let mut digits = Self::of(high);
        digits.negative = value.is_negative();
        let mut buffer = itoa::Buffer::new();
        let low = buffer.format(low).as_bytes();
        digits.push([b'0'; 38].get(low.len()..)?);
        digits.push(low);
        Some(digits)
    }

    fn push(&mut self, more: &[u8]) {
        let end = self.length + more.len();
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(more);
            self.length = end;
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Appends the text or the binary form.
    pub(super) fn put(
        &self,
        scale: i8,
        format: Format,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        match format {
            Format::Text => {
                self.put_text(scale, out);
                Ok(())
            }
            Format::Binary => self.put_binary(scale, out),
        }
    }

    fn is_zero(&self) -> bool {
        self.as_bytes().iter().all(|digit| *digit == b'0')
    }

    /// Appends the text form with exactly `scale` digits behind the point.
    pub(super) fn put_text(&self, scale: i8, out: &mut BytesMut) {
        if self.negative {
            out.put_u8(b'-');
        }
        let digits = self.as_bytes();
        if scale <= 0 {
            out.extend_from_slice(digits);
            if !self.is_zero() {
                out.put_bytes(b'0', usize::from(scale.unsigned_abs()));
            }
            return;
        }
        put_with_point(out, digits, to_i32(digits.len()) - i32::from(scale));
    }

    /// Appends `numeric`'s binary form: digits to base 10,000 without zeros at the ends.
    pub(super) fn put_binary(&self, scale: i8, out: &mut BytesMut) -> Result<(), EncodeError> {
        let digits = self.as_bytes();
        let n_whole = to_i32(digits.len()) - i32::from(scale);
        // The first group may be short: it ends where the count to the point is a multiple of 4.
        let n_groups_whole = n_whole.div_euclid(4) + i32::from(n_whole.rem_euclid(4) > 0);
        let mut position = n_whole - n_groups_whole * 4;
        let mut groups = [0_i16; DIGITS_MAX / 4 + 2];
        let mut n_groups = 0_usize;
        while position < to_i32(digits.len()) {
            let digit_at = |at: i32| {
                usize::try_from(at)
                    .ok()
                    .and_then(|at| digits.get(at))
                    .map_or(0, |d| i16::from(d - b'0'))
            };
            let group = (0..4).fold(0_i16, |sum, step| sum * 10 + digit_at(position + step));
            if let Some(place) = groups.get_mut(n_groups) {
                *place = group;
                n_groups += 1;
            }
            position += 4;
        }
        let groups = groups.get(..n_groups).unwrap_or_default();
        let first = groups.iter().position(|group| *group != 0).unwrap_or(n_groups);
        let last = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
        let groups = groups.get(first..last).unwrap_or_default();
        let weight = if groups.is_empty() { 0 } else { n_groups_whole - 1 - to_i32(first) };
        let small = |value: i32| {
            i16::try_from(value).map_err(|_| EncodeError::NumberOutOfRange { type_name: "numeric" })
        };
        out.put_i16(small(to_i32(groups.len()))?);
        out.put_i16(small(weight)?);
        out.put_u16(if self.negative { 0x4000 } else { 0 });
        out.put_i16(i16::from(scale.max(0)));
        for group in groups {
            out.put_i16(*group);
        }
        Ok(())
    }
}

/// Lengths here are below a hundred.
fn to_i32(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Counts here are not negative.
fn to_usize(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}
