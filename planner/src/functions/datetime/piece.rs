//! A short text put together on the stack.

/// A short text put together on the stack and appended at once; what does not fit is left out.
#[derive(Debug, Clone)]
pub struct Piece {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Piece {
    fn default() -> Self {
        Self::new()
    }
}

impl Piece {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: [0; 64], length: 0 }
    }

    /// Appends a byte of ASCII.
    pub fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Appends bytes of ASCII.
    pub fn extend(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            place.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    /// Takes the last byte away.
    pub fn pop(&mut self) {
        self.length = self.length.saturating_sub(1);
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Appends a number that is not negative, with at least `width` digits.
    pub fn push_padded(&mut self, value: i64, width: usize) {
        // Nearly all numbers in dates have two digits.
        if let (2, Ok(small @ 0..100)) = (width, u8::try_from(value)) {
            self.push(b'0' + small / 10);
            self.push(b'0' + small % 10);
            return;
        }
        if let (4, Ok(year @ 0..10_000)) = (width, i16::try_from(value)) {
            self.push_padded(i64::from(year / 100), 2);
            self.push_padded(i64::from(year % 100), 2);
            return;
        }
        let (mut digits, mut n_digits, mut rest) = ([b'0'; 20], 0, value.unsigned_abs());
        for place in digits.iter_mut().rev() {
            *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            n_digits += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let n_shown = width.clamp(n_digits, digits.len());
        self.extend(digits.get(digits.len() - n_shown..).unwrap_or_default());
    }

    /// Appends `.789` for 789,000 microseconds, and nothing for none.
    pub fn push_fraction(&mut self, micros: i64) {
        if micros == 0 {
            return;
        }
        let (mut digits, mut width) = (micros, 6);
        while digits % 10 == 0 {
            digits /= 10;
            width -= 1;
        }
        self.push(b'.');
        self.push_padded(digits, width);
    }
}

#[cfg(test)]
mod tests {
    use super::Piece;

    #[test]
    fn numbers_have_their_width() {
        let check = |value: i64, width: usize, expected: &str| {
            let mut piece = Piece::new();
            piece.push_padded(value, width);
            assert_eq!(piece.as_str(), expected, "{value} {width}");
        };
        check(7, 2, "07");
        check(99, 2, "99");
        check(100, 2, "100");
        check(476, 4, "0476");
        check(5_874_897, 4, "5874897");
        check(0, 1, "0");
        check(2_562_047, 2, "2562047");
        check(789, 6, "000789");
        check(i64::MAX, 1, "9223372036854775807");
    }

    #[test]
    fn fractions_end_at_their_last_digit() {
        let check = |micros: i64, expected: &str| {
            let mut piece = Piece::new();
            piece.push_fraction(micros);
            assert_eq!(piece.as_str(), expected, "{micros}");
        };
        check(0, "");
        check(1, ".000001");
        check(789_000, ".789");
        check(500_000, ".5");
        check(999_999, ".999999");
    }
}
