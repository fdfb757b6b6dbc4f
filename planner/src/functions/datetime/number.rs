//! Templates of numbers such as `FM999,990.00`, both ways.
//!
//! # Source
//! PostgreSQL's `NUM_processor` and what it calls (formatting.c), with the signs and separators of
//! the locale C.

use datafusion::common::Result;
use datafusion::error::DataFusionError;

use crate::functions::fault::fault;

/// A pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Comma,
    Point,
    Zero,
    Nine,
    Blank,
    Decimal,
    Exponent,
    Fill,
    Group,
    Currency,
    Minus,
    Plus,
    Brackets,
    Roman,
    RomanLower,
    Sign,
    PlusMinus,
    /// Spelled out: does nothing.
    Spell,
    OrdinalUpper,
    OrdinalLower,
    Shift,
}

/// Longer ones stand before their beginnings.
const KEYS: &[(&str, Key)] = &[
    ("EEEE", Key::Exponent),
    ("FM", Key::Fill),
    ("MI", Key::Minus),
    ("PL", Key::Plus),
    ("PR", Key::Brackets),
    ("SG", Key::PlusMinus),
    ("SP", Key::Spell),
    (",", Key::Comma),
    (".", Key::Point),
    ("0", Key::Zero),
    ("9", Key::Nine),
    ("B", Key::Blank),
    // Reserved, and without effect.
    ("C", Key::Spell),
    ("D", Key::Decimal),
    ("G", Key::Group),
    ("L", Key::Currency),
    ("S", Key::Sign),
    ("V", Key::Shift),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Key(Key),
    Text(char),
}

/// Where `S` puts the sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Anchor {
    None,
    Before,
    After,
}

/// A template of a number.
#[derive(Debug, Clone)]
pub(super) struct NumberTemplate {
    nodes: Vec<Node>,
    /// Digits before and behind the point, and behind `V`.
    pre: usize,
    post: usize,
    multi: usize,
    /// One more than the place of the first `0`; nought for none.
    zero_start: usize,
    zero_end: usize,
    pre_sign: usize,
    anchor: Anchor,
    decimal: bool,
    fill: bool,
    zero: bool,
    blank: bool,
    sign: bool,
    minus: bool,
    plus: bool,
    brackets: bool,
    shift: bool,
    exponent: bool,
    roman: bool,
}

fn syntax(message: &str) -> DataFusionError {
    fault("42601", message)
}

