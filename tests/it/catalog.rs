//! The catalog's log: restarts, several servers on one log, and its places.

mod copies;
mod damage;
mod places;
mod tls;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tarn_catalog::log;
use tarn_catalog::object_store::ObjectStores;
use tarn_tests::harness::{PostgresProcess, Server, require_or_skip};
use tokio_postgres::{Client, SimpleQueryMessage};

/// A server in `data_dir` whose catalog is at `catalog`.
async fn start(data_dir: &Path, catalog: Option<&str>) -> Result<Server> {
    Server::start_with(&[], |config| {
        config.data_dir = data_dir.to_owned();
        config.catalog = catalog.map(ToOwned::to_owned);
    })
    .await
}

async fn text(client: &Client, sql: &str) -> Result<String> {
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            return Ok(row.get(0).unwrap_or_default().to_owned());
        }
    }
    Ok(String::new())
}

async fn code(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "00000".to_owned(),
        Err(error) => error.code().map_or_else(String::new, |code| code.code().to_owned()),
    }
}

const OIDS: &str = "SELECT string_agg(relname || oid::text, ',' ORDER BY relname) FROM pg_class \
                    WHERE relname IN ('v', 'w')";

#[tokio::test(flavor = "multi_thread")]
async fn views_and_schemas_are_there_after_a_restart() -> Result<()> {
    let data_dir = tempfile::tempdir()?;
    let server = start(data_dir.path(), None).await?;
    let client = server.connect().await?;
    client
        .batch_execute("CREATE SCHEMA s; CREATE VIEW s.v AS SELECT 1 AS a, 'x'::varchar(3) AS b")
        .await?;
    client.batch_execute("CREATE VIEW w AS SELECT a FROM s.v").await?;
    client.batch_execute("BEGIN; CREATE VIEW gone AS SELECT 1; ROLLBACK").await?;
    client.batch_execute("CREATE TABLE m (a int); CREATE VIEW over_m AS SELECT * FROM m").await?;
    let before = text(&client, OIDS).await?;
    drop(client);
    server.stop().await;
    let server = start(data_dir.path(), None).await?;
    let client = server.connect().await?;
    ensure!(text(&client, "SELECT a FROM w").await? == "1");
    ensure!(text(&client, OIDS).await? == before, "numbers have changed");
    let columns = "SELECT string_agg(column_name || ' ' || data_type, ',' ORDER BY ordinal_position) \
                   FROM information_schema.columns WHERE table_name = 'v'";
    ensure!(text(&client, columns).await? == "a integer,b character varying");
    ensure!(code(&client, "SELECT * FROM gone").await == "42P01");
    ensure!(code(&client, "SELECT * FROM over_m").await == "42P01");
    ensure!(code(&client, "DROP SCHEMA s").await == "2BP01");
    client.batch_execute("DROP SCHEMA s CASCADE").await?;
    drop(client);
    server.stop().await;
    let server = start(data_dir.path(), None).await?;
    let client = server.connect().await?;
    ensure!(code(&client, "SELECT * FROM w").await == "42P01");
    drop(client);
    server.stop().await;
    Ok(())
}

