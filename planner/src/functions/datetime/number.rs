//! Templates of numbers such as `FM999,990.00`.

use datafusion::common::Result;

use crate::functions::fault::fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// A digit that is blank where there is none.
    Nine,
    /// A digit that is always written.
    Zero,
    Point,
    Group,
    Dollar,
    Text(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// A minus or a blank before the first digit.
    Usual,
    /// `S`: plus or minus.
    Before,
    After,
    /// `MI`: minus or a blank.
    MinusBefore,
    MinusAfter,
    /// `PR`: angle brackets.
    Brackets,
}

/// A template of a number.
#[derive(Debug)]
pub(super) struct NumberTemplate {
    pieces: Vec<Piece>,
    sign: Sign,
    plain: bool,
    n_whole: usize,
    n_fraction: usize,
}

impl NumberTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// 0A000 for patterns that PostgreSQL has and tarn has not, 42601 for two points.
    pub(super) fn parse(template: &str) -> Result<Self> {
        let mut result =
            Self { pieces: Vec::new(), sign: Sign::Usual, plain: false, n_whole: 0, n_fraction: 0 };
        let mut rest = template;
        let mut after_point = false;
        while let Some(first) = rest.chars().next() {
            let pair = rest.get(..2).map(str::to_ascii_uppercase).unwrap_or_default();
            let before = result.n_whole + result.n_fraction == 0;
            match (pair.as_str(), first.to_ascii_uppercase()) {
                ("FM", _) => result.plain = true,
                ("MI", _) => {
                    result.sign = if before { Sign::MinusBefore } else { Sign::MinusAfter }
                }
                ("PR", _) => result.sign = Sign::Brackets,
                ("PL" | "SG" | "RN" | "TH" | "EE", _) | (_, 'V' | 'L') => {
                    let message = format!("number template \"{template}\" is not supported");
                    return Err(fault("0A000", message));
                }
                (_, 'S') => result.sign = if before { Sign::Before } else { Sign::After },
                (_, digit @ ('9' | '0')) => {
                    result.pieces.push(if digit == '9' { Piece::Nine } else { Piece::Zero });
                    let count =
                        if after_point { &mut result.n_fraction } else { &mut result.n_whole };
                    *count += 1;
                }
                (_, '.' | 'D') => {
                    if after_point {
                        return Err(fault("42601", "multiple decimal points"));
                    }
                    after_point = true;
                    result.pieces.push(Piece::Point);
                }
                (_, ',' | 'G') => result.pieces.push(Piece::Group),
                (_, '$') => result.pieces.push(Piece::Dollar),
                (_, '"') => {
                    let quoted = rest.get(1..).unwrap_or("");
                    let end = quoted.find('"').unwrap_or(quoted.len());
                    let text = quoted.get(..end).unwrap_or("");
                    result.pieces.extend(text.chars().map(Piece::Text));
                    rest = quoted.get(end + 1..).unwrap_or("");
                    continue;
                }
                _ => result.pieces.push(Piece::Text(first)),
            }
            let two = matches!(pair.as_str(), "FM" | "MI" | "PR");
            rest = rest.get(if two { 2 } else { first.len_utf8() }..).unwrap_or("");
        }
        Ok(result)
    }

    /// How many digits after the point are written.
    pub(super) fn n_fraction(&self) -> usize {
        self.n_fraction
    }

    /// Writes a number given as digits before and, exactly [`Self::n_fraction`], after the point.
    pub(super) fn render(&self, negative: bool, whole: &str, fraction: &str) -> String {
        let whole = whole.trim_start_matches('0');
        let overflow = whole.len() > self.n_whole;
        let zero = whole.is_empty() && fraction.bytes().all(|digit| digit == b'0');
        let negative = negative && !zero;
        // A nought before the point is written where nothing else would be.
        let whole = if whole.is_empty() && self.n_fraction == 0 { "0" } else { whole };
        let digits_whole: Vec<char> = if overflow {
            vec!['#'; self.n_whole]
        } else {
            let blank = self.n_whole.saturating_sub(whole.len());
            std::iter::repeat_n(' ', blank).chain(whole.chars()).collect()
        };
        let digits_fraction: Vec<char> =
            if overflow { vec!['#'; self.n_fraction] } else { fraction.chars().collect() };
        // `FM` drops noughts at the end that the template does not ask for.
        let keep =
            if self.plain && !overflow { self.n_fraction_kept(fraction) } else { self.n_fraction };

        let mut out = String::new();
        let mut sign_written = false;
        let mut started = false;
        let (mut at_whole, mut at_fraction) = (0, 0);
        let mut after_point = false;
        for piece in &self.pieces {
            match piece {
                Piece::Nine | Piece::Zero if !after_point => {
                    let digit = digits_whole.get(at_whole).copied().unwrap_or(' ');
                    at_whole += 1;
                    if digit != ' ' || *piece == Piece::Zero {
                        started = true;
                    }
                    let digit = if digit == ' ' && started { '0' } else { digit };
                    if started && !sign_written {
                        sign_written = true;
                        self.push_sign(negative, &mut out);
                    }
                    if digit != ' ' || !self.plain {
                        out.push(digit);
                    }
                }
                Piece::Nine | Piece::Zero => {
                    if at_fraction < keep {
                        out.push(digits_fraction.get(at_fraction).copied().unwrap_or('0'));
                    }
                    at_fraction += 1;
                }
                Piece::Point => {
                    after_point = true;
                    if !sign_written {
                        sign_written = true;
                        self.push_sign(negative, &mut out);
                    }
                    out.push('.');
                }
                Piece::Group if started => out.push(','),
                Piece::Group if self.plain => {}
                Piece::Group => out.push(' '),
                Piece::Dollar => out.push('$'),
                Piece::Text(c) => out.push(*c),
            }
        }
        match self.sign {
            Sign::After => out.push(if negative { '-' } else { '+' }),
            Sign::MinusAfter if negative => out.push('-'),
            Sign::MinusAfter if !self.plain => out.push(' '),
            Sign::Brackets if negative => out.push('>'),
            Sign::Brackets if !self.plain => out.push(' '),
            _ => {}
        }
        out
    }

    fn push_sign(&self, negative: bool, out: &mut String) {
        match self.sign {
            Sign::Usual | Sign::MinusBefore if negative => out.push('-'),
            Sign::Before => out.push(if negative { '-' } else { '+' }),
            Sign::Brackets if negative => out.push('<'),
            Sign::Usual | Sign::MinusBefore | Sign::Brackets if !self.plain => out.push(' '),
            _ => {}
        }
    }

    fn n_fraction_kept(&self, fraction: &str) -> usize {
        let significant = fraction.trim_end_matches('0').len();
        let point = self.pieces.iter().position(|piece| *piece == Piece::Point);
        let behind = self.pieces.iter().skip(point.map_or(self.pieces.len(), |at| at + 1));
        let digits = behind.filter(|piece| matches!(piece, Piece::Nine | Piece::Zero));
        let asked = digits.enumerate().filter(|(_, piece)| **piece == Piece::Zero);
        significant.max(asked.map(|(at, _)| at + 1).max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::NumberTemplate;

    fn shown(template: &str, number: &str) -> String {
        let negative = number.starts_with('-');
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        NumberTemplate::parse(template)
            .map(|template| template.render(negative, whole.trim_start_matches('-'), fraction))
            .unwrap_or_default()
    }

    /// What PostgreSQL 15 answers.
    #[test]
    fn numbers_are_as_in_postgresql() {
        assert_eq!(shown("999", "125"), " 125");
        assert_eq!(shown("9999", "-125"), " -125");
        assert_eq!(shown("999,999.99", "1234.50"), "   1,234.50");
        assert_eq!(shown("FM999,990.00", "1234.50"), "1,234.50");
        assert_eq!(shown("0.9", "0.1"), " 0.1");
        assert_eq!(shown("FM9.99", "-0.10"), "-.1");
        assert_eq!(shown("99", "125"), " ##");
        assert_eq!(shown("0000", "12"), " 0012");
        assert_eq!(shown("9", "0"), " 0");
        assert_eq!(shown("999PR", "-12"), " <12>");
        assert_eq!(shown("S999", "12"), " +12");
        assert_eq!(shown("999S", "-12"), " 12-");
        assert_eq!(shown("999MI", "-12"), " 12-");
    }
}
