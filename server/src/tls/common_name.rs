//! The common name of a certificate, read from its DER form.
//!
//! Only certificates that a handshake has verified come here; this is no check of them.
//!
//! # Source
//! RFC 5280, section 4.1; X.690.

/// `2.5.4.3`, commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// The certificate's version, which the first one leaves out.
const VERSION: u8 = 0xa0;

/// The subject's only common name; `None` where it has none, several, or one that is no text.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(fields, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    (fields, _) = expect(rest, SEQUENCE)?;
    let mut found = None;
    while !fields.is_empty() {
        let (mut set, after) = expect(fields, SET)?;
        fields = after;
        while !set.is_empty() {
            let (attribute, after) = expect(set, SEQUENCE)?;
            set = after;
            let (name, value) = expect(attribute, OBJECT_IDENTIFIER)?;
            if name != COMMON_NAME {
                continue;
            }
            if found.is_some() {
                return None;
            }
            found = Some(text(value)?);
        }
    }
    found
}

fn text(value: &[u8]) -> Option<String> {
    let (tag, bytes, _) = element(value)?;
    if !matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING) || bytes.contains(&0) {
        return None;
    }
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

/// The content of an element of this kind, and what follows it.
fn expect(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// The first element: its tag, its content, what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits.iter().fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::common_name;

    /// A certificate of which only the subject matters.
    fn certificate(subject: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| {
            let length = u8::try_from(content.len()).expect("is short");
            [&[tag, 0x81, length], content].concat()
        };
        let fields = [
            &[0xa0, 3, 2, 1, 2][..],
            &[2, 1, 7],
            &[0x30, 0],
            &[0x30, 0],
            &[0x30, 0],
            &wrap(0x30, subject),
        ];
        wrap(0x30, &wrap(0x30, &fields.concat()))
    }

    fn attribute(oid: u8, tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).expect("is short");
        let content = [&[6, 3, 0x55, 4, oid, tag, length], value].concat();
        let n = u8::try_from(content.len()).expect("is short");
        [&[0x31, n + 2, 0x30, n], content.as_slice()].concat()
    }

    #[test]
    fn the_name_is_found() {
        let check = |subject: &[Vec<u8>], expected: Option<&str>| {
            assert_eq!(common_name(&certificate(&subject.concat())).as_deref(), expected);
        };
        let company = attribute(10, 0x0c, b"Company");
        check(&[company.clone(), attribute(3, 0x0c, "ann é".as_bytes())], Some("ann é"));
        check(&[attribute(3, 0x13, b"bob"), company.clone()], Some("bob"));
        check(&[company], None);
        check(&[attribute(3, 0x0c, b"ann"), attribute(3, 0x0c, b"bob")], None);
        check(&[attribute(3, 0x0c, b"ann\0bob")], None);
        check(&[attribute(3, 0x0c, b"\xff")], None);
    }

    #[test]
    fn cut_certificates_have_none() {
        let whole = certificate(&attribute(3, 0x0c, b"ann"));
        for length in 0..whole.len() {
            assert_eq!(common_name(&whole[..length]), None);
        }
    }
}
