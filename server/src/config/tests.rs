use std::collections::BTreeMap;

use super::{AuthMode, ConfigError, ServerConfig, Values, parse_bytes, parse_seconds};

fn config(
    flags: &[(&str, &str)],
    environment: &[(&str, &str)],
) -> Result<ServerConfig, ConfigError> {
    let flags: BTreeMap<String, String> =
        flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let lookup = |name: &str| {
        environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let values = Values::gather(flags, None, lookup)?;
    ServerConfig::from_values(&values, vec![], false, None)
}

#[test]
fn flags_win_over_the_environment() {
    let config = config(&[("threads", "3")], &[("TARN_THREADS", "5"), ("TARN_QUEUE_MAX", "7")]);
    let config = config.expect("is valid");
    assert_eq!(config.n_threads, 3);
    assert_eq!(config.n_waiting_max, 7);
    assert_eq!(config.auth, AuthMode::Scram);
}

#[test]
fn addresses_beyond_loopback_need_protection() {
    let check = |flags: &[(&str, &str)], ok: bool| {
        assert_eq!(config(flags, &[]).is_ok(), ok, "{flags:?}");
    };
    check(&[("pg", "127.0.0.1:0"), ("auth", "trust")], true);
    check(&[("pg", "0.0.0.0:5432")], false);
    check(&[("pg", "0.0.0.0:5432"), ("insecure", "true")], true);
    check(&[("flight", "0.0.0.0:1"), ("tls-cert", "c"), ("tls-key", "k")], true);
    check(
        &[("flight", "0.0.0.0:1"), ("tls-cert", "c"), ("tls-key", "k"), ("auth", "trust")],
        false,
    );
    check(&[("tls-cert", "c")], false);
    check(&[("http", "0.0.0.0:8080")], false);
}

#[test]
fn sizes_have_units() {
    let check = |text: &str, bytes: Option<u64>| assert_eq!(parse_bytes(text), bytes, "{text}");
    check("512", Some(512));
    check("512MB", Some(512_000_000));
    check("4 GiB", Some(4 << 30));
    check("2g", Some(2_000_000_000));
    check("0", None);
    check("many", None);
}

#[test]
fn times_have_units() {
    let check =
        |text: &str, seconds: Option<u64>| assert_eq!(parse_seconds(text), seconds, "{text}");
    check("30", Some(30));
    check("30s", Some(30));
    check("2 min", Some(120));
    check("1h", Some(3_600));
    check("0", None);
    check("10ms", None);
    check("soon", None);
}
