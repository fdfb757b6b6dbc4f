//! The life of a server: passwords, TLS, many connections, limits, the end.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::CertificateDer;
use tarn_server::config::{AuthMode, TlsFiles};
use tarn_server::{ServerConfig, StartError};
use tarn_tests::harness::{
    Server, TarnProcess, connect_pg, connect_pg_url, demo_data, require_or_skip, rss_bytes,
    rss_peak_bytes, tarn_binary, wait_until,
};
use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::wire::{Message, PROTOCOL_3_0, Wire, message, query, startup};

const LIMIT: Duration = Duration::from_secs(60);

/// The SQLSTATE and message of a connection that failed.
fn refusal(error: &anyhow::Error) -> (String, String) {
    let error = error.downcast_ref::<tokio_postgres::Error>();
    let error = error.and_then(tokio_postgres::Error::as_db_error);
    error.map_or_else(Default::default, |e| (e.code().code().to_owned(), e.message().to_owned()))
}

async fn refused(url: &str) -> Result<(String, String)> {
    match connect_pg_url(url).await {
        Ok(_) => anyhow::bail!("{url} was let in"),
        Err(error) => Ok(refusal(&error)),
    }
}

pub fn with_password(config: &mut ServerConfig) {
    config.auth = AuthMode::Scram;
    config.password = Some("corréct horse".to_owned());
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_checked() -> Result<()> {
    let server = Server::start_with(&[], with_password).await?;
    let addr = server.pg_addr()?;
    let url = |user: &str, password: &str| {
        format!(
            "host={} port={} dbname=tarn user={user} password='{password}'",
            addr.ip(),
            addr.port()
        )
    };
    let client = connect_pg_url(&url("tarn", "corréct horse")).await?;
    let user: String = client.query_one("SELECT current_user::text", &[]).await?.get(0);
    ensure!(user == "tarn", "{user}");
    for (name, password) in
        [("tarn", "wrong"), ("tarn", ""), ("nobody", "corréct horse"), ("nobody", "x")]
    {
        if password.is_empty() {
            continue; // the driver itself refuses to send it
        }
        let expected = format!("password authentication failed for user \"{name}\"");
        let found = refused(&url(name, password)).await?;
        ensure!(found == ("28P01".to_owned(), expected), "{name} {password}: {found:?}");
    }
    // No password is left on disk.
    for entry in std::fs::read_dir(server.data_dir())? {
        let path = entry?.path();
        if path.is_file() {
            let bytes = std::fs::read(&path)?;
            let found = bytes.windows(5).any(|window| window == "horse".as_bytes());
            ensure!(!found, "{} holds the password", path.display());
        }
    }
    server.stop().await;
    Ok(())
}

/// The messages of an exchange for a user up to the server's challenge, without its nonces.
async fn challenge(server: &Server, user: &str) -> Result<Vec<String>> {
    let mut wire = Wire::open(server.pg_addr()?).await?;
    wire.send(&startup(PROTOCOL_3_0, &[("user", user), ("database", "tarn")])).await?;
    let offer = wire.next().await?.context("an offer")?;
    let first = b"n,,n=,r=rOprNGfwEbeRWgbNEkqO";
    let length = i32::try_from(first.len())?.to_be_bytes();
    wire.send(&message(b'p', &[&b"SCRAM-SHA-256\0"[..], &length, first].concat())).await?;
    let challenge = wire.next().await?.context("a challenge")?;
    let text = |message: &Message| String::from_utf8_lossy(&message.body[4..]).into_owned();
    let parts = text(&challenge);
    let [nonce, salt, iterations] = parts.split(',').collect::<Vec<_>>()[..] else {
        anyhow::bail!("{parts}")
    };
    ensure!(nonce.starts_with("r=rOprNGfwEbeRWgbNEkqO"), "{nonce}");
    Ok(vec![
        offer.line(),
        text(&offer),
        salt.len().to_string(),
        iterations.to_owned(),
        salt.to_owned(),
    ])
}

/// Nobody learns from the exchange which roles exist.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_users_are_challenged_like_known_ones() -> Result<()> {
    let server = Server::start_with(&[], with_password).await?;
    let known = challenge(&server, "tarn").await?;
    let unknown = challenge(&server, "nobody").await?;
    ensure!(known[..4] == unknown[..4], "{known:?} {unknown:?}");
    // Asked again, the salt is the same for both; each role has its own.
    ensure!(known == challenge(&server, "tarn").await?, "another salt for the same role");
    ensure!(unknown == challenge(&server, "nobody").await?, "another salt for the same role");
    ensure!(
        unknown[4] != challenge(&server, "somebody").await?[4],
        "one salt for all unknown roles"
    );
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_password_messages_are_answered() -> Result<()> {
    let server = Server::start_with(&[], with_password).await?;
    for body in [
        &b""[..],
        b"\0",
        b"MD5\0\0\0\0\x01x",
        b"SCRAM-SHA-256\0\xff\xff\xff\xff",
        b"SCRAM-SHA-256\0\x7f\xff\xff\xffn,,n=,r=x",
        b"SCRAM-SHA-256\0\0\0\0\x05\xff\xff\xff\xff\xff",
        b"SCRAM-SHA-256-PLUS\0\0\0\0\x03n,,",
        b"SCRAM-SHA-256\0\0\0\0\x04n,,n",
    ] {
        let mut wire = Wire::open(server.pg_addr()?).await?;
        wire.send(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
        wire.next().await?.context("an offer")?;
        let mut lines = wire.exchange(&message(b'p', body)).await?;
        if lines == ["auth 11"] {
            lines.clear();
        }
        ensure!(
            lines.len() == 2 && lines[0].starts_with("FATAL ") && lines[1] == "closed",
            "{body:x?}: {lines:?}"
        );
    }
    // A query instead of a password is not run.
    let mut wire = Wire::open(server.pg_addr()?).await?;
    wire.send(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
    wire.next().await?.context("an offer")?;
    let lines = wire.exchange(&query("SELECT 1")).await?;
    ensure!(lines == ["FATAL 08P01", "closed"], "{lines:?}");
    server.stop().await;
    Ok(())
}

/// Writes a certificate for `localhost` and its key.
pub fn certificate(folder: &Path) -> Result<(TlsFiles, CertificateDer<'static>)> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let files =
        TlsFiles { cert: folder.join("cert.pem"), key: folder.join("key.pem"), client_ca: None };
    std::fs::write(&files.cert, made.cert.pem())?;
    std::fs::write(&files.key, made.signing_key.serialize_pem())?;
    Ok((files, made.cert.der().clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_channel_binding() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (files, certificate) = certificate(folder.path())?;
    let server = Server::start_with(&[], |config| {
        with_password(config);
        config.tls = Some(files);
    })
    .await?;
    let addr = server.pg_addr()?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate)?;
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tls = MakeRustlsConnect::new(tls);
    for binding in [ChannelBinding::Require, ChannelBinding::Disable] {
        let mut config = tokio_postgres::Config::new();
        config.host("localhost").hostaddr(addr.ip()).port(addr.port()).user("tarn").dbname("tarn");
        config.ssl_mode(SslMode::Require).channel_binding(binding);
        let (client, connection) = config.password("corréct horse").connect(tls.clone()).await?;
        tokio::spawn(connection);
        let row = client.query_one("SELECT count(*) FROM generate_series(1, 100000)", &[]).await?;
        ensure!(row.get::<_, i64>(0) == 100_000);
        // Cancel requests come over TLS as well.
        let token = client.cancel_token();
        let endless = "SELECT count(*) FROM generate_series(1, 1000000) a(x), \
            generate_series(1, 1000000) b(y) WHERE x * y % 7 = 1";
        let shared = server.shared();
        let cancel = async {
            wait_until(LIMIT, async || Ok(!shared.running.is_empty())).await?;
            token.cancel_query(tls.clone()).await?;
            anyhow::Ok(())
        };
        let (result, cancelled) = tokio::join!(client.simple_query(endless), cancel);
        cancelled?;
        let code = result.err().and_then(|e| e.code().map(|code| code.code().to_owned()));
        ensure!(code.as_deref() == Some("57014"), "{code:?}");
        let wrong =
            config.password("wrong").connect(tls.clone()).await.err().context("was let in")?;
        ensure!(wrong.code().is_some_and(|code| code.code() == "28P01"), "{wrong:?}");
    }
    // Bytes that are no TLS end the connection only.
    let mut wire = Wire::open(addr).await?;
    wire.send(&super::wire::packet(&80_877_103_i32.to_be_bytes())).await?;
    ensure!(wire.byte().await? == b'S', "TLS was not offered");
    wire.send(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
    while let Ok(byte) = wire.byte().await {
        ensure!(byte != b'R' || wire.byte().await.is_err(), "a session without encryption");
    }
    // Asked for no encryption, the server asks for the password all the same.
    let mut wire = Wire::open(addr).await?;
    wire.send(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
    ensure!(wire.next().await?.is_some_and(|m| m.line() == "auth 10"), "no password was asked for");
    server.stop().await;
    Ok(())
}

/// Raises the limit of open files of this process, if it is lower and the system allows it; says
/// whether it is high enough. Never lowers it: other tests have opened theirs.
pub fn can_open(n_files: u64) -> bool {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let is_high_enough = || {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits.lines().find(|line| line.starts_with("Max open files"));
        let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
        soft.is_none_or(|soft| soft >= n_files)
    };
    if !is_high_enough() {
        let (pid, soft) = (std::process::id().to_string(), format!("--nofile={n_files}:"));
        drop(std::process::Command::new("prlimit").args(["--pid", &pid, &soft]).status());
    }
    is_high_enough()
}

/// In a process of its own, so that its memory is that of nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn many_connections_at_once() -> Result<()> {
    const N_IDLE: usize = 500;
    const N_BUSY: usize = 50;
    const N_QUERIES: usize = 4;
    // Far less than a megabyte for each connection, and some for each running query.
    const MIB_GROWN_MAX: u64 = 700;
    if !can_open(4_000) {
        require_or_skip("the system allows fewer than 4,000 open files");
        return Ok(());
    }
    let Some(binary) = tarn_binary() else {
        require_or_skip("the program tarn is not built beside this test");
        return Ok(());
    };
    let data = demo_data(0.01)?;
    let server =
        tokio::task::spawn_blocking(move || TarnProcess::start(&binary, &[data], &[])).await??;
    let addr = server.pg;
    let first = connect_pg(addr).await?;
    first.query("SELECT count(*) FROM lineitem", &[]).await?;
    let before = rss_bytes(server.pid());
    let idle = futures::future::try_join_all((0..N_IDLE).map(|_| connect_pg(addr))).await?;
    let busy = (0..N_BUSY).map(|number| async move {
        let client = connect_pg(addr).await?;
        for turn in 0..N_QUERIES {
            let flag = if (number + turn) % 2 == 0 { "R" } else { "N" };
            let sql = "SELECT count(*), sum(l_quantity) FROM lineitem WHERE l_returnflag = $1";
            let row = client.query_one(sql, &[&flag]).await?;
            ensure!(row.get::<_, i64>(0) > 10_000, "client {number}");
            let rows = client.query("SELECT * FROM orders WHERE o_orderkey < 4000", &[]).await?;
            ensure!(rows.len() == 1_000 || rows.len() == 999, "{} rows", rows.len());
        }
        Ok(())
    });
    futures::future::try_join_all(busy).await?;
    let answers = idle.iter().map(|client| client.query_one("SELECT 1::int8", &[]));
    for row in futures::future::try_join_all(answers).await? {
        ensure!(row.get::<_, i64>(0) == 1);
    }
    let count = async |sql: &str| -> Result<i64> { Ok(first.query_one(sql, &[]).await?.get(0)) };
    let n_sessions = "SELECT count(*) FROM tarn.sessions";
    ensure!(count(n_sessions).await? >= i64::try_from(N_IDLE)?);
    ensure!(count("SELECT count(*) FROM tarn.queries WHERE pid <> pg_backend_pid()").await? == 0);
    if let (Some(before), Some(peak)) = (before, rss_peak_bytes(server.pid())) {
        let grown = peak.saturating_sub(before) >> 20;
        println!("{grown} MiB above idle at the peak");
        ensure!(grown < MIB_GROWN_MAX, "{grown} MiB for the connections and their queries");
    }
    drop(idle);
    wait_until(LIMIT, async || Ok(count(n_sessions).await? == 1)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_limit_is_told() -> Result<()> {
    let server = Server::start_with(&[], |config| config.n_connections_max = 3).await?;
    let addr = server.pg_addr()?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Wire::connect(addr).await?);
    }
    let mut one_more = Wire::open(addr).await?;
    let lines = one_more.exchange(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
    ensure!(lines == ["FATAL 53300", "closed"], "{lines:?}");
    // Cancel requests need no place.
    super::wire::cancel(addr, &clients[0].key).await?;
    // A place that is free again can be taken.
    clients.pop();
    wait_until(LIMIT, async || Ok(Wire::connect(addr).await.is_ok())).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_to_clients() -> Result<()> {
    let server = Server::start(&[demo_data(0.01)?]).await?;
    let addr = server.pg_addr()?;
    let mut idle = Wire::connect(addr).await?;
    let mut open = Wire::connect(addr).await?;
    open.check(&[query("BEGIN")], &["done BEGIN", "ready T"]).await?;
    let mut busy = Wire::connect(addr).await?;
    busy.send(&query(
        "SELECT count(*) FROM lineitem a, lineitem b WHERE a.l_partkey < b.l_suppkey",
    ))
    .await?;
    let mut deaf = Wire::connect_narrow(addr).await?;
    deaf.send(&query("SELECT repeat('x', 1000) FROM lineitem a, generate_series(1, 100) g(x)"))
        .await?;
    wait_until(LIMIT, async || Ok(server.shared().running.len() == 2)).await?;
    let pending = tokio::time::timeout(LIMIT, server.shutdown()).await.context("never stopped")?;
    ensure!(pending.is_empty(), "still pending: {pending:?}");
    for wire in [&mut idle, &mut open] {
        let lines = wire.exchange(b"").await?;
        ensure!(lines == ["FATAL 57P01", "closed"], "{lines:?}");
    }
    let lines = busy.exchange(b"").await?;
    ensure!(lines.ends_with(&["FATAL 57P01".to_owned(), "closed".to_owned()]), "{lines:?}");
    ensure!(Wire::connect(addr).await.is_err(), "a stopped server takes connections");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port_names_its_flag() -> Result<()> {
    let holder = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let busy = Some(holder.local_addr()?);
    let folder = tempfile::tempdir()?;
    for flag in ["pg", "flight", "http"] {
        let mut config = ServerConfig::for_tests(folder.path(), vec![]);
        match flag {
            "pg" => config.pg = busy,
            "flight" => config.flight = busy,
            _ => config.http = busy,
        }
        let error = tarn_server::start(config).await.err().context("started on a busy port")?;
        let text = error.to_string();
        ensure!(matches!(error, StartError::Listen { .. }), "{text}");
        ensure!(text.contains(&format!("--{flag} ")), "{text}");
        ensure!(text.contains(&holder.local_addr()?.to_string()), "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_sessions_end_when_they_ask_for_it() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("SET idle_session_timeout = 50")).await?;
    let lines = wire.exchange(b"").await?;
    ensure!(lines == ["FATAL 57P05", "closed"], "{lines:?}");
    let mut wire = Wire::connect(server.pg_addr()?).await?;
    wire.exchange(&query("SET idle_in_transaction_session_timeout = 50; BEGIN")).await?;
    let lines = wire.exchange(b"").await?;
    ensure!(lines == ["FATAL 25P03", "closed"], "{lines:?}");
    server.stop().await;
    Ok(())
}
