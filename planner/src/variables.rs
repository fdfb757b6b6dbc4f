//! Session settings under PostgreSQL's names: types, defaults, ranges.

mod identity;

use std::collections::BTreeMap;

use tarn_catalog::pg_catalog::settings::{Refusal, SettingValue, setting_row, setting_rows};

use crate::error::{PlannerError, Result};
use crate::functions::datetime::zone::posix;

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// on, off.
    Bool,
    /// A whole number between two bounds.
    Integer(i64, i64),
    /// Milliseconds, written as a number or with a unit (`ms`, `s`, `min`, `h`); 0 is off.
    Milliseconds,
    /// Any text.
    Text,
    /// One of a list.
    Choice(&'static [&'static str]),
    /// A style and an order: `ISO, MDY`.
    DateStyle,
    /// A time zone name or offset.
    TimeZone,
    /// A character set: only UTF-8.
    Encoding,
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The name in lower case.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The value of a new session.
    pub default: &'static str,
    /// Whether a session can change it.
    pub writable: bool,
    /// Whether the protocol tells the client of each change (`ParameterStatus`).
    pub reported: bool,
    /// One line for `pg_settings`.
    pub description: &'static str,
}

/// Shortens the table below.
const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
) -> Setting {
    Setting { name, kind, default, writable: true, reported: false, description }
}

const fn reported(mut setting: Setting) -> Setting {
    setting.reported = true;
    setting
}

const fn fixed(mut setting: Setting) -> Setting {
    setting.writable = false;
    setting
}

/// PostgreSQL's version that clients are told.
pub const SERVER_VERSION: &str = "16.6 (tarn)";
const SERVER_VERSION_NUM: &str = "160006";
const ISOLATION: Kind =
    Kind::Choice(&["read committed", "repeatable read", "serializable", "read uncommitted"]);
const MESSAGES: Kind = Kind::Choice(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "info", "warning",
    "error", "fatal", "panic",
]);
const ANY: Kind = Kind::Text;
const MS: Kind = Kind::Milliseconds;

