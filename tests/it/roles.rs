//! Roles over the wire: logins, rights on every path, several servers on one catalog.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::Server;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::lifecycle::with_password;

/// A server that asks for passwords, in `data_dir`.
async fn start(data_dir: &Path, catalog: Option<&str>) -> Result<Server> {
    Server::start_with(&[], |config| {
        with_password(config);
        config.data_dir = data_dir.to_owned();
        config.catalog = catalog.map(ToOwned::to_owned);
    })
    .await
}

/// Logs in; the error's code where that is refused.
async fn log_in(
    server: &Server,
    user: &str,
    password: &str,
) -> Result<std::result::Result<Client, String>> {
    log_in_to(server, "tarn", (user, password)).await
}

/// As [`log_in`], to a database.
async fn log_in_to(
    server: &Server,
    database: &str,
    (user, password): (&str, &str),
) -> Result<std::result::Result<Client, String>> {
    let addr = server.pg_addr()?;
    let mut config = tokio_postgres::Config::new();
    config.hostaddr(addr.ip()).host("localhost").port(addr.port());
    config.user(user).password(password).dbname(database);
    match config.connect(NoTls).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Ok(Ok(client))
        }
        Err(error) => Ok(Err(error.code().context("no code")?.code().to_owned())),
    }
}

async fn admin(server: &Server) -> Result<Client> {
    log_in(server, "tarn", "corréct horse").await?.map_err(anyhow::Error::msg)
}

async fn code(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => "00000".to_owned(),
        Err(error) => error.code().map_or_else(String::new, |code| code.code().to_owned()),
    }
}

async fn text(client: &Client, sql: &str) -> Result<String> {
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            return Ok(row.get(0).unwrap_or_default().to_owned());
        }
    }
    Ok(String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_log_in_with_their_own_passwords() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    tarn.batch_execute("CREATE USER ann PASSWORD 'first'; CREATE ROLE readers PASSWORD 'x'")
        .await?;
    let refused = |found: std::result::Result<Client, String>| found.err().unwrap_or_default();
    ensure!(refused(log_in(&server, "ann", "wrong").await?) == "28P01");
    ensure!(refused(log_in(&server, "readers", "x").await?) == "28000", "no LOGIN");
    let ann = log_in(&server, "ann", "first").await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&ann, "SELECT current_user || session_user").await? == "annann");
    ensure!(text(&ann, "SHOW is_superuser").await? == "off");
    // A ready verifier moves a password to another role.
    let verifier = server.shared().catalog.role("ann").and_then(|role| role.verifier);
    let verifier = verifier.context("no verifier")?;
    ensure!(verifier.starts_with("SCRAM-SHA-256$4096:"), "{verifier}");
    tarn.batch_execute(&format!("CREATE USER bob PASSWORD '{verifier}'")).await?;
    ensure!(log_in(&server, "bob", "first").await?.is_ok());
    ensure!(
        code(&tarn, "ALTER ROLE bob PASSWORD 'md5d41d8cd98f00b204e9800998ecf8427e'").await
            == "0A000"
    );
    tarn.batch_execute("ALTER ROLE ann PASSWORD 'second' CONNECTION LIMIT 1").await?;
    ensure!(refused(log_in(&server, "ann", "first").await?) == "28P01");
    ensure!(refused(log_in(&server, "ann", "second").await?) == "53300", "one session is open");
    tarn.batch_execute("ALTER ROLE bob VALID UNTIL '2001-01-01'").await?;
    ensure!(refused(log_in(&server, "bob", "first").await?) == "28P01", "its time is over");
    tarn.batch_execute("ALTER ROLE bob VALID UNTIL 'infinity' NOLOGIN").await?;
    ensure!(refused(log_in(&server, "bob", "first").await?) == "28000");
    tarn.batch_execute("ALTER ROLE bob LOGIN; REVOKE CONNECT ON DATABASE tarn FROM PUBLIC").await?;
    ensure!(refused(log_in(&server, "bob", "first").await?) == "42501");
    ensure!(code(&tarn, "DROP ROLE tarn").await == "55006");
    tarn.batch_execute("DROP ROLE bob").await?;
    ensure!(refused(log_in(&server, "bob", "first").await?) == "28P01");
    drop((tarn, ann));
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_shown_nowhere() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    tarn.batch_execute("CREATE ROLE ann PASSWORD 'hunter2'").await?;
    let other = admin(&server).await?;
    let shown = text(
        &other,
        "SELECT string_agg(query, ';') FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    )
    .await?;
    ensure!(shown.contains("CREATE ROLE ann PASSWORD …") && !shown.contains("hunter2"), "{shown}");
    let mut waiting = vec![folder.path().to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
            continue;
        }
        let bytes = std::fs::read(&path)?;
        let found = bytes.windows(7).any(|window| window == b"hunter2");
        ensure!(!found, "{} holds the password", path.display());
    }
    drop((tarn, other));
    server.stop().await;
    Ok(())
}

