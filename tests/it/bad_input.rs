//! Input and storage that fail: the error says what and where, and nothing half written is seen.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tarn_catalog::object_store::Storage;
use tarn_tests::fakes::{CarelessS3, FakeGcs, Faults, Moto, Proxy};
use tarn_tests::harness::{Server, require_or_skip};
use tokio_postgres::Client;
use tokio_postgres::error::DbError;

use super::stores::SmallDisk;

/// What a statement that has to fail says.
async fn failure(client: &Client, sql: &str) -> Result<DbError> {
    match client.batch_execute(sql).await {
        Ok(()) => anyhow::bail!("this works: {sql}"),
        Err(error) => error.as_db_error().cloned().with_context(|| format!("{sql}: {error}")),
    }
}

async fn check(client: &Client, sql: &str, code: &str) -> Result<DbError> {
    let error = failure(client, sql).await?;
    ensure!(error.code().code() == code, "{sql}: {error:?} instead of {code}");
    Ok(error)
}

async fn count(client: &Client, table: &str) -> Result<i64> {
    Ok(client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0))
}

/// The number of commits that a table on disk has.
fn n_commits(table: &std::path::Path) -> usize {
    let files = std::fs::read_dir(table.join("_delta_log")).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension().is_some_and(|ending| ending == "json")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_told_by_line_and_column() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // COPY reads files of folders that are served.
    let served = folder.path().join("served");
    std::fs::create_dir(&served)?;
    let file = |name: &str, text: &str| -> Result<PathBuf> {
        let path = served.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let server = Server::start(std::slice::from_ref(&served)).await?;
    let client = server.connect().await?;
    let table = folder.path().join("t");
    client
        .batch_execute(&format!(
            "CREATE TABLE t (id bigint NOT NULL, day date, price numeric(6,2)) USING delta \
             LOCATION '{}'; INSERT INTO t VALUES (0, NULL, NULL)",
            table.display()
        ))
        .await?;
    let before = n_commits(&table);
    let many: String = (0..20_000).map(|n| format!("{n},2024-01-01,1.5\n")).collect();
    for (name, text, code, place) in [
        ("type", "1,2024-01-01,1\nx,2024-01-01,2\n", "22P02", "line 2, column id: \"x\""),
        ("late", &format!("{many}7,2024-13-01,1\n"), "22008", "line 20001, column day"),
        ("fields", "1,2024-01-01,1,9\n", "22P04", "line 1"),
        ("short", "1,2024-01-01,1\n2\n", "22P04", "line 2"),
        ("quote", "1,\"2024-01-01,1\n", "22P04", "line"),
        ("null", "1,2024-01-01,1\n,2024-01-01,1\n", "23502", ""),
        ("large", "1,2024-01-01,123456.5\n", "22003", "line 1, column price"),
    ] {
        let path = file(&format!("{name}.csv"), text)?;
        let sql = format!("COPY t FROM '{}' WITH (FORMAT csv)", path.display());
        let error = failure(&client, &sql).await?;
        let context = error.where_().unwrap_or_default();
        println!("{name}: {} {} / {context}", error.code().code(), error.message());
        ensure!(error.code().code() == code, "{name}: {error:?} instead of {code}");
        ensure!(context.contains(place), "{name}: \"{context}\" lacks \"{place}\"");
        ensure!(count(&client, "t").await? == 1, "{name}: rows of the broken file are there");
    }
    ensure!(n_commits(&table) == before, "a failed load has committed");
    let missing = format!("COPY t FROM '{}/none.csv' WITH (FORMAT csv)", served.display());
    check(&client, &missing, "58P01").await?;
    check(&client, "COPY t FROM '/nowhere/at/all.csv' WITH (FORMAT csv)", "42501").await?;
    check(
        &client,
        "INSERT INTO t SELECT 1 / (i - 500) FROM generate_series(1, 1000) AS s(i)",
        "22012",
    )
    .await?;
    ensure!(count(&client, "t").await? == 1 && n_commits(&table) == before);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_rows_are_left_out_where_that_is_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, "1,2024-01-01\nx,2024-01-01\n2,nonsense\n3,2024-01-03\n4\n")?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    client.batch_execute("CREATE TABLE t (id int, day date) USING delta").await?;
    let copy =
        |options: &str| format!("COPY t FROM '{}' WITH (FORMAT csv, {options})", path.display());
    // One more than is allowed: nothing is added.
    let refused = client.batch_execute(&copy("ON_ERROR ignore, REJECT_LIMIT 2")).await;
    ensure!(refused.is_err() && count(&client, "t").await? == 0);
    client.batch_execute(&copy("ON_ERROR ignore, REJECT_LIMIT 3")).await?;
    ensure!(count(&client, "t").await? == 2);
    client.batch_execute(&copy("ON_ERROR ignore, LOG_VERBOSITY verbose")).await?;
    ensure!(count(&client, "t").await? == 4);
    let error = failure(&client, &copy("ON_ERROR stop")).await?;
    ensure!(error.code().code() == "22P02", "{error:?}");
    ensure!(count(&client, "t").await? == 4);
    server.stop().await;
    Ok(())
}