/// Every setting in order of the names.
pub static SETTINGS: &[Setting] = &[
    reported(setting(
        "application_name",
        ANY,
        "",
        "Sets the application name to be reported in statistics and logs.",
    )),
    setting(
        "bytea_output",
        Kind::Choice(&["hex", "escape"]),
        "hex",
        "Sets the output format for bytea.",
    ),
    reported(setting(
        "client_encoding",
        Kind::Encoding,
        "UTF8",
        "Sets the client's character set encoding.",
    )),
    setting(
        "client_min_messages",
        MESSAGES,
        "notice",
        "Sets the message levels that are sent to the client.",
    ),
    setting(
        "copy_on_write_threshold",
        Kind::Integer(0, 100),
        "20",
        "Sets the share of a data file's rows, in percent, that are deleted by writing it anew.",
    ),
    reported(setting(
        "datestyle",
        Kind::DateStyle,
        "ISO, MDY",
        "Sets the display format for date and time values.",
    )),
    setting(
        "default_table_access_method",
        Kind::Choice(&["memory", "delta", "heap"]),
        "memory",
        "Sets how new tables without USING are stored: memory (also called heap) or delta.",
    ),
    setting("default_transaction_deferrable", Kind::Bool, "off", "Has no effect."),
    setting(
        "default_transaction_isolation",
        ISOLATION,
        "read committed",
        "Sets the isolation level of each new transaction.",
    ),
    reported(setting(
        "default_transaction_read_only",
        Kind::Bool,
        "off",
        "Sets the read-only status of new transactions.",
    )),
    setting(
        "extra_float_digits",
        Kind::Integer(-15, 3),
        "1",
        "Sets the number of digits displayed for floating-point values.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        MS,
        "0",
        "Ends a session that is idle inside a transaction for longer.",
    ),
    setting("idle_session_timeout", MS, "0", "Ends a session that is idle for longer."),
    reported(fixed(setting(
        "in_hot_standby",
        Kind::Bool,
        "off",
        "Shows whether hot standby is currently active.",
    ))),
    reported(fixed(setting(
        "integer_datetimes",
        Kind::Bool,
        "on",
        "Shows whether datetimes are integer based.",
    ))),
    reported(setting(
        "intervalstyle",
        Kind::Choice(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "postgres",
        "Sets the display format for interval values.",
    )),
    reported(fixed(setting(
        "is_superuser",
        Kind::Bool,
        "on",
        "Shows whether the current user is a superuser.",
    ))),
    setting("jit", Kind::Bool, "off", "Has no effect."),
    setting("lc_collate", ANY, "C", "Shows the collation order locale."),
    setting("lc_ctype", ANY, "C.UTF-8", "Shows the character classification locale."),
    setting("lc_messages", ANY, "C", "Has no effect."),
    setting("lc_monetary", ANY, "C", "Has no effect."),
    setting("lc_numeric", ANY, "C", "Has no effect."),
    setting("lc_time", ANY, "C", "Has no effect."),
    fixed(setting(
        "max_connections",
        Kind::Integer(1, 1_000_000),
        "1000",
        "Sets the maximum number of concurrent connections.",
    )),
    fixed(setting(
        "max_identifier_length",
        Kind::Integer(0, 1_000),
        "63",
        "Shows the maximum identifier length.",
    )),
    fixed(setting(
        "max_index_keys",
        Kind::Integer(0, 1_000),
        "32",
        "Shows the maximum number of index keys.",
    )),
    setting("role", ANY, "none", "Sets the current role."),
    reported(fixed(setting(
        "scram_iterations",
        Kind::Integer(1, i64::MAX),
        "4096",
        "Sets the iteration count for SCRAM secret generation.",
    ))),
    reported(setting(
        "search_path",
        ANY,
        "\"$user\", public",
        "Sets the schema search order for names that are not schema-qualified.",
    )),
    reported(fixed(setting(
        "server_encoding",
        ANY,
        "UTF8",
        "Shows the server (database) character set encoding.",
    ))),
    reported(fixed(setting("server_version", ANY, SERVER_VERSION, "Shows the server version."))),
    fixed(setting(
        "server_version_num",
        Kind::Integer(0, i64::MAX),
        SERVER_VERSION_NUM,
        "Shows the server version as an integer.",
    )),
    reported(setting("session_authorization", ANY, "", "Sets the session user name.")),
    setting(
        "snapshot",
        ANY,
        "",
        "Pins every table that the session reads: a time, or versions such as 't=3, s.u=5'.",
    ),
    fixed(setting("ssl", Kind::Bool, "off", "Shows whether the server takes TLS connections.")),
    reported(setting(
        "standard_conforming_strings",
        Kind::Choice(&["on"]),
        "on",
        "Backslashes in plain literals are literal.",
    )),
    setting(
        "statement_timeout",
        MS,
        "0",
        "Sets the maximum allowed duration of any statement, sending included.",
    ),
    setting(
        "tarn.batch_rows",
        Kind::Integer(1, 1_000_000),
        "8192",
        "Rows that operators pass on at a time.",
    ),
    setting(
        "tarn.cursor_bytes_max",
        Kind::Integer(0, 1 << 40),
        "67108864",
        "Bytes of rows that a scrolling cursor keeps.",
    ),
    setting(
        "tarn.optimize_file_bytes",
        Kind::Integer(1, i64::MAX),
        "134217728",
        "Bytes of the files that OPTIMIZE makes, where the table does not say.",
    ),
    setting(
        "tarn.target_partitions",
        Kind::Integer(0, 1_024),
        "0",
        "Streams that a query runs in; 0 is one per core.",
    ),
    setting(
        "tarn.vacuum_retention_check",
        Kind::Bool,
        "on",
        "Refuses VACUUM with less than the table's retention.",
    ),
    reported(setting(
        "timezone",
        Kind::TimeZone,
        "UTC",
        "Sets the time zone for displaying and interpreting time stamps.",
    )),
    setting("transaction_deferrable", Kind::Bool, "off", "Has no effect."),
    setting(
        "transaction_isolation",
        ISOLATION,
        "read committed",
        "Sets the current transaction's isolation level.",
    ),
    setting(
        "transaction_read_only",
        Kind::Bool,
        "off",
        "Sets the current transaction's read-only status.",
    ),
    setting("transaction_timeout", MS, "0", "Sets the maximum allowed duration of a transaction."),
];

/// PostgreSQL's other client encodings, letters and digits only.
const OTHER_ENCODINGS: &[&str] = &[
    "abc",
    "alt",
    "big5",
    "cp1252",
    "euccn",
    "eucjis2004",
    "eucjp",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885915",
    "iso88592",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "muleinternal",
    "mskanji",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "tcvn",
    "tcvn5712",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows1250",
    "windows1251",
    "windows1252",
    "windows866",
    "windows932",
    "windows936",
    "windows949",
    "windows950",
];

/// Finds a setting by its folded name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The values that one session has changed, over the defaults.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    defaults: BTreeMap<String, String>,
    /// Where a default comes from that is not the server's own.
    sources: BTreeMap<String, &'static str>,
    n_renames_known: usize,
}

