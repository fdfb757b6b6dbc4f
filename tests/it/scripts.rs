//! Message scripts: bytes in, messages out, the same on tarn and on PostgreSQL.
//!
//! A file in `scripts/` holds sections. What a section sends is on lines with `>`, everything
//! else is an answer as [`super::wire`] writes it:
//!
//! ```text
//! == portals end with their transaction
//! > query BEGIN
//! done BEGIN
//! ready T
//! ```
//!
//! | line | what |
//! |---|---|
//! | `== TITLE` | begins a section, without connections |
//! | `only tarn`, `only postgres` | skips the section on the other one; the comment above says why |
//! | `connect NAME K=V …` | opens a connection; without one, the first message opens `a` |
//! | `open NAME` | opens a socket and says nothing |
//! | `use NAME` | goes on with another connection |
//! | `cancel NAME` | sends cancel requests until that connection has an error |
//! | `late cancel NAME` | sends one cancel request and goes on |
//! | `status NAME …` | writes what ParameterStatus has said last |
//! | `> query SQL`, `> parse NAME OIDS SQL`, … | see [`encode`]; lines in a row leave in one write |
//! | `tarn: LINE`, `postgres: LINE` | an answer of only one of them |
//! | `# …` | a comment |
//!
//! `-` is an empty name or list. `\n`, `\0`, `\xNN` and `\\` stand for bytes.
//!
//! With `TARN_REWRITE_SCRIPTS=1` the answers are replaced by those of PostgreSQL.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tarn_tests::harness::{
    PostgresProcess, Server, connect_pg_url, repository_file, require_or_skip,
};

use super::wire::{self, Wire};

/// How long a message may take before it counts as missing.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long the rewriting waits for a message that may not come.
const SILENCE: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Tarn,
    Postgres,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Tarn => "tarn",
            Self::Postgres => "postgres",
        }
    }
}

/// One server that scripts run on.
struct Target {
    engine: Engine,
    addr: SocketAddr,
    rewrite: bool,
}

/// A section's connections and what it has found wrong.
struct Run<'a> {
    target: &'a Target,
    connections: BTreeMap<String, Connection>,
    current: String,
    /// The section as it is found to be.
    output: String,
}

struct Connection {
    wire: Wire,
    status: BTreeMap<String, String>,
    closed: bool,
}

impl Connection {
    /// The next line; `None` where nothing comes.
    async fn line(&mut self, limit: Duration) -> Result<Option<String>> {
        if self.closed {
            return Ok(None);
        }
        let Ok(message) = tokio::time::timeout(limit, self.wire.next()).await else {
            return Ok(None);
        };
        let Some(message) = message? else {
            self.closed = true;
            return Ok(Some("closed".to_owned()));
        };
        let line = message.line();
        if let Some((name, value)) = line.strip_prefix("status ").and_then(|s| s.split_once('=')) {
            self.status.insert(name.to_owned(), value.to_owned());
        }
        Ok(Some(line))
    }
}

impl<'a> Run<'a> {
    fn new(target: &'a Target) -> Self {
        Self {
            target,
            connections: BTreeMap::new(),
            current: "a".to_owned(),
            output: String::new(),
        }
    }

    async fn connection(&mut self) -> Result<&mut Connection> {
        if !self.connections.contains_key(&self.current) {
            let name = self.current.clone();
            let answers = self.connect(&name, &[]).await?;
            ensure!(answers.ends_with(&["ready I".to_owned()]), "no connection: {answers:?}");
        }
        self.connections.get_mut(&self.current).context("a connection that was never opened")
    }

    /// Opens a connection; `protocol` and `user` are no parameters of the packet as they stand.
    async fn connect(&mut self, name: &str, words: &[String]) -> Result<Vec<String>> {
        let mut version = wire::PROTOCOL_3_0;
        let mut parameters = vec![];
        for word in words {
            let (key, value) = word.split_once('=').context("KEY=VALUE")?;
            match key {
                "protocol" => version = wire::PROTOCOL_3_0 + value.parse::<i32>()?,
                _ => parameters.push((key, value)),
            }
        }
        for (key, value) in [("user", "tarn"), ("database", "tarn")] {
            if !parameters.iter().any(|(known, _)| *known == key) {
                parameters.insert(0, (key, value));
            }
        }
        parameters.retain(|(_, value)| *value != "-");
        let mut wire = Wire::open(self.target.addr).await?;
        wire.send(&wire::startup(version, &parameters)).await?;
        let mut connection = Connection { wire, status: BTreeMap::new(), closed: false };
        let mut answers = vec![];
        while let Some(line) = connection.line(ANSWER_LIMIT).await? {
            let (ready, closed) = (line == "ready I", line == "closed");
            if !line.starts_with("status ") {
                answers.push(line);
            }
            if ready || closed {
                break;
            }
        }
        self.connections.insert(name.to_owned(), connection);
        self.current = name.to_owned();
        Ok(answers)
    }

