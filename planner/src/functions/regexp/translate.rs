//! PostgreSQL's regular expressions as those of the `regex` crate.
//!
//! # Source
//! PostgreSQL, section 9.7.3: advanced regular expressions (ARE), and `regc_lex.c`.
//!
//! What the crate cannot do is refused: back-references, looking around, and mixing greedy with
//! non-greedy quantifiers where it matters how long a match is.

use std::fmt::Write;

use datafusion::common::Result;
use datafusion::error::DataFusionError;

use crate::functions::fault::fault;

/// The letters behind a pattern, and what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    /// All matches, not the first only.
    pub(super) global: bool,
    insensitive: bool,
    /// `.` and `[^…]` do not match newlines.
    dot_stops: bool,
    /// `^` and `$` match at newlines.
    multi_line: bool,
    expanded: bool,
    literal: bool,
}

impl Flags {
    /// Reads letters such as `gi`.
    ///
    /// # Errors
    /// 22023 for letters that mean nothing, 0A000 for basic regular expressions.
    pub(super) fn parse(letters: &str) -> Result<Self> {
        let mut flags = Self::default();
        for letter in letters.chars() {
            if letter == 'g' {
                flags.global = true;
            } else if !flags.set(letter)? {
                let message = format!("invalid regular expression option: \"{letter}\"");
                return Err(fault("22023", message));
            }
        }
        Ok(flags)
    }

    pub(super) fn insensitive(mut self) -> Self {
        self.insensitive = true;
        self
    }

    fn set(&mut self, letter: char) -> Result<bool> {
        match letter {
            'i' => self.insensitive = true,
            'c' => self.insensitive = false,
            'm' | 'n' => (self.dot_stops, self.multi_line) = (true, true),
            's' => (self.dot_stops, self.multi_line) = (false, false),
            'p' => (self.dot_stops, self.multi_line) = (true, false),
            'w' => (self.dot_stops, self.multi_line) = (false, true),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'e' => {}
            'b' => {
                return Err(fault("0A000", "basic regular expressions are not supported"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A pattern in the crate's syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translated {
    pub(super) pattern: String,
    /// Whether both kinds of quantifiers are in it.
    pub(super) mixed: bool,
}

/// 2201B with PostgreSQL's words.
pub(super) fn invalid(what: &str) -> DataFusionError {
    fault("2201B", format!("invalid regular expression: {what}"))
}

fn unsupported(what: &str) -> DataFusionError {
    fault("0A000", format!("{what} in regular expressions are not supported"))
}

/// Translates a pattern.
///
/// # Errors
/// 2201B for what is no regular expression, 0A000 for what the crate lacks.
pub(super) fn translate(pattern: &str, mut flags: Flags) -> Result<Translated> {
    let mut rest = pattern;
    if let Some(after) = rest.strip_prefix("***=") {
        (flags.literal, rest) = (true, after);
    } else if let Some(after) = rest.strip_prefix("***:") {
        rest = after;
    } else if rest.starts_with("***") {
        return Err(invalid("invalid regexp (reg version 0.8)"));
    }
    if !flags.literal {
        rest = embedded(rest, &mut flags)?;
    }
    let mut head = String::from("(?");
    if flags.insensitive {
        head.push('i');
    }
    if !flags.dot_stops {
        head.push('s');
    }
    if flags.multi_line {
        head.push('m');
    }
    // Without a flag the group is empty, which the crate takes too.
    head.push_str(if head.len() == 2 { ":)" } else { ")" });
    if flags.literal {
        head.push_str(&regex::escape(rest));
        return Ok(Translated { pattern: head, mixed: false });
    }
    let mut reader = Reader {
        chars: rest.chars().collect(),
        at: 0,
        out: head,
        flags,
        depth: 0,
        operand: false,
        greedy: false,
        lazy: false,
    };
    reader.read()?;
    Ok(Translated { pattern: reader.out, mixed: reader.greedy && reader.lazy })
}

/// Options at the beginning: `(?i)abc`.
fn embedded<'a>(text: &'a str, flags: &mut Flags) -> Result<&'a str> {
    let Some(after) = text.strip_prefix("(?") else { return Ok(text) };
    if !after.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(text);
    }
    let Some((letters, rest)) = after.split_once(')') else {
        return Err(invalid("invalid embedded option"));
    };
    for letter in letters.chars() {
        if !flags.set(letter)? {
            return Err(invalid("invalid embedded option"));
        }
    }
    Ok(rest)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    out: String,
    flags: Flags,
    depth: usize,
    /// Whether something stands before that a quantifier may follow.
    operand: bool,
    greedy: bool,
    lazy: bool,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let n = wanted.chars().count();
        let here = self.chars.get(self.at..self.at + n);
        let found = here.is_some_and(|here| here.iter().copied().eq(wanted.chars()));
        if found {
            self.at += n;
        }
        found
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_alphanumeric() || !c.is_ascii() {
            self.out.push(c);
        } else {
            let _ = write!(self.out, "\\x{{{:x}}}", u32::from(c));
        }
        self.operand = true;
    }

    fn read(&mut self) -> Result<()> {
        while let Some(c) = self.next() {
            match c {
                '\\' => self.escape()?,
                '[' => self.bracket()?,
                '(' => self.open()?,
                ')' if self.depth == 0 => return Err(invalid("parentheses () not balanced")),
                ')' => {
                    self.depth -= 1;
                    self.out.push(')');
                    self.operand = true;
                }
                '|' => {
                    self.out.push('|');
                    self.operand = false;
                }
                '*' | '+' | '?' => self.quantify(&c.to_string())?,
                '{' if self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                    let bounds = self.bounds()?;
                    self.quantify(&bounds)?;
                }
                '^' => {
                    self.out.push('^');
                    self.operand = false;
                }
                '$' => {
                    self.out.push('$');
                    self.operand = false;
                }
                '.' => {
                    self.out.push('.');
                    self.operand = true;
                }
                c if self.flags.expanded && c.is_whitespace() => {}
                '#' if self.flags.expanded => while self.next().is_some_and(|c| c != '\n') {},
                c => self.literal(c),
            }
        }
        if self.depth > 0 {
            return Err(invalid("parentheses () not balanced"));
        }
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        for (start, what) in [
            ("?=", "look-ahead constraints"),
            ("?!", "look-ahead constraints"),
            ("?<=", "look-behind constraints"),
            ("?<!", "look-behind constraints"),
        ] {
            if self.eat(start) {
                return Err(unsupported(what));
            }
        }
        if self.eat("?#") {
            while self.next().is_some_and(|c| c != ')') {}
            return Ok(());
        }
        if self.eat("?:") {
            self.out.push_str("(?:");
        } else if self.peek() == Some('?') {
            return Err(invalid("quantifier operand invalid"));
        } else {
            self.out.push('(');
        }
        self.depth += 1;
        self.operand = false;
        Ok(())
    }

