//! Input that no client sends by accident: each gets an error, the server goes on, and storage
//! stays as it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tarn_tests::harness::{Server, demo_data};
use tokio::io::AsyncWriteExt;

use super::wire::{
    PROTOCOL_3_0, Wire, bind, describe, execute, message, parse, query, startup, sync,
};

/// Sends a statement and returns its last line before ReadyForQuery; the connection must live.
async fn last_line(wire: &mut Wire, sql: &str) -> Result<String> {
    let lines = wire.exchange(&query(sql)).await?;
    let [.., last, ready] = lines.as_slice() else { bail!("{lines:?}") };
    ensure!(ready == "ready I", "{:?}", &lines[lines.len().saturating_sub(3)..]);
    wire.check_alive().await?;
    Ok(last.clone())
}

/// Statements whose size kills recursive planners, and how they may end.
pub(super) fn large_statements() -> Vec<(&'static str, String, &'static [&'static str])> {
    const TOO_COMPLEX: &[&str] = &["ERROR 54001"];
    const FINE: &[&str] = &["done SELECT 1"];
    let chain = |n: usize, part: &str, glue: &str| vec![part; n].join(glue);
    vec![
        ("10 MB of text", format!("SELECT length('{}')", "x".repeat(10_000_000)), FINE),
        ("10 MB of comment", format!("/*{}*/ SELECT 1", "x".repeat(10_000_000)), FINE),
        ("2 MB of nonsense", "x ".repeat(1_000_000), &["ERROR 42601"]),
        (
            "1 MB of list",
            format!("SELECT 1 WHERE 1 IN ({})", chain(100_000, "12345678", ",")),
            &["done SELECT 0", "ERROR 54001"],
        ),
        (
            "5,000 parentheses",
            format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
            TOO_COMPLEX,
        ),
        ("300 parentheses", format!("SELECT {}1{}", "(".repeat(300), ")".repeat(300)), FINE),
        ("unclosed parentheses", format!("SELECT {}", "(".repeat(100_000)), TOO_COMPLEX),
        (
            "5,000 brackets",
            format!("SELECT {}1{}", "ARRAY[".repeat(5_000), "]".repeat(5_000)),
            TOO_COMPLEX,
        ),
        (
            "20,000 ORed terms",
            format!("SELECT 1 WHERE {}", chain(20_000, "1 = 2", " OR ")),
            TOO_COMPLEX,
        ),
        (
            "1,900 ORed terms",
            format!("SELECT n_name FROM nation WHERE {}", chain(1_900, "n_nationkey = 2", " OR ")),
            FINE,
        ),
        (
            "20,000 ANDed terms",
            format!("SELECT 1 WHERE {}", chain(20_000, "1 = 1", " AND ")),
            TOO_COMPLEX,
        ),
        ("5,000 UNION branches", chain(5_000, "SELECT 1", " UNION ALL "), TOO_COMPLEX),
        (
            "400 UNION branches",
            format!("SELECT count(*) FROM ({}) t", chain(400, "SELECT 1", " UNION ALL ")),
            FINE,
        ),
        ("2,000 additions", format!("SELECT {}", chain(2_000, "1", " + ")), TOO_COMPLEX),
        ("400 additions", format!("SELECT {}", chain(400, "1", " + ")), FINE),
        (
            "400 additions of a column",
            format!("SELECT max({}) FROM nation", chain(400, "n_nationkey", " + ")),
            FINE,
        ),
        ("5,000 minus signs", format!("SELECT {}1", "- ".repeat(5_000)), TOO_COMPLEX),
        ("5,000 NOTs", format!("SELECT {}true", "NOT ".repeat(5_000)), TOO_COMPLEX),
        ("5,000 casts", format!("SELECT 1{}", "::int".repeat(5_000)), TOO_COMPLEX),
        (
            "5,000 CASEs",
            format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(5_000), " END".repeat(5_000)),
            TOO_COMPLEX,
        ),
        (
            "5,000 subqueries",
            format!(
                "SELECT * FROM {}nation{}",
                "(SELECT * FROM ".repeat(5_000),
                ") t".repeat(5_000)
            ),
            TOO_COMPLEX,
        ),
        (
            "5,000 function calls",
            format!("SELECT {}1{}", "abs(".repeat(5_000), ")".repeat(5_000)),
            TOO_COMPLEX,
        ),
        (
            "1,000 joins",
            format!("SELECT 1 FROM nation{}", " CROSS JOIN nation".repeat(1_000)),
            TOO_COMPLEX,
        ),
        (
            "1,000 tables with commas",
            format!("SELECT 1 FROM {}", chain(1_000, "nation", ", ")),
            &["ERROR 54001", "ERROR 42702", "ERROR 42712"],
        ),
        (
            "2,000 WITH queries",
            format!(
                "WITH a0 AS (SELECT 1 AS x){} SELECT x FROM a1999",
                (1..2_000)
                    .map(|i| format!(", a{i} AS (SELECT x FROM a{})", i - 1))
                    .collect::<String>()
            ),
            TOO_COMPLEX,
        ),
        (
            "100 WITH queries",
            format!(
                "WITH a0 AS (SELECT 1 AS x){} SELECT x FROM a99",
                (1..100)
                    .map(|i| format!(", a{i} AS (SELECT x FROM a{})", i - 1))
                    .collect::<String>()
            ),
            FINE,
        ),
        (
            "3,000 columns",
            format!("SELECT {}", chain(3_000, "1", ", ")),
            &["done SELECT 1", "ERROR 54011"],
        ),
        ("a name of 1 MB", format!("SELECT \"{}\"", "n".repeat(1_000_000)), &["ERROR 42703"]),
        ("a number of 1 MB", format!("SELECT {}", "9".repeat(1_000_000)), &["ERROR 22003"]),
        ("unclosed quotes", format!("SELECT '{}", "x".repeat(1_000_000)), &["ERROR 42601"]),
        ("2,000 statements", "SELECT 1;".repeat(2_000), FINE),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn large_statements_are_answered() -> Result<()> {
    let server = Server::start(&[demo_data(0.01)?]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let mut faults = Vec::new();
    for (what, sql, expected) in large_statements() {
        let started = std::time::Instant::now();
        match last_line(&mut wire, &sql).await {
            Ok(last) if expected.contains(&last.as_str()) => {}
            Ok(last) => faults.push(format!("{what}: {last} instead of {expected:?}")),
            Err(error) => {
                faults.push(format!("{what}: {error:#}"));
                wire = Wire::connect(server.pg_addr()?).await.context(what)?;
            }
        }
        println!("{what}: {:?}", started.elapsed());
    }
    server.stop().await;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_utf8_is_an_error() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    for text in
        [&b"SELECT '\xff\xfe'\0"[..], b"SELECT '\xc3'\0", b"\x80\0", b"SELECT '\xed\xa0\x80'\0"]
    {
        wire.check(&[message(b'Q', text)], &["ERROR 22021", "ready I"]).await?;
        let body = [&b"name\0"[..], text, &[0, 0]].concat();
        wire.check(
            &[message(b'P', &body), describe(b'S', "name"), sync()],
            &["ERROR 22021", "ready I"],
        )
        .await?;
        wire.check_alive().await?;
    }
    wire.check(&[message(b'D', b"S\xff\xff\0"), sync()], &["ERROR 22021", "ready I"]).await?;
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

/// Frames that hold less, more or other things than their type says.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_errors() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let bodies: Vec<(u8, Vec<u8>)> = vec![
        (b'P', vec![]),
        (b'P', b"name".to_vec()),
        (b'P', b"name\0SELECT 1".to_vec()),
        (b'P', b"\0SELECT 1\0".to_vec()),
        (b'P', b"\0SELECT 1\0\x00\x02\0\0\0\x17".to_vec()),
        (b'P', b"\0SELECT 1\0\xff\xff".to_vec()),
        (b'B', vec![]),
        (b'B', b"\0\0".to_vec()),
        (b'B', b"\0\0\0\x01".to_vec()),
        (b'B', b"\0\0\xff\xff\0\0\0\0".to_vec()),
        (b'B', b"\0\0\0\0\xff\xff\0\0".to_vec()),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0".to_vec()),
        (b'B', b"\0\0\0\0\0\x01\x80\0\0\0\0\0".to_vec()),
        (b'B', b"\0\0\0\0\0\0\xff\xff".to_vec()),
        (b'B', b"\0\0\0\0\0\0\0\0trailing".to_vec()),
        (b'D', vec![]),
        (b'D', b"S".to_vec()),
        (b'C', vec![]),
        (b'C', b"Pname".to_vec()),
        (b'E', vec![]),
        (b'E', b"\0".to_vec()),
        (b'E', b"\0\0\0".to_vec()),
        (b'H', b"more".to_vec()),
        (b'p', b"password\0".to_vec()),
    ];
    for (kind, body) in bodies {
        let what = || format!("{} {body:x?}", char::from(kind));
        let lines =
            wire.exchange(&[message(kind, &body), sync()].concat()).await.with_context(what)?;
        let [error, end] = lines.as_slice() else { bail!("{}: {lines:?}", what()) };
        ensure!(
            error.starts_with("ERROR ") || error.starts_with("FATAL 08P01"),
            "{}: {lines:?}",
            what()
        );
        ensure!(error.starts_with("ERROR ") == (end == "ready I"), "{}: {lines:?}", what());
        if end == "closed" {
            wire = Wire::connect(server.pg_addr()?).await?;
        }
        wire.check_alive().await.with_context(what)?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn absurd_lengths_end_the_connection_with_a_reason() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    for kind in [b'Q', b'P', b'B', b'E', b'S', b'X', b'd', b'?', 0, 0xff] {
        for length in [i32::MIN, -1, 0, 3, i32::MAX, 1 << 30] {
            let mut wire = Wire::connect(addr).await?;
            let mut bytes = vec![kind];
            bytes.extend(length.to_be_bytes());
            let lines = wire.exchange(&bytes).await?;
            ensure!(lines == ["FATAL 08P01", "closed"], "{kind} {length}: {lines:?}");
        }
    }
    Wire::connect(addr).await?.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_cut_short_leave_nothing_behind() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    let bytes = [
        startup(PROTOCOL_3_0, &[("user", "tarn"), ("database", "tarn")]),
        query("SELECT count(*) FROM generate_series(1, 10)"),
        parse("s", "SELECT $1 + 1", &[23]),
        bind("p", "s", &[1], &[Some(&[0, 0, 0, 1])], &[1]),
        execute("p", 1),
        sync(),
    ]
    .concat();
    for length in 0..bytes.len() {
        let mut wire = Wire::open(addr).await?;
        wire.send(&bytes[..length]).await?;
        wire.stream.shutdown().await?;
        if length % 2 == 0 {
            // The server notices the end, whatever is missing.
            while wire.next().await?.is_some() {}
        }
    }
    server.until_quiet(std::time::Duration::from_secs(20)).await?;
    let client = server.connect().await?;
    tarn_tests::harness::wait_until(std::time::Duration::from_secs(20), async || {
        let row = client.query_one("SELECT count(*) FROM tarn.sessions", &[]).await?;
        Ok(row.get::<_, i64>(0) == 1)
    })
    .await
    .context("sessions of clients that are gone")?;
    server.stop().await;
    Ok(())
}

/// The same numbers in every run.
pub(super) struct Seeded(pub(super) u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n).expect("fits")).expect("is below n")
    }

    pub(super) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}

