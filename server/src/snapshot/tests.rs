use super::{Snapshot, checked, read};

#[test]
fn values_are_times_or_versions() {
    let versions = |value: &str| match read(value) {
        Some(Snapshot::Versions(versions)) => versions
            .into_iter()
            .map(|(schema, table, version)| {
                format!("{}|{table}|{version}", schema.unwrap_or_default())
            })
            .collect::<Vec<_>>()
            .join(" "),
        Some(Snapshot::Instant(at)) => at.to_rfc3339(),
        None => "none".to_owned(),
    };
    let check = |value: &str, expected: &str| assert_eq!(versions(value), expected, "{value}");
    check("t=3", "|t|3");
    check("t = 3, s.U=5", "|t|3 s|u|5");
    check("s.\"U\"=5", "s|U|5");
    check("2026-01-31", "2026-01-31T00:00:00+00:00");
    check("2026-01-31 12:00:00+02", "2026-01-31T10:00:00+00:00");
    check("t", "none");
    check("t=x", "none");
    check("a.b.c=1", "none");
    assert!(checked("yesterday").is_err());
    assert!(checked("").is_ok());
    assert!(read(&checked("now").unwrap()).is_some());
}
