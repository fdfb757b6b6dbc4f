//! Frames in, bytes out.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage, PgWireFrontendMessage, ProtocolVersion,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frame;
use super::socket::Socket;
use crate::error::{Error, Result};
use crate::query::unsupported;

/// Bytes to gather before they are written to the socket.
pub(super) const FLUSH_BYTES: usize = 64 * 1024;

/// Room for one read of an idle connection.
const READ_BYTES: usize = 4096;

/// Bytes of later messages that are read ahead while a query runs.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;

/// How long a client may take to see why its connection ends.
pub(super) const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

/// Reads from a client whose connection has ended.
const N_LATE_READS_MAX: usize = 256;

/// Capacity that an idle connection keeps for its next message or result.
const IDLE_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// How often a client that has sent very far ahead is looked for.
const GONE_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// One connection's socket with its two buffers.
pub(super) struct Wire {
    stream: Socket,
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
    pub(super) fn new(stream: Socket) -> Self {
        Self { stream, input: BytesMut::new(), output: BytesMut::new() }
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.stream.is_encrypted()
    }

    /// The certificate that the client has proved to own.
    pub(super) fn client_certificate(&self) -> Option<&[u8]> {
        self.stream.client_certificate()
    }

    /// Appends a message to the output.
    pub(super) fn push(&mut self, message: &PgWireBackendMessage) -> Result<()> {
        message.encode(&mut self.output).map_err(|error| Error::Internal {
            what: format!("a message could not be written: {error}"),
        })
    }

    /// Appends a ParameterStatus; a value may be of any length.
    pub(super) fn push_status(&mut self, name: &str, value: &str) {
        // A value with a zero inside would end early for the client and garble what follows.
        let value = value.split('\0').next().unwrap_or_default();
        let length = u32::try_from(4 + name.len() + value.len() + 2).unwrap_or(u32::MAX);
        self.output.put_u8(b'S');
        self.output.put_u32(length);
        for text in [name, value] {
            self.output.put_slice(text.as_bytes());
            self.output.put_u8(0);
        }
    }

    /// Takes the next message from what was read; `None` where a part of it is missing.
    pub(super) fn take(&mut self) -> Result<Option<Received>> {
        decode(&mut self.input)
    }

    /// Reads more; `false` at the end of the connection.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was read stays in the buffer.
    pub(super) async fn read_some(&mut self) -> Result<bool> {
        self.input.reserve(READ_BYTES);
        Ok(self.stream.read_buf(&mut self.input).await? > 0)
    }

    /// Reads the body of an answer in an authentication, which nothing else may precede.
    ///
    /// # Errors
    /// Other messages and lengths that no such answer has, before they are read.
    pub(super) async fn next_password(&mut self) -> Result<BytesMut> {
        loop {
            if let Some(length) = frame::password_length(&self.input)?
                && self.input.len() > length
            {
                let mut bytes = self.input.split_to(length + 1);
                return Ok(bytes.split_off(5));
            }
            if !self.read_some().await? {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Whether the message that waits is a Sync.
    pub(super) fn sync_is_next(&self) -> bool {
        self.input.first() == Some(&b'S')
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
        // The end of the stream is behind bytes that are not read; the system knows of it.
        while !self.stream.is_closed().await {
            tokio::time::sleep(GONE_CHECK_INTERVAL).await;
        }
    }

    /// Writes what the socket takes. Reads meanwhile: a client may send a long series of messages
    /// before it reads the first answer, and would wait for us as we wait for it.
    async fn write_some(&mut self) -> Result<()> {
        let Self { stream, input, output } = self;
        let mut ended = false;
        let n = std::future::poll_fn(|context| {
            if let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(context, output) {
                return Poll::Ready(written);
            }
            while !ended && input.len() < READ_AHEAD_BYTES_MAX {
                input.reserve(READ_BYTES);
                // Cancel safe: bytes are in the buffer as soon as they are read.
                let read = std::pin::pin!(stream.read_buf(input)).poll(context);
                match read {
                    Poll::Ready(Ok(n)) if n > 0 => {}
                    // Writing will say what is wrong.
                    Poll::Ready(_) => ended = true,
                    Poll::Pending => break,
                }
            }
            Poll::Pending
        });
        let n = n.await?;
        if n == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into());
        }
        self.output.advance(n);
        Ok(())
    }

    /// Writes everything.
    pub(super) async fn flush(&mut self) -> Result<()> {
        while self.output.has_remaining() {
            self.write_some().await?;
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
            tokio::select! {
                biased;
                written = self.write_some() => written?,
                () = cancel.cancelled() => return Ok(Written::Interrupted),
                () = &mut timeout => return Ok(Written::TimedOut),
            };
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

/// Takes one whole frame off the input; `None` where a part of it is missing.
///
/// # Errors
/// Frames of which not even the length can be believed.
pub(super) fn decode(input: &mut BytesMut) -> Result<Option<Received>> {
    let Some((kind, length)) = frame::head(input)? else { return Ok(None) };
    let total = length + 1;
    if input.len() < total {
        return Ok(None);
    }
    let mut bytes = input.split_to(total);
    if let Err(error) = frame::check(kind, bytes.get(5..).unwrap_or_default()) {
        return Ok(Some(Received::Malformed(kind, error)));
    }
    if kind == b'F' {
        return Ok(Some(Received::Malformed(kind, unsupported("the function call protocol"))));
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
