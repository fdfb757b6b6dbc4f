//! The frames that clients send, checked before anything is taken from them.
//!
//! pgwire's decoders believe the lengths and counts inside of a message, and replace bytes that
//! are not UTF-8: both would let a client end its connection's task or run another text than it
//! sent. What passes [`check`] is safe to decode.
//!
//! # Source
//! PostgreSQL, "Message Formats"; the words of its `pqformat.c`.

use crate::error::{Error, Result};

/// The largest message of a statement or its parameters; other messages are small.
const LARGE_FRAME_BYTES_MAX: usize = 256 << 20;
const SMALL_FRAME_BYTES_MAX: usize = 64 * 1024;

/// The largest message of a client that has not proved who it is.
const PASSWORD_FRAME_BYTES_MAX: usize = 10_000;

/// The type and length of the first frame; `None` while its head is incomplete.
///
/// # Errors
/// Types that clients do not send and lengths beyond what the type may have: where the next
/// message begins is unknown then, so the connection has to end.
pub(super) fn head(input: &[u8]) -> Result<Option<(u8, usize)>> {
    let Some((&kind, rest)) = input.split_first() else { return Ok(None) };
    let n_max = match kind {
        b'Q' | b'P' | b'B' | b'F' | b'd' => LARGE_FRAME_BYTES_MAX,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => SMALL_FRAME_BYTES_MAX,
        kind => return Err(protocol(format!("invalid frontend message type {kind}"))),
    };
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    match usize::try_from(length) {
        Ok(length) if (4..=n_max).contains(&length) => Ok(Some((kind, length))),
        _ => {
            let kind = char::from(kind);
            Err(protocol(format!("invalid message length {length} for message type {kind}")))
        }
    }
}

/// The length of an answer in an authentication; `None` while its head is incomplete.
///
/// # Errors
/// Other messages, and lengths that clients without a session may not ask us to keep.
pub(super) fn password_length(input: &[u8]) -> Result<Option<usize>> {
    let Some((&kind, rest)) = input.split_first() else { return Ok(None) };
    if kind != b'p' {
        return Err(protocol(format!("expected SASL response, got message type {kind}")));
    }
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    match usize::try_from(length) {
        Ok(length) if (4..=PASSWORD_FRAME_BYTES_MAX).contains(&length) => Ok(Some(length)),
        _ => Err(protocol(format!("invalid message length {length} for a password"))),
    }
}

/// Checks that a message's body is what its type says.
///
/// # Errors
/// 08P01 for bodies that are too short or too long, 22021 for texts that are not UTF-8. The
/// frame as a whole is known: the connection can go on with the next one.
pub(super) fn check(kind: u8, body: &[u8]) -> Result<()> {
    let mut body = Body(body);
    match kind {
        b'Q' => body.text()?,
        b'P' => {
            body.text()?;
            body.text()?;
            body.items(4)?;
        }
        b'B' => {
            body.text()?;
            body.text()?;
            body.items(2)?;
            for _ in 0..body.count()? {
                body.value()?;
            }
            body.items(2)?;
        }
        b'C' | b'D' => {
            let [target] = body.take()?;
            if !matches!(target, b'S' | b'P') {
                return Err(protocol(format!("invalid message subtype {target}")));
            }
            body.text()?;
        }
        b'E' => {
            body.text()?;
            body.take::<4>()?;
        }
        b'f' => body.text()?,
        // Data of a COPY has a form of its own; function calls are refused whatever they hold.
        b'd' | b'F' => return Ok(()),
        _ => {}
    }
    if body.0.is_empty() { Ok(()) } else { Err(protocol("invalid message format")) }
}

/// Checks the first answer of a SASL exchange: a mechanism, a length, so many bytes.
///
/// # Errors
/// As [`check`].
pub(super) fn check_sasl_initial_response(body: &[u8]) -> Result<()> {
    let mut body = Body(body);
    body.text()?;
    body.value()?;
    if body.0.is_empty() { Ok(()) } else { Err(protocol("invalid message format")) }
}

/// What is left of a message.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(too_short)?;
        self.0 = rest;
        Ok(*head)
    }

    fn skip(&mut self, n_bytes: usize) -> Result<()> {
        self.0 = self.0.get(n_bytes..).ok_or_else(too_short)?;
        Ok(())
    }

    fn count(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    /// A count and so many items of a size.
    fn items(&mut self, n_bytes: usize) -> Result<()> {
        let count = self.count()?;
        self.skip(usize::from(count) * n_bytes)
    }

    /// A length and so many bytes; -1 stands for NULL.
    fn value(&mut self) -> Result<()> {
        match i32::from_be_bytes(self.take()?) {
            -1 => Ok(()),
            length => self.skip(usize::try_from(length).map_err(|_| too_short())?),
        }
    }

    /// Bytes up to a zero.
    fn text(&mut self) -> Result<()> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| protocol("invalid string in message"))?;
        let text = self.0.get(..end).unwrap_or_default();
        if let Err(error) = std::str::from_utf8(text) {
            let byte = text.get(error.valid_up_to()).copied().unwrap_or_default();
            return Err(Error::Value {
                code: "22021",
                message: format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}"),
            });
        }
        self.skip(end + 1)
    }
}

fn too_short() -> Error {
    protocol("insufficient data left in message")
}

fn protocol(message: impl Into<String>) -> Error {
    Error::Protocol { message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::{check, head};

    #[test]
    fn lengths_are_bounded_before_anything_is_allocated() {
        let frame = |kind: u8, length: i32| {
            let mut bytes = vec![kind];
            bytes.extend(length.to_be_bytes());
            head(&bytes)
        };
        assert!(matches!(frame(b'Q', 4), Ok(Some((b'Q', 4)))));
        for (kind, length) in [(b'Q', 3), (b'Q', -1), (b'Q', i32::MAX), (b'E', 70_000), (b'?', 5)] {
            assert!(frame(kind, length).is_err(), "{kind} {length}");
        }
        assert!(matches!(head(b"Q\0\0"), Ok(None)));
        assert!(head(b"?").is_err());
    }

    #[test]
    fn bodies_are_what_their_type_says() {
        let good: [(u8, &[u8]); 7] = [
            (b'Q', b"SELECT 1\0"),
            (b'P', b"s\0SELECT $1\0\0\x01\0\0\0\x17"),
            (b'B', b"\0\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x01x\0\0"),
            (b'D', b"Sname\0"),
            (b'E', b"\0\0\0\0\0"),
            (b'S', b""),
            (b'd', b"\xff"),
        ];
        for (kind, body) in good {
            check(kind, body).expect("is well formed");
            if kind != b'd' {
                assert!(check(kind, &[body, b"x"].concat()).is_err(), "{kind} {body:?} and more");
            }
            for length in 0..body.len() {
                let cut = check(kind, &body[..length]);
                assert!(kind == b'd' || cut.is_err(), "{kind} {body:?} of length {length}");
            }
        }
        for (kind, body) in
            [(b'D', &b"X\0"[..]), (b'Q', b"\xff\0"), (b'B', b"\0\0\0\0\0\x01\x80\0\0\0\0\0")]
        {
            assert!(check(kind, body).is_err(), "{kind} {body:?}");
        }
    }
}
