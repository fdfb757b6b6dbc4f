//! Dates and times with names in them, for values that come outside of statements.
//!
//! ```text
//! Jan 5 2024    2024-060    allballs    Fri Jan 05 04:05:06 2024
//! ```
//! The wire's own readers take the usual forms, which are read often; the others are read as casts
//! read them. Not here: `today` and the like, which need the statement's instant.

use super::decode::{DateOrder, Decoded, Special, Surroundings, Trouble, Word, decode, word};
use super::tokens::{Kind, tokens};
use super::zone::Zone;

/// What a text tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedMoment {
    /// The day, counted from 1970 on; none in a time alone.
    pub days: Option<i64>,
    /// The time of day in microseconds.
    pub micros: i64,
    /// The zone that is given.
    pub zone: Option<Zone>,
}

/// Why a text tells no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedTrouble {
    /// It is no date or time.
    Syntax,
    /// A field has a value that the calendar or the clock lacks.
    Field,
}

/// Reads a text in which a month, a day of the year or another name stands.
///
/// # Errors
/// `Syntax` also for texts of plain numbers, whose order a setting says.
pub fn read_named(text: &str, time_only: bool) -> Result<NamedMoment, NamedTrouble> {
    let pieces = tokens(text).ok_or(NamedTrouble::Syntax)?;
    let is_named = pieces.iter().any(|piece| match piece.kind {
        Kind::Word => true,
        Kind::Date => is_day_of_year(&piece.text) || has_letters(&piece.text),
        _ => false,
    });
    let is_relative = pieces.iter().any(|piece| {
        use Special::{Now, Today, Tomorrow, Yesterday};
        matches!(word(&piece.text), Some(Word::Special(Now | Today | Tomorrow | Yesterday)))
    });
    if !is_named || is_relative {
        return Err(NamedTrouble::Syntax);
    }
    let around = Surroundings { order: DateOrder::default(), today: 0, time_only };
    match decode(text, around) {
        Ok(Decoded::At { days, time, zone }) => Ok(NamedMoment { days, micros: time, zone }),
        Ok(Decoded::Late | Decoded::Early | Decoded::Epoch | Decoded::Now) => {
            Err(NamedTrouble::Syntax)
        }
        Err(Trouble::Range | Trouble::MonthDay) => Err(NamedTrouble::Field),
        Err(Trouble::Syntax | Trouble::ZoneRange | Trouble::Zone(_)) => Err(NamedTrouble::Syntax),
    }
}

fn has_letters(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// `2024-060`.
fn is_day_of_year(text: &str) -> bool {
    let mut parts = text.split(['-', '/', '.']);
    let lengths = (parts.next().map(str::len), parts.next().map(str::len), parts.next());
    matches!(lengths, (Some(4..), Some(3), None))
}

#[cfg(test)]
mod tests {
    use super::super::calendar::MICROS_PER_SECOND;
    use super::*;

    fn days(text: &str) -> Option<i64> {
        read_named(text, false).ok()?.days
    }

    #[test]
    fn texts_with_names_are_read_as_in_casts() {
        assert_eq!(days("Jan 5 2024"), Some(19_727));
        assert_eq!(days("5 January 2024"), Some(19_727));
        assert_eq!(days("05-Jan-2024"), Some(19_727));
        assert_eq!(days("2024-060"), Some(19_782));
        let time = read_named("allballs", true).map(|moment| moment.micros);
        assert_eq!(time, Ok(0));
        let time = read_named("Fri Jan 05 04:05:06 2024", false).map(|moment| moment.micros);
        assert_eq!(time, Ok((4 * 3_600 + 5 * 60 + 6) * MICROS_PER_SECOND));
    }

    #[test]
    fn what_depends_on_the_session_is_refused() {
        for text in ["01-02-03", "1/2/03", "today", "now", "tomorrow allballs", "x", "2024-60"] {
            assert_eq!(days(text), None, "{text}");
        }
        assert_eq!(read_named("Feb 30 2024", false), Err(NamedTrouble::Field));
    }
}
