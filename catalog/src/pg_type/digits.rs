//! How many digits after the point clients see of a decimal.

use arrow::datatypes::Field;

/// The key of Arrow field metadata that says how many digits of a decimal are shown.
pub const FIELD_NUMERIC_DIGITS: &str = "tarn.numeric_digits";

/// Which digits of a column's decimals belong to the value; the others fill up the column's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumericDigits {
    /// All of the scale.
    All,
    /// Those before the last that is not zero.
    Trimmed,
    /// 16 significant ones counted in groups of four, as of a quotient.
    Quotient,
    /// All of the scale, or four fewer where those are zero: computed from quotients.
    Derived,
}

impl NumericDigits {
    /// The name in a field's metadata; `None` for all digits.
    #[must_use]
    pub fn in_metadata(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Trimmed => Some("trimmed"),
            Self::Quotient => Some("quotient"),
            Self::Derived => Some("derived"),
        }
    }

    /// What a field's metadata says.
    #[must_use]
    pub fn of_field(field: &Field) -> Self {
        match field.metadata().get(FIELD_NUMERIC_DIGITS).map(String::as_str) {
            Some("trimmed") => Self::Trimmed,
            Some("quotient") => Self::Quotient,
            Some("derived") => Self::Derived,
            _ => Self::All,
        }
    }

    /// How many of `scale` digits after the point are shown of a number with these digits, without
    /// sign and point.
    #[must_use]
    pub fn shown(self, digits: &[u8], scale: i8) -> i8 {
        let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
        let zeros = i8::try_from(zeros).unwrap_or(i8::MAX);
        let significant = digits.iter().position(|digit| *digit != b'0');
        match (self, significant) {
            (Self::All, _) => scale,
            (Self::Trimmed, None) => 0,
            (Self::Trimmed, Some(_)) => scale - zeros.min(scale),
            (Self::Derived, _) if scale >= 20 && (zeros >= 4 || significant.is_none()) => scale - 4,
            (Self::Derived, _) | (Self::Quotient, None) => scale,
            (Self::Quotient, Some(first)) => {
                let n_digits = i16::try_from(digits.len() - first).unwrap_or(i16::MAX);
                // One is the quotient of equal numbers, which has a group more.
                if n_digits == i16::from(scale) + 1 && zeros >= scale && digits.contains(&b'1') {
                    return scale.min(20);
                }
                let weight = (n_digits - 1 - i16::from(scale)).div_euclid(4);
                i8::try_from(16 - weight * 4).unwrap_or(scale).clamp(0, scale)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NumericDigits::{Derived, Quotient, Trimmed};

    #[test]
    fn quotients_show_sixteen_digits_in_groups_of_four() {
        assert_eq!(Quotient.shown(b"233333333333333333333", 20), 16);
        assert_eq!(Quotient.shown(b"33333333333333333333", 20), 20);
        assert_eq!(Quotient.shown(b"100000000000000000000", 20), 20);
        assert_eq!(Quotient.shown(b"2500000000000000000000000", 20), 12);
        assert_eq!(Quotient.shown(b"33333333333333333", 16), 16);
        assert_eq!(Quotient.shown(b"0", 20), 20);
    }

    #[test]
    fn zeros_at_the_end_are_not_shown() {
        assert_eq!(Trimmed.shown(b"15000", 4), 1);
        assert_eq!(Trimmed.shown(b"100", 2), 0);
        assert_eq!(Trimmed.shown(b"0", 10), 0);
        assert_eq!(Derived.shown(b"233333333333333330000", 20), 16);
        assert_eq!(Derived.shown(b"233333333333333333333", 20), 20);
    }
}
