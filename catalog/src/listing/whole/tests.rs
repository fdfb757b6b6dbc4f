use super::*;

#[test]
fn only_whole_numbers_are_numbers() {
    for (text, expected) in [
        ("7", Ok(7)),
        ("-9223372036854775808", Ok(i64::MIN)),
        ("9007199254740993.0", Ok(9_007_199_254_740_993)),
        ("1.9", Err("22P02")),
        ("1e3", Err("22P02")),
        ("true", Err("22P02")),
        ("", Err("22P02")),
        ("9223372036854775808", Err("22003")),
        ("-92233720368547758080", Err("22003")),
    ] {
        assert_eq!(number(text), expected, "{text}");
    }
}
