//! A tap on the bytes the server sends.
//!
//! `tokio-postgres` gives the rows of a simple query as text, which is what an interactive client
//! wants, but drops the column types, the command tags ("INSERT 0 5"), the process id and the
//! transaction state. They are in the byte stream, so [`Tapped`] reads along: it decodes the few
//! small messages of interest and skips the rest by their length. One query runs at a time on a
//! connection, so what was seen belongs to the running query.
//!
//! ```text
//! socket ─► Tapped (counts; reads along when plain) ─► TLS ─► Tapped (reads along) ─► tokio-postgres
//! ```
//!
//! Source: PostgreSQL documentation, "Message Formats".

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Bytes of one message that are kept; a longer one is ignored.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Type byte and length of a message.
const HEADER_BYTES: usize = 5;

/// A column of a result as the server described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_oid: u32,
    pub(super) modifier: i32,
}

/// What was seen on one connection.
#[derive(Debug, Default)]
pub(super) struct Tap {
    n_bytes: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    descriptions: VecDeque<Vec<Column>>,
    tags: VecDeque<String>,
    process_id: i32,
    transaction: Transaction,
}

/// The state named by the last ReadyForQuery message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Transaction {
    #[default]
    None,
    Open,
    Failed,
}

impl Tap {
    /// Forgets results of the query before.
    pub(super) fn start_query(&self) {
        let mut seen = self.seen.lock();
        seen.descriptions.clear();
        seen.tags.clear();
    }

    /// Returns the columns of the next result.
    pub(super) fn next_columns(&self) -> Option<Vec<Column>> {
        self.seen.lock().descriptions.pop_front()
    }

    /// Returns the tag of the next completed command.
    pub(super) fn next_tag(&self) -> Option<String> {
        self.seen.lock().tags.pop_front()
    }

    /// Returns the process id that the server gave this connection.
    pub(super) fn process_id(&self) -> i32 {
        self.seen.lock().process_id
    }

    pub(super) fn transaction(&self) -> Transaction {
        self.seen.lock().transaction
    }

    /// Returns the bytes received since the start.
    pub(super) fn n_bytes(&self) -> u64 {
        self.n_bytes.load(Ordering::Relaxed)
    }

    fn take_message(&self, kind: u8, body: &[u8]) {
        let mut seen = self.seen.lock();
        match kind {
            b'T' => {
                let columns = parse_columns(body).unwrap_or_default();
                seen.descriptions.push_back(columns);
            }
            b'C' => {
                let tag = body.split(|byte| *byte == 0).next().unwrap_or_default();
                seen.tags.push_back(String::from_utf8_lossy(tag).into_owned());
            }
            b'I' => seen.tags.push_back(String::new()),
            b'K' => seen.process_id = Reader(body).i32().unwrap_or_default(),
            b'Z' => {
                seen.transaction = match body.first() {
                    Some(b'T') => Transaction::Open,
                    Some(b'E') => Transaction::Failed,
                    _ => Transaction::None,
                }
            }
            _ => {}
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn string(&mut self) -> Option<String> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(self.0.get(..end)?).into_owned();
        self.0 = self.0.get(end + 1..)?;
        Some(text)
    }
}

/// Reads a RowDescription message.
fn parse_columns(body: &[u8]) -> Option<Vec<Column>> {
    let mut reader = Reader(body);
    let n_columns = reader.i16()?;
    let mut columns = Vec::new();
    for _ in 0..n_columns {
        let name = reader.string()?;
        reader.array::<6>()?; // table and attribute number
        let type_oid = reader.u32()?;
        reader.i16()?; // size
        let modifier = reader.i32()?;
        reader.i16()?; // format: text in a simple query
        columns.push(Column { name, type_oid, modifier });
    }
    Some(columns)
}

/// Follows message borders in a byte stream.
#[derive(Debug, Default)]
struct Scanner {
    header: Vec<u8>,
    body: Vec<u8>,
    n_body_left: usize,
    keep: bool,
    /// Bytes before the first message: the one-byte answer to an SSLRequest.
    n_skip: usize,
}

impl Scanner {
    fn feed(&mut self, mut bytes: &[u8], tap: &Tap) {
        let n_skipped = self.n_skip.min(bytes.len());
        self.n_skip -= n_skipped;
        bytes = bytes.get(n_skipped..).unwrap_or_default();
        while !bytes.is_empty() {
            if self.header.len() < HEADER_BYTES {
                let n_wanted = (HEADER_BYTES - self.header.len()).min(bytes.len());
                let (head, tail) = bytes.split_at(n_wanted);
                self.header.extend_from_slice(head);
                bytes = tail;
                if self.header.len() == HEADER_BYTES {
                    self.start_body();
                }
            } else {
                let (head, tail) = bytes.split_at(self.n_body_left.min(bytes.len()));
                self.n_body_left -= head.len();
                if self.keep {
                    self.body.extend_from_slice(head);
                }
                bytes = tail;
            }
            if self.header.len() == HEADER_BYTES && self.n_body_left == 0 {
                self.end_message(tap);
            }
        }
    }