/// JSON is read by the table's columns: nothing is guessed from the beginning of a file.
#[tokio::test(flavor = "multi_thread")]
async fn json_is_read_as_csv_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&[folder.path().to_owned()]).await?;
    let client = server.connect().await?;
    let copy = |name: &str, text: &str, options: &str| -> Result<String> {
        let path = folder.path().join(format!("{name}.json"));
        std::fs::write(&path, text)?;
        Ok(format!("COPY t FROM '{}' {options}", path.display()))
    };
    client
        .batch_execute(
            "CREATE TABLE t (a bigint, b text, n numeric(30,5), day date, j jsonb, l int[],
             id int NOT NULL DEFAULT 5) USING delta",
        )
        .await?;
    let many = "{\"a\":7}\n".repeat(50_000);
    let late = "{\"a\":1.0,\"b\":\"late\\u00e9\",\"n\":12345678901234567.12345,\
                \"day\":\"2024-02-29\",\"j\":{\"k\":[\"x\",null]},\"l\":[1,null],\"id\":6}\n";
    for (name, text) in [("lines", format!("{many}{late}")), ("array", format!("[{late}]"))] {
        client.batch_execute("TRUNCATE t").await?;
        client.batch_execute(&copy(name, &text, "")?).await?;
        let sql = "SELECT concat_ws(' ', a, b, n, day, j, l, id) FROM t WHERE a <> 7";
        let found: String = client.query_one(sql, &[]).await?.get(0);
        let expected =
            "1 lateé 12345678901234567.12345 2024-02-29 {\"k\": [\"x\", null]} {1,NULL} 6";
        ensure!(found == expected, "{name}: {found}");
    }
    client.batch_execute(&copy("defaults", &many, "WHERE id = 5")?).await?;
    let sql = "SELECT count(*) FROM t WHERE id = 5 AND b IS NULL";
    let n: i64 = client.query_one(sql, &[]).await?.get(0);
    ensure!(n == 50_000, "{n} rows have the default");
    client.batch_execute("TRUNCATE t").await?;
    for (name, text, code, place) in [
        ("fraction", format!("{many}{{\"a\":1.9}}\n"), "22P02", "line 50001, column a: \"1.9\""),
        ("large", "{\"a\":1}\n{\"a\":9223372036854775808}".to_owned(), "22003", "line 2, column a"),
        ("type", "\n{\"a\":1}\n\n{\"day\":\"x\"}".to_owned(), "22007", "line 4, column day"),
        ("zero", "{\"b\":\"\\u0000\"}".to_owned(), "22P05", "line 1, column b"),
        ("broken", "{\"a\":1}\n{\"a\":\n{\"a\":2}\n".to_owned(), "22P02", "line 2"),
        ("unknown", "{\"a\":1}\n{\"z\":1}\n".to_owned(), "42703", "line 2"),
        ("array", "[{\"a\":1}".to_owned(), "22P02", "line 1"),
        ("null", "{\"a\":1}\n{\"id\":null}\n".to_owned(), "23502", ""),
    ] {
        let error = check(&client, &copy(name, &text, "")?, code).await?;
        let context = error.where_().unwrap_or_default();
        ensure!(context.contains(place), "{name}: \"{context}\" lacks \"{place}\"");
    }
    check(&client, &copy("header", "", "(HEADER)")?, "42601").await?;
    client.batch_execute(&copy("empty", "", "")?).await?;
    ensure!(count(&client, "t").await? == 0, "rows of a broken file are there");
    let some = "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":\n{\"a\":2}\n{\"a\":3}\n";
    check(&client, &copy("some", some, "(ON_ERROR ignore, REJECT_LIMIT 1)")?, "22P02").await?;
    client.batch_execute(&copy("some", some, "(ON_ERROR ignore, REJECT_LIMIT 2)")?).await?;
    ensure!(count(&client, "t").await? == 3);
    let listed = copy("listed", "{\"a\":4,\"z\":[1]}", "")?.replace("COPY t", "COPY t (a, b)");
    client.batch_execute(&listed).await?;
    ensure!(count(&client, "t").await? == 4);
    // The columns of a table of files are those of their beginnings; no value is cut.
    let path = folder.path().join("files.json");
    std::fs::write(&path, format!("{}{{\"a\":1.9}}\n", "{\"a\":7}\n".repeat(1_000_000)))?;
    let sql = format!("CREATE TABLE files USING json LOCATION '{}'", path.display());
    client.batch_execute(&sql).await?;
    let error = check(&client, "SELECT sum(a) FROM files", "22P02").await?;
    ensure!(error.message().contains("files.json"), "{error:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_the_statement_only() -> Result<()> {
    let Some(disk) = SmallDisk::mount("3m")? else {
        println!("skipped: a small file system cannot be mounted here");
        return Ok(());
    };
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    let place = disk.path().join("t");
    client
        .batch_execute(&format!(
            "CREATE TABLE t (id bigint, text text) USING delta LOCATION '{}'; \
             INSERT INTO t VALUES (1, 'one')",
            place.display()
        ))
        .await?;
    let sql = "INSERT INTO t SELECT i, md5(i::text) || md5((i + 1)::text) \
               FROM generate_series(1, 300000) AS s(i)";
    for _ in 0..2 {
        let error = check(&client, sql, "53100").await?;
        println!("{} / {:?} / {:?}", error.message(), error.detail(), error.hint());
        ensure!(count(&client, "t").await? == 1, "rows of a failed statement are there");
    }
    // The failed statements have given their space back.
    client.batch_execute("INSERT INTO t VALUES (2, 'two')").await?;
    ensure!(count(&client, "t").await? == 2);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_and_credentials_that_fail_are_told() -> Result<()> {
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    let shared = server.shared();
    let stores = shared.catalog.stores();
    let good = FakeGcs::start("lake").await?;
    let expired = FakeGcs::start_with_token("lake", Some("Bearer of today".to_owned())).await?;
    let storage = |gcs: &FakeGcs| Storage::try_new("g", "gs://lake", FakeGcs::options(gcs.addr()));
    let nothing = Storage::try_new("n", "gs://nothing", FakeGcs::options(good.addr()))?;
    stores.set_storages(vec![storage(&good)?, nothing.clone()]);
    let create =
        |bucket: &str| format!("CREATE TABLE t (id bigint) USING delta LOCATION '{bucket}/t'");
    let error = check(&client, &create("gs://nothing"), "58P01").await?;
    ensure!(error.message().contains("bucket"), "{error:?}");
    client.batch_execute(&create("gs://lake")).await?;
    client.batch_execute("INSERT INTO t VALUES (1)").await?;
    ensure!(count(&client, "t").await? == 1);
    // Credentials expire while the table is open.
    stores.set_storages(vec![storage(&expired)?, nothing.clone()]);
    let error = check(&client, "INSERT INTO t VALUES (2)", "28000").await?;
    ensure!(error.hint().is_some_and(|hint| hint.contains("expired")), "{error:?}");
    check(&client, "SELECT count(*) FROM t", "28000").await?;
    stores.set_storages(vec![storage(&good)?, nothing]);
    ensure!(count(&client, "t").await? == 1);
    client.batch_execute("INSERT INTO t VALUES (3)").await?;
    ensure!(count(&client, "t").await? == 2);
    server.stop().await;
    Ok(())
}

/// DESIGN, rule 9, as a client sees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_ignores_conditions_is_read_only() -> Result<()> {
    let careless = CarelessS3::start().await?;
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    let storage = Storage::try_new("c", "s3://lake", Moto::options(careless.addr()))?;
    server.shared().catalog.stores().set_storages(vec![storage]);
    let sql = "CREATE TABLE t (id bigint) USING delta LOCATION 's3://lake/t'";
    let error = check(&client, sql, "25006").await?;
    ensure!(error.detail().is_some_and(|detail| detail.contains("overwritten")), "{error:?}");
    check(&client, "SELECT * FROM t", "42P01").await?;
    server.stop().await;
    Ok(())
}

/// With a server of another program in between: moto's answer for a bucket that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_of_s3_is_told() -> Result<()> {
    let Some(moto) = Moto::start(&[]).await? else {
        require_or_skip("moto is not installed");
        return Ok(());
    };
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    let storage = Storage::try_new("s", "s3://nothing", Moto::options(moto.addr()))?;
    server.shared().catalog.stores().set_storages(vec![storage]);
    let sql = "CREATE TABLE t (id bigint) USING delta LOCATION 's3://nothing/t'";
    check(&client, sql, "58P01").await?;
    server.stop().await;
    Ok(())
}

