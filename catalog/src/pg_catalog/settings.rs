//! PostgreSQL's settings, read from `settings.txt`: what `pg_settings` says about each, and which
//! values it takes.
//!
//! Most have no effect here; clients set and read them all the same, and expect PostgreSQL's errors.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use arrow::array::RecordBatch;

use super::columns::Columns;
use super::definition::PG_CATALOG;
use crate::{CatalogError, Result};

/// A setting that PostgreSQL has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    /// The name, as PostgreSQL writes it.
    pub name: &'static str,
    /// The built-in value in the unit.
    pub built_in: &'static str,
    /// `ms`, `s`, `min`, `B`, `kB`, `8kB`, `MB`; `None` for a number without.
    pub unit: Option<&'static str>,
    /// When it can be changed: `user`, `superuser`, `sighup`, `postmaster`, `backend`, `internal`.
    pub context: &'static str,
    /// `bool`, `integer`, `real`, `enum`, `string`.
    pub kind: &'static str,
    /// The names that it takes, for an enum.
    pub choices: Vec<&'static str>,
    category: &'static str,
    short: &'static str,
    extra: Option<&'static str>,
    min: Option<&'static str>,
    max: Option<&'static str>,
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is accepted instead.
    pub accepted: String,
}

/// The settings in order of their folded names.
static ROWS: LazyLock<Vec<SettingRow>> =
    LazyLock::new(|| include_str!("settings.txt").lines().filter_map(parse).collect());

static BY_NAME: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    ROWS.iter().enumerate().map(|(at, row)| (row.name.to_ascii_lowercase(), at)).collect()
});

fn parse(line: &'static str) -> Option<SettingRow> {
    if line.starts_with('#') || line.starts_with('=') {
        return None;
    }
    let mut texts = line.split('\t').map(|text| (text != "\\N").then_some(text));
    let mut next = || texts.next().flatten();
    let (name, built_in, unit, category) = (next()?, next().unwrap_or_default(), next(), next()?);
    let (short, extra, context, kind, min, max) =
        (next().unwrap_or_default(), next(), next()?, next()?, next(), next());
    let choices = next().map(|list| list.trim_matches(['{', '}'])).unwrap_or_default();
    // `""` is a choice, nothing at all is none.
    let choices = choices.split(',').filter(|choice| !choice.is_empty());
    let choices = choices.map(|choice| choice.trim_matches('"')).collect();
    let row = SettingRow {
        name,
        built_in,
        unit,
        context,
        kind,
        choices,
        category,
        short,
        extra,
        min,
        max,
    };
    Some(row)
}

/// Lists PostgreSQL's settings in order of their folded names.
#[must_use]
pub fn setting_rows() -> &'static [SettingRow] {
    &ROWS
}

/// Finds a setting of PostgreSQL by its name in any case.
#[must_use]
pub fn setting_row(name: &str) -> Option<&'static SettingRow> {
    ROWS.get(*BY_NAME.get(&name.to_ascii_lowercase())?)
}

const TIME: &[(&str, f64)] = &[
    ("d", 86_400_000.0),
    ("h", 3_600_000.0),
    ("min", 60_000.0),
    ("s", 1_000.0),
    ("ms", 1.0),
    ("us", 0.001),
];
const KIB: f64 = 1024.0;
const MEMORY: &[(&str, f64)] = &[
    ("TB", KIB * KIB * KIB * KIB),
    ("GB", KIB * KIB * KIB),
    ("MB", KIB * KIB),
    ("kB", KIB),
    ("B", 1.0),
];

