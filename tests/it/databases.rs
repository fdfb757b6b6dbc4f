//! Databases that are dropped and renamed while others use them, and roles that are renamed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::Server;
use tokio_postgres::Client;
use tokio_postgres::error::DbError;

async fn start(data_dir: &Path, catalog: &Path) -> Result<Server> {
    Server::start_with(&[], |config| {
        config.data_dir = data_dir.to_owned();
        config.catalog = Some(catalog.display().to_string());
    })
    .await
}

async fn failure(client: &Client, sql: &str, code: &str) -> Result<DbError> {
    let error =
        client.batch_execute(sql).await.err().with_context(|| format!("this works: {sql}"))?;
    let error = error.as_db_error().cloned().with_context(|| format!("{sql}: {error}"))?;
    ensure!(error.code().code() == code, "{sql}: {error:?} instead of {code}");
    Ok(error)
}

async fn number(client: &Client, sql: &str) -> Result<i64> {
    Ok(client.query_one(sql, &[]).await.with_context(|| sql.to_owned())?.get(0))
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let below = |entry: std::fs::DirEntry| match entry.path() {
        path if path.is_dir() => files(&path),
        path => vec![path],
    };
    entries.flat_map(below).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_of_another_server_lose_a_dropped_database() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let catalog = folder.path().join("catalog");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let (first, second) = (start(&one, &catalog).await?, start(&two, &catalog).await?);
    let admin = first.connect().await?;
    admin.batch_execute("CREATE DATABASE other").await?;
    let inside = second.connect_to("other").await?;
    inside.batch_execute("CREATE TABLE t (n bigint) USING delta; INSERT INTO t VALUES (1)").await?;
    inside.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await?;
    let defining = second.connect_to("other").await?;
    defining.batch_execute("BEGIN; CREATE VIEW v AS SELECT 1 AS a").await?;
    let commits = || {
        let all = files(&two.join("tables"));
        all.into_iter().filter(|file| file.extension().is_some_and(|e| e == "json")).count()
    };
    // Sessions of its own keep a database; those of other servers it does not know.
    admin.batch_execute("DROP DATABASE other").await?;
    let before = commits();
    for client in [&inside, &defining] {
        let error = failure(client, "COMMIT", "3D000").await?;
        ensure!(error.hint().is_some() && error.detail().is_some(), "{error:?}");
        client.batch_execute("ROLLBACK").await.err().context("the session goes on")?;
        for sql in
            ["SELECT 1", "SELECT * FROM t", "CREATE TABLE u (n bigint)", "INSERT INTO t VALUES (3)"]
        {
            failure(client, sql, "3D000").await?;
        }
    }
    ensure!(commits() <= before, "something was committed to a dropped place");
    ensure!(second.connect_to("other").await.is_err(), "it can still be connected to");
    // Another one of its name is not theirs.
    admin.batch_execute("CREATE DATABASE other").await?;
    failure(&inside, "CREATE TABLE u (n bigint)", "3D000").await?;
    let again = second.connect_to("other").await?;
    ensure!(
        number(&again, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await? == 0
    );
    again.batch_execute("CREATE TABLE t (n bigint) USING delta; INSERT INTO t VALUES (1)").await?;
    drop((admin, inside, defining, again));
    first.stop().await;
    second.stop().await;
    // The log can be read from its beginning.
    let third = start(&one, &catalog).await?;
    let client = third.connect_to("other").await?;
    ensure!(number(&client, "SELECT sum(n)::bigint FROM t").await? == 1);
    third.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_renamed_with_all_that_is_in_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let catalog = folder.path().join("catalog");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let (first, second) = (start(&one, &catalog).await?, start(&two, &catalog).await?);
    let admin = first.connect().await?;
    for sql in [
        "CREATE DATABASE old",
        "CREATE ROLE reader LOGIN",
        "CREATE ROLE maker LOGIN",
        "REVOKE CONNECT ON DATABASE old FROM public",
        "GRANT CONNECT ON DATABASE old TO reader",
        "ALTER DATABASE old SET statement_timeout = '77s'",
    ] {
        admin.batch_execute(sql).await.with_context(|| sql.to_owned())?;
    }
    let inside = first.connect_to("old").await?;
    inside
        .batch_execute(
            "CREATE SCHEMA s; CREATE TABLE s.t (n bigint) USING delta; INSERT INTO s.t VALUES (7); \
             GRANT USAGE ON SCHEMA s TO reader; GRANT SELECT ON s.t TO reader",
        )
        .await?;
    let rename = "ALTER DATABASE old RENAME TO new";
    failure(&admin, rename, "55006").await?;
    failure(&inside, rename, "0A000").await?;
    drop(inside);
    let n_left = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'old'";
    tarn_tests::harness::wait_until(std::time::Duration::from_secs(30), async || {
        Ok(number(&admin, n_left).await? == 0)
    })
    .await?;
    failure(&admin, "ALTER DATABASE old RENAME TO tarn", "42P04").await?;
    failure(&admin, "ALTER DATABASE nowhere RENAME TO new", "3D000").await?;
    failure(&admin, "BEGIN; ALTER DATABASE old RENAME TO new", "25001").await?;
    admin.batch_execute("ROLLBACK").await?;
    admin.batch_execute("SET ROLE maker").await?;
    failure(&admin, rename, "42501").await?;
    admin.batch_execute("RESET ROLE").await?;
    // A session of another server is told.
    let elsewhere = second.connect_to("old").await?;
    admin.batch_execute(rename).await?;
    failure(&elsewhere, "SELECT * FROM s.t", "3D000").await?;
    ensure!(first.connect_to("old").await.is_err() && second.connect_to("old").await.is_err());
    let as_reader = async |server: &Server, user: &str| {
        let addr = server.pg_addr()?;
        let url = format!("host={} port={} user={user} dbname=new", addr.ip(), addr.port());
        tarn_tests::harness::connect_pg_url(&url).await
    };
    for server in [&first, &second] {
        let client = as_reader(server, "reader").await?;
        ensure!(number(&client, "SELECT n FROM s.t").await? == 7);
        let timeout = client.query_one("SHOW statement_timeout", &[]).await?;
        ensure!(timeout.get::<_, &str>(0) == "77s");
        ensure!(as_reader(server, "maker").await.is_err(), "the right to connect is lost");
        let named = "SELECT count(*) FROM pg_database WHERE datname IN ('old', 'new')";
        ensure!(number(&client, named).await? == 1);
    }
    drop((admin, elsewhere));
    first.stop().await;
    second.stop().await;
    let third = start(&one, &catalog).await?;
    let client = as_reader(&third, "reader").await?;
    ensure!(number(&client, "SELECT n FROM s.t").await? == 7);
    third.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_its_rights_when_its_role_is_renamed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let catalog = folder.path().join("catalog");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let (first, second) = (start(&one, &catalog).await?, start(&two, &catalog).await?);
    let admin = first.connect().await?;
    for sql in [
        "CREATE ROLE alice LOGIN",
        "CREATE ROLE team",
        "GRANT team TO alice",
        "CREATE TABLE own (n bigint) USING delta",
        "CREATE TABLE teams (n bigint) USING delta",
        "GRANT SELECT ON own TO alice",
        "GRANT SELECT ON teams TO team",
    ] {
        admin.batch_execute(sql).await.with_context(|| sql.to_owned())?;
    }
    let login = async |server: &Server, user: &str| {
        let addr = server.pg_addr()?;
        let url = format!("host={} port={} user={user} dbname=tarn", addr.ip(), addr.port());
        tarn_tests::harness::connect_pg_url(&url).await
    };
    let user = async |client: &Client| -> Result<String> {
        let row = client.query_one("SELECT session_user || ' ' || current_user", &[]).await?;
        Ok(row.get(0))
    };
    for server in [&first, &second] {
        let name =
            admin.query_one("SELECT rolname FROM pg_roles WHERE rolname IN ('alice', 'bob')", &[]);
        let (before, after) = match name.await?.get(0) {
            "alice" => ("alice", "bob"),
            _ => ("bob", "alice"),
        };
        let client = login(server, before).await?;
        let grouped = login(server, before).await?;
        grouped.batch_execute("SET ROLE team").await?;
        let within = login(server, before).await?;
        within.batch_execute("BEGIN; SELECT * FROM own").await?;
        admin.batch_execute(&format!("ALTER ROLE {before} RENAME TO {after}")).await?;
        // Another role gets the old name, and none of the rights.
        admin.batch_execute(&format!("CREATE ROLE {before} LOGIN")).await?;
        ensure!(number(&client, "SELECT count(*) FROM own").await? == 0);
        ensure!(user(&client).await? == format!("{after} {after}"), "{}", user(&client).await?);
        ensure!(user(&grouped).await? == format!("{after} team"), "{}", user(&grouped).await?);
        ensure!(number(&within, "SELECT count(*) FROM own").await? == 0);
        // What is restored is followed as well.
        within.batch_execute("ROLLBACK").await?;
        ensure!(user(&within).await? == format!("{after} {after}"), "{}", user(&within).await?);
        admin.batch_execute("ALTER ROLE team RENAME TO crew").await?;
        ensure!(number(&grouped, "SELECT count(*) FROM teams").await? == 0);
        ensure!(user(&grouped).await? == format!("{after} crew"), "{}", user(&grouped).await?);
        grouped.batch_execute("RESET ROLE").await?;
        ensure!(user(&grouped).await? == format!("{after} {after}"));
        let stranger = login(server, before).await?;
        failure(&stranger, "SELECT * FROM own", "42501").await?;
        let seen = "SELECT count(*) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid \
                    AND r.rolname = a.usename WHERE a.usename IN ('alice', 'bob')";
        ensure!(number(&login(server, "tarn").await?, seen).await? == 4);
        drop((client, grouped, within, stranger));
        admin.batch_execute("ALTER ROLE crew RENAME TO team").await?;
        admin.batch_execute(&format!("DROP ROLE {before}")).await?;
    }
    first.stop().await;
    second.stop().await;
    Ok(())
}
