//! Reads dates and times in all the forms that PostgreSQL takes.
//!
//! # Source
//! PostgreSQL's `DecodeDateTime`, `DecodeDate`, `DecodeNumber` and `DecodeTimeOnly` (datetime.c).

use super::calendar::{Civil, JULIAN_OF_1970, MICROS_PER_DAY, MICROS_PER_SECOND, days_in_month};
use super::span_text::fraction_micros;
use super::tokens::{Kind, Token, tokens};
use super::zone::Zone;

/// The order of day, month and year in `1/2/2003`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateOrder {
    /// Month, day, year.
    #[default]
    Mdy,
    /// Day, month, year.
    Dmy,
    /// Year, month, day.
    Ymd,
}

/// Why a text is no date or time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    Syntax,
    Range,
    /// A month or day that may be meant in another order.
    MonthDay,
    ZoneRange,
    /// A name of no zone.
    Zone(String),
}

type Decoding<T> = Result<T, Trouble>;

const YEAR: u32 = 1;
const MONTH: u32 = 2;
const DAY: u32 = 4;
const DATE: u32 = YEAR | MONTH | DAY;
const TIME: u32 = 8;
const ZONE: u32 = 16;
const DAY_OF_YEAR: u32 = 32;
const WEEKDAY: u32 = 64;
const NOON: u32 = 128;
const ERA: u32 = 256;

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Month(i64),
    Weekday,
    Am,
    Pm,
    Ad,
    Bc,
    Ignored,
    /// Says what the next number is.
    Unit(Unit),
    /// `t` before a time.
    IsoTime,
    Dst,
    Special(Special),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Julian,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Now,
    Yesterday,
    Today,
    Tomorrow,
    Midnight,
    Epoch,
    Late,
    Early,
}

/// Finds a word of PostgreSQL's table.
pub(super) fn word(text: &str) -> Option<Word> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let month = |name: &str| name == text || name.get(..3) == Some(text);
    if let Some(at) = MONTHS.iter().position(|name| month(name)) {
        return i64::try_from(at + 1).ok().map(Word::Month);
    }
    Some(match text {
        "sept" => Word::Month(9),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds"
        | "wednesday" | "thu" | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat"
        | "saturday" => Word::Weekday,
        "am" => Word::Am,
        "pm" => Word::Pm,
        "ad" => Word::Ad,
        "bc" => Word::Bc,
        "at" | "on" => Word::Ignored,
        "y" => Word::Unit(Unit::Year),
        "m" => Word::Unit(Unit::Month),
        "d" => Word::Unit(Unit::Day),
        "h" => Word::Unit(Unit::Hour),
        "mm" => Word::Unit(Unit::Minute),
        "s" => Word::Unit(Unit::Second),
        "j" | "jd" | "julian" => Word::Unit(Unit::Julian),
        "t" => Word::IsoTime,
        "dst" => Word::Dst,
        "now" => Word::Special(Special::Now),
        "yesterday" => Word::Special(Special::Yesterday),
        "today" => Word::Special(Special::Today),
        "tomorrow" => Word::Special(Special::Tomorrow),
        "allballs" => Word::Special(Special::Midnight),
        "epoch" => Word::Special(Special::Epoch),
        "infinity" | "+infinity" => Word::Special(Special::Late),
        "-infinity" => Word::Special(Special::Early),
        _ => return None,
    })
}

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decoded {
    Late,
    Early,
    Epoch,
    /// The instant of the statement.
    Now,
    /// A local day (none in a time alone), the time of day, and the zone if one is given.
    At {
        days: Option<i64>,
        time: i64,
        zone: Option<Zone>,
    },
}

/// What is needed besides the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings {
    pub(super) order: DateOrder,
    /// Today's day in the session's zone.
    pub(super) today: i64,
    /// Whether a time of day is wanted.
    pub(super) time_only: bool,
}

/// Reads a text.
pub(super) fn decode(text: &str, around: Surroundings) -> Decoding<Decoded> {
    let tokens = tokens(text).ok_or(Trouble::Syntax)?;
    let mut decoder = Decoder { around, ..Decoder::new(around) };
    for (at, token) in tokens.iter().enumerate() {
        let seen = decoder.token(token, tokens.get(at + 1), at)?;
        if decoder.seen & seen != 0 {
            return Err(Trouble::Syntax);
        }
        decoder.seen |= seen;
    }
    decoder.finish()
}