impl NumberTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// 42601 for patterns that do not go together.
    pub(super) fn parse(template: &str) -> Result<Self> {
        let mut result = Self {
            nodes: Vec::new(),
            pre: 0,
            post: 0,
            multi: 0,
            zero_start: 0,
            zero_end: 0,
            pre_sign: 0,
            anchor: Anchor::None,
            decimal: false,
            fill: false,
            zero: false,
            blank: false,
            sign: false,
            minus: false,
            plus: false,
            brackets: false,
            shift: false,
            exponent: false,
            roman: false,
        };
        let mut rest = template;
        while let Some(first) = rest.chars().next() {
            if let Some((key, after)) = key(rest) {
                result.take(key)?;
                result.nodes.push(Node::Key(key));
                rest = after;
                continue;
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            if first == '"' {
                let mut chars = rest.chars();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => result.nodes.extend(chars.next().map(Node::Text)),
                        c => result.nodes.push(Node::Text(c)),
                    }
                }
                rest = chars.as_str();
            } else if first == '\\' && rest.starts_with('"') {
                result.nodes.push(Node::Text('"'));
                rest = rest.get(1..).unwrap_or_default();
            } else {
                result.nodes.push(Node::Text(first));
            }
        }
        Ok(result)
    }

    /// Notes what a pattern means for the whole (`NUMDesc_prepare`).
    fn take(&mut self, key: Key) -> Result<()> {
        if self.exponent && key != Key::Exponent {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        let apart = |name: &str| syntax(&format!("cannot use \"S\" and \"{name}\" together"));
        match key {
            Key::Nine | Key::Zero => self.digit(key)?,
            Key::Blank => self.blank |= self.pre == 0 && self.post == 0 && !self.zero,
            Key::Point | Key::Decimal => {
                if self.decimal {
                    return Err(syntax("multiple decimal points"));
                }
                if self.shift {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.decimal = true;
            }
            Key::Fill => self.fill = true,
            Key::Sign => {
                if self.sign {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.brackets {
                    let message = "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together";
                    return Err(syntax(message));
                }
                self.anchor = if self.decimal { Anchor::After } else { Anchor::Before };
                self.pre_sign = self.pre;
                self.sign = true;
            }
            Key::Minus if self.sign => return Err(apart("MI")),
            Key::Minus => self.minus = true,
            Key::Plus if self.sign => return Err(apart("PL")),
            Key::Plus => self.plus = true,
            Key::PlusMinus if self.sign => return Err(apart("SG")),
            Key::PlusMinus => (self.minus, self.plus) = (true, true),
            Key::Brackets => {
                if self.sign || self.plus || self.minus {
                    let message = "cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together";
                    return Err(syntax(message));
                }
                self.brackets = true;
            }
            Key::Roman | Key::RomanLower => self.roman = true,
            Key::Shift => {
                if self.decimal {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.shift = true;
            }
            Key::Exponent => self.exponential()?,
            Key::Comma
            | Key::Group
            | Key::Currency
            | Key::Spell
            | Key::OrdinalUpper
            | Key::OrdinalLower => {}
        }
        Ok(())
    }

    fn digit(&mut self, key: Key) -> Result<()> {
        if self.brackets {
            let digit = if key == Key::Nine { 9 } else { 0 };
            return Err(syntax(&format!("\"{digit}\" must be ahead of \"PR\"")));
        }
        if key == Key::Zero && !self.zero && !self.decimal {
            self.zero = true;
            self.zero_start = self.pre + 1;
        }
        match (key, self.shift) {
            (Key::Nine, true) => self.multi += 1,
            _ if self.decimal => self.post += 1,
            _ => self.pre += 1,
        }
        if key == Key::Zero {
            self.zero_end = self.pre + self.post;
        }
        Ok(())
    }

    fn exponential(&mut self) -> Result<()> {
        if self.exponent {
            return Err(syntax("cannot use \"EEEE\" twice"));
        }
        let other = self.blank || self.fill || self.sign || self.brackets || self.minus;
        if other || self.plus || self.roman || self.shift {
            return Err(syntax("\"EEEE\" is incompatible with other formats"));
        }
        self.exponent = true;
        Ok(())
    }

    /// How many digits after the point are written.
    pub(super) fn n_fraction(&self) -> usize {
        self.post
    }

    /// How many digits before the point are written.
    pub(super) fn n_whole(&self) -> usize {
        self.pre
    }

    /// How many places the number is shifted to the left before it is written.
    pub(super) fn n_shift(&self) -> usize {
        self.multi
    }

    /// Whether the number is written with an exponent.
    pub(super) fn exponent(&self) -> bool {
        self.exponent
    }

    /// Whether the number is written in Roman numerals.
    pub(super) fn roman(&self) -> bool {
        self.roman
    }

    /// Writes a number given as digits with at most one point, already shifted and rounded.
    pub(super) fn render(&self, negative: bool, digits: &str) -> String {
        let pre = self.pre + self.multi;
        let whole = digits.find('.').unwrap_or(digits.len());
        let (number, blanks) = if whole > pre && !self.roman {
            let (before, behind) = ("#".repeat(pre), "#".repeat(self.post));
            (format!("{before}.{behind}"), 0)
        } else {
            (digits.to_owned(), pre.saturating_sub(whole))
        };
        let mut writer = Writer::new(self, negative, number.into_bytes(), blanks);
        writer.run();
        let text = String::from_utf8_lossy(&writer.out).into_owned();
        // A place behind the last digit that there is ends the text, as in C.
        match text.find('\0') {
            Some(end) => text.get(..end).unwrap_or_default().to_owned(),
            None => text,
        }
    }

    /// The places of a number that [`Self::read`] may find behind the point.
    pub(super) fn n_fraction_read(&self) -> usize {
        self.post + self.multi
    }

    /// Finds the number in a text (`to_number`).
    ///
    /// # Errors
    /// 0A000 for Roman numerals and exponents.
    pub(super) fn read(&self, text: &str) -> Result<String> {
        if self.roman {
            return Err(fault("0A000", "\"RN\" not supported for input"));
        }
        if self.exponent {
            return Err(fault("0A000", "\"EEEE\" not supported for input"));
        }
        Ok(super::number_read::read(self, text))
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        self.nodes.iter().map(|node| match node {
            Node::Text(_) => Step::Skip,
            Node::Key(Key::Nine | Key::Zero | Key::Point | Key::Decimal) => Step::Digit,
            Node::Key(Key::Comma | Key::Group) => Step::Group,
            Node::Key(Key::Currency) => Step::Eat(1),
            Node::Key(Key::OrdinalLower | Key::OrdinalUpper) => Step::Eat(2),
            Node::Key(Key::Minus) => Step::Sign("-"),
            Node::Key(Key::Plus) => Step::Sign("+"),
            Node::Key(Key::PlusMinus) => Step::Sign("-+"),
            Node::Key(_) => Step::Nothing,
        })
    }

    pub(super) fn sign_kind(&self) -> (bool, bool, bool) {
        let before = self.anchor == Anchor::Before && self.pre != self.pre_sign;
        (self.sign, self.sign && before, self.brackets)
    }

    pub(super) fn has_decimal(&self) -> bool {
        self.decimal
    }

    pub(super) fn plus_or_minus(&self) -> bool {
        self.plus || self.minus
    }

    pub(super) fn fill(&self) -> bool {
        self.fill
    }
}

/// What a pattern asks of the text that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Digit,
    Group,
    /// Jumps over so many characters that belong to no number.
    Eat(usize),
    /// One of these signs may stand here.
    Sign(&'static str),
    Skip,
    Nothing,
}

fn key(text: &str) -> Option<(Key, &str)> {
    // The case of these says the case of what is written.
    for (name, key) in [
        ("RN", Key::Roman),
        ("rn", Key::RomanLower),
        ("TH", Key::OrdinalUpper),
        ("th", Key::OrdinalLower),
    ] {
        if let Some(rest) = text.strip_prefix(name) {
            return Some((key, rest));
        }
    }
    KEYS.iter().find_map(|(name, key)| {
        let (start, rest) = text.split_at_checked(name.len())?;
        let lower = start.bytes().all(|b| !b.is_ascii_uppercase());
        let upper = start.bytes().all(|b| !b.is_ascii_lowercase());
        ((lower || upper) && start.eq_ignore_ascii_case(name)).then_some((*key, rest))
    })
}

struct Writer<'a> {
    template: &'a NumberTemplate,
    negative: bool,
    number: Vec<u8>,
    /// The next digit.
    at: usize,
    blanks: usize,
    current: usize,
    zero_start: usize,
    brackets: bool,
    anchor: Anchor,
    sign_written: bool,
    inside: bool,
    /// The last digit that `FM` keeps, where it drops any.
    last: Option<usize>,
    count: usize,
    out: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(template: &'a NumberTemplate, negative: bool, number: Vec<u8>, blanks: usize) -> Self {
        let t = template;
        let mut brackets = t.brackets;
        let mut anchor = t.anchor;
        let mut sign_written = if t.plus || t.minus {
            t.minus || !t.plus
        } else {
            brackets &= negative || !t.fill;
            if anchor == Anchor::Before && t.pre == t.pre_sign {
                anchor = Anchor::After;
            }
            !negative && t.fill && !t.sign
        };
        // `PL` alone writes the minus where the number begins.
        if t.plus && !t.minus && !negative {
            sign_written = false;
        }
        let mut count = (t.post + t.pre + t.multi).saturating_sub(1);
        let last = if t.fill && t.decimal { last_relevant(t, &number, blanks) } else { None };
        if !sign_written && blanks == 0 {
            count += 1;
        }
        Self {
            template,
            negative,
            number,
            at: 0,
            blanks,
            current: 0,
            zero_start: t.zero_start.saturating_sub(1),
            brackets,
            anchor,
            sign_written,
            inside: false,
            last,
            count,
            out: Vec::new(),
        }
    }

    fn run(&mut self) {
        let fill = self.template.fill;
        for node in &self.template.nodes {
            let key = match node {
                Node::Text(c) => {
                    self.out.extend(c.encode_utf8(&mut [0; 4]).bytes());
                    continue;
                }
                Node::Key(key) => *key,
            };
            match key {
                Key::Nine | Key::Zero | Key::Point | Key::Decimal => self.place(key),
                Key::Comma | Key::Group if self.inside => self.out.push(b','),
                Key::Comma | Key::Group if !fill => self.out.push(b' '),
                Key::Currency => self.out.push(b' '),
                Key::Roman | Key::RomanLower => self.roman(key),
                Key::OrdinalLower | Key::OrdinalUpper => self.ordinal(key),
                Key::Minus if self.negative => self.out.push(b'-'),
                Key::Plus if !self.negative => self.out.push(b'+'),
                Key::Minus | Key::Plus if !fill => self.out.push(b' '),
                Key::PlusMinus => self.out.push(if self.negative { b'-' } else { b'+' }),
                _ => {}
            }
        }
    }

    fn roman(&mut self, key: Key) {
        let text = String::from_utf8_lossy(&self.number).into_owned();
        let text = if key == Key::Roman { text } else { text.to_lowercase() };
        let text = if self.template.fill { text } else { format!("{text:>15}") };
        self.out.extend(text.bytes());
    }

    fn ordinal(&mut self, key: Key) {
        let t = self.template;
        let overflow = self.number.first() == Some(&b'#');
        if t.roman || overflow || self.negative || t.decimal {
            return;
        }
        let tens = self.number.len().checked_sub(2).and_then(|at| self.number.get(at));
        let suffix = match (tens, self.number.last()) {
            (Some(b'1'), _) => "th",
            (_, Some(b'1')) => "st",
            (_, Some(b'2')) => "nd",
            (_, Some(b'3')) => "rd",
            _ => "th",
        };
        let upper = suffix.to_uppercase();
        let suffix = if key == Key::OrdinalUpper { upper.as_str() } else { suffix };
        self.out.extend(suffix.bytes());
    }

    fn digit(&self) -> u8 {
        self.number.get(self.at).copied().unwrap_or(0)
    }

    /// Whether the number is a nought before a point that the template does not ask for.
    fn nought_before_point(&self) -> bool {
        !self.template.zero
            && self.at == 0
            && self.number.first() == Some(&b'0')
            && self.template.post != 0
    }

    fn last_is_point(&self) -> bool {
        self.last.is_some_and(|last| self.number.get(last) == Some(&b'.'))
    }

    /// A digit, a point or a blank (`NUM_numpart_to_char`).
    fn place(&mut self, key: Key) {
        let t = self.template;
        if t.roman {
            return;
        }
        self.inside = false;
        let zero_here = t.zero && self.zero_start == self.current;
        if !self.sign_written
            && (self.current >= self.blanks || zero_here)
            && (!self.nought_before_point() || self.last_is_point())
        {
            self.sign();
        }
        if self.current < self.blanks && (self.zero_start > self.current || !t.zero) {
            if !t.fill {
                self.out.push(b' ');
            }
        } else if t.zero && self.current < self.blanks && self.zero_start <= self.current {
            self.out.push(b'0');
            self.inside = true;
        } else {
            self.figure(key);
            if self.at < self.number.len() {
                self.at += 1;
            }
        }
        let mut end = self.count + usize::from(self.blanks > 0) + usize::from(t.decimal);
        if self.last.is_some_and(|last| last == self.at) {
            end = self.current;
        }
        if self.current + 1 == end {
            if self.sign_written && self.brackets {
                self.out.push(if self.negative { b'>' } else { b' ' });
            } else if t.sign && self.anchor == Anchor::After {
                self.out.push(if self.negative { b'-' } else { b'+' });
            }
        }
        self.current += 1;
    }

    fn figure(&mut self, key: Key) {
        let fill = self.template.fill;
        if self.digit() == b'.' {
            if !self.last_is_point() || fill {
                self.out.push(b'.');
            }
        } else if self.last.is_some_and(|last| self.at > last) && key != Key::Zero {
        } else if self.nought_before_point() {
            if !fill {
                self.out.push(b' ');
            } else if self.last_is_point() {
                self.out.push(b'0');
            }
        } else {
            self.out.push(self.digit());
            self.inside = true;
        }
    }

    fn sign(&mut self) {
        if self.template.sign {
            if self.anchor == Anchor::Before {
                self.out.push(if self.negative { b'-' } else { b'+' });
                self.sign_written = true;
            }
        } else if self.brackets {
            self.out.push(if self.negative { b'<' } else { b' ' });
            self.sign_written = true;
        } else if self.negative {
            self.out.push(b'-');
            self.sign_written = true;
        } else {
            if !self.template.fill {
                self.out.push(b' ');
            }
            self.sign_written = true;
        }
    }
}

/// The last digit behind the point that is not nought, or that the template asks for by `0`.
fn last_relevant(template: &NumberTemplate, number: &[u8], blanks: usize) -> Option<usize> {
    let point = number.iter().position(|byte| *byte == b'.')?;
    let behind = number.iter().enumerate().skip(point + 1);
    let last = behind.rev().find(|(_, byte)| **byte != b'0').map(|(at, _)| at);
    let mut last_kept = last.unwrap_or(point);
    if template.zero_end > blanks {
        let asked = (number.len() - 1).min(template.zero_end - blanks);
        last_kept = last_kept.max(asked);
    }
    Some(last_kept)
}

/// A whole number in Roman numerals; fifteen `#` where there are none.
pub(super) fn roman_numeral(value: i64) -> String {
    const PARTS: [(i64, &str); 13] = [
        (1_000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..=3_999).contains(&value) {
        return "#".repeat(15);
    }
    let mut rest = value;
    let mut out = String::new();
    for (part, letters) in PARTS {
        while rest >= part {
            out.push_str(letters);
            rest -= part;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::NumberTemplate;

    fn shown(template: &str, number: &str) -> String {
        let negative = number.starts_with('-');
        NumberTemplate::parse(template)
            .map(|template| template.render(negative, number.trim_start_matches('-')))
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

    #[test]
    fn signs_groups_and_ordinals() {
        assert_eq!(shown("PL9.9", "-1.5"), " -1.5");
        assert_eq!(shown("PL9.9", "1.5"), "+ 1.5");
        assert_eq!(shown("9.9SG", "-1.5"), "1.5-");
        assert_eq!(shown("9,999,999", "1234"), "     1,234");
        assert_eq!(shown("0,000", "12"), " 0,012");
        assert_eq!(shown("99th", "11"), " 11th");
        assert_eq!(shown("9V99", "1200"), " ###");
        assert_eq!(shown("9.9", "0.5"), "  .5");
        assert_eq!(shown("9abc", "5"), " 5a");
    }
}
