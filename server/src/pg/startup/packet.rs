//! The startup packet: protocol version, role, database, settings.

use std::collections::BTreeMap;

use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::startup::NegotiateProtocolVersion;

use crate::error::{Error, Result};

/// The newest minor version of protocol 3 that we speak, and the first with long cancel keys.
const MINOR_MAX: i32 = 2;
const MAJOR: i32 = 3;

/// What a startup packet asks for.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) user: String,
    pub(super) database: String,
    /// Settings by folded name.
    settings: BTreeMap<String, String>,
    /// What stands for the arguments of PostgreSQL's server process.
    options: Option<String>,
    /// The answer to a newer protocol or to options that we do not know.
    pub(super) negotiate: Option<Backend>,
    /// Whether the cancel key has 32 bytes instead of 4.
    pub(super) long_cancel_key: bool,
}

impl Parameters {
    /// The settings of the session, by folded name.
    ///
    /// # Errors
    /// 42601 for options that are none.
    pub(super) fn settings(&self) -> Result<BTreeMap<String, String>> {
        let mut settings = parse_options(self.options.as_deref().unwrap_or_default())?;
        // What has a name of its own in the packet wins, as in PostgreSQL.
        settings.extend(self.settings.iter().map(|(name, value)| (name.clone(), value.clone())));
        Ok(settings)
    }
}

/// Reads a packet without its length.
///
/// # Errors
/// 0A000 for other protocols and for replication, 08P01 for a packet that is none, 28000 without
/// a role, 22021 for texts that are not UTF-8.
pub(super) fn parse(packet: &[u8]) -> Result<Parameters> {
    let minor = check_version(packet)?;
    let (mut parameters, unknown) = read_pairs(packet.get(4..).unwrap_or_default())?;
    let user = parameters.remove("user").filter(|user| !user.is_empty()).ok_or_else(|| {
        Error::NotAuthorized {
            message: "no PostgreSQL user name specified in startup packet".to_owned(),
        }
    })?;
    let database = parameters.remove("database").filter(|name| !name.is_empty());
    if parameters.remove("replication").is_some_and(|value| !is_off(&value)) {
        return Err(crate::query::unsupported("the replication protocol"));
    }
    let negotiate = (minor > MINOR_MAX || !unknown.is_empty()).then(|| {
        let version = (MAJOR << 16) | minor.min(MINOR_MAX);
        Backend::NegotiateProtocolVersion(NegotiateProtocolVersion::new(version, unknown))
    });
    let options = parameters.remove("options");
    let settings = parameters;
    let database = database.unwrap_or_else(|| user.clone());
    let long_cancel_key = minor >= MINOR_MAX;
    Ok(Parameters { user, database, settings, options, negotiate, long_cancel_key })
}

/// The minor version.
fn check_version(packet: &[u8]) -> Result<i32> {
    let version = packet.first_chunk::<4>().map_or(0, |code| i32::from_be_bytes(*code));
    let (major, minor) = (version >> 16, version & 0xffff);
    if major == MAJOR {
        return Ok(minor);
    }
    let message = format!(
        "unsupported frontend protocol {major}.{minor}: server supports {MAJOR}.0 to {MAJOR}.{MINOR_MAX}"
    );
    Err(Error::Value { code: "0A000", message })
}

/// Names in any letter case and values, a zero after each, a zero at the end; and the names of
/// protocol options, of which we know none.
fn read_pairs(body: &[u8]) -> Result<(BTreeMap<String, String>, Vec<String>)> {
    let protocol = |message: &str| Error::Protocol { message: message.to_owned() };
    let text = |bytes: &[u8]| {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Error::Value {
            code: "22021",
            message: "invalid byte sequence for encoding \"UTF8\"".to_owned(),
        })
    };
    let layout = "invalid startup packet layout: expected terminator as last byte";
    let Some((0, pairs)) = body.split_last() else { return Err(protocol(layout)) };
    let (mut parameters, mut unknown) = (BTreeMap::new(), vec![]);
    if pairs.is_empty() {
        return Ok((parameters, unknown));
    }
    let Some((0, pairs)) = pairs.split_last() else { return Err(protocol(layout)) };
    let mut words = pairs.split(|byte| *byte == 0);
    while let Some(name) = words.next() {
        if name.is_empty() {
            // The terminator before the last byte.
            return Err(protocol(layout));
        }
        let value = words.next().ok_or_else(|| protocol(layout))?;
        let (name, value) = (text(name)?, text(value)?);
        if name.starts_with("_pq_.") {
            unknown.push(name);
        } else {
            parameters.insert(name.to_lowercase(), value);
        }
    }
    Ok((parameters, unknown))
}

