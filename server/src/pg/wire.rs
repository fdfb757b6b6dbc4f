//! Frames in, bytes out.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frame;
use crate::error::{Error, Result};

/// Bytes to gather before they are written to the socket.
pub(super) const FLUSH_BYTES: usize = 64 * 1024;

/// Bytes of later messages that are read ahead while a query runs.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;

/// How long a client may take to see why its connection ends.
pub(super) const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

/// Reads from a client whose connection has ended.
const N_LATE_READS_MAX: usize = 256;

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

/// A frame of the client.
pub(super) enum Received {
    /// A message.
    Message(PgWireFrontendMessage),
    /// A frame of this type with a body that is not what the type says; the next one is fine.
    Malformed(u8, Error),
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
    pub(super) async fn next(&mut self) -> Result<Option<Received>> {
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
    fn decode(&mut self) -> Result<Option<Received>> {
        let Some((kind, length)) = frame::head(&self.input)? else { return Ok(None) };
        let total = length + 1;
        if self.input.len() < total {
            return Ok(None);
        }
        let mut bytes = self.input.split_to(total);
        if let Err(error) = frame::check(kind, bytes.get(5..).unwrap_or_default()) {
            return Ok(Some(Received::Malformed(kind, error)));
        }
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = false;
        match PgWireFrontendMessage::decode(&mut bytes, &context) {
            Ok(Some(message)) => Ok(Some(Received::Message(message))),
            Ok(None) => Err(Error::Protocol { message: "message is incomplete".to_owned() }),
            Err(error) => Err(Error::Protocol { message: format!("invalid message: {error}") }),
        }
    }

    /// Whether a whole message waits already.
    pub(super) fn has_message(&self) -> bool {
        matches!(frame::head(&self.input), Ok(Some((_, length))) if self.input.len() > length)
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

    /// Says that nothing follows and waits a moment until the client has taken notice: closing a
    /// socket with unread bytes would discard the last message on its way.
    pub(super) async fn finish(&mut self) -> Result<()> {
        let finish = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            self.input.clear();
            for _ in 0..N_LATE_READS_MAX {
                if !self.read_some().await? {
                    break;
                }
                self.input.clear();
            }
            Ok(())
        };
        tokio::time::timeout(FINISH_TIMEOUT, finish).await.unwrap_or(Ok(()))
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