/// Sends bytes, half closes, and reads until the server closes.
async fn shout(wire: &mut Wire, bytes: &[u8]) -> Result<()> {
    // The server may close before it has read everything.
    let _ = wire.send(bytes).await;
    let _ = wire.stream.shutdown().await;
    while let Ok(Some(_)) = wire.next().await {}
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_do_no_harm() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    let mut random = Seeded(0x7a72_6e00_2026);
    for _ in 0..150 {
        let n = 1 + random.below(600);
        let bytes = random.bytes(n);
        shout(&mut Wire::open(addr).await?, &bytes).await?;
        let mut wire = Wire::connect(addr).await?;
        shout(&mut wire, &bytes).await?;
        // Frames that look right with bodies that are not.
        let mut wire = Wire::connect(addr).await?;
        let mut frames = Vec::new();
        for _ in 0..4 {
            let kind = b"QPBDECHSfdcp"[random.below(12)];
            let n = random.below(60);
            frames.extend(message(kind, &random.bytes(n)));
        }
        shout(&mut wire, &frames).await?;
    }
    Wire::connect(addr).await?.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_parameters_as_the_protocol_counts() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    let n = 65_535;
    let list: Vec<String> = (1..=n).map(|i| format!("${i}")).collect();
    let sql = format!("SELECT 1 AS x WHERE 7 IN ({})", list.join(","));
    let values = vec![Some(&b"7"[..]); n];
    wire.check(
        &[parse("", &sql, &vec![23; n]), bind("", "", &[], &values, &[]), execute("", 0), sync()],
        &["parsed", "bound", "row 1", "done SELECT 1", "ready I"],
    )
    .await?;
    wire.check(&[bind("", "", &[], &values[1..], &[]), sync()], &["ERROR 08P01", "ready I"])
        .await?;
    for sql in ["SELECT $65536", "SELECT $2147483647", "SELECT $99999999999999999999", "SELECT $0"]
    {
        let lines = wire.exchange(&[parse("", sql, &[]), sync()].concat()).await?;
        ensure!(lines[0].starts_with("ERROR 42"), "{sql}: {lines:?}");
    }
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

/// Every file below a folder with its bytes' hash.
fn fingerprint(folder: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(fingerprint(&path)?);
        } else {
            let mut hasher = DefaultHasher::new();
            std::fs::read(&path)?.hash(&mut hasher);
            files.insert(path, hasher.finish());
        }
    }
    Ok(files)
}