    /// `3}`, `3,}` or `3,5}`, written back with braces.
    fn bounds(&mut self) -> Result<String> {
        let mut text = String::from("{");
        loop {
            match self.next() {
                Some(c) if c.is_ascii_digit() || c == ',' => text.push(c),
                Some('}') => break,
                Some(_) => return Err(invalid("invalid repetition count(s)")),
                None => return Err(invalid("braces {} not balanced")),
            }
        }
        let inner = text.get(1..).unwrap_or_default();
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|n| *n <= 255);
        let valid = match (number(least), most) {
            (Some(_), "") => true,
            (Some(least), most) => number(most).is_some_and(|most| least <= most),
            _ => false,
        };
        if !valid {
            return Err(invalid("invalid repetition count(s)"));
        }
        text.push('}');
        Ok(text)
    }

    fn quantify(&mut self, quantifier: &str) -> Result<()> {
        if !self.operand {
            return Err(invalid("quantifier operand invalid"));
        }
        self.out.push_str(quantifier);
        let lazy = self.eat("?");
        let fixed = quantifier.starts_with('{') && !quantifier.contains(',');
        if lazy {
            self.out.push('?');
        }
        if !fixed {
            self.lazy |= lazy;
            self.greedy |= !lazy;
        }
        self.operand = false;
        Ok(())
    }

    fn escape(&mut self) -> Result<()> {
        let Some(c) = self.next() else { return Err(invalid("invalid escape \\ sequence")) };
        let class = match c {
            // As with the C library, digits are those of ASCII.
            'd' => Some("[0-9]"),
            'D' => Some("[^0-9]"),
            's' => Some("\\s"),
            'S' => Some("\\S"),
            'w' => Some("\\w"),
            'W' => Some("\\W"),
            _ => None,
        };
        if let Some(class) = class {
            self.out.push_str(class);
            self.operand = true;
            return Ok(());
        }
        let constraint = match c {
            'A' => Some("\\A"),
            'Z' => Some("\\z"),
            'm' => Some("\\b{start}"),
            'M' => Some("\\b{end}"),
            'y' => Some("\\b"),
            'Y' => Some("\\B"),
            _ => None,
        };
        if let Some(constraint) = constraint {
            self.out.push_str(constraint);
            self.operand = false;
            return Ok(());
        }
        if ('1'..='9').contains(&c) {
            return Err(unsupported("back-references"));
        }
        let c = self.character(c)?;
        self.literal(c);
        Ok(())
    }

    /// The character that an escape stands for.
    fn character(&mut self, c: char) -> Result<char> {
        let wrong = || invalid("invalid escape \\ sequence");
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'B' => '\\',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' => '\0',
            'c' => {
                let letter = self.next().ok_or_else(wrong)?;
                char::from_u32(u32::from(letter) & 0x1f).ok_or_else(wrong)?
            }
            'u' => self.hexadecimal(4).ok_or_else(wrong)?,
            'U' => self.hexadecimal(8).ok_or_else(wrong)?,
            'x' => {
                let n = self.chars.iter().skip(self.at).take_while(|c| c.is_ascii_hexdigit());
                let n = n.count();
                self.hexadecimal(n).ok_or_else(wrong)?
            }
            c if c.is_ascii_alphanumeric() => return Err(wrong()),
            c => c,
        })
    }

    fn hexadecimal(&mut self, n: usize) -> Option<char> {
        let digits: String = self.chars.get(self.at..self.at + n)?.iter().collect();
        self.at += n;
        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
    }

    /// `[a-z[:digit:]]`.
    fn bracket(&mut self) -> Result<()> {
        if self.eat("[:<:]]") {
            self.out.push_str("\\b{start}");
            return Ok(());
        }
        if self.eat("[:>:]]") {
            self.out.push_str("\\b{end}");
            return Ok(());
        }
        let negated = self.eat("^");
        self.out.push_str(if negated { "[^" } else { "[" });
        if negated && self.flags.dot_stops {
            self.out.push_str("\\n");
        }
        let unbalanced = || invalid("brackets [] not balanced");
        let mut first = true;
        loop {
            let c = self.next().ok_or_else(unbalanced)?;
            if c == ']' && !first {
                break;
            }
            first = false;
            let low = match c {
                '[' if self.peek() == Some(':') => {
                    self.class()?;
                    continue;
                }
                '[' if self.peek() == Some('.') || self.peek() == Some('=') => self.element()?,
                '\\' => {
                    let c = self.next().ok_or_else(unbalanced)?;
                    if c == 'd' {
                        self.out.push_str("0-9");
                        continue;
                    }
                    if matches!(c, 's' | 'w' | 'D' | 'S' | 'W') {
                        self.out.push('\\');
                        self.out.push(c);
                        continue;
                    }
                    self.character(c)?
                }
                c => c,
            };
            self.range(low)?;
        }
        self.out.push(']');
        self.operand = true;
        Ok(())
    }

    /// A character, or with `-` and another one a range.
    fn range(&mut self, low: char) -> Result<()> {
        let unbalanced = || invalid("brackets [] not balanced");
        let push = |out: &mut String, c: char| {
            let _ = write!(out, "\\x{{{:x}}}", u32::from(c));
        };
        push(&mut self.out, low);
        let ranged = self.peek() == Some('-') && self.chars.get(self.at + 1) != Some(&']');
        if !ranged {
            return Ok(());
        }
        self.at += 1;
        let high = match self.next().ok_or_else(unbalanced)? {
            '[' if matches!(self.peek(), Some('.' | '=')) => self.element()?,
            '\\' => {
                let c = self.next().ok_or_else(unbalanced)?;
                self.character(c)?
            }
            c => c,
        };
        if high < low {
            return Err(invalid("invalid character range"));
        }
        self.out.push('-');
        push(&mut self.out, high);
        Ok(())
    }

    /// `[:alpha:]` inside of brackets.
    fn class(&mut self) -> Result<()> {
        self.at += 1;
        let mut name = String::new();
        while let Some(c) = self.next() {
            if c == ':' && self.eat("]") {
                break;
            }
            name.push(c);
        }
        let class = match name.as_str() {
            "alpha" => "\\p{Alphabetic}",
            "digit" => "0-9",
            "alnum" => "\\p{Alphabetic}0-9",
            "upper" => "\\p{Uppercase}",
            "lower" => "\\p{Lowercase}",
            "space" => "\\s",
            "blank" => "\\t\\x20",
            "punct" => "[:punct:]",
            "cntrl" => "\\p{Cc}",
            "xdigit" => "0-9A-Fa-f",
            "word" => "\\w",
            "ascii" => "\\x00-\\x7f",
            "graph" => "[^\\s\\p{Cc}]",
            "print" => "[^\\p{Cc}]",
            _ => return Err(invalid("invalid character class")),
        };
        self.out.push_str(if class == "[:punct:]" { "[[:punct:]]" } else { class });
        Ok(())
    }

    /// `[.x.]` or `[=x=]` inside of brackets.
    fn element(&mut self) -> Result<char> {
        let mark = self.next().unwrap_or('.');
        let c = self.next();
        let closed = self.next() == Some(mark) && self.next() == Some(']');
        c.filter(|_| closed).ok_or_else(|| invalid("invalid collating element"))
    }
}