struct Decoder {
    around: Surroundings,
    seen: u32,
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    /// Days since 1970 by a Julian number or a word.
    days: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    zone: Option<Zone>,
    special: Option<Decoded>,
    expected: Option<Unit>,
    expects_time: bool,
    text_month: bool,
    short_year: bool,
    bc: bool,
    noon: Option<Word>,
}

impl Decoder {
    fn new(around: Surroundings) -> Self {
        Self {
            around,
            seen: 0,
            year: 0,
            month: 0,
            day: 0,
            day_of_year: 0,
            days: None,
            hour: 0,
            minute: 0,
            second: 0,
            micros: 0,
            zone: None,
            special: None,
            expected: None,
            expects_time: false,
            text_month: false,
            short_year: false,
            bc: false,
            noon: None,
        }
    }

    fn has(&self, mask: u32) -> bool {
        self.seen & mask == mask
    }

    /// Takes a piece and returns what it told.
    fn token(&mut self, token: &Token, next: Option<&Token>, at: usize) -> Decoding<u32> {
        let text = token.text.as_str();
        match token.kind {
            Kind::Date => self.date_token(text, next, at),
            Kind::Time => {
                if self.expected.take().is_some() {
                    return Err(Trouble::Syntax);
                }
                self.expects_time = false;
                self.clock(text)?;
                Ok(TIME)
            }
            Kind::Signed => {
                self.zone = Some(offset(text)?);
                Ok(ZONE)
            }
            Kind::Number => self.number_token(text),
            Kind::Word | Kind::Special => self.word_token(text, next),
        }
    }