    /// What a directive answers; `None` where the line is none.
    async fn directive(&mut self, line: &str) -> Result<Option<Vec<String>>> {
        let words = words(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        Ok(Some(match words.as_slice() {
            ["connect", name, parameters @ ..] => {
                let parameters: Vec<_> = parameters.iter().map(|p| (*p).to_owned()).collect();
                self.connect(name, &parameters).await?
            }
            ["open", name] => {
                let wire = Wire::open(self.target.addr).await?;
                let connection = Connection { wire, status: BTreeMap::new(), closed: false };
                self.connections.insert((*name).to_owned(), connection);
                self.current = (*name).to_owned();
                vec![]
            }
            ["use", name] => {
                self.current = (*name).to_owned();
                vec![]
            }
            ["late", "cancel", name] => {
                let key =
                    self.connections.get(*name).context("no such connection")?.wire.key.clone();
                wire::cancel(self.target.addr, &key).await?;
                vec![]
            }
            ["cancel", name] => {
                let addr = self.target.addr;
                let connection = self.connections.get_mut(*name).context("no such connection")?;
                let mut lines: Vec<String> = vec![];
                let deadline = Instant::now() + ANSWER_LIMIT;
                // A request that comes before the statement has begun is lost.
                while !lines.last().is_some_and(|line| line.starts_with("ERROR")) {
                    ensure!(Instant::now() < deadline, "not cancelled: {lines:?}");
                    match connection.line(Duration::from_millis(100)).await? {
                        Some(line) => lines.push(line),
                        None => wire::cancel(addr, &connection.wire.key.clone()).await?,
                    }
                }
                // They come before or after the request, or never if planning was cancelled.
                lines.retain(|line| !line.starts_with("columns "));
                lines
            }
            ["status", names @ ..] => {
                let connection = self.connection().await?;
                let value = |name: &&str| connection.status.get(*name).cloned().unwrap_or_default();
                names.iter().map(|name| format!("{name} is {}", value(name))).collect()
            }
            _ => return Ok(None),
        }))
    }

    /// Compares a line of the section with what is found.
    fn found(&mut self, found: &str, faults: &mut Vec<String>, expected: Option<&str>) {
        if !self.target.rewrite && expected != Some(found) {
            faults.push(format!("expected {}, found {found}", expected.unwrap_or("nothing")));
        }
        let _ = writeln!(self.output, "{found}");
    }
}

/// The lines of a section that this engine sees.
fn visible(section: &str, engine: Engine) -> Vec<String> {
    let mut lines = vec![];
    for line in section.lines() {
        let (own, other) = match engine {
            Engine::Tarn => ("tarn: ", "postgres: "),
            Engine::Postgres => ("postgres: ", "tarn: "),
        };
        if line.starts_with(other) {
            continue;
        }
        lines.push(line.strip_prefix(own).unwrap_or(line).to_owned());
    }
    lines
}

fn is_note(line: &str) -> bool {
    line.is_empty() || line.starts_with('#') || line.starts_with("== ") || line.starts_with("only ")
}

fn is_step(line: &str) -> bool {
    let directives = ["connect ", "open ", "use ", "cancel ", "late cancel "];
    line.starts_with("> ")
        || directives.iter().any(|word| line.starts_with(word))
        // An answer has a value.
        || line.starts_with("status ") && !line.contains('=')
}

/// Runs a section; returns it as it is found to be, and what is wrong.
async fn run_section(section: &str, target: &Target) -> Result<(String, Vec<String>)> {
    let mut faults = vec![];
    let mut run = Run::new(target);
    let lines = visible(section, target.engine);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let _ = writeln!(run.output, "{line}");
        if is_note(line) {
            continue;
        }
        ensure!(is_step(line), "nothing was sent that could be answered by {line:?}");
        let mut n_ready = 0;
        let immediate = if line.starts_with("> ") {
            let mut bytes = encode(line)?;
            n_ready += ready_count(line);
            while let Some(more) = lines.get(at).filter(|line| line.starts_with("> ")) {
                let _ = writeln!(run.output, "{more}");
                bytes.extend(encode(more)?);
                n_ready += ready_count(more);
                at += 1;
            }
            run.connection().await?.wire.send(&bytes).await?;
            None
        } else {
            run.directive(line).await?
        };
        let n_expected = lines[at..].iter().take_while(|line| !is_note(line) && !is_step(line));
        let expected: Vec<String> = n_expected.cloned().collect();
        at += expected.len();
        let step = line.clone();
        let mut here = vec![];
        let mut found = immediate.clone().unwrap_or_default();
        if immediate.is_none() || step.starts_with("cancel") {
            let n_left = expected.len().saturating_sub(found.len());
            found.extend(answers(&mut run, n_left, n_ready).await?);
        }
        for (index, line) in found.iter().enumerate() {
            run.found(line, &mut here, expected.get(index).map(String::as_str));
        }
        if !target.rewrite {
            let missing = expected.iter().skip(found.len());
            here.extend(missing.map(|line| format!("expected {line}, found nothing")));
        }
        let wrong = !here.is_empty();
        faults.extend(here.into_iter().map(|fault| format!("after `{step}`: {fault}")));
        if wrong {
            // What follows would be compared with the wrong lines.
            return Ok((run.output, faults));
        }
    }
    for (name, connection) in &mut run.connections {
        if connection.closed {
            continue;
        }
        // A client that says good-bye gets no further word.
        let _ = connection.wire.send(&wire::message(b'X', b"")).await;
        while let Some(line) = connection.line(ANSWER_LIMIT).await? {
            if line != "closed" {
                faults.push(format!("at the end of `{name}`: found {line}"));
            }
        }
        if !connection.closed {
            faults.push(format!("`{name}` is not closed after Terminate"));
        }
    }
    Ok((run.output, faults))
}

