//! The Postgres protocol by hand: messages out, one line of text for each message that comes back.
//!
//! | line | message |
//! |---|---|
//! | `auth 0` | Authentication with its code |
//! | `status TimeZone=UTC` | ParameterStatus |
//! | `columns a:23:0, b:25:1` | RowDescription: name, type number, format |
//! | `row 1, NULL, x0001` | DataRow; bytes that are no printable text in hexadecimal |
//! | `done SELECT 1` | CommandComplete |
//! | `ERROR 42P01`, `FATAL 57P01`, `WARNING 25P01` | ErrorResponse and NoticeResponse |
//! | `ready I` | ReadyForQuery |
//! | `closed` | the end of the connection |
//!
//! The others are one word each: see [`Message::line`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a server may take for one message.
pub const MESSAGE_LIMIT: Duration = Duration::from_secs(60);

/// Protocol 3.0.
pub const PROTOCOL_3_0: i32 = 3 << 16;

/// A message of the server.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its type.
    pub kind: u8,
    /// What follows its length.
    pub body: Vec<u8>,
}

impl Message {
    /// The message in a line, as the module's table says.
    pub fn line(&self) -> String {
        let mut body = Reader(&self.body);
        match self.kind {
            b'1' => "parsed".to_owned(),
            b'2' => "bound".to_owned(),
            b'3' => "closed name".to_owned(),
            b'n' => "no rows".to_owned(),
            b's' => "suspended".to_owned(),
            b'I' => "empty".to_owned(),
            b'R' => format!("auth {}", body.int()),
            b'C' => format!("done {}", body.text()),
            b'Z' => format!("ready {}", char::from(self.body[0])),
            b'K' => format!("key of {} bytes", self.body.len() - 4),
            b'G' => format!("copy in {}", body.copy_formats()),
            b'H' => format!("copy out {}", body.copy_formats()),
            b'd' => format!("data {}", printable(&self.body)),
            b'c' => "data end".to_owned(),
            b'A' => format!("notification {}", Reader(&self.body[4..]).text()),
            b'S' => format!("status {}={}", body.text(), body.text()),
            b'E' | b'N' => format!("{} {}", self.field(b'V'), self.field(b'C')),
            b't' => {
                let oids: Vec<_> = (0..body.short()).map(|_| body.int().to_string()).collect();
                format!("parameters {}", oids.join(", "))
            }
            b'T' => {
                let columns: Vec<_> = (0..body.short()).map(|_| body.column()).collect();
                format!("columns {}", columns.join(", "))
            }
            b'D' => {
                let values: Vec<_> = (0..body.short()).map(|_| body.value()).collect();
                format!("row {}", values.join(", "))
            }
            b'v' => {
                let version = body.int();
                let options: Vec<_> = (0..body.int()).map(|_| body.text()).collect();
                format!(
                    "version {}.{} without {}",
                    version >> 16,
                    version & 0xffff,
                    options.join(" ")
                )
            }
            kind => format!("unexpected {}", char::from(kind)),
        }
    }

    /// A field of an error or notice, empty where it is absent.
    pub fn field(&self, code: u8) -> String {
        let fields = self.body.split(|byte| *byte == 0);
        let field = fields.into_iter().find(|field| field.first() == Some(&code));
        field.map_or_else(String::new, |field| String::from_utf8_lossy(&field[1..]).into_owned())
    }
}

/// Takes values off the front of a message's body.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().expect("the message is long enough");
        self.0 = rest;
        *head
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn short(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).expect("texts end with a zero");
        let text = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        text
    }

    fn column(&mut self) -> String {
        let name = self.text();
        let (_table, _number, oid, _size) = (self.int(), self.short(), self.int(), self.short());
        let (_modifier, format) = (self.int(), self.short());
        format!("{name}:{oid}:{format}")
    }

    fn value(&mut self) -> String {
        let Ok(length) = usize::try_from(self.int()) else { return "NULL".to_owned() };
        let (value, rest) = self.0.split_at(length);
        self.0 = rest;
        printable(value)
    }

    /// The format of a COPY and of its columns.
    fn copy_formats(&mut self) -> String {
        let [whole] = self.take();
        let columns: Vec<_> = (0..self.short()).map(|_| self.short().to_string()).collect();
        format!("{whole}: {}", columns.join(","))
    }
}