/// What a role without rights must not get at, with the code of the refusal.
const REFUSED: &[&str] = &[
    "SELECT * FROM lake",
    "EXPLAIN SELECT * FROM lake",
    "EXPLAIN ANALYZE SELECT * FROM lake",
    "SELECT * FROM lake VERSION AS OF 0",
    "SELECT * FROM table_changes('lake', 0, 1)",
    "SELECT * FROM table_diff('lake', 0, 1)",
    "DESCRIBE HISTORY lake",
    "SELECT (SELECT count(*) FROM lake)",
    "WITH w AS (SELECT * FROM lake) SELECT * FROM w",
    "CREATE TEMP TABLE copy AS SELECT * FROM lake",
    "CREATE TEMP VIEW look AS SELECT * FROM lake",
    "BEGIN; DECLARE c CURSOR FOR SELECT * FROM lake",
    "COPY lake TO STDOUT",
    "COPY (SELECT * FROM lake) TO STDOUT",
    "COPY lake FROM STDIN",
    "COPY lake FROM '/etc/passwd'",
    "PREPARE p AS SELECT * FROM lake",
    "INSERT INTO lake VALUES (1)",
    "INSERT INTO mine SELECT * FROM lake",
    "UPDATE lake SET a = 1",
    "UPDATE mine SET a = lake.a FROM lake",
    "DELETE FROM lake",
    "DELETE FROM mine USING lake WHERE mine.a = lake.a",
    "MERGE INTO lake USING mine ON lake.a = mine.a WHEN MATCHED THEN DELETE",
    "MERGE INTO mine USING lake ON lake.a = mine.a WHEN MATCHED THEN DELETE",
    "TRUNCATE lake",
    "OPTIMIZE lake",
    "VACUUM lake",
    "ANALYZE lake",
    "RESTORE TABLE lake TO VERSION AS OF 0",
    "ALTER TABLE lake ADD COLUMN b int",
    "ALTER TABLE lake SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
    "ALTER TABLE lake RENAME TO mine_now",
    "ALTER TABLE lake SET SCHEMA own",
    "ALTER TABLE lake OWNER TO ann",
    "DROP TABLE lake",
    "COMMENT ON TABLE lake IS 'mine'",
    "CREATE INDEX i ON lake (a)",
    "CREATE TABLE own.alike (LIKE lake)",
    "CREATE OR REPLACE TABLE public.lake (a int)",
    "CREATE OR REPLACE VIEW public.v AS SELECT 1",
    "BEGIN; LOCK TABLE lake",
    "CREATE TABLE own.outside (a int) USING delta LOCATION '/tmp/outside'",
    "CREATE TABLE public.t (a int)",
    "CREATE SCHEMA more",
    "CREATE STORAGE s TYPE s3 SCOPE 's3://b' OPTIONS (access_key_id 'a', secret_access_key 'b')",
    "GRANT SELECT ON lake TO ann",
    "CREATE ROLE more",
    "ALTER SYSTEM SET statement_timeout = 1",
    "ALTER ROLE tarn PASSWORD 'x'",
    "SET ROLE tarn",
    "SET SESSION AUTHORIZATION tarn",
    "SELECT set_config('role', 'tarn', false)",
    "SELECT * FROM pg_authid",
    "SELECT pg_reload_conf()",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_or_changed_without_rights() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    tarn.batch_execute(
        "CREATE USER ann PASSWORD 'x'; CREATE SCHEMA own AUTHORIZATION ann;
         CREATE TABLE lake (a int) USING delta TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true');
         INSERT INTO lake VALUES (1); INSERT INTO lake VALUES (2);
         CREATE VIEW v AS SELECT a FROM lake",
    )
    .await?;
    tarn.batch_execute("ANALYZE lake").await?;
    let ann = log_in(&server, "ann", "x").await?.map_err(anyhow::Error::msg)?;
    ann.batch_execute("CREATE TABLE own.mine (a int); INSERT INTO own.mine VALUES (1)").await?;
    ann.batch_execute("SET search_path = own, public").await?;
    let mut wrong = Vec::new();
    for sql in REFUSED {
        let found = code(&ann, sql).await;
        if found != "42501" {
            wrong.push(format!("{sql}: {found}"));
        }
        ann.batch_execute("ROLLBACK").await?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What shows that there are others shows nothing of theirs.
    ensure!(text(&ann, "SELECT count(*) FROM tarn.queries WHERE user_name <> 'ann'").await? == "0");
    ensure!(text(&ann, "SELECT count(*) FROM pg_stats WHERE tablename = 'lake'").await? == "0");
    let hidden = "SELECT query FROM pg_stat_activity WHERE usename = 'tarn' LIMIT 1";
    ensure!(text(&ann, hidden).await? == "<insufficient privilege>");
    let listed = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'lake'";
    ensure!(text(&ann, listed).await? == "0");
    ensure!(text(&tarn, listed).await? == "1");
    drop((tarn, ann));
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn views_lend_the_rights_of_their_owners_and_no_more() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    tarn.batch_execute(
        "CREATE USER ann PASSWORD 'x'; CREATE SCHEMA secret; CREATE SCHEMA own AUTHORIZATION ann;
         CREATE TABLE public.t (a int); INSERT INTO public.t VALUES (1);
         CREATE TABLE secret.t (a int); INSERT INTO secret.t VALUES (42);
         CREATE VIEW public.v AS SELECT a FROM t; GRANT SELECT ON v TO ann",
    )
    .await?;
    let ann = log_in(&server, "ann", "x").await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&ann, "SELECT a FROM v").await? == "1");
    ensure!(code(&ann, "SELECT a FROM t").await == "42501");
    // The view's names mean what they meant when it was made.
    ensure!(text(&ann, "SET search_path = secret; SELECT a FROM public.v").await? == "1");
    ann.batch_execute("CREATE TABLE own.t (a int); INSERT INTO own.t VALUES (7)").await?;
    ensure!(text(&ann, "SET search_path = own; SELECT a FROM public.v").await? == "1");
    // A plan that the owner has cached is not everybody's, and a right ends when it is revoked.
    let statement = ann.prepare("SELECT a FROM public.v").await?;
    ensure!(ann.query_one(&statement, &[]).await?.get::<_, i32>(0) == 1);
    tarn.batch_execute("REVOKE SELECT ON v FROM ann").await?;
    let error = ann.query_one(&statement, &[]).await.err().context("a revoked right")?;
    ensure!(error.code().map(|code| code.code()) == Some("42501"), "{error:?}");
    drop((tarn, ann));
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_on_one_catalog_share_roles_rights_and_settings() -> Result<()> {
    let log = tempfile::tempdir()?;
    let place = log.path().display().to_string();
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = start(one.path(), Some(&place)).await?;
    let second = start(two.path(), Some(&place)).await?;
    let tarn = admin(&first).await?;
    tarn.batch_execute(
        "CREATE USER ann PASSWORD 'x'; CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO ann;
         CREATE VIEW s.v AS SELECT 1 AS a; ALTER ROLE ann SET statement_timeout = '7s';
         ALTER DATABASE tarn SET statement_timeout = '5s';
         COMMENT ON ROLE ann IS 'reads'; COMMENT ON SCHEMA s IS 'shared'",
    )
    .await?;
    tarn.batch_execute("ALTER SYSTEM SET search_path = s").await?;
    let ann = log_in(&second, "ann", "x").await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&ann, "SHOW statement_timeout").await? == "7s");
    ensure!(text(&ann, "SHOW search_path").await? == "s");
    let source = "SELECT source FROM pg_settings WHERE name = 'statement_timeout'";
    ensure!(text(&ann, source).await? == "user");
    ensure!(code(&ann, "SELECT * FROM v").await == "42501");
    tarn.batch_execute("GRANT SELECT ON s.v TO ann").await?;
    ensure!(text(&ann, "SELECT a FROM v").await? == "1");
    ensure!(
        text(&ann, "SELECT obj_description('s'::regnamespace, 'pg_namespace')").await? == "shared"
    );
    // A new name keeps rights, settings and the password.
    tarn.batch_execute("ALTER ROLE ann RENAME TO bea").await?;
    let bea = log_in(&second, "bea", "x").await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&bea, "SELECT a FROM v").await? == "1");
    ensure!(text(&bea, "SHOW statement_timeout").await? == "7s");
    ensure!(code(&tarn, "DROP ROLE bea").await == "2BP01");
    drop((tarn, ann, bea));
    first.stop().await;
    let again = start(one.path(), Some(&place)).await?;
    let bea = log_in(&again, "bea", "x").await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&bea, "SELECT a FROM s.v").await? == "1", "rights are gone after a restart");
    drop(bea);
    again.stop().await;
    second.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_apart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    let own = ("tarn", "corréct horse");
    let refused = |found: std::result::Result<Client, String>| found.err().unwrap_or_default();
    ensure!(refused(log_in_to(&server, "sales", own).await?) == "3D000");
    tarn.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await?;
    tarn.batch_execute("CREATE DATABASE sales").await?;
    tarn.batch_execute("CREATE USER ann PASSWORD 'x' CREATEDB").await?;
    ensure!(code(&tarn, "CREATE DATABASE sales").await == "42P04");
    let sales = log_in_to(&server, "sales", own).await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&sales, "SELECT current_database()").await? == "sales");
    ensure!(code(&sales, "SELECT * FROM t").await == "42P01");
    ensure!(code(&sales, "SELECT * FROM tarn.public.t").await == "0A000");
    sales
        .batch_execute(
            "CREATE TABLE t (a text); INSERT INTO t VALUES ('sales');
             CREATE SCHEMA s; CREATE TABLE s.lake (a int) USING delta; INSERT INTO s.lake VALUES (5)",
        )
        .await?;
    ensure!(text(&sales, "SELECT a FROM t").await? == "sales");
    ensure!(text(&tarn, "SELECT a FROM t").await? == "1");
    ensure!(code(&tarn, "SELECT * FROM s.lake").await == "42P01");
    let again = log_in_to(&server, "sales", own).await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&again, "SELECT a FROM t").await? == "sales", "tables in memory are shared");
    // Its own rights and settings.
    tarn.batch_execute("REVOKE CONNECT ON DATABASE sales FROM PUBLIC").await?;
    ensure!(refused(log_in_to(&server, "sales", ("ann", "x")).await?) == "42501");
    tarn.batch_execute("ALTER DATABASE sales SET statement_timeout = '9s'").await?;
    let third = log_in_to(&server, "sales", own).await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&third, "SHOW statement_timeout").await? == "9s");
    ensure!(code(&tarn, "DROP DATABASE sales").await == "55006");
    ensure!(code(&tarn, "DROP DATABASE tarn").await == "55006");
    drop((sales, again, third));
    // It is there after a restart, but for tables in memory.
    drop(tarn);
    server.stop().await;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    let sales = log_in_to(&server, "sales", own).await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&sales, "SELECT a FROM s.lake").await? == "5");
    ensure!(text(&sales, "SELECT count(*) FROM pg_database").await? == "2");
    drop(sales);
    let gone = async || code(&tarn, "DROP DATABASE sales").await == "00000";
    let mut n_tries = 0;
    while !gone().await {
        n_tries += 1;
        ensure!(n_tries < 1_000, "the session does not end");
        tokio::task::yield_now().await;
    }
    ensure!(refused(log_in_to(&server, "sales", own).await?) == "3D000");
    drop(tarn);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_on_columns_and_on_objects_to_come_last() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    tarn.batch_execute(
        "CREATE USER ann PASSWORD 'x'; CREATE VIEW v AS SELECT 1 AS a, 2 AS b;
         GRANT SELECT (a) ON v TO ann;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ann",
    )
    .await?;
    let ann = log_in(&server, "ann", "x").await?.map_err(anyhow::Error::msg)?;
    let prepared = ann.prepare("SELECT a FROM v").await?;
    ensure!(ann.query(&prepared, &[]).await?.len() == 1);
    ensure!(code(&ann, "SELECT b FROM v").await == "42501");
    // Plans that are kept do not outlive the right.
    tarn.batch_execute("REVOKE SELECT (a) ON v FROM ann").await?;
    ensure!(ann.query(&prepared, &[]).await.is_err(), "the plan is still used");
    tarn.batch_execute("GRANT SELECT (a) ON v TO ann").await?;
    drop((tarn, ann));
    server.stop().await;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    tarn.batch_execute("CREATE VIEW w AS SELECT 3 AS c").await?;
    let ann = log_in(&server, "ann", "x").await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&ann, "SELECT a FROM v").await? == "1");
    ensure!(code(&ann, "SELECT b FROM v").await == "42501");
    ensure!(text(&ann, "SELECT c FROM w").await? == "3");
    drop((tarn, ann));
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_of_another_role_of_its_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = start(folder.path(), None).await?;
    let tarn = admin(&server).await?;
    tarn.batch_execute("CREATE USER bob PASSWORD 'x'").await?;
    let bob = log_in(&server, "bob", "x").await?.map_err(anyhow::Error::msg)?;
    ensure!(text(&bob, "SELECT current_user").await? == "bob");
    tarn.batch_execute("DROP ROLE bob").await?;
    ensure!(code(&bob, "SELECT 1").await == "28000");
    tarn.batch_execute("CREATE USER bob PASSWORD 'y' SUPERUSER").await?;
    ensure!(code(&bob, "SELECT 1").await == "28000");
    drop((tarn, bob));
    server.stop().await;
    Ok(())
}
