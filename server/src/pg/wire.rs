//! Frames in, bytes out.

use bytes::{Buf, BytesMut};
use pgwire::messages::{DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// Bytes to gather before they are written to the socket.
pub(super) const FLUSH_BYTES: usize = 64 * 1024;

/// The largest message of a statement or its parameters; other messages are small.
const LARGE_FRAME_BYTES_MAX: usize = 256 << 20;
const SMALL_FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes of later messages that are read ahead while a query runs.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;

/// Capacity that an idle connection keeps for its next message or result.
const IDLE_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// A stream that may be encrypted.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection's socket with its two buffers.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    input: BytesMut,
    /// Bytes to be written; whole messages only.
    pub(super) output: BytesMut,
}

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Everything is with the operating system.
    All,
    /// The statement is to stop; what is left has to be written all the same.
    Interrupted,
    /// The statement's time is up; what is left has to be written all the same.
    TimedOut,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, input: BytesMut) -> Self {
        Self { stream, input, output: BytesMut::new() }
    }

    /// Appends a message to the output.
    pub(super) fn push(&mut self, message: &PgWireBackendMessage) -> Result<()> {
        message.encode(&mut self.output).map_err(|error| Error::Internal {
            what: format!("a message could not be written: {error}"),
        })
    }

    /// Reads the next message; `None` at the end of the connection.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was read stays in the buffer.
    pub(super) async fn next(&mut self) -> Result<Option<PgWireFrontendMessage>> {
        loop {
            if let Some(message) = self.decode()? {
                return Ok(Some(message));
            }
            if !self.read_some().await? {
                return Ok(None);
            }
        }
    }

    async fn read_some(&mut self) -> Result<bool> {
        self.input.reserve(4096);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    /// Takes one whole frame off the input.
    fn decode(&mut self) -> Result<Option<PgWireFrontendMessage>> {
        let Some((kind, length)) = frame_head(&self.input)? else { return Ok(None) };
        let total = length + 1;
        if self.input.len() < total {
            return Ok(None);
        }
        let mut frame = self.input.split_to(total);
        if matches!(kind, b'Q' | b'P') {
            // pgwire replaces invalid UTF-8 in statements; PostgreSQL refuses it.
            check_utf8(frame.get(5..).unwrap_or_default())?;
        }
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = false;
        match PgWireFrontendMessage::decode(&mut frame, &context) {
            Ok(Some(message)) => Ok(Some(message)),
            Ok(None) => Err(protocol("message is incomplete")),
            Err(error) => Err(Error::Protocol { message: format!("invalid message: {error}") }),
        }
    }

    /// Whether a whole message waits already.
    pub(super) fn has_message(&self) -> bool {
        matches!(frame_head(&self.input), Ok(Some((_, length))) if self.input.len() > length)
    }

    /// Waits until the client closes the connection, reading ahead what it sends meanwhile.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was read stays in the buffer.
    pub(super) async fn closed(&mut self) {
        while self.input.len() < READ_AHEAD_BYTES_MAX {
            match self.read_some().await {
                Ok(true) => {}
                Ok(false) | Err(_) => return,
            }
        }
        std::future::pending().await
    }

    /// Writes everything.
    pub(super) async fn flush(&mut self) -> Result<()> {
        while self.output.has_remaining() {
            let n = self.stream.write(&self.output).await?;
            if n == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into());
            }
            self.output.advance(n);
        }
        self.stream.flush().await?;
        if self.output.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Writes everything, unless the statement is told to stop while the client does not read.
    pub(super) async fn flush_unless(
        &mut self,
        cancel: &CancellationToken,
        deadline: Option<Instant>,
    ) -> Result<Written> {
        let timeout = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timeout);
        while self.output.has_remaining() {
            let n = tokio::select! {
                n = self.stream.write(&self.output) => n?,
                () = cancel.cancelled() => return Ok(Written::Interrupted),
                () = &mut timeout => return Ok(Written::TimedOut),
            };
            if n == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into());
            }
            self.output.advance(n);
        }
        self.stream.flush().await?;
        Ok(Written::All)
    }

    /// Gives back memory that a large message took.
    pub(super) fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.input = BytesMut::new();
        }
    }
}

/// The type and length of the first frame; `None` while its head is incomplete.
fn frame_head(input: &[u8]) -> Result<Option<(u8, usize)>> {
    let Some((&kind, rest)) = input.split_first() else { return Ok(None) };
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*length);
    let n_max = match kind {
        b'Q' | b'P' | b'B' | b'd' => LARGE_FRAME_BYTES_MAX,
        _ => SMALL_FRAME_BYTES_MAX,
    };
    match usize::try_from(length) {
        Ok(length) if (4..=n_max).contains(&length) => Ok(Some((kind, length))),
        _ => Err(Error::Protocol {
            message: format!("invalid message length {length} for message type {}", char::from(kind)),
        }),
    }
}

fn check_utf8(bytes: &[u8]) -> Result<()> {
    // Statement names and texts end with a byte zero, parameter types follow: check each text.
    let end = bytes.iter().rposition(|byte| *byte == 0).unwrap_or(bytes.len());
    let texts = bytes.get(..end).unwrap_or_default().split(|byte| *byte == 0).take(2);
    for text in texts {
        if let Err(error) = std::str::from_utf8(text) {
            let byte = text.get(error.valid_up_to()).copied().unwrap_or_default();
            return Err(Error::Value {
                code: "22021",
                message: format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}"),
            });
        }
    }
    Ok(())
}

fn protocol(message: &str) -> Error {
    Error::Protocol { message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::frame_head;

    #[test]
    fn lengths_are_bounded_before_anything_is_allocated() {
        let frame = |kind: u8, length: i32| {
            let mut bytes = vec![kind];
            bytes.extend(length.to_be_bytes());
            frame_head(&bytes)
        };
        assert!(matches!(frame(b'Q', 4), Ok(Some((b'Q', 4)))));
        for (kind, length) in [(b'Q', 3), (b'Q', -1), (b'Q', i32::MAX), (b'E', 70_000), (b'?', -5)] {
            assert!(frame(kind, length).is_err(), "{kind} {length}");
        }
        assert!(matches!(frame_head(b"Q\0\0"), Ok(None)));
    }
}
