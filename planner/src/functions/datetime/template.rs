//! Templates such as `YYYY-MM-DD HH24:MI:SS`.

use datafusion::common::Result;

use crate::functions::fault::fault;

/// How a name or a mark is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Title,
    Lower,
}

/// A part of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// The last n digits of the year; 4 is the whole year.
    Year(u8),
    /// The year as `2,024`.
    YearComma,
    /// The same of the ISO week's year.
    IsoYear(u8),
    Century,
    Quarter,
    Month,
    MonthName(Case),
    MonthShort(Case),
    MonthRoman(Case),
    Day,
    DayOfYear,
    IsoDayOfYear,
    /// 1 is Sunday.
    DayOfWeek,
    /// 1 is Monday.
    IsoDayOfWeek,
    DayName(Case),
    DayShort(Case),
    WeekOfMonth,
    WeekOfYear,
    IsoWeek,
    Julian,
    Hour12,
    Hour24,
    Minute,
    Second,
    /// The first n digits of the fraction.
    Fraction(u8),
    SecondOfDay,
    Noon {
        case: Case,
        dots: bool,
    },
    Era {
        case: Case,
        dots: bool,
    },
    ZoneName(Case),
    ZoneHours,
    ZoneMinutes,
    ZoneOffset,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Field {
        field: Field,
        /// `FM`: no padding.
        plain: bool,
        /// `TH` or `th` behind the number.
        ordinal: Option<Case>,
    },
    Text(String),
}

/// Keywords whose case does not matter; a longer one stands before its beginning.
const NUMBERS: &[(&str, Field)] = &[
    ("Y,YYY", Field::YearComma),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
    ("IDDD", Field::IsoDayOfYear),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("IW", Field::IsoWeek),
    ("ID", Field::IsoDayOfWeek),
    ("I", Field::IsoYear(1)),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("MI", Field::Minute),
    ("MM", Field::Month),
    ("MS", Field::Fraction(3)),
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("US", Field::Fraction(6)),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("DDD", Field::DayOfYear),
    ("DD", Field::Day),
    ("CC", Field::Century),
    ("WW", Field::WeekOfYear),
    ("W", Field::WeekOfMonth),
    ("Q", Field::Quarter),
    ("J", Field::Julian),
    ("TZH", Field::ZoneHours),
    ("TZM", Field::ZoneMinutes),
    ("OF", Field::ZoneOffset),
];

/// Keywords whose case is the case of what is written.
const NAMES: &[(&str, Field)] = &[
    ("MONTH", Field::MonthName(Case::Upper)),
    ("Month", Field::MonthName(Case::Title)),
    ("month", Field::MonthName(Case::Lower)),
    ("MON", Field::MonthShort(Case::Upper)),
    ("Mon", Field::MonthShort(Case::Title)),
    ("mon", Field::MonthShort(Case::Lower)),
    ("DAY", Field::DayName(Case::Upper)),
    ("Day", Field::DayName(Case::Title)),
    ("day", Field::DayName(Case::Lower)),
    ("DY", Field::DayShort(Case::Upper)),
    ("Dy", Field::DayShort(Case::Title)),
    ("dy", Field::DayShort(Case::Lower)),
    ("RM", Field::MonthRoman(Case::Upper)),
    ("rm", Field::MonthRoman(Case::Lower)),
    ("A.M.", Field::Noon { case: Case::Upper, dots: true }),
    ("P.M.", Field::Noon { case: Case::Upper, dots: true }),
    ("a.m.", Field::Noon { case: Case::Lower, dots: true }),
    ("p.m.", Field::Noon { case: Case::Lower, dots: true }),
    ("AM", Field::Noon { case: Case::Upper, dots: false }),
    ("PM", Field::Noon { case: Case::Upper, dots: false }),
    ("am", Field::Noon { case: Case::Lower, dots: false }),
    ("pm", Field::Noon { case: Case::Lower, dots: false }),
    ("B.C.", Field::Era { case: Case::Upper, dots: true }),
    ("A.D.", Field::Era { case: Case::Upper, dots: true }),
    ("b.c.", Field::Era { case: Case::Lower, dots: true }),
    ("a.d.", Field::Era { case: Case::Lower, dots: true }),
    ("BC", Field::Era { case: Case::Upper, dots: false }),
    ("AD", Field::Era { case: Case::Upper, dots: false }),
    ("bc", Field::Era { case: Case::Lower, dots: false }),
    ("ad", Field::Era { case: Case::Lower, dots: false }),
    ("TZ", Field::ZoneName(Case::Upper)),
    ("tz", Field::ZoneName(Case::Lower)),
];

/// Reads a template.
///
/// # Errors
/// 0A000 for patterns that PostgreSQL has and tarn has not.
pub(super) fn parse(template: &str) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut rest = template;
    let mut plain = false;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = strip(rest, "FM") {
            plain = true;
            rest = after;
            continue;
        }
        // Exact input lengths; reading is exact enough here.
        if let Some(after) = strip(rest, "FX") {
            rest = after;
            continue;
        }
        // Names in the locale's language, which is English, without blanks behind.
        if let Some(after) = strip(rest, "TM") {
            plain = true;
            rest = after;
            continue;
        }
        if let Some((field, after)) = keyword(rest) {
            rest = after;
            let mut ordinal = None;
            for (suffix, case) in [("TH", Case::Upper), ("th", Case::Lower)] {
                if let Some(after) = rest.strip_prefix(suffix) {
                    ordinal = Some(case);
                    rest = after;
                }
            }
            if rest.starts_with("SP") {
                let message = format!("template \"{template}\" with SP is not supported");
                return Err(fault("0A000", message));
            }
            items.push(Item::Field { field, plain, ordinal });
            plain = false;
            continue;
        }
        rest = rest.get(first.len_utf8()..).unwrap_or("");
        match first {
            '"' => {
                let mut quoted = String::new();
                let mut chars = rest.chars();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => quoted.extend(chars.next()),
                        c => quoted.push(c),
                    }
                }
                rest = chars.as_str();
                items.push(Item::Text(quoted));
            }
            '\\' if rest.starts_with('"') => {
                rest = rest.get(1..).unwrap_or("");
                items.push(Item::Text("\"".to_owned()));
            }
            // Whatever is no pattern stands for itself.
            c => items.push(Item::Text(c.to_string())),
        }
    }
    Ok(items)
}

fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn keyword(text: &str) -> Option<(Field, &str)> {
    let name = NAMES.iter().find_map(|(name, field)| Some((*field, text.strip_prefix(name)?)));
    let number = NUMBERS.iter().find_map(|(name, field)| Some((*field, strip(text, name)?)));
    if name.is_some() || number.is_some() {
        // `DAY` and `MONTH` against `D` and `MM`: the longer wins.
        return match (name, number) {
            (Some(name), Some(number)) if number.1.len() < name.1.len() => Some(number),
            (Some(name), _) => Some(name),
            (None, number) => number,
        };
    }
    strip(text, "D").map(|rest| (Field::DayOfWeek, rest))
}