impl SettingRow {
    /// The units that a value may be written in, with their sizes, and the size of its own.
    fn units(&self) -> Option<(&'static [(&'static str, f64)], f64)> {
        let unit = self.unit?;
        let own = if unit == "8kB" {
            8.0 * KIB
        } else {
            TIME.iter().chain(MEMORY).find(|(name, _)| *name == unit)?.1
        };
        let time = TIME.iter().any(|(name, _)| *name == unit);
        Some((if time { TIME } else { MEMORY }, own))
    }

    /// The value as SHOW writes it: `5min` where `pg_settings` has 300000.
    #[must_use]
    pub fn show(&self, value: &str) -> String {
        let (Some((units, own)), Ok(number)) = (self.units(), value.parse::<f64>()) else {
            return value.to_owned();
        };
        if number <= 0.0 {
            return value.to_owned();
        }
        let total = number * own;
        let fits = |size: f64| total >= size && (total / size).fract() == 0.0;
        let found = units.iter().find(|(_, size)| fits(*size));
        found.map_or_else(|| value.to_owned(), |(name, size)| format!("{}{name}", total / size))
    }

    /// Reads a value as SET takes it, and returns what `pg_settings` shows.
    ///
    /// # Errors
    /// A value of another type, an unknown unit, a number out of range.
    pub fn read(&self, value: &str) -> Result<String, Refusal> {
        let text = value.trim();
        let lower = text.to_ascii_lowercase();
        let refuse = |accepted: String| Err(Refusal { accepted });
        match self.kind {
            "bool" => match read_bool(&lower) {
                Some(true) => Ok("on".to_owned()),
                Some(false) => Ok("off".to_owned()),
                None => refuse("on or off".to_owned()),
            },
            "enum" => match self.choices.iter().find(|choice| choice.eq_ignore_ascii_case(text)) {
                Some(choice) => Ok((*choice).to_owned()),
                // Hidden spellings: on and off of settings that were truth values once.
                None => match read_bool(&lower) {
                    Some(true) if self.choices.contains(&"on") => Ok("on".to_owned()),
                    Some(false) if self.choices.contains(&"off") => Ok("off".to_owned()),
                    _ => refuse(self.choices.join(", ")),
                },
            },
            "integer" | "real" => self.read_number(text),
            _ => Ok(value.to_owned()),
        }
    }

    fn read_number(&self, text: &str) -> Result<String, Refusal> {
        let (low, high) = (self.min.unwrap_or("any"), self.max.unwrap_or("any"));
        let units = match self.units() {
            Some((units, _)) => {
                let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
                format!(" with a unit of {}", names.join(", "))
            }
            None => String::new(),
        };
        let refusal = || Refusal { accepted: format!("a number from {low} to {high}{units}") };
        let is_number = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
        let end = text.find(|c| !is_number(c)).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let mut number: f64 = digits.parse().map_err(|_| refusal())?;
        let unit = unit.trim();
        if !unit.is_empty() {
            let (units, own) = self.units().ok_or_else(refusal)?;
            let found = units.iter().find(|(name, _)| *name == unit).ok_or_else(refusal)?;
            number *= found.1 / own;
        }
        if self.kind == "integer" {
            number = number.round_ties_even();
        }
        let bound = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
        if bound(self.min).is_some_and(|low| number < low)
            || bound(self.max).is_some_and(|high| number > high)
        {
            return Err(refusal());
        }
        Ok(number.to_string())
    }
}

fn read_bool(lower: &str) -> Option<bool> {
    match lower {
        "on" | "true" | "yes" | "1" | "t" | "y" | "tr" | "tru" | "ye" => Some(true),
        "off" | "of" | "false" | "no" | "0" | "f" | "n" | "fa" | "fal" | "fals" => Some(false),
        _ => None,
    }
}

/// A setting of the session, as SHOW writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingValue {
    /// Its name.
    pub name: String,
    /// Its value now.
    pub value: String,
    /// What RESET goes back to.
    pub reset: String,
    /// One line about it, for settings that PostgreSQL does not have.
    pub description: String,
    /// Where the value comes from: `default`, `database`, `user`, `session`, …
    pub source: &'static str,
}

/// `pg_settings`: PostgreSQL's settings with the session's values, then the others.
///
/// # Errors
/// `Internal` only.
pub fn settings(values: &[SettingValue]) -> Result<RecordBatch> {
    let given: BTreeMap<String, &SettingValue> =
        values.iter().map(|value| (value.name.to_ascii_lowercase(), value)).collect();
    let mut rows: BTreeMap<String, (Option<&SettingRow>, Option<&SettingValue>)> = given
        .iter()
        .map(|(name, value)| (name.clone(), (setting_row(name), Some(*value))))
        .collect();
    for row in setting_rows() {
        rows.entry(row.name.to_ascii_lowercase()).or_insert((Some(row), None));
    }
    let rows: Vec<_> = rows.into_values().collect();
    let raw = |row: Option<&SettingRow>, shown: &str| match row {
        Some(row) => row.read(shown).unwrap_or_else(|_| shown.to_owned()),
        None => shown.to_owned(),
    };
    let built_in = |row: Option<&SettingRow>| row.map_or("", |row| row.built_in).to_owned();
    let now: Vec<String> = rows
        .iter()
        .map(|(row, value)| value.map_or_else(|| built_in(*row), |v| raw(*row, &v.value)))
        .collect();
    let reset: Vec<String> = rows
        .iter()
        .map(|(row, value)| value.map_or_else(|| built_in(*row), |v| raw(*row, &v.reset)))
        .collect();
    build(&rows, &now, &reset)
}