/// Statements that are wrong must not touch what they name.
#[tokio::test(flavor = "multi_thread")]
async fn storage_is_as_before() -> Result<()> {
    let folder = demo_data(0.01)?;
    let before = fingerprint(&folder)?;
    let server = Server::start(std::slice::from_ref(&folder)).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    for sql in [
        "DELETE FROM nation WHERE missing = 1",
        "DELETE FROM nation WHERE n_nationkey IN (SELECT missing FROM region)",
        "UPDATE nation SET missing = 1",
        "UPDATE nation SET n_nationkey = 1 / 0",
        "INSERT INTO nation VALUES (1)",
        "INSERT INTO nation SELECT 'x', 'y', 'z', 'w'",
        "DROP TABLE missing",
        "COPY nation TO PROGRAM 'sh'",
        "COPY nation TO '/tmp/tarn-it-hostile'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"../../../etc/passwd\"",
        "BEGIN READ ONLY; DELETE FROM nation",
        "ROLLBACK; SELECT 1 FROM missing",
    ] {
        let lines = wire.exchange(&query(sql)).await?;
        ensure!(lines.iter().any(|line| line.starts_with("ERROR ")), "{sql}: {lines:?}");
    }
    let addr: SocketAddr = server.pg_addr()?;
    let mut random = Seeded(42);
    for _ in 0..20 {
        let bytes = random.bytes(200);
        shout(&mut Wire::connect(addr).await?, &bytes).await?;
    }
    ensure!(!Path::new("/tmp/tarn-it-hostile").exists(), "COPY has written a file of the server");
    server.stop().await;
    ensure!(fingerprint(&folder)? == before, "files have changed");
    Ok(())
}
