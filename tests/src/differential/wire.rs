//! A client of the Postgres protocol that keeps the bytes of an answer.
//!
//! It blocks: two servers are asked one after the other, statement by statement.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// How long a server may take for one message.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

/// Frames above this size are a fault of the server.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The number of its type.
    pub oid: u32,
    /// Its type modifier.
    pub modifier: i32,
}

/// The answer to one statement of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Columns, if it returns rows.
    pub columns: Option<Vec<Column>>,
    /// Rows as they came, or the lines of a COPY.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    /// `SELECT 1`; empty for an empty statement and an error.
    pub tag: String,
    /// SQLSTATE and message of an error.
    pub error: Option<(String, String)>,
}

/// Everything up to `ReadyForQuery`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Types of the parameters (extended protocol).
    pub parameters: Option<Vec<u32>>,
    /// One for each statement of the message.
    pub parts: Vec<Part>,
    /// State of the transaction: `I`, `T` or `E`; `-` when the connection is lost.
    pub status: u8,
}

impl Answer {
    /// An answer for a server that closed the connection or did not answer in time.
    pub fn lost(error: &anyhow::Error) -> Self {
        let part =
            Part { error: Some(("lost".to_owned(), format!("{error:#}"))), ..Part::default() };
        Self { parameters: None, parts: vec![part], status: b'-' }
    }
}

/// A statement of the extended protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// Declared types of the parameters, 0 for "infer it"; may be shorter than the values.
    pub types: Vec<u32>,
    /// Values in text format.
    pub values: Vec<Option<String>>,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Bytes read and not yet taken.
    pending: Vec<u8>,
}

impl Connection {
    /// Connects without TLS; the server must trust this client.
    pub fn open(addr: SocketAddr, user: &str, database: &str) -> Result<Self> {
        let stream = TcpStream::connect(addr).with_context(|| format!("connecting to {addr}"))?;
        stream.set_read_timeout(Some(MESSAGE_LIMIT))?;
        stream.set_nodelay(true)?;
        let mut connection = Self { stream, pending: Vec::new() };
        let mut body = (3_i32 << 16).to_be_bytes().to_vec();
        for (name, value) in [
            ("user", user),
            ("database", database),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("extra_float_digits", "1"),
        ] {
            text(&mut body, name);
            text(&mut body, value);
        }
        body.push(0);
        let mut frame = u32::try_from(body.len() + 4)?.to_be_bytes().to_vec();
        frame.extend(body);
        connection.stream.write_all(&frame)?;
        let answer = connection.answer(&[])?;
        if let Some((code, message)) = answer.parts.iter().find_map(|part| part.error.clone()) {
            bail!("{addr} refuses the connection: {code} {message}");
        }
        Ok(connection)
    }

    /// Sends a text of one or more statements; `copied` answers a COPY FROM STDIN.
    pub fn simple(&mut self, sql: &str, copied: &[String]) -> Result<Answer> {
        let mut body = Vec::new();
        text(&mut body, sql);
        self.send(b'Q', &body)?;
        self.answer(copied)
    }

    /// Prepares, describes, binds and runs one statement; rows come in binary format.
    pub fn extended(&mut self, sql: &str, bound: &Bound) -> Result<Answer> {
        let mut body = Vec::new();
        text(&mut body, "");
        text(&mut body, sql);
        body.extend(u16::try_from(bound.types.len())?.to_be_bytes());
        for oid in &bound.types {
            body.extend(oid.to_be_bytes());
        }
        self.send(b'P', &body)?;
        self.send(b'D', b"S\0")?;
        let mut body = vec![0, 0, 0, 0];
        body.extend(u16::try_from(bound.values.len())?.to_be_bytes());
        for value in &bound.values {
            match value {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(value) => {
                    body.extend(u32::try_from(value.len())?.to_be_bytes());
                    body.extend(value.as_bytes());
                }
            }
        }
        // One format for all columns: binary.
        body.extend([0, 1, 0, 1]);
        self.send(b'B', &body)?;
        self.send(b'E', &[0, 0, 0, 0, 0])?;
        self.send(b'S', &[])?;
        self.answer(&[])
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let mut frame = vec![kind];
        frame.extend(u32::try_from(body.len() + 4)?.to_be_bytes());
        frame.extend(body);
        self.stream.write_all(&frame)?;
        Ok(())
    }