async fn answers(run: &mut Run<'_>, n_expected: usize, n_ready: usize) -> Result<Vec<String>> {
    let rewrite = run.target.rewrite;
    let connection = run.connection().await?;
    let mut found: Vec<String> = vec![];
    loop {
        let ready = found.iter().filter(|line| line.starts_with("ready ")).count();
        let enough =
            if rewrite { n_ready > 0 && ready >= n_ready } else { found.len() >= n_expected };
        if enough || found.last().is_some_and(|line| line == "closed") {
            return Ok(found);
        }
        let limit = if rewrite && n_ready == 0 { SILENCE } else { ANSWER_LIMIT };
        match connection.line(limit).await? {
            Some(line) => found.push(line),
            None => return Ok(found),
        }
    }
}

/// How many ReadyForQuery a message brings.
fn ready_count(line: &str) -> usize {
    let word = line.trim_start_matches("> ").split(' ').next().unwrap_or_default();
    let whole = ["query", "sync", "function"].contains(&word);
    usize::from(whole || line.starts_with("> raw Q") || line.starts_with("> raw S"))
}

/// A line with `>` as a message.
fn encode(line: &str) -> Result<Vec<u8>> {
    let line = line.trim_start_matches("> ");
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let name = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
    let part = |index: usize| rest.splitn(3, ' ').nth(index).unwrap_or_default();
    Ok(match word {
        "query" => wire::message(b'Q', &[unescape(rest)?, vec![0]].concat()),
        "parse" => {
            let sql = [name(part(0)).into_bytes(), vec![0], unescape(part(2))?, vec![0]].concat();
            let oids: Vec<i32> = numbers(part(1))?;
            let mut body = [sql, u16::try_from(oids.len())?.to_be_bytes().to_vec()].concat();
            body.extend(oids.iter().flat_map(|oid| oid.to_be_bytes()));
            wire::message(b'P', &body)
        }
        "bind" => bind(rest)?,
        "describe" => wire::describe(part(0).as_bytes()[0], &name(part(1))),
        "close" => wire::close(part(0).as_bytes()[0], &name(part(1))),
        "execute" => wire::execute(&name(part(0)), part(1).parse().unwrap_or(0)),
        "sync" => wire::sync(),
        "flush" => wire::flush(),
        "terminate" => wire::message(b'X', b""),
        "data" => wire::message(b'd', &unescape(rest)?),
        "done" => wire::message(b'c', b""),
        "fail" => wire::message(b'f', &[unescape(rest)?, vec![0]].concat()),
        "function" => wire::message(b'F', &unescape(rest)?),
        "raw" => {
            let body = rest.split_once(' ').map_or("", |(_, body)| body);
            wire::message(rest.as_bytes()[0], &unescape(body)?)
        }
        "bytes" => unescape(rest)?,
        _ => bail!("unknown message {word}"),
    })
}