fn is_off(value: &str) -> bool {
    matches!(value.to_lowercase().as_str(), "false" | "off" | "0" | "no" | "f" | "n")
}

/// Reads `-c name=value`, `-cname=value` and `--name=value`, with backslashes before blanks.
///
/// # Errors
/// 42601 for other arguments and for settings without a value.
fn parse_options(options: &str) -> Result<BTreeMap<String, String>> {
    let mut words = vec![String::new()];
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        match (c, words.last_mut()) {
            ('\\', Some(word)) => word.extend(chars.next()),
            (c, _) if c.is_whitespace() => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    let syntax = |message: String| Error::Value { code: "42601", message };
    let mut settings = BTreeMap::new();
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let (setting, argument) = match (word.strip_prefix("-c"), word.strip_prefix("--")) {
            (Some(""), _) => (words.next().unwrap_or_default(), "-c "),
            (Some(rest), _) => (rest.to_owned(), "-c "),
            (None, Some(rest)) => (rest.to_owned(), "--"),
            (None, None) => {
                let what = "invalid command-line argument for server process";
                return Err(syntax(format!("{what}: {word}")));
            }
        };
        let Some((name, value)) = setting.split_once('=') else {
            return Err(syntax(format!("{argument}{setting} requires a value")));
        };
        settings.insert(name.replace('-', "_").to_lowercase(), value.to_owned());
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_options};

    fn packet(version: i32, words: &[&str]) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        for word in words {
            bytes.extend(word.as_bytes());
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn parameters_are_read_in_any_letter_case() {
        let bytes =
            packet(3 << 16, &["user", "ann", "DateStyle", "ISO", "options", "-c a.B=1 --x-y=2"]);
        let parameters = parse(&bytes).expect("is valid");
        assert_eq!(parameters.user, "ann");
        assert_eq!(parameters.database, "ann");
        let settings = parameters.settings().expect("are options");
        let settings: Vec<_> = settings.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(settings, ["a.b=1", "datestyle=ISO", "x_y=2"]);
        assert!(parameters.negotiate.is_none() && !parameters.long_cancel_key);
    }

    #[test]
    fn odd_packets_are_errors() {
        for bytes in [
            packet(2 << 16, &["user", "ann"]),
            packet(3 << 16, &[]),
            packet(3 << 16, &["user", "a", "replication", "database"]),
            packet(3 << 16, &["user", "a", "alone"]),
            packet(3 << 16, &["user", "a", "", "b"]),
            b"\0\x03\0\0user\0a\0".to_vec(),
            b"\0\x03\0\0".to_vec(),
            b"\0\x03".to_vec(),
            vec![],
        ] {
            assert!(parse(&bytes).is_err(), "{bytes:?}");
        }
        for options in ["surprise", "-c", "-c a", "--a", "-x 1"] {
            assert!(parse_options(options).is_err(), "{options}");
        }
    }

    #[test]
    fn newer_protocols_and_unknown_options_are_negotiated() {
        let check = |minor: i32, words: &[&str], negotiated: bool, long_key: bool| {
            let parameters = parse(&packet((3 << 16) + minor, words)).expect("is valid");
            assert_eq!(parameters.negotiate.is_some(), negotiated, "{minor} {words:?}");
            assert_eq!(parameters.long_cancel_key, long_key, "{minor} {words:?}");
        };
        check(0, &["user", "a", "replication", "off"], false, false);
        check(0, &["user", "a", "_pq_.x", "1"], true, false);
        check(1, &["user", "a"], false, false);
        check(2, &["user", "a"], false, true);
        check(9, &["user", "a"], true, true);
    }
}