type Listed<'a> = (Option<&'a SettingRow>, Option<&'a SettingValue>);

fn build(rows: &[Listed<'_>], now: &[String], reset: &[String]) -> Result<RecordBatch> {
    let definition = PG_CATALOG.get("pg_settings");
    let definition = definition
        .ok_or_else(|| CatalogError::Internal { what: "no relation pg_settings".to_owned() })?;
    let known = || rows.iter().map(|(row, _)| *row);
    let source = rows.iter().map(|(_, value)| value.map_or("default", |value| value.source));
    let name = rows.iter().map(|(row, value)| match (row, value) {
        (Some(row), _) => row.name,
        (None, Some(value)) => value.name.as_str(),
        (None, None) => "",
    });
    let short = rows.iter().map(|(row, value)| match (row, value) {
        (Some(row), _) => row.short,
        (None, Some(value)) => value.description.as_str(),
        (None, None) => "",
    });
    let built_in = rows.iter().zip(reset);
    let built_in = built_in.map(|((row, _), reset)| row.map_or(reset.as_str(), |r| r.built_in));
    let columns = Columns::new(&definition.schema, rows.len())
        .text("name", name)
        .text("setting", now.iter().map(String::as_str))
        .text("unit", known().map(|row| row.and_then(|row| row.unit)))
        .text("category", known().map(|row| row.map_or("Customized Options", |r| r.category)))
        .text("short_desc", short)
        .text("extra_desc", known().map(|row| row.and_then(|row| row.extra)))
        .text("context", known().map(|row| row.map_or("user", |row| row.context)))
        .text("vartype", known().map(|row| row.map_or("string", |row| row.kind)))
        .text("source", source)
        .text("min_val", known().map(|row| row.and_then(|row| row.min)))
        .text("max_val", known().map(|row| row.and_then(|row| row.max)))
        .text("boot_val", built_in)
        .text("reset_val", reset.iter().map(String::as_str));
    let choices = super::constant_rows::text_lists(
        known().map(|row| row.map(|row| row.choices.as_slice()).filter(|list| !list.is_empty())),
    );
    columns.set("enumvals", &choices).bool("pending_restart", rows.iter().map(|_| false)).finish()
}

#[cfg(test)]
mod tests {
    use super::{setting_row, setting_rows};

    #[test]
    fn the_table_is_sorted_and_its_values_are_valid() {
        let names: Vec<_> = setting_rows().iter().map(|row| row.name.to_lowercase()).collect();
        assert!(names.is_sorted());
        assert_eq!(names.len(), 354);
        for row in setting_rows() {
            assert_eq!(row.read(row.built_in).as_deref(), Ok(row.built_in), "{}", row.name);
        }
    }

    #[test]
    fn units_are_those_of_postgres() {
        let check = |name: &str, value: &str, raw: Option<&str>, shown: &str| {
            let row = setting_row(name).unwrap();
            let found = row.read(value).ok();
            assert_eq!(found.as_deref(), raw, "{name} = {value}");
            assert_eq!(found.map_or_else(String::new, |raw| row.show(&raw)), shown);
        };
        check("work_mem", "64MB", Some("65536"), "64MB");
        check("work_mem", "1", None, "");
        check("shared_buffers", "1GB", Some("131072"), "1GB");
        check("statement_timeout", "90s", Some("90000"), "90s");
        check("statement_timeout", "1.5 s", Some("1500"), "1500ms");
        check("enable_seqscan", "maybe", None, "");
        check("random_page_cost", "1.10", Some("1.1"), "1.1");
        check("temp_file_limit", "-1", Some("-1"), "-1");
    }
}