impl Variables {
    /// The value now; `None` for a name that is neither known nor set by the user.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.values
            .get(name)
            .or_else(|| self.defaults.get(name))
            .cloned()
            .or_else(|| find(name).map(|setting| setting.default.to_owned()))
            .or_else(|| setting_row(name).map(|row| row.show(row.built_in)))
    }

    /// The value as milliseconds, where the setting is one.
    #[must_use]
    pub fn milliseconds(&self, name: &str) -> u64 {
        self.get(name).and_then(|value| parse_milliseconds(&value)).unwrap_or(0)
    }

    /// The value as a whole number, where the setting is one.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Changes what RESET goes back to: a value given at connection start.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_default(&mut self, name: &str, value: &str) -> Result<()> {
        self.set_default_from(name, value, "client")
    }

    /// As [`Self::set_default`], with the place it comes from as `pg_settings` shows it.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn set_default_from(
        &mut self,
        name: &str,
        value: &str,
        source: &'static str,
    ) -> Result<()> {
        let value = check(name, value)?;
        self.defaults.insert(name.to_owned(), value);
        self.sources.insert(name.to_owned(), source);
        Ok(())
    }

    /// Sets the fixed value that the server knows, such as the session's user.
    pub fn set_fixed(&mut self, name: &str, value: &str) {
        self.defaults.insert(name.to_owned(), value.to_owned());
    }

    /// All values that a plan may depend on, in one text: equal texts mean equal plans.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        let changed = self.defaults.iter().filter(|(name, _)| !self.values.contains_key(*name));
        for (name, value) in changed.chain(&self.values) {
            // Says who asks, not what.
            if name == "application_name" {
                continue;
            }
            for part in [name, value] {
                text.push_str(part);
                text.push('\0');
            }
        }
        text
    }

    /// Changes a value; the canonical form is kept.
    ///
    /// # Errors
    /// `UndefinedSetting`, `ReadOnlySetting`, `InvalidSetting`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let fixed = match find(name) {
            Some(setting) => !setting.writable,
            // The others belong to the server's start or its configuration file.
            None => {
                setting_row(name).is_some_and(|row| !matches!(row.context, "user" | "superuser"))
            }
        };
        let given = value.to_ascii_lowercase();
        if fixed {
            return Err(PlannerError::ReadOnlySetting { name: name.to_owned() });
        }
        let mut value = check(name, value)?;
        if name == "datestyle" {
            value = self.date_style_with(&given, value);
        }
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// What a value of `datestyle` leaves out stays as it was; German brings its own order.
    fn date_style_with(&self, given: &str, value: String) -> String {
        let now = self.get("datestyle").unwrap_or_default();
        let now = if given.trim() == "german" { String::new() } else { now };
        date_style(&format!("{}, {given}", now.to_ascii_lowercase())).unwrap_or(value)
    }

    /// Goes back to the default of one setting, or of all.
    ///
    /// # Errors
    /// `UndefinedSetting`.
    pub fn reset(&mut self, name: Option<&str>) -> Result<()> {
        match name {
            None => self.reset_all(),
            Some(name) => {
                let known = find(name).is_some() || setting_row(name).is_some();
                if !known && !name.contains('.') {
                    return Err(PlannerError::UndefinedSetting { name: name.to_owned() });
                }
                // A placeholder stays known once it has been set.
                if find(name).is_some() || setting_row(name).is_some() {
                    self.values.remove(name);
                } else if let Some(value) = self.values.get_mut(name) {
                    value.clear();
                }
            }
        }
        Ok(())
    }

    /// What belongs to the transaction stays, and a placeholder stays known.
    fn reset_all(&mut self) {
        self.values.retain(|name, value| {
            let known = find(name).is_some() || setting_row(name).is_some();
            if !known {
                value.clear();
            }
            let identity = matches!(name.as_str(), "role" | "session_authorization");
            !known || identity || name.starts_with("transaction_")
        });
    }

    /// What was set, without defaults; to be given back to [`Self::restore`].
    #[must_use]
    pub fn set_value(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// Puts back what [`Self::set_value`] gave.
    pub fn restore(&mut self, name: &str, value: Option<String>) {
        match value {
            Some(value) => self.values.insert(name.to_owned(), value),
            // A placeholder stays known once it has been set.
            None if find(name).is_none() && setting_row(name).is_none() => {
                self.values.insert(name.to_owned(), String::new())
            }
            None => self.values.remove(name),
        };
    }

    /// Every setting, tarn's own, PostgreSQL's and the session's placeholders, in order.
    #[must_use]
    pub fn all(&self) -> Vec<SettingValue> {
        let custom = self.values.keys().map(|name| (name.clone(), ""));
        let known = setting_rows().iter().map(|row| (row.name.to_ascii_lowercase(), ""));
        let own = SETTINGS.iter().map(|setting| (setting.name.to_owned(), setting.description));
        let all: BTreeMap<String, &str> = custom.chain(known).chain(own).collect();
        let row = |(name, description): (String, &str)| {
            let (value, reset) = (self.get(&name).unwrap_or_default(), self.reset_value(&name));
            // psql's \dconfig lists what differs from the default.
            let changed = value != reset;
            let source = self.sources.get(&name).copied().unwrap_or("default");
            let source = if changed { "session" } else { source };
            SettingValue { value, reset, description: description.to_owned(), source, name }
        };
        all.into_iter().map(row).collect()
    }

    /// What RESET goes back to.
    fn reset_value(&self, name: &str) -> String {
        let found = self.defaults.get(name).cloned();
        let found = found.or_else(|| find(name).map(|setting| setting.default.to_owned()));
        let found = found.or_else(|| setting_row(name).map(|row| row.show(row.built_in)));
        found.unwrap_or_default()
    }
}

