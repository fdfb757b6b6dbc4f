//! Which database a session is in: a header where it begins, the session option `catalog` later.

use anyhow::{Result, ensure};
use bytes::Bytes;
use tarn_tests::harness::Server;
use tonic::Code;

use super::caller::{Caller, any, bytes_of, check_refused, field};

/// A session option that is a text, as `SetSessionOptions` takes it.
fn option(name: &str, value: &str) -> Vec<u8> {
    field(1, &[field(1, name.as_bytes()), field(2, &field(1, value.as_bytes()))].concat())
}

/// Sets options; whether all of them were taken.
async fn set(caller: &mut Caller, options: &[Vec<u8>]) -> Result<bool> {
    let results = caller.action("SetSessionOptions", options.concat().into()).await?;
    Ok(results.first().is_none_or(|body| bytes_of(body, 1).is_none()))
}

/// Whether the session is in a database.
async fn is_in(caller: &mut Caller, database: &str) -> Result<bool> {
    let sql = format!("SELECT 1 WHERE current_database() = '{database}'");
    Ok(caller.query(&sql).await? == 1)
}

async fn start() -> Result<Server> {
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE DATABASE other").await?;
    client.batch_execute("CREATE TABLE here (a int) USING memory").await?;
    let there = server.connect_to("other").await?;
    there
        .batch_execute("CREATE TABLE there (a int) USING memory; INSERT INTO there VALUES (1), (2)")
        .await?;
    Ok(server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_says_where_a_session_begins() -> Result<()> {
    let server = start().await?;
    let plain = Caller::connect(server.flight_addr()?).await?;
    // On a connection without tokens, each call may name another one.
    let mut other = plain.with_database("other");
    ensure!(is_in(&mut other, "other").await? && other.query("SELECT * FROM there").await? == 2);
    ensure!(is_in(&mut plain.clone(), "tarn").await?);
    check_refused(
        "unknown",
        plain.with_database("nowhere").plan("SELECT 1").await,
        Code::NotFound,
        "3D000",
    )?;
    // With a token, it is the handshake's header that counts.
    let token = other.handshake("tarn", "").await?;
    let mut session = other.with_token(&token);
    ensure!(is_in(&mut session, "other").await?);
    ensure!(is_in(&mut plain.with_token(&token), "other").await?);
    let moved = plain.with_database("tarn").with_token(&token).plan("SELECT 1").await;
    check_refused("another one", moved, Code::InvalidArgument, "08P01")?;
    let refused = plain.with_database("nowhere").handshake("tarn", "").await;
    check_refused("unknown", refused, Code::NotFound, "3D000")?;
    // What was asked for at first may go on being sent after the session has moved.
    ensure!(set(&mut session, &[option("catalog", "tarn")]).await?);
    ensure!(is_in(&mut session, "tarn").await?);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_option_catalog_moves_a_session() -> Result<()> {
    let server = start().await?;
    for with_token in [true, false] {
        let mut session = match with_token {
            true => Caller::login(server.flight_addr()?, "tarn", "").await?,
            false => Caller::connect(server.flight_addr()?).await?,
        };
        let before = session.prepare("SELECT current_database() FROM here").await?;
        ensure!(set(&mut session, &[option("statement_timeout", "12345")]).await?);
        ensure!(!set(&mut session, &[option("catalog", "nowhere")]).await?);
        ensure!(is_in(&mut session, "tarn").await?);
        // The option comes before the others, however they are ordered.
        let options = [option("schema", "public"), option("catalog", "other")];
        ensure!(set(&mut session, &options).await?);
        ensure!(is_in(&mut session, "other").await?);
        ensure!(session.query("SELECT * FROM there").await? == 2);
        ensure!(
            session
                .query("SELECT 1 WHERE current_setting('statement_timeout') = '12345ms'")
                .await?
                == 1
        );
        check_refused("gone", session.plan("SELECT * FROM here").await, Code::NotFound, "42P01")?;
        // Statements stay where they were prepared.
        let after = session.prepare("SELECT a FROM there").await?;
        let run = async |session: &mut Caller, handle: &Bytes| {
            session.read(any("CommandPreparedStatementQuery", &field(1, handle))).await
        };
        ensure!(run(&mut session, &after).await? == 2 && run(&mut session, &before).await? == 0);
        // A transaction begins in the database that the session is in.
        let begun =
            session.action("BeginTransaction", any("ActionBeginTransactionRequest", &[])).await?;
        let id =
            begun.first().and_then(|body| bytes_of(body, 2)).and_then(|body| bytes_of(&body, 1));
        let id = id.ok_or_else(|| anyhow::anyhow!("no transaction"))?;
        let within = [field(1, b"SELECT * FROM there"), field(2, &id)].concat();
        session.info(any("CommandStatementQuery", &within)).await?;
        // Metadata: all databases, the schemas of the named one.
        ensure!(session.read(any("CommandGetCatalogs", &[])).await? == 2);
        let tables = |catalog: &str| {
            any("CommandGetTables", &[field(1, catalog.as_bytes()), field(3, b"here")].concat())
        };
        ensure!(
            session.read(tables("tarn")).await? == 1 && session.read(tables("other")).await? == 0
        );
        ensure!(session.read(any("CommandGetTables", &field(3, b"there"))).await? == 1);
    }
    // An open transaction of SQL keeps the session where it is.
    let mut session = Caller::login(server.flight_addr()?, "tarn", "").await?;
    session.query("BEGIN").await?;
    ensure!(!set(&mut session, &[option("catalog", "other")]).await?);
    server.stop().await;
    Ok(())
}