/// `bind PORTAL STATEMENT in=1 out=0,1 : VALUE | VALUE`
fn bind(rest: &str) -> Result<Vec<u8>> {
    let (head, values) = rest.split_once(" :").unwrap_or((rest, ""));
    let (mut names, mut formats, mut results) = (vec![], vec![], vec![]);
    for word in head.split(' ') {
        match word.split_once('=') {
            Some(("in", codes)) => formats = numbers(codes)?,
            Some(("out", codes)) => results = numbers(codes)?,
            _ => names.push(if word == "-" { "" } else { word }),
        }
    }
    let values: Vec<&str> =
        if values.is_empty() { vec![] } else { values.split('|').map(str::trim).collect() };
    let values = values.into_iter().map(|value| match value {
        "NULL" => Ok(None),
        value => unescape(value).map(Some),
    });
    let values: Vec<Option<Vec<u8>>> = values.collect::<Result<_>>()?;
    let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
    let [portal, statement] = names[..] else { bail!("bind needs two names: {rest}") };
    Ok(wire::bind(portal, statement, &formats, &values, &results))
}

fn numbers<T: std::str::FromStr>(text: &str) -> Result<Vec<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    if matches!(text, "-" | "") {
        return Ok(vec![]);
    }
    text.split(',').map(|number| Ok(number.parse()?)).collect()
}

fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, n) = match tail.first() {
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'0') => (0, 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => {
                let digits = tail.get(1..3).context("\\xNN")?;
                (u8::from_str_radix(std::str::from_utf8(digits)?, 16)?, 3)
            }
            _ => bail!("unknown escape in {text}"),
        };
        bytes.push(byte);
        rest = &tail[n..];
    }
    Ok(bytes)
}

/// Words with blanks in double quotes.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match (c, words.last_mut()) {
            ('"', _) => quoted = !quoted,
            (' ', _) if !quoted => words.push(String::new()),
            (c, Some(word)) => word.push(c),
            (_, None) => {}
        }
    }
    ensure!(!quoted, "unclosed quote: {line}");
    words.into_iter().map(|word| Ok(String::from_utf8(unescape(&word)?)?)).collect()
}

fn folder() -> PathBuf {
    repository_file("it/scripts")
}

/// Runs every script on a server; returns what is wrong.
async fn run_all(target: &Target) -> Result<Vec<String>> {
    let mut faults = vec![];
    let mut n_sections = 0;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder())?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut rewritten = String::new();
        let mut sections: Vec<String> = vec![];
        for line in text.lines() {
            match sections.last_mut() {
                Some(section) if !line.starts_with("== ") => {
                    let _ = writeln!(section, "{line}");
                }
                _ => sections.push(format!("{line}\n")),
            }
        }
        for section in sections {
            let title = section.lines().next().unwrap_or_default().to_owned();
            let other = match target.engine {
                Engine::Tarn => "only postgres",
                Engine::Postgres => "only tarn",
            };
            let fixed = ["tarn: ", "postgres: "].iter().any(|own| section.contains(own));
            if section.lines().any(|line| line == other) || target.rewrite && fixed {
                rewritten.push_str(&section);
                continue;
            }
            n_sections += 1;
            let ran = run_section(&section, target).await;
            let (found, wrong) = ran.with_context(|| format!("{name}: {title}"))?;
            let engine = target.engine.name();
            let wrong = wrong.iter().map(|fault| format!("{engine} {name} {title}: {fault}"));
            faults.extend(wrong.inspect(|fault| println!("{fault}")));
            rewritten.push_str(&found);
        }
        if target.rewrite {
            std::fs::write(&file, rewritten)?;
        }
    }
    println!("{n_sections} sections on {}", target.engine.name());
    Ok(faults)
}

#[tokio::test(flavor = "multi_thread")]
async fn message_scripts_on_tarn() -> Result<()> {
    let server = Server::start(&[]).await?;
    let target = Target { engine: Engine::Tarn, addr: server.pg_addr()?, rewrite: false };
    let faults = run_all(&target).await?;
    server.stop().await;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn message_scripts_on_postgres() -> Result<()> {
    let Some(postgres) = PostgresProcess::start()? else {
        require_or_skip("PostgreSQL is not installed");
        return Ok(());
    };
    let client = connect_pg_url(&postgres.url()).await?;
    client.batch_execute("CREATE DATABASE tarn").await?;
    let rewrite = std::env::var_os("TARN_REWRITE_SCRIPTS").is_some();
    let target = Target { engine: Engine::Postgres, addr: postgres.addr, rewrite };
    let faults = run_all(&target).await?;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