    /// Reads messages up to `ReadyForQuery`.
    fn answer(&mut self, copied: &[String]) -> Result<Answer> {
        let mut answer = Answer::default();
        let mut part = Part::default();
        loop {
            let (kind, body) = match self.message() {
                Ok(message) => message,
                // An error before the end of the connection is the better reason.
                Err(error) => match &part.error {
                    Some((code, message)) => bail!("{code} {message}, then {error:#}"),
                    None => return Err(error),
                },
            };
            let mut reader = Reader(&body);
            match kind {
                b'T' => part.columns = Some(columns(&mut reader)?),
                b'D' => part.rows.push(row(&mut reader)?),
                b't' => answer.parameters = Some(oids(&mut reader)?),
                b'd' => part.rows.push(vec![Some(body.clone())]),
                b'G' => self.copy_in(copied)?,
                b'C' | b'I' => {
                    if kind == b'C' {
                        part.tag = reader.text()?;
                    }
                    answer.parts.push(std::mem::take(&mut part));
                }
                b'E' => {
                    part.error = Some((field(&body, b'C'), field(&body, b'M')));
                    // Rows before an error are not the answer.
                    part.rows.clear();
                    answer.parts.push(std::mem::take(&mut part));
                }
                b'Z' => {
                    answer.status = body.first().copied().unwrap_or(b'?');
                    return Ok(answer);
                }
                b'R' => ensure!(reader.int()? == 0, "the server asks for a password"),
                _ => {}
            }
        }
    }

    fn copy_in(&mut self, lines: &[String]) -> Result<()> {
        for line in lines {
            self.send(b'd', format!("{line}\n").as_bytes())?;
        }
        self.send(b'c', &[])
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let head: [u8; 5] = self.take(5)?.try_into().ok().context("five bytes")?;
        let [kind, a, b, c, d] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d]))?;
        ensure!((4..FRAME_BYTES_MAX).contains(&length), "a frame of {length} bytes");
        Ok((kind, self.take(length - 4)?))
    }

    fn take(&mut self, n: usize) -> Result<Vec<u8>> {
        let mut chunk = [0_u8; 16 * 1024];
        while self.pending.len() < n {
            let read = self.stream.read(&mut chunk).context("no answer")?;
            ensure!(read > 0, "the server closed the connection");
            self.pending.extend(chunk.iter().take(read));
        }
        let rest = self.pending.split_off(n);
        Ok(std::mem::replace(&mut self.pending, rest))
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.as_bytes());
    body.push(0);
}

/// Takes values off the front of a message's body.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().context("the message is too short")?;
        self.0 = rest;
        Ok(*head)
    }

    fn int(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    fn short(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    fn text(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0).context("a text without end")?;
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

fn columns(reader: &mut Reader<'_>) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    for _ in 0..reader.short()? {
        let name = reader.text()?;
        let (_table, _number) = (reader.int()?, reader.short()?);
        let oid = u32::from_be_bytes(reader.take()?);
        let (_size, modifier, _format) = (reader.short()?, reader.int()?, reader.short()?);
        columns.push(Column { name, oid, modifier });
    }
    Ok(columns)
}

fn oids(reader: &mut Reader<'_>) -> Result<Vec<u32>> {
    (0..reader.short()?).map(|_| Ok(u32::from_be_bytes(reader.take()?))).collect()
}

fn row(reader: &mut Reader<'_>) -> Result<Vec<Option<Vec<u8>>>> {
    let mut values = Vec::new();
    for _ in 0..reader.short()? {
        let Ok(length) = usize::try_from(reader.int()?) else {
            values.push(None);
            continue;
        };
        let (value, rest) = reader.0.split_at_checked(length).context("a value is cut off")?;
        values.push(Some(value.to_vec()));
        reader.0 = rest;
    }
    Ok(values)
}

/// A field of an error, empty where it is absent.
fn field(body: &[u8], code: u8) -> String {
    let mut fields = body.split(|byte| *byte == 0);
    let found = fields.find_map(|field| field.strip_prefix(&[code]));
    String::from_utf8_lossy(found.unwrap_or_default()).into_owned()
}