/// Checks a value against its setting and returns the form to keep.
fn check(name: &str, value: &str) -> Result<String> {
    let Some(setting) = find(name) else {
        if let Some(row) = setting_row(name) {
            let invalid = |refusal: Refusal| PlannerError::InvalidSetting {
                name: row.name.to_owned(),
                value: value.to_owned(),
                accepted: refusal.accepted,
            };
            return row.read(value).map(|raw| row.show(&raw)).map_err(invalid);
        }
        // PostgreSQL takes any name with a dot as a placeholder of an extension.
        return if name.contains('.') && !name.starts_with("tarn.") {
            Ok(value.to_owned())
        } else {
            Err(PlannerError::UndefinedSetting { name: name.to_owned() })
        };
    };
    let invalid = |accepted: String| PlannerError::InvalidSetting {
        name: setting_row(setting.name).map_or(setting.name, |row| row.name).to_owned(),
        value: value.to_owned(),
        accepted,
    };
    let lower = value.trim().to_lowercase();
    match setting.kind {
        Kind::Text => Ok(value.to_owned()),
        Kind::Bool => match lower.as_str() {
            "on" | "true" | "yes" | "1" | "t" | "y" => Ok("on".to_owned()),
            "off" | "false" | "no" | "0" | "f" | "n" => Ok("off".to_owned()),
            _ => Err(invalid("on or off".to_owned())),
        },
        Kind::Integer(low, high) => match lower.parse::<i64>() {
            Ok(number) if (low..=high).contains(&number) => Ok(number.to_string()),
            _ => Err(invalid(format!("a whole number between {low} and {high}"))),
        },
        Kind::Milliseconds => match parse_milliseconds(&lower) {
            Some(ms) => Ok(show_milliseconds(ms)),
            None => Err(invalid("a duration such as 500, 500ms, 30s or 5min".to_owned())),
        },
        Kind::Choice(choices) => choices
            .iter()
            .find(|choice| **choice == lower)
            .map(|choice| (*choice).to_owned())
            .ok_or_else(|| invalid(choices.join(", "))),
        Kind::DateStyle => {
            date_style(&lower).ok_or_else(|| invalid("a style, an order, or both".to_owned()))
        }
        Kind::TimeZone => canonical_time_zone(value)
            .ok_or_else(|| invalid("a name such as Europe/Berlin or an offset".to_owned())),
        // PostgreSQL looks at letters and digits only; asyncpg sends the name in quotes.
        Kind::Encoding => match lower.replace(|c: char| !c.is_ascii_alphanumeric(), "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".to_owned()),
            // No conversion: the client gets UTF-8 and says that it does not care.
            "sqlascii" => Ok("SQL_ASCII".to_owned()),
            known if OTHER_ENCODINGS.contains(&known) => Err(PlannerError::Unsupported {
                what: format!("conversion between {} and UTF8", value.trim().to_uppercase()),
                hint: Some("Use client_encoding UTF8.".to_owned()),
            }),
            _ => Err(invalid("UTF8 or SQL_ASCII".to_owned())),
        },
    }
}