/// The session token of a storage expires while the server runs; ALTER STORAGE brings another one.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_token_is_told_and_replaced() -> Result<()> {
    let Some(moto) = Moto::start(&["lake"]).await? else {
        require_or_skip("moto is not installed");
        return Ok(());
    };
    let proxy = Proxy::start(moto.addr(), Faults::default(), 1).await?;
    let server = Server::start(&[]).await?;
    let client = server.connect().await?;
    let storage = format!(
        "CREATE STORAGE s TYPE s3 SCOPE 's3://lake' OPTIONS (endpoint 'http://{}', allow_http 'true', \
         access_key_id 'tests', secret_access_key 'tests', session_token 'of the morning', \
         region 'us-east-1')",
        proxy.addr()
    );
    client.batch_execute(&storage).await?;
    client.batch_execute("CREATE TABLE t (id bigint) USING delta LOCATION 's3://lake/t'").await?;
    client.batch_execute("INSERT INTO t VALUES (1)").await?;
    client.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await?;
    proxy.expire("of the morning");
    let n_faults = proxy.n_faults();
    for sql in ["COMMIT", "SELECT sum(id) FROM t", "INSERT INTO t VALUES (4)"] {
        let error = failure(&client, sql).await?;
        // The answer to a HEAD has no body, so that S3 does not say there why it refuses.
        ensure!(["28000", "42501"].contains(&error.code().code()), "{sql}: {error:?}");
        ensure!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("credentials") || hint.contains("ALTER STORAGE")),
            "{error:?}"
        );
    }
    ensure!(proxy.n_faults() > n_faults, "nobody has asked the store");
    client.batch_execute("ALTER STORAGE s SET OPTIONS (session_token 'of the evening')").await?;
    ensure!(count(&client, "t").await? == 1, "rows of a failed commit are there");
    client.batch_execute("INSERT INTO t VALUES (8)").await?;
    ensure!(count(&client, "t").await? == 2);
    server.stop().await;
    Ok(())
}