    fn date_token(&mut self, text: &str, next: Option<&Token>, at: usize) -> Decoding<u32> {
        if self.expected.is_some() {
            return Err(Trouble::Syntax);
        }
        let has_day = self.has(MONTH | DAY);
        let alone =
            self.around.time_only && !(at == 0 && next.is_some_and(|t| t.kind == Kind::Time));
        if !self.expects_time && !has_day && !alone {
            return self.date(text);
        }
        if self.expects_time || text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            // `hhmmss-zz`
            if self.has(TIME) {
                return Err(Trouble::Syntax);
            }
            self.expects_time = false;
            let at = text.find('-').ok_or(Trouble::Syntax)?;
            let (time, zone) = text.split_at_checked(at).ok_or(Trouble::Syntax)?;
            self.zone = Some(offset(zone)?);
            let seen = self.run_together(time, self.seen | DATE)?;
            return Ok(seen | ZONE);
        }
        self.zone = Some(Zone::named(text).ok_or_else(|| Trouble::Zone(text.to_owned()))?);
        Ok(ZONE)
    }

    /// `2024-01-31`, `31-Jan-2024`, `1/31/2024`.
    fn date(&mut self, text: &str) -> Decoding<u32> {
        let mut parts: Vec<&str> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
            let first = rest.chars().next().ok_or(Trouble::Syntax)?;
            let digit = first.is_ascii_digit();
            let end = rest
                .find(|c: char| if digit { !c.is_ascii_digit() } else { !c.is_ascii_alphabetic() })
                .unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            parts.push(part);
            // The separator.
            let keep = after.starts_with(|c: char| c.is_ascii_alphanumeric());
            rest = if keep || after.is_empty() { after } else { after.get(1..).unwrap_or("") };
            if parts.len() > 8 {
                return Err(Trouble::Syntax);
            }
        }
        let before = self.seen;
        let mut told = 0;
        let mut text_month = false;
        for part in parts.iter().filter(|part| part.starts_with(|c: char| !c.is_ascii_digit())) {
            match word(part) {
                Some(Word::Ignored) => continue,
                Some(Word::Month(month)) => self.month = month,
                _ => return Err(Trouble::Syntax),
            }
            text_month = true;
            if (before | told) & MONTH != 0 {
                return Err(Trouble::Syntax);
            }
            told |= MONTH;
        }
        for part in parts.iter().filter(|part| part.starts_with(|c: char| c.is_ascii_digit())) {
            let seen = self.number(part, text_month, before | told)?;
            if (before | told) & seen != 0 {
                return Err(Trouble::Syntax);
            }
            told |= seen;
        }
        let complete = (before | told) & DATE == DATE;
        if complete { Ok(told) } else { Err(Trouble::Syntax) }
    }

    fn number_token(&mut self, text: &str) -> Decoding<u32> {
        if let Some(unit) = self.expected.take() {
            return self.labelled(unit, text);
        }
        if std::mem::take(&mut self.expects_time) {
            let seen = self.run_together(text, self.seen | DATE)?;
            return if seen == TIME { Ok(seen) } else { Err(Trouble::Syntax) };
        }
        let whole = text.find('.');
        let n_digits = text.len();
        let has_date = self.seen & DATE != 0;
        if self.around.time_only {
            if whole.is_some_and(|at| at > 2) || (whole.is_none() && n_digits >= 4) {
                return self.run_together(text, self.seen | DATE);
            }
            return self.number(text, self.text_month, self.seen | DATE);
        }
        match whole {
            Some(_) if !has_date => self.date(text),
            Some(at) if at > 2 => self.run_together(text, self.seen),
            None if n_digits >= 6 && (!has_date || self.seen & TIME == 0) => {
                self.run_together(text, self.seen)
            }
            _ => self.number(text, self.text_month, self.seen),
        }
    }

    /// A number behind the name of its unit: `y2024`, `J2451187`.
    fn labelled(&mut self, unit: Unit, text: &str) -> Decoding<u32> {
        let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
        let value: i64 = digits.parse().map_err(|_| Trouble::Range)?;
        if text.contains('.') && !matches!(unit, Unit::Julian | Unit::Second) {
            return Err(Trouble::Syntax);
        }
        match unit {
            Unit::Year => {
                self.year = value;
                Ok(YEAR)
            }
            Unit::Month => {
                self.month = value;
                Ok(MONTH)
            }
            Unit::Day => {
                self.day = value;
                Ok(DAY)
            }
            Unit::Julian => {
                self.days = Some(value - JULIAN_OF_1970);
                if !text.contains('.') {
                    return Ok(DATE);
                }
                let part: f64 = format!("0.{fraction}0").parse().map_err(|_| Trouble::Syntax)?;
                #[expect(clippy::cast_precision_loss, reason = "a day in microseconds is exact")]
                let time = part * MICROS_PER_DAY as f64;
                let time =
                    super::span::whole64(time.round_ties_even()).map_err(|_| Trouble::Range)?;
                self.set_time(time);
                Ok(DATE | TIME)
            }
            Unit::Hour | Unit::Minute | Unit::Second => Err(Trouble::Syntax),
        }
    }

    fn set_time(&mut self, time: i64) {
        let seconds = time / MICROS_PER_SECOND;
        self.hour = seconds / 3_600;
        self.minute = seconds / 60 % 60;
        self.second = seconds % 60;
        self.micros = time % MICROS_PER_SECOND;
    }

    /// A number whose place tells what it is (`DecodeNumber`).
    fn number(&mut self, text: &str, text_month: bool, seen: u32) -> Decoding<u32> {
        let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
        if text.contains('.') {
            if digits.len() > 2 {
                return self.run_together(text, seen | DATE);
            }
            self.micros = fraction_micros(fraction).ok_or(Trouble::Syntax)?;
        }
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Trouble::Syntax);
        }
        let n = text.len();
        let value = digits.parse::<i32>().map(i64::from).map_err(|_| Trouble::Range)?;
        if n == 3 && seen & DATE == YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(DAY_OF_YEAR | MONTH | DAY);
        }
        let order = self.around.order;
        let place = match seen & DATE {
            0 if n >= 3 || order == DateOrder::Ymd => YEAR,
            0 if order == DateOrder::Dmy => DAY,
            0 | YEAR | DAY => MONTH,
            MONTH if text_month && (n >= 3 || order == DateOrder::Ymd) => YEAR,
            MONTH => DAY,
            m if m == YEAR | MONTH => {
                if text_month && n >= 3 && self.short_year {
                    // The first number was taken for the year.
                    self.day = self.year;
                    self.year = value;
                    self.short_year = false;
                    return Ok(DAY);
                }
                DAY
            }
            m if m == MONTH | DAY => YEAR,
            DATE => return self.run_together(text, seen),
            _ => return Err(Trouble::Syntax),
        };
        match place {
            YEAR => {
                self.year = value;
                self.short_year = n <= 2;
            }
            MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(place)
    }

    /// `20240131`, `240131`, `040506`, `0405` (`DecodeNumberField`).
    fn run_together(&mut self, text: &str, seen: u32) -> Decoding<u32> {
        let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Trouble::Syntax);
        }
        let part = |range: std::ops::Range<usize>| {
            let digits = digits.get(range).ok_or(Trouble::Syntax)?;
            digits.parse::<i32>().map(i64::from).map_err(|_| Trouble::Range)
        };
        let n = digits.len();
        if text.contains('.') {
            self.micros = fraction_micros(fraction).ok_or(Trouble::Syntax)?;
        } else if seen & DATE != DATE && n >= 6 {
            self.day = part(n - 2..n)?;
            self.month = part(n - 4..n - 2)?;
            self.year = part(0..n - 4)?;
            self.short_year |= n == 6;
            return Ok(DATE);
        }
        if seen & TIME != 0 || !(n == 4 || n == 6) {
            return Err(Trouble::Syntax);
        }
        self.hour = part(0..2)?;
        self.minute = part(2..4)?;
        self.second = if n == 6 { part(4..6)? } else { 0 };
        self.check_clock()?;
        Ok(TIME)
    }

    /// `4:05`, `4:05:06.7`; `5:06.7` is minutes and seconds.
    fn clock(&mut self, text: &str) -> Decoding<()> {
        let parts: Vec<&str> = text.split(':').collect();
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let value = text.parse::<i32>().map(i64::from);
            if digits { value.map_err(|_| Trouble::Range) } else { Err(Trouble::Syntax) }
        };
        let seconds = |text: &str| {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            Ok((number(whole)?, fraction_micros(fraction).ok_or(Trouble::Syntax)?))
        };
        match parts.as_slice() {
            [minute, rest] if rest.contains('.') => {
                (self.hour, self.minute) = (0, number(minute)?);
                (self.second, self.micros) = seconds(rest)?;
            }
            [hour, minute] => {
                (self.hour, self.minute) = (number(hour)?, number(minute)?);
                (self.second, self.micros) = (0, 0);
            }
            [hour, minute, rest] => {
                (self.hour, self.minute) = (number(hour)?, number(minute)?);
                (self.second, self.micros) = seconds(rest)?;
            }
            _ => return Err(Trouble::Syntax),
        }
        self.check_clock()
    }

    fn check_clock(&self) -> Decoding<()> {
        let time = self.time();
        if self.minute > 59 || self.second > 60 || self.hour > 24 || time > MICROS_PER_DAY {
            return Err(Trouble::Range);
        }
        Ok(())
    }

    fn time(&self) -> i64 {
        let seconds = (self.hour * 60 + self.minute) * 60 + self.second;
        seconds * MICROS_PER_SECOND + self.micros
    }

    fn word_token(&mut self, text: &str, next: Option<&Token>) -> Decoding<u32> {
        if self.expected.is_some() || self.expects_time {
            return Err(Trouble::Syntax);
        }
        if let Some(seconds) = Zone::abbreviation(text) {
            self.zone = Some(Zone::Fixed(seconds));
            return Ok(ZONE);
        }
        let Some(word) = word(text) else {
            self.zone = Some(Zone::named(text).ok_or(Trouble::Syntax)?);
            return Ok(ZONE);
        };
        Ok(match word {
            Word::Month(month) => {
                let told_day = self.seen & (MONTH | DAY) == MONTH && !self.text_month;
                let day_before = told_day && (1..=31).contains(&self.month);
                if day_before {
                    self.day = self.month;
                }
                self.text_month = true;
                self.month = month;
                if day_before { DAY } else { MONTH }
            }
            Word::Weekday => WEEKDAY,
            Word::Am | Word::Pm => {
                self.noon = Some(word);
                NOON
            }
            Word::Ad | Word::Bc => {
                self.bc = word == Word::Bc;
                ERA
            }
            Word::Ignored => 0,
            Word::Dst => {
                let shifted = match self.zone {
                    Some(Zone::Fixed(seconds)) => Zone::Fixed(seconds + 3_600),
                    _ => return Err(Trouble::Syntax),
                };
                self.zone = Some(shifted);
                0
            }
            Word::Unit(unit) => {
                self.expected = Some(unit);
                0
            }
            Word::IsoTime => {
                let fits =
                    next.is_some_and(|t| matches!(t.kind, Kind::Number | Kind::Time | Kind::Date));
                let dated = self.has(DATE) || self.around.time_only;
                if !fits || !dated {
                    return Err(Trouble::Syntax);
                }
                self.expects_time = true;
                0
            }
            Word::Special(special) => self.special(special)?,
        })
    }

    fn special(&mut self, special: Special) -> Decoding<u32> {
        let (decoded, days) = match special {
            Special::Now => (Some(Decoded::Now), None),
            Special::Epoch => (Some(Decoded::Epoch), None),
            Special::Late => (Some(Decoded::Late), None),
            Special::Early => (Some(Decoded::Early), None),
            Special::Yesterday => (None, Some(self.around.today - 1)),
            Special::Today => (None, Some(self.around.today)),
            Special::Tomorrow => (None, Some(self.around.today + 1)),
            Special::Midnight => {
                self.zone = Some(Zone::UTC);
                return Ok(TIME | ZONE);
            }
        };
        if decoded.is_some() {
            self.special = decoded;
            return Ok(DATE | TIME | ZONE);
        }
        self.days = days;
        Ok(DATE)
    }

    fn finish(mut self) -> Decoding<Decoded> {
        if self.expected.is_some() || self.expects_time {
            return Err(Trouble::Syntax);
        }
        if let Some(special) = self.special {
            return Ok(special);
        }
        let wanted = if self.around.time_only { TIME } else { DATE };
        let days = match self.days {
            Some(days) => Some(days),
            None if self.seen & DATE != 0 => Some(self.civil_days()?),
            None => None,
        };
        if let Some(noon) = self.noon {
            if self.hour > 12 {
                return Err(Trouble::Range);
            }
            match noon {
                Word::Am if self.hour == 12 => self.hour = 0,
                Word::Pm if self.hour != 12 => self.hour += 12,
                _ => {}
            }
        }
        if !self.has(wanted) {
            return Err(Trouble::Syntax);
        }
        Ok(Decoded::At { days, time: self.time(), zone: self.zone })
    }

    /// Checks year, month and day (`ValidateDate`).
    fn civil_days(&mut self) -> Decoding<i64> {
        if self.has(YEAR) {
            if self.bc {
                if self.year <= 0 {
                    return Err(Trouble::Range);
                }
                self.year = 1 - self.year;
            } else if self.short_year {
                self.year += if self.year < 70 {
                    2_000
                } else if self.year < 100 {
                    1_900
                } else {
                    0
                };
            } else if self.year <= 0 {
                return Err(Trouble::Range);
            }
        }
        if self.seen & DAY_OF_YEAR != 0 {
            let start = Civil { year: self.year, month: 1, day: 1 }.to_days();
            return Ok(start + self.day_of_year - 1);
        }
        if self.has(MONTH) && !(1..=12).contains(&self.month) {
            return Err(Trouble::MonthDay);
        }
        if self.has(DAY) && !(1..=31).contains(&self.day) {
            return Err(Trouble::MonthDay);
        }
        if !self.has(DATE) {
            return Err(Trouble::Syntax);
        }
        if self.day > days_in_month(self.year, self.month) {
            return Err(Trouble::Range);
        }
        Ok(Civil { year: self.year, month: self.month, day: self.day }.to_days())
    }
}

/// `+05:30`, `-0800`, `+5`.
fn offset(text: &str) -> Decoding<Zone> {
    let negative = text.starts_with('-');
    let digits = text.get(1..).unwrap_or_default();
    let parsed = super::zone::parse_offset(digits);
    match parsed {
        Some(seconds) => Ok(Zone::Fixed(if negative { -seconds } else { seconds })),
        None if digits.bytes().all(|b| b.is_ascii_digit() || b == b':') => Err(Trouble::ZoneRange),
        None => Err(Trouble::Syntax),
    }
}