fn printable(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.trim_end_matches('\n').chars().any(char::is_control) => {
            text.replace('\n', "\\n")
        }
        _ => format!("x{}", value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// A connection without a driver.
pub struct Wire {
    /// The socket.
    pub stream: TcpStream,
    input: Vec<u8>,
    /// The session's number and secret, for [`cancel`].
    pub key: (i32, Vec<u8>),
    /// What ParameterStatus has said at the start.
    pub parameters: BTreeMap<String, String>,
}

impl Wire {
    /// Opens a socket and says nothing yet.
    pub async fn open(addr: SocketAddr) -> Result<Self> {
        Ok(Self::of(TcpStream::connect(addr).await?))
    }

    fn of(stream: TcpStream) -> Self {
        Self { stream, input: Vec::new(), key: (0, vec![]), parameters: BTreeMap::new() }
    }

    /// Connects as `tarn` and waits for the first ReadyForQuery.
    pub async fn connect(addr: SocketAddr) -> Result<Self> {
        let mut wire = Self::open(addr).await?;
        wire.log_in().await?;
        Ok(wire)
    }

    /// As [`Self::connect`], with a socket that takes few bytes before it is read.
    pub async fn connect_narrow(addr: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(32 * 1024)?;
        let mut wire = Self::of(socket.connect(addr).await?);
        wire.log_in().await?;
        Ok(wire)
    }

    async fn log_in(&mut self) -> Result<()> {
        self.send(&startup(PROTOCOL_3_0, &[("user", "tarn"), ("database", "tarn")])).await?;
        for message in self.until_ready().await? {
            let mut body = Reader(&message.body);
            match message.kind {
                b'S' => {
                    self.parameters.insert(body.text(), body.text());
                }
                b'E' => bail!("no session: {}", message.line()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(MESSAGE_LIMIT, self.stream.write_all(bytes))
            .await
            .context("the server does not read")??;
        Ok(())
    }

    /// Reads a single byte, which answers a request for encryption.
    pub async fn byte(&mut self) -> Result<u8> {
        Ok(timeout(MESSAGE_LIMIT, self.stream.read_u8()).await.context("no answer")??)
    }

    /// Reads the next message; `None` at the end of the connection.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some(head) = self.input.first_chunk::<5>() {
                let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
                let total = 1 + usize::try_from(length)?;
                if self.input.len() >= total {
                    let message = Message { kind: head[0], body: self.input[5..total].to_vec() };
                    self.input.drain(..total);
                    if message.kind == b'K' {
                        let mut body = Reader(&message.body);
                        self.key = (body.int(), body.0.to_vec());
                    }
                    return Ok(Some(message));
                }
            }
            let read = timeout(MESSAGE_LIMIT, self.stream.read_buf(&mut self.input));
            match read.await.context("no message from the server")? {
                Ok(0) => return Ok(None),
                // The server closed the connection with bytes of ours unread.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    return Ok(None);
                }
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads up to ReadyForQuery, or to the end of the connection.
    pub async fn until_ready(&mut self) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await? {
            let ready = message.kind == b'Z';
            messages.push(message);
            if ready {
                break;
            }
        }
        Ok(messages)
    }

    /// Sends `bytes` and returns the answer up to ReadyForQuery, a line for each message.
    pub async fn exchange(&mut self, bytes: &[u8]) -> Result<Vec<String>> {
        self.send(bytes).await?;
        let messages = self.until_ready().await?;
        let mut lines: Vec<String> = messages.iter().map(Message::line).collect();
        if messages.last().is_none_or(|message| message.kind != b'Z') {
            lines.push("closed".to_owned());
        }
        Ok(lines)
    }

    /// Sends messages and compares what comes back.
    pub async fn check(&mut self, messages: &[Vec<u8>], expected: &[&str]) -> Result<()> {
        let found = self.exchange(&messages.concat()).await?;
        ensure!(found == expected, "expected {expected:#?}\nfound {found:#?}");
        Ok(())
    }

    /// Proves that the connection works.
    pub async fn check_alive(&mut self) -> Result<()> {
        let lines = self.exchange(&query("SELECT 'ok' AS is")).await?;
        ensure!(lines.len() == 4, "{lines:?}");
        ensure!(lines[..3] == ["columns is:25:0", "row ok", "done SELECT 1"], "{lines:?}");
        Ok(())
    }
}

/// Sends a cancel request and waits until the server has taken it.
pub async fn cancel(addr: SocketAddr, (pid, secret): &(i32, Vec<u8>)) -> Result<()> {
    let mut wire = Wire::open(addr).await?;
    let body = [&80_877_102_i32.to_be_bytes()[..], &pid.to_be_bytes(), secret].concat();
    wire.send(&packet(&body)).await?;
    ensure!(wire.next().await?.is_none(), "a cancel request is not answered");
    Ok(())
}

/// A packet without a type: its length and `body`.
pub fn packet(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).expect("packets are short");
    [&length.to_be_bytes(), body].concat()
}

/// A message with its type and length.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(packet(body));
    bytes
}

/// The first packet of a connection.
pub fn startup(version: i32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([text(name), text(value)].concat());
    }
    body.push(0);
    packet(&body)
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Query.
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &text(sql))
}

/// Parse with declared parameter types.
pub fn parse(name: &str, sql: &str, oids: &[i32]) -> Vec<u8> {
    let mut body = [text(name), text(sql), count(oids.len())].concat();
    body.extend(oids.iter().flat_map(|oid| oid.to_be_bytes()));
    message(b'P', &body)
}

/// Bind with formats and values of parameters and formats of results.
pub fn bind(
    portal: &str,
    statement: &str,
    formats: &[i16],
    values: &[Option<&[u8]>],
    results: &[i16],
) -> Vec<u8> {
    let codes = |codes: &[i16]| {
        [count(codes.len()), codes.iter().flat_map(|code| code.to_be_bytes()).collect()].concat()
    };
    let mut body = [text(portal), text(statement), codes(formats), count(values.len())].concat();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).expect("is short"));
        body.extend(length.to_be_bytes());
        body.extend(value.unwrap_or_default());
    }
    body.extend(codes(results));
    message(b'B', &body)
}

/// Bind of the unnamed statement to the unnamed portal with text values.
pub fn bind_texts(values: &[&str]) -> Vec<u8> {
    let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
    bind("", "", &[], &values, &[])
}

/// Describe of a statement (`b'S'`) or portal (`b'P'`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    message(b'D', &[vec![kind], text(name)].concat())
}

/// Execute with a row limit.
pub fn execute(portal: &str, n_rows: i32) -> Vec<u8> {
    message(b'E', &[text(portal), n_rows.to_be_bytes().to_vec()].concat())
}

/// Close of a statement or portal.
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    message(b'C', &[vec![kind], text(name)].concat())
}

/// Sync.
pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// Flush.
pub fn flush() -> Vec<u8> {
    message(b'H', b"")
}

fn count(n: usize) -> Vec<u8> {
    u16::try_from(n).expect("counts have 16 bits").to_be_bytes().to_vec()
}