/// What two servers on one log have to do, whatever the log's place.
async fn share(catalog: &str) -> Result<()> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = start(one.path(), Some(catalog)).await?;
    let second = start(two.path(), Some(catalog)).await?;
    let (a, b) = (first.connect().await?, second.connect().await?);
    for at in 0..20 {
        a.batch_execute(&format!("CREATE VIEW v{at} AS SELECT {at} AS a")).await?;
        ensure!(text(&b, &format!("SELECT a FROM v{at}")).await? == at.to_string());
        b.batch_execute(&format!("CREATE OR REPLACE VIEW v{at} AS SELECT a + 1 AS a FROM v{at}x"))
            .await
            .err()
            .context("a view of nothing was made")?;
        b.batch_execute(&format!("DROP VIEW v{at}")).await?;
        ensure!(code(&a, &format!("SELECT a FROM v{at}")).await == "42P01");
    }
    // Prepared statements notice as well.
    a.batch_execute("CREATE VIEW p AS SELECT 1 AS a").await?;
    let prepared = b.prepare("SELECT a FROM p").await?;
    ensure!(b.query_one(&prepared, &[]).await?.get::<_, i32>(0) == 1);
    a.batch_execute("CREATE OR REPLACE VIEW p AS SELECT 2 AS a").await?;
    ensure!(b.query_one(&prepared, &[]).await?.get::<_, i32>(0) == 2);
    // Two transactions make the same name: the second one fails, and has done nothing.
    a.batch_execute("BEGIN; CREATE VIEW twice AS SELECT 1 AS a").await?;
    b.batch_execute("BEGIN; CREATE SCHEMA other; CREATE VIEW twice AS SELECT 2 AS a").await?;
    a.batch_execute("COMMIT").await?;
    ensure!(code(&b, "COMMIT").await == "40001");
    ensure!(text(&b, "SELECT a FROM twice").await? == "1");
    ensure!(code(&b, "CREATE VIEW other.v AS SELECT 1").await == "3F000");
    // One drops what the other builds on.
    a.batch_execute("BEGIN; DROP VIEW twice").await?;
    b.batch_execute("BEGIN; CREATE VIEW over AS SELECT a FROM twice").await?;
    a.batch_execute("COMMIT").await?;
    ensure!(code(&b, "COMMIT").await == "40001");
    // Numbers are equal.
    let oid = "SELECT oid FROM pg_class WHERE relname = 'p'";
    ensure!(text(&a, oid).await? == text(&b, oid).await?);
    drop((a, b));
    first.stop().await;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().display().to_string();
    share(&place).await?;
    let log = log::open(&ObjectStores::default(), &place).await?;
    let report = log::check(log.as_ref(), "tarn").await?;
    ensure!(report.faults.is_empty() && report.n_records > 40, "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_database() -> Result<()> {
    let Some(postgres) = PostgresProcess::start()? else {
        require_or_skip("PostgreSQL is not installed");
        return Ok(());
    };
    let place = format!("postgres://tarn@{}/postgres?sslmode=disable", postgres.addr);
    share(&place).await?;
    let stores = ObjectStores::default();
    let log = log::open(&stores, &place).await?;
    let report = log::check(log.as_ref(), "tarn").await?;
    ensure!(report.faults.is_empty() && report.n_records > 40, "{report:?}");
    // A backup is a copy, and a copy can be served.
    let folder = tempfile::tempdir()?;
    let backup = log::open(&stores, &folder.path().display().to_string()).await?;
    ensure!(log::copy(log.as_ref(), backup.as_ref(), "tarn").await? == report.version);
    let data_dir = tempfile::tempdir()?;
    let server = start(data_dir.path(), Some(&folder.path().display().to_string())).await?;
    ensure!(text(&server.connect().await?, "SELECT a FROM p").await? == "2");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_sessions_on_two_servers_make_one_history() -> Result<()> {
    const N_EACH: usize = 5;
    let (folder, one, two) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
    let place = folder.path().display().to_string();
    let servers = [
        Arc::new(start(one.path(), Some(&place)).await?),
        Arc::new(start(two.path(), Some(&place)).await?),
    ];
    let mut sessions = Vec::new();
    for session in 0..16 {
        let server = servers.get(session % 2).context("two servers")?;
        let client = server.connect().await?;
        sessions.push(tokio::spawn(async move {
            for at in 0..N_EACH {
                let sql = format!("CREATE VIEW v{session}_{at} AS SELECT {at} AS a");
                client.batch_execute(&sql).await?;
            }
            anyhow::Ok(())
        }));
    }
    for session in sessions {
        session.await??;
    }
    for server in &servers {
        let count = "SELECT count(*) FROM pg_views WHERE schemaname = 'public'";
        let client = server.connect().await?;
        ensure!(text(&client, count).await? == (16 * N_EACH).to_string());
    }
    let log = log::open(&ObjectStores::default(), &place).await?;
    let report = log::check(log.as_ref(), "tarn").await?;
    ensure!(report.faults.is_empty(), "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_newer_server_is_refused_by_name() -> Result<()> {
    let data_dir = tempfile::tempdir()?;
    start(data_dir.path(), None).await?.stop().await;
    let folder = data_dir.path().join("catalog");
    let log = log::open(&ObjectStores::default(), &folder.display().to_string()).await?;
    let next = log.tail(1).await?.len() + 1;
    let text = format!(
        "{{\"tarn_catalog\":1,\"version\":{next},\"n_entries\":1}}\n{{\"put_function\":{{}}}}\n"
    );
    std::fs::write(folder.join(format!("{next:020}.json")), text)?;
    let error = start(data_dir.path(), None).await.err().context("it has started")?;
    ensure!(format!("{error:#}").contains("put_function"), "{error:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_was_not_finished_is_no_record() -> Result<()> {
    let data_dir = tempfile::tempdir()?;
    let server = start(data_dir.path(), None).await?;
    server.connect().await?.batch_execute("CREATE VIEW v AS SELECT 1 AS a").await?;
    server.stop().await;
    // What a crash between writing and linking leaves behind.
    std::fs::write(data_dir.path().join("catalog/.half.tmp"), "{\"tarn_catalog\":1,")?;
    let server = start(data_dir.path(), None).await?;
    let client = server.connect().await?;
    ensure!(text(&client, "SELECT a FROM v").await? == "1");
    client.batch_execute("CREATE VIEW w AS SELECT 2 AS a").await?;
    drop(client);
    server.stop().await;
    Ok(())
}
