//! Plain forms of values, read without detours.
//!
//! Each function takes the form that programs write and answers `None` for every other one, which
//! is then read as PostgreSQL reads it, errors included.

/// A whole number: digits behind an optional minus.
pub(super) fn integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut number = 0_i64;
    for digit in digits {
        number = number * 10 + i64::from(digit_of(*digit)?);
    }
    Some(if negative { -number } else { number })
}

/// A number of at most `scale` digits behind the point, as a multiple of the last of them.
pub(super) fn decimal(bytes: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, rest) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if rest.len() <= N_SHORT_DIGITS {
        return short_decimal(rest, precision, scale).map(|n| if negative { -n } else { n });
    }
    let mut number = 0_i128;
    let (mut n_digits, mut n_behind, mut behind) = (0_u8, 0_u8, false);
    for byte in rest {
        if *byte == b'.' && !behind {
            behind = true;
            continue;
        }
        if n_digits >= 37 {
            return None;
        }
        number = number * 10 + i128::from(digit_of(*byte)?);
        n_digits += 1;
        n_behind += u8::from(behind);
    }
    let missing = scale.checked_sub(n_behind)?;
    if n_digits == 0 || u32::from(n_digits) + u32::from(missing) > 38 {
        return None;
    }
    let number = number.checked_mul(10_i128.checked_pow(u32::from(missing))?)?;
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (number < limit).then_some(if negative { -number } else { number })
}

/// Digits and points of which any number fits into 64 bits.
const N_SHORT_DIGITS: usize = 18;

/// The powers of ten that 128 bits hold.
const POWERS_OF_TEN: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// What [`decimal`] gives, for a few digits without a sign.
fn short_decimal(bytes: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let mut number = 0_u64;
    let (mut n_points, mut n_behind) = (0_u8, 0_u8);
    for byte in bytes {
        if *byte == b'.' {
            n_points += 1;
            continue;
        }
        number = number * 10 + u64::from(digit_of(*byte)?);
        n_behind += n_points;
    }
    if n_points > 1 || bytes.len() == usize::from(n_points) {
        return None;
    }
    let missing = POWERS_OF_TEN.get(usize::from(scale.checked_sub(n_behind)?))?;
    let number = i128::from(number).checked_mul(*missing)?;
    (number < *POWERS_OF_TEN.get(usize::from(precision))?).then_some(number)
}

/// A finite number with digits, points, signs and an exponent.
pub(super) fn float(bytes: &[u8]) -> Option<f64> {
    let plain =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    if !bytes.iter().all(plain) || !bytes.last()?.is_ascii_digit() {
        return None;
    }
    let number: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    // What is too small or too large is an error, or not: that is decided elsewhere.
    (number.is_finite() && number.abs() >= f64::MIN_POSITIVE || bytes == b"0").then_some(number)
}

/// `2024-02-29` as days since 1970.
pub(super) fn date(bytes: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    let year = i32::try_from(number(&[*y1, *y2, *y3, *y4])?).ok()?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let n_days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || !(1..=n_days).contains(&day) {
        return None;
    }
    // Years that begin in March: the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = i32::try_from((153 * month + 2) / 5 + day - 1).ok()?;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - N_DAYS_TO_1970)
}

/// Days from the first of March of year 0 to the first of January 1970.
const N_DAYS_TO_1970: i32 = 719_468;

/// `2024-02-29 23:59:59.5` as microseconds since 1970.
pub(super) fn timestamp(bytes: &[u8]) -> Option<i64> {
    let days = date(bytes.get(..10)?)?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = bytes.get(10..)? else {
        return None;
    };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match rest {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            let missing = u32::try_from(6 - digits.len()).ok()?;
            i64::from(number(digits)?) * 10_i64.checked_pow(missing)?
        }
        _ => return None,
    };
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    Some((i64::from(days) * 86_400 + seconds) * 1_000_000 + micros)
}

/// The words that PostgreSQL and most programs write.
pub(super) fn boolean(bytes: &[u8]) -> Option<bool> {
    match bytes {
        b"t" | b"true" | b"1" => Some(true),
        b"f" | b"false" | b"0" => Some(false),
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |number, digit| Some(number * 10 + u32::from(digit_of(*digit)?)))
}

fn digit_of(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

#[cfg(test)]
mod tests;
