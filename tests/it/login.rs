//! Who is let in, how fast one can guess, and for whom the last places are.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tarn_catalog::log::{Entry, RoleDef};
use tarn_catalog::registry::{Change, Expect};
use tarn_tests::harness::{PostgresProcess, Server, connect_pg_url, require_or_skip, wait_until};
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::lifecycle::{certificate, with_password};
use super::wire::{PROTOCOL_3_0, Wire, cancel, message, packet, query, startup};

const LIMIT: Duration = Duration::from_secs(60);

/// An authority and what its clients show.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// A client's certificate with its key.
    fn client(&self, name: &str) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![])?;
        params.distinguished_name.push(DnType::OrganizationName, "tarn");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok((certificate.der().clone(), key))
    }
}

/// How a client speaks TLS.
fn tls(
    server: &CertificateDer<'static>,
    client: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    alpn: bool,
) -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.clone())?;
    let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
    let mut config = match client {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key)?,
        None => builder.with_no_client_auth(),
    };
    if alpn {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(MakeRustlsConnect::new(config))
}

fn client_config(server: &Server, user: &str) -> Result<tokio_postgres::Config> {
    let addr = server.pg_addr()?;
    let mut config = tokio_postgres::Config::new();
    config.host("localhost").hostaddr(addr.ip()).port(addr.port()).user(user).dbname("tarn");
    config.ssl_mode(SslMode::Require);
    Ok(config)
}

