//! Numbers as their digits.

use std::cmp::Ordering;

/// Beyond this PostgreSQL's `numeric` overflows.
const EXPONENT_MAX: i64 = 131_072;

/// Writes a JSON number as `numeric` prints it: no exponent, no zero with a sign.
pub(super) fn plain(text: &str) -> String {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().unwrap_or(0)),
        None => (rest, 0),
    };
    let exponent = exponent.clamp(-EXPONENT_MAX, EXPONENT_MAX);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let n_whole = i64::try_from(whole.len()).unwrap_or(0) + exponent;
    let n_digits = i64::try_from(digits.len()).unwrap_or(0);
    // The scale is that of the mantissa less the exponent, and never below zero.
    let scale = (n_digits - n_whole).max(0);
    let (before, behind) = if n_whole <= 0 {
        let zeros = "0".repeat(usize::try_from(-n_whole).unwrap_or(0));
        ("0".to_owned(), format!("{zeros}{digits}"))
    } else if n_whole >= n_digits {
        let zeros = "0".repeat(usize::try_from(n_whole - n_digits).unwrap_or(0));
        (format!("{digits}{zeros}"), String::new())
    } else {
        let at = usize::try_from(n_whole).unwrap_or(0);
        let (before, behind) = digits.split_at_checked(at).unwrap_or((&digits, ""));
        (before.to_owned(), behind.to_owned())
    };
    let before = before.trim_start_matches('0');
    let before = if before.is_empty() { "0" } else { before };
    let zero = before == "0" && behind.bytes().all(|digit| digit == b'0');
    let sign = if zero { "" } else { sign };
    if scale == 0 { format!("{sign}{before}") } else { format!("{sign}{before}.{behind}") }
}

/// Compares two numbers by their values.
#[must_use]
pub fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (plain(a), plain(b));
    let split = |text: &str| -> (bool, String, String) {
        let negative = text.starts_with('-');
        let text = text.trim_start_matches('-');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        (negative, whole.to_owned(), fraction.trim_end_matches('0').to_owned())
    };
    let (a_negative, a_whole, a_fraction) = split(&a);
    let (b_negative, b_whole, b_fraction) = split(&b);
    let magnitude = || {
        let whole = a_whole.len().cmp(&b_whole.len()).then_with(|| a_whole.cmp(&b_whole));
        whole.then_with(|| a_fraction.cmp(&b_fraction))
    };
    match (a_negative, b_negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => magnitude(),
        (true, true) => magnitude().reverse(),
    }
}
