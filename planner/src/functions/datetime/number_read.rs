//! Finding a number in a text by a template.
//!
//! # Source
//! PostgreSQL's `NUM_numpart_from_char` (formatting.c).

use super::number::{NumberTemplate, Step};

struct Reader<'a> {
    template: &'a NumberTemplate,
    input: &'a [u8],
    at: usize,
    sign: Option<u8>,
    digits: String,
    n_before: usize,
    n_behind: usize,
    point: bool,
}

/// The number as a sign and digits.
pub(super) fn read(template: &NumberTemplate, text: &str) -> String {
    let mut reader = Reader {
        template,
        input: text.as_bytes(),
        at: 0,
        sign: None,
        digits: String::new(),
        n_before: 0,
        n_behind: 0,
        point: false,
    };
    for step in template.steps() {
        if reader.at >= reader.input.len() {
            break;
        }
        match step {
            Step::Digit => {
                reader.digit();
                reader.at += 1;
            }
            Step::Group => {
                if reader.here() == Some(b',') && !template.fill() {
                    reader.at += 1;
                }
            }
            Step::Eat(n) => reader.eat(n),
            Step::Sign(signs) => match reader.here() {
                Some(sign) if signs.as_bytes().contains(&sign) => {
                    reader.sign = Some(sign);
                    reader.at += 1;
                }
                _ => reader.eat(1),
            },
            Step::Skip => reader.skip(),
            Step::Nothing => {}
        }
    }
    let sign = if reader.sign == Some(b'-') { "-" } else { "" };
    format!("{sign}{}", reader.digits.trim_end_matches('.'))
}

impl Reader<'_> {
    fn here(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// One character on.
    fn skip(&mut self) {
        self.at += 1;
        while self.here().is_some_and(|byte| byte & 0xc0 == 0x80) {
            self.at += 1;
        }
    }

    fn eat(&mut self, n: usize) {
        for _ in 0..n {
            match self.here() {
                Some(byte) if !b"0123456789.,+-".contains(&byte) => self.skip(),
                _ => break,
            }
        }
    }

    /// Leaves the place at the last character that was taken.
    fn digit(&mut self) {
        if self.here() == Some(b' ') {
            self.at += 1;
        }
        let (signed, before, brackets) = self.template.sign_kind();
        if self.sign.is_none() && self.n_before + self.n_behind == 0 && self.digits.is_empty() {
            let sign = match self.here() {
                Some(b'-') => Some(b'-'),
                Some(b'<') if brackets => Some(b'-'),
                Some(b'+') => Some(b'+'),
                _ => None,
            };
            if sign.is_some() && (!signed || before) {
                self.sign = sign;
                self.at += 1;
            }
        }
        let Some(byte) = self.here() else { return };
        let mut read = false;
        if byte.is_ascii_digit() {
            if self.point && self.n_behind == self.template.n_fraction() {
                return;
            }
            self.digits.push(char::from(byte));
            if self.point {
                self.n_behind += 1;
            } else {
                self.n_before += 1;
            }
            read = true;
        } else if self.template.has_decimal() && !self.point && byte == b'.' {
            self.digits.push('.');
            self.point = true;
            read = true;
        }
        self.sign_behind(signed, read);
    }

    /// A sign may follow the last digit.
    fn sign_behind(&mut self, signed: bool, read: bool) {
        if self.sign.is_some() || self.n_before + self.n_behind == 0 {
            return;
        }
        let next = self.input.get(self.at + 1).copied();
        if signed && read {
            if let Some(sign @ (b'-' | b'+')) = next {
                self.sign = Some(sign);
                self.at += 1;
            }
        } else if !read
            && !signed
            && !self.template.plus_or_minus()
            && let Some(sign @ (b'-' | b'+')) = self.here()
        {
            self.sign = Some(sign);
        }
    }
}
