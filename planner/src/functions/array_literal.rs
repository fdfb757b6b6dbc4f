//! The text form of arrays without a type: `{a,"b c",NULL}`.

/// Reads `{a,"b c",NULL}`; `None` for nested arrays and what is no array.
pub(crate) fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut values = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let (mut value, mut quoted) = (String::new(), false);
        loop {
            match chars.next() {
                None | Some(',') => break,
                Some('{') => return None,
                Some('"') => {
                    quoted = true;
                    loop {
                        match chars.next()? {
                            '"' => break,
                            '\\' => value.push(chars.next()?),
                            c => value.push(c),
                        }
                    }
                }
                Some(c) => value.push(c),
            }
        }
        let null = !quoted && value.trim().eq_ignore_ascii_case("null");
        let value = if quoted { value } else { value.trim().to_owned() };
        values.push((!null).then_some(value));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    #[test]
    fn literals_read_as_in_postgresql() {
        let check = |text: &str, expected: Option<&[Option<&str>]>| {
            let found = super::elements(text);
            let found = found
                .as_ref()
                .map(|values| values.iter().map(Option::as_deref).collect::<Vec<Option<&str>>>());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("{0}", Some(&[Some("0")]));
        check("{\"a,\\\"b\", null}", Some(&[Some("a,\"b"), None]));
        check("{}", Some(&[]));
        check("0", None);
        check("{{1}}", None);
    }
}
