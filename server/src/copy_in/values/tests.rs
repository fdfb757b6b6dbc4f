use super::*;

#[test]
fn integers() {
    assert_eq!(integer(b"-42"), Some(-42));
    assert_eq!(integer(b"007"), Some(7));
    for other in ["", "-", "+1", " 1", "1 ", "1.0", "1e3", "9223372036854775808"] {
        assert_eq!(integer(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn decimals() {
    assert_eq!(decimal(b"12.5", 15, 2), Some(1250));
    assert_eq!(decimal(b"-0.01", 15, 2), Some(-1));
    assert_eq!(decimal(b"7", 3, 2), Some(700));
    // Too many digits before or behind the point, and other forms.
    for other in ["10", "1.234", "", ".", "-", "1e2", "NaN", " 1"] {
        assert_eq!(decimal(other.as_bytes(), 3, 2), None, "{other}");
    }
}

#[test]
fn floats() {
    assert_eq!(float(b"1.5e3"), Some(1500.0));
    assert_eq!(float(b"0"), Some(0.0));
    for other in ["", "inf", "NaN", "1e999", "1e-400", "1.", " 1", "0x10"] {
        assert_eq!(float(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn dates() {
    assert_eq!(date(b"1970-01-02"), Some(1));
    assert_eq!(date(b"1969-12-31"), Some(-1));
    for other in ["2023-02-29", "0000-01-01", "1970-1-2", "1970-01-02 ", "01/02/1970"] {
        assert_eq!(date(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn timestamps() {
    assert_eq!(timestamp(b"1970-01-01 00:00:01.5"), Some(1_500_000));
    assert_eq!(timestamp(b"1969-12-31T23:59:59"), Some(-1_000_000));
    for other in ["1970-01-01", "1970-01-01 24:00:00", "1970-01-01 00:00:00Z"] {
        assert_eq!(timestamp(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn days_are_counted_as_the_calendar_does() {
    let mut day = chrono::NaiveDate::from_ymd_opt(1, 1, 1).expect("is a day");
    for _ in 0..800_000 {
        let days = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
        let shown = format!("{:04}-{}", chrono::Datelike::year(&day), day.format("%m-%d"));
        assert_eq!(date(shown.as_bytes()).map(i64::from), Some(days), "{shown}");
        day = day + chrono::Days::new(1);
    }
}