/// Reads what is given of style and order; the rest is PostgreSQL's default.
fn date_style(lower: &str) -> Option<String> {
    let (mut style, mut order) = (None, None);
    for word in lower.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "iso" => style = Some("ISO"),
            "sql" => style = Some("SQL"),
            "german" => style = Some("German"),
            word if word.starts_with("postgres") => style = Some("Postgres"),
            "mdy" | "us" => order = Some("MDY"),
            word if word.starts_with("noneuro") => order = Some("MDY"),
            "dmy" => order = Some("DMY"),
            word if word.starts_with("euro") => order = Some("DMY"),
            "ymd" => order = Some("YMD"),
            "default" => (style, order) = (Some("ISO"), Some("MDY")),
            _ => return None,
        }
    }
    let style = style.unwrap_or("ISO");
    let order = order.unwrap_or(if style == "German" { "DMY" } else { "MDY" });
    Some(format!("{style}, {order}"))
}

fn parse_milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(digits);
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // PostgreSQL's bound: the value has to fit an int4.
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|ms| *ms <= 0x7fff_ffff)
}

fn show_milliseconds(ms: u64) -> String {
    match ms {
        0 => "0".to_owned(),
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}min", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// The name as the time zone database writes it, or a fixed offset as POSIX has it.
///
/// ```text
/// europe/berlin     Europe/Berlin
/// 5.5, -3           <+05:30>-05:30, <-03>+03     hours east of Greenwich
/// gmt-05:30, +3:00  GMT-05:30, +3:00             the sign as in POSIX, where + is west
/// ```
fn canonical_time_zone(value: &str) -> Option<String> {
    let value = value.trim();
    if value.eq_ignore_ascii_case("utc") || value.eq_ignore_ascii_case("z") {
        return Some("UTC".to_owned());
    }
    if let Ok(hours) = value.parse::<f64>() {
        // A bare number is hours east of Greenwich.
        if !(-15.0..=15.0).contains(&hours) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 15 hours of minutes")]
        let minutes = (hours * 60.0).round() as i64;
        return Some(offset_name(minutes));
    }
    let known = chrono_tz::TZ_VARIANTS.iter().find(|tz| tz.name().eq_ignore_ascii_case(value));
    if let Some(zone) = known {
        return Some(zone.name().to_owned());
    }
    posix(value).map(|_| value.to_ascii_uppercase())
}

/// The name that PostgreSQL gives to an offset in minutes east of Greenwich: `<+05:30>-05:30`.
pub(crate) fn offset_name(minutes: i64) -> String {
    let (east, west) = if minutes < 0 { ('-', '+') } else { ('+', '-') };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    let digits =
        if minutes == 0 { format!("{hours:02}") } else { format!("{hours:02}:{minutes:02}") };
    format!("<{east}{digits}>{west}{digits}")
}

/// The zone of the setting as the engine and the encoders read it: a name of the time zone
/// database, or an offset in which east is positive.
#[must_use]
pub fn engine_time_zone(setting: &str) -> String {
    let seconds = match setting {
        "" | "UTC" => 0,
        setting if chrono_tz::TZ_VARIANTS.iter().any(|tz| tz.name() == setting) => {
            return setting.to_owned();
        }
        setting => posix(setting).unwrap_or(0),
    };
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, rest) = (seconds.abs() / 3_600, seconds.abs() % 3_600);
    match (rest / 60, rest % 60) {
        (minutes, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        (minutes, seconds) => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS, Variables};

    #[test]
    fn names_are_sorted_and_defaults_are_valid() {
        assert!(SETTINGS.is_sorted_by_key(|setting| setting.name));
        for setting in SETTINGS {
            assert!(super::check(setting.name, setting.default).is_ok(), "{}", setting.name);
        }
    }

    #[test]
    fn values_are_canonical_and_reset_goes_back() {
        let check = |name: &str, value: &str, expected: Option<&str>| {
            let mut variables = Variables::default();
            let found = variables.set(name, value).ok().and_then(|()| variables.get(name));
            assert_eq!(found.as_deref(), expected, "{name} = {value}");
        };
        check("statement_timeout", "90000", Some("90s"));
        check("statement_timeout", "2min", Some("2min"));
        check("statement_timeout", "soon", None);
        check("timezone", "europe/berlin", Some("Europe/Berlin"));
        check("timezone", "+5.5", Some("<+05:30>-05:30"));
        check("timezone", "-8", Some("<-08>+08"));
        check("timezone", "gmt-05:30", Some("GMT-05:30"));
        check("timezone", "+05:30", Some("+05:30"));
        check("timezone", "GMT-99", None);
        check("timezone", "Mars/Olympus", None);
        check("client_encoding", "utf-8", Some("UTF8"));
        check("client_encoding", "'utf-8'", Some("UTF8"));
        check("client_encoding", "latin1", None);
        check("server_version", "99", None);
        check("nonsense", "1", None);
        check("myapp.user", "7", Some("7"));
        let mut variables = Variables::default();
        variables.set("jit", "true").expect("is a setting");
        variables.reset(Some("jit")).expect("is a setting");
        assert_eq!(variables.get("jit").as_deref(), Some("off"));
    }
}