    fn start_body(&mut self) {
        let length = Reader(self.header.get(1..).unwrap_or_default()).u32().unwrap_or(4);
        self.n_body_left = usize::try_from(length.saturating_sub(4)).unwrap_or(0);
        let wanted = matches!(self.header.first(), Some(b'T' | b'C' | b'K' | b'Z' | b'I'));
        self.keep = wanted && self.n_body_left <= MESSAGE_BYTES_MAX;
    }

    fn end_message(&mut self, tap: &Tap) {
        if self.keep
            && let Some(kind) = self.header.first()
        {
            tap.take_message(*kind, &self.body);
        }
        self.header.clear();
        self.body.clear();
        self.keep = false;
    }
}

/// A stream that reads along. See the module documentation.
#[derive(Debug)]
pub(super) struct Tapped<S> {
    inner: S,
    tap: Arc<Tap>,
    scanner: Option<Scanner>,
    counts: bool,
}

impl<S> Tapped<S> {
    /// Wraps a socket, before it is known whether TLS will be used on it.
    pub(super) fn socket(inner: S, tap: &Arc<Tap>, asks_for_tls: bool) -> Self {
        let scanner = Scanner { n_skip: usize::from(asks_for_tls), ..Scanner::default() };
        Self { inner, tap: Arc::clone(tap), scanner: Some(scanner), counts: true }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let n_before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let fresh = buf.filled().get(n_before..).unwrap_or_default();
        if this.counts {
            this.tap.n_bytes.fetch_add(fresh.len() as u64, Ordering::Relaxed);
        }
        if let Some(scanner) = &mut this.scanner {
            scanner.feed(fresh, &this.tap);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Tapped<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Moves the reading along from the socket into the TLS stream over it.
#[derive(Debug)]
pub(super) struct TappedTls<T>(pub(super) T);

impl<S, T> TlsConnect<Tapped<S>> for TappedTls<T>
where
    T: TlsConnect<Tapped<S>>,
    T::Future: Send + 'static,
{
    type Stream = Tapped<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, Self::Error>> + Send>>;

    fn connect(self, mut socket: Tapped<S>) -> Self::Future {
        let tap = Arc::clone(&socket.tap);
        socket.scanner = None;
        let connecting = self.0.connect(socket);
        Box::pin(async move {
            let inner = connecting.await?;
            Ok(Tapped { inner, tap, scanner: Some(Scanner::default()), counts: false })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or_default();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    #[test]
    fn messages_in_any_pieces() {
        let mut row_description = vec![0, 1];
        row_description.extend_from_slice(b"amount\0");
        row_description.extend_from_slice(&[0; 6]);
        row_description.extend_from_slice(&1700_u32.to_be_bytes());
        row_description.extend_from_slice(&[0xff, 0xff]);
        row_description.extend_from_slice(&983_046_i32.to_be_bytes());
        row_description.extend_from_slice(&[0, 0]);
        let stream = [
            b"N".to_vec(),
            message(b'K', &[0, 0, 0, 7, 0, 0, 0, 9]),
            message(b'T', &row_description),
            message(b'D', &[0, 1, 0, 0, 0, 1, b'T']),
            message(b'C', b"SELECT 1\0"),
            message(b'Z', b"T"),
        ]
        .concat();
        for piece_bytes in [1, 2, 3, 7, 1000] {
            let tap = Tap::default();
            let mut scanner = Scanner { n_skip: 1, ..Scanner::default() };
            for piece in stream.chunks(piece_bytes) {
                scanner.feed(piece, &tap);
            }
            assert_eq!(tap.process_id(), 7);
            let expect = Column { name: "amount".to_owned(), type_oid: 1700, modifier: 983_046 };
            assert_eq!(tap.next_columns(), Some(vec![expect]));
            assert_eq!(tap.next_tag().as_deref(), Some("SELECT 1"));
            assert_eq!(tap.transaction(), Transaction::Open);
        }
    }
}