fn authority_file(folder: &Path, authority: &Authority) -> Result<std::path::PathBuf> {
    let path = folder.join("clients.pem");
    std::fs::write(&path, authority.issuer.as_ref().pem())?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_stand_for_roles() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    let (mut files, server_certificate) = certificate(folder.path())?;
    files.client_ca = Some(authority_file(folder.path(), &authority)?);
    let server = Server::start_with(&[], |config| {
        with_password(config);
        config.tls = Some(files);
    })
    .await?;
    let config = client_config(&server, "tarn")?;
    // The role's own certificate needs no password.
    let own = tls(&server_certificate, Some(authority.client("tarn")?), false)?;
    let (client, connection) = config.connect(own).await?;
    tokio::spawn(connection);
    ensure!(client.query_one("SELECT 1::int8", &[]).await?.get::<_, i64>(0) == 1);
    // Another one's is as good as none, and so is that of another authority.
    let code = |error: &tokio_postgres::Error| error.code().map(|code| code.code().to_owned());
    for (shown, wrong_password) in [(Some(authority.client("ann")?), "28P01"), (None, "28P01")] {
        let mut config = config.clone();
        let connector = tls(&server_certificate, shown, false)?;
        let error = config.password("wrong").connect(connector.clone()).await.err();
        let found = error.as_ref().and_then(code);
        ensure!(found.as_deref() == Some(wrong_password), "{error:?}");
        let (client, connection) = config.password("corréct horse").connect(connector).await?;
        tokio::spawn(connection);
        client.batch_execute("SELECT 1").await?;
    }
    let stranger = tls(&server_certificate, Some(Authority::new()?.client("tarn")?), false)?;
    ensure!(config.connect(stranger).await.is_err(), "another authority's client was let in");
    // A certificate for a role that does not exist opens nothing.
    let nobody = tls(&server_certificate, Some(authority.client("nobody")?), false)?;
    let mut config = client_config(&server, "nobody")?;
    let error = config.password("corréct horse").connect(nobody).await.err();
    ensure!(error.as_ref().and_then(code).as_deref() == Some("28P01"), "{error:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_tls_names_its_protocol() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (files, server_certificate) = certificate(folder.path())?;
    let server = Server::start_with(&[], |config| {
        with_password(config);
        config.tls = Some(files);
    })
    .await?;
    let mut config = client_config(&server, "tarn")?;
    config.password("corréct horse").ssl_negotiation(SslNegotiation::Direct);
    for binding in [ChannelBinding::Require, ChannelBinding::Disable] {
        let config = config.channel_binding(binding);
        let (client, connection) = config.connect(tls(&server_certificate, None, true)?).await?;
        tokio::spawn(connection);
        client.batch_execute("SELECT 1").await?;
    }
    let unnamed = config.connect(tls(&server_certificate, None, false)?).await;
    ensure!(unnamed.is_err(), "direct TLS without a protocol name was taken");
    server.stop().await;
    Ok(())
}

/// Guesses a password; returns the server's last line.
async fn guess(server: &Server) -> Result<String> {
    let mut wire = Wire::open(server.pg_addr()?).await?;
    wire.send(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
    let offer = wire.next().await?.context("an offer")?;
    if offer.kind == b'E' {
        return Ok(offer.line());
    }
    // Wrong already in form, so that one message is enough.
    let lines = wire.exchange(&message(b'p', b"SCRAM-SHA-256\0\0\0\0\x04n,,n")).await?;
    lines.first().cloned().context("no answer")
}

/// What a server says to a first answer, after its offer.
async fn answer_to(addr: SocketAddr, user: &str, body: &[u8]) -> Result<Vec<String>> {
    let mut wire = Wire::open(addr).await?;
    wire.send(&startup(PROTOCOL_3_0, &[("user", user), ("database", "tarn")])).await?;
    let offer = wire.next().await?.context("an offer")?;
    ensure!(offer.line() == "auth 10", "{}", offer.line());
    wire.exchange(&message(b'p', body)).await
}

/// The same wrong answers get the same codes from both servers, for roles that exist or do not.
#[tokio::test(flavor = "multi_thread")]
async fn scram_is_refused_as_by_postgres() -> Result<()> {
    let Some(postgres) = PostgresProcess::start()? else {
        require_or_skip("PostgreSQL is not installed");
        return Ok(());
    };
    let admin = connect_pg_url(&postgres.url()).await?;
    let file: String = admin.query_one("SHOW hba_file", &[]).await?.get(0);
    for sql in [
        "CREATE DATABASE tarn",
        "CREATE ROLE ann LOGIN PASSWORD 'secret'",
        &format!(
            "COPY (VALUES ('host all tarn all trust'), ('host all all all scram-sha-256')) \
             TO '{file}'"
        ),
        "SELECT pg_reload_conf()",
    ] {
        admin.batch_execute(sql).await?;
    }
    let asked = async || {
        let mut wire = Wire::open(postgres.addr).await?;
        wire.send(&startup(PROTOCOL_3_0, &[("user", "ann"), ("database", "tarn")])).await?;
        Ok(wire.next().await?.is_some_and(|message| message.line() == "auth 10"))
    };
    wait_until(LIMIT, asked).await?;
    let server = Server::start_with(&[], with_password).await?;
    let cases: [&[u8]; 7] = [
        b"SCRAM-SHA-256\0\0\0\0\x05\xff\xff\xff\xff\xff",
        b"SCRAM-SHA-256\0\0\0\0\x04n,,n",
        b"SCRAM-SHA-256\0\x7f\xff\xff\xffn,,n=,r=x",
        b"SCRAM-SHA-1\0\0\0\0\x09n,,n=,r=x",
        b"SCRAM-SHA-256-PLUS\0\0\0\0\x09n,,n=,r=x",
        b"SCRAM-SHA-256\0\0\0\0\x1ep=tls-server-end-point,,n=,r=x",
        b"SCRAM-SHA-256",
    ];
    let mut faults = vec![];
    for body in cases {
        for (known, unknown) in [("tarn", "ann"), ("nobody", "nobody")] {
            let ours = answer_to(server.pg_addr()?, known, body).await?;
            let theirs = answer_to(postgres.addr, unknown, body).await?;
            if ours != theirs {
                faults.push(format!("{}: {ours:?} {theirs:?}", String::from_utf8_lossy(body)));
            }
        }
    }
    server.stop().await;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_becomes_slow() -> Result<()> {
    let server = Server::start_with(&[], with_password).await?;
    for _ in 0..10 {
        guess(&server).await?;
    }
    let started = Instant::now();
    guess(&server).await?;
    ensure!(started.elapsed() >= Duration::from_millis(800), "{:?}", started.elapsed());
    // Many at a time are not faster: most are refused.
    let answers = futures::future::try_join_all((0..40).map(|_| guess(&server))).await?;
    let n_refused = answers.iter().filter(|line| *line == "FATAL 28000").count();
    ensure!(n_refused >= 25, "{answers:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_cancel_keys_becomes_slow() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    let wire = Wire::connect(addr).await?;
    let wrong = (wire.key.0, vec![0; 4]);
    for _ in 0..10 {
        cancel(addr, &wrong).await?;
    }
    let started = Instant::now();
    cancel(addr, &wrong).await?;
    ensure!(started.elapsed() >= Duration::from_millis(800), "{:?}", started.elapsed());
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn long_cancel_keys_are_needed_whole() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    let mut wire = Wire::open(addr).await?;
    let lines = wire.exchange(&startup(PROTOCOL_3_0 + 2, &[("user", "tarn")])).await?;
    ensure!(lines.contains(&"key of 32 bytes".to_owned()), "{lines:?}");
    let endless = "SELECT count(*) FROM generate_series(1, 1000000) a(x), \
        generate_series(1, 1000000) b(y) WHERE x * y % 7 = 1";
    wire.send(&query(endless)).await?;
    let shared = server.shared();
    wait_until(LIMIT, async || Ok(!shared.running.is_empty())).await?;
    let (pid, key) = wire.key.clone();
    for wrong in [key[..4].to_vec(), key[..31].to_vec(), [&key[..], b"x"].concat()] {
        cancel(addr, &(pid, wrong)).await?;
        ensure!(!shared.running.is_empty(), "a wrong key has stopped the query");
    }
    cancel(addr, &(pid, key)).await?;
    let messages = wire.until_ready().await?;
    ensure!(messages.iter().any(|message| message.line() == "ERROR 57014"), "not cancelled");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_dawdle_are_told() -> Result<()> {
    let server = Server::start_with(&[], |config| {
        with_password(config);
        config.auth_timeout = Duration::from_millis(300);
    })
    .await?;
    let addr = server.pg_addr()?;
    // Before it has said anything a client is not worth an answer.
    let mut silent = Wire::open(addr).await?;
    ensure!(silent.next().await?.is_none(), "an answer to nothing");
    let mut slow = Wire::open(addr).await?;
    slow.send(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
    let lines = slow.exchange(b"").await?;
    ensure!(lines == ["auth 10", "FATAL 57014", "closed"], "{lines:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_much_before_the_password() -> Result<()> {
    let server = Server::start_with(&[], with_password).await?;
    let large = (200_i32 << 20).to_be_bytes();
    for bytes in [[&b"p"[..], &large].concat(), [&b"Q"[..], &large].concat()] {
        let mut wire = Wire::open(server.pg_addr()?).await?;
        wire.send(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
        wire.next().await?.context("an offer")?;
        // The rest never comes: the answer is given for the head alone.
        let lines = wire.exchange(&bytes).await?;
        ensure!(lines == ["FATAL 08P01", "closed"], "{lines:?}");
    }
    let mut wire = Wire::open(server.pg_addr()?).await?;
    let lines = wire.exchange(&packet(&[0; 10_001])).await?;
    ensure!(lines == ["FATAL 08P01", "closed"], "{lines:?}");
    server.stop().await;
    Ok(())
}

/// Clients that have not said who they are take no places.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_take_no_places() -> Result<()> {
    let server = Server::start_with(&[], |config| config.n_connections_max = 2).await?;
    let addr = server.pg_addr()?;
    let mut silent = vec![];
    for _ in 0..50 {
        silent.push(Wire::open(addr).await?);
    }
    let mut wire = Wire::connect(addr).await?;
    wire.check_alive().await?;
    drop(silent);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_places_are_for_the_first_role() -> Result<()> {
    // A second role with the password of the first.
    let data_dir = tempfile::tempdir()?;
    let first = Server::start_with(&[], |config| {
        with_password(config);
        config.data_dir = data_dir.path().to_owned();
    })
    .await?;
    let catalog = Arc::clone(&first.shared().catalog);
    let role = RoleDef { oid: 0, superuser: false, ..catalog.role("tarn").context("no role")? };
    let entry = Entry::PutRole { name: "ann".to_owned(), role };
    catalog.commit(vec![Change::Define { entry, expect: Expect::New }]).await?;
    first.stop().await;
    let server = Server::start_with(&[], |config| {
        with_password(config);
        config.password = None;
        config.data_dir = data_dir.path().to_owned();
        config.n_connections_max = 4;
        config.n_connections_reserved = 2;
    })
    .await?;
    let addr = server.pg_addr()?;
    let url = |user: &str| {
        format!(
            "host={} port={} dbname=tarn user={user} password='corréct horse'",
            addr.ip(),
            addr.port()
        )
    };
    let mut clients = vec![];
    for _ in 0..2 {
        clients.push(connect_pg_url(&url("ann")).await?);
    }
    let refused = async |user: &str| -> Result<Arc<str>> {
        let error = connect_pg_url(&url(user)).await.err().context("was let in")?;
        let error = error.downcast_ref::<tokio_postgres::Error>().and_then(|e| e.as_db_error());
        Ok(error.map_or("", |error| error.code().code()).into())
    };
    ensure!(&*refused("ann").await? == "53300");
    for _ in 0..2 {
        clients.push(connect_pg_url(&url("tarn")).await?);
    }
    ensure!(&*refused("tarn").await? == "53300");
    clients.clear();
    wait_until(LIMIT, async || Ok(connect_pg_url(&url("ann")).await.is_ok())).await?;
    server.stop().await;
    Ok(())
}
