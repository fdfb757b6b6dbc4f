//! Which version of a table a statement reads and writes, while other sessions change the table.
//!
//! In a transaction of the default level a statement that writes a table does so to the newest
//! version, and sees no other one of it: neither its rows, in subqueries, nor its columns and rules.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::SinkExt;
use tarn_tests::harness::Server;
use tokio_postgres::{Client, SimpleQueryMessage};

const ROWS: &str = "SELECT string_agg(concat(id, ':', b), ' ' ORDER BY id, b) FROM t";

/// The first value that a query gives.
async fn text(client: &Client, sql: &str) -> Result<String> {
    for message in client.simple_query(sql).await.with_context(|| sql.to_owned())? {
        if let SimpleQueryMessage::Row(row) = message {
            return Ok(row.get(0).unwrap_or_default().to_owned());
        }
    }
    Ok(String::new())
}

/// The SQLSTATE of a statement, `00000` if it succeeds.
async fn code(client: &Client, sql: &str) -> String {
    code_of(client.batch_execute(sql).await)
}

fn code_of<T>(done: Result<T, tokio_postgres::Error>) -> String {
    match done {
        Ok(_) => "00000".to_owned(),
        Err(error) => error.code().map_or_else(|| error.to_string(), |c| c.code().to_owned()),
    }
}

/// Table `t` anew, with one row, and a view of it.
async fn fresh(client: &Client) -> Result<()> {
    let sql = "DROP VIEW IF EXISTS v; DROP TABLE IF EXISTS t;
         CREATE TABLE t (id int, b int) USING delta TBLPROPERTIES
           ('delta.columnMapping.mode' = 'name', 'delta.enableDeletionVectors' = 'true');
         INSERT INTO t VALUES (1, 1)";
    client.batch_execute(sql).await.context("a fresh table")
}

/// What a transaction does that has read the table before another session adds a row, and what is
/// in the table then.
const OVER_ITSELF: [(&str, &str); 9] = [
    ("DELETE FROM t WHERE id NOT IN (SELECT id FROM t)", "1:1 77:77"),
    ("DELETE FROM t WHERE NOT EXISTS (SELECT 1 FROM t AS o WHERE o.id = t.id)", "1:1 77:77"),
    ("DELETE FROM t WHERE id NOT IN (SELECT id FROM v)", "1:1 77:77"),
    ("UPDATE t SET b = (SELECT count(*) FROM t)", "1:2 77:2"),
    (
        "MERGE INTO t USING (SELECT * FROM t) AS s ON t.id = s.id
         WHEN MATCHED THEN UPDATE SET b = 0 WHEN NOT MATCHED BY SOURCE THEN DELETE",
        "1:0 77:0",
    ),
    ("INSERT INTO t SELECT id + 100, b FROM t", "1:1 77:77 101:1 177:77"),
    ("INSERT OVERWRITE t SELECT * FROM t", "1:1 77:77"),
    ("INSERT INTO t REPLACE WHERE true SELECT id, b FROM t", "1:1 77:77"),
    // The rows are read again, by the second statement, with what the first has done.
    (
        "UPDATE t SET b = b + 1; DELETE FROM t WHERE id NOT IN (SELECT id FROM t WHERE b > 1)",
        "1:2 77:78",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_reads_what_it_writes() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    for (statement, expected) in OVER_ITSELF {
        fresh(&one).await?;
        one.batch_execute("CREATE VIEW v AS SELECT id FROM t").await?;
        ensure!(text(&two, "BEGIN; SELECT count(*) FROM t").await? == "1");
        one.batch_execute("INSERT INTO t VALUES (77, 77)").await?;
        // What was read first counts until the table is written.
        ensure!(text(&two, "SELECT count(*) FROM t").await? == "1");
        two.batch_execute(statement).await.with_context(|| statement.to_owned())?;
        let (inside, committed) = (text(&two, ROWS).await?, code(&two, "COMMIT").await);
        let after = text(&one, ROWS).await?;
        ensure!(
            (inside.as_str(), after.as_str(), committed.as_str()) == (expected, expected, "00000"),
            "{statement}: {inside} inside, {after} after {committed}"
        );
    }
    // A table that takes its own place.
    fresh(&one).await?;
    one.batch_execute("CREATE TABLE own USING delta AS SELECT * FROM t").await?;
    ensure!(text(&two, "BEGIN; SELECT count(*) FROM own").await? == "1");
    one.batch_execute("INSERT INTO own VALUES (77, 77)").await?;
    let replace = "CREATE OR REPLACE TABLE own USING delta AS SELECT id, b + 1 AS b FROM own";
    two.batch_execute(&format!("{replace}; COMMIT")).await?;
    let found = text(&one, &ROWS.replace("FROM t", "FROM own")).await?;
    ensure!(found == "1:2 77:78", "{found}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn returning_reads_what_was_there_before() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    for using in ["delta", "memory"] {
        let create = format!(
            "DROP TABLE IF EXISTS t; CREATE TABLE t (id int, b int) USING {using};
             INSERT INTO t VALUES (1, 1)"
        );
        one.batch_execute(&create).await?;
        ensure!(text(&two, "BEGIN; SELECT count(*) FROM t").await? == "1");
        one.batch_execute("INSERT INTO t VALUES (77, 77)").await?;
        for (sql, expected) in [
            ("DELETE FROM t WHERE id = 1 RETURNING (SELECT count(*) FROM t)", "2"),
            ("INSERT INTO t VALUES (2, 2) RETURNING (SELECT count(*) FROM t)", "1"),
            ("UPDATE t SET b = 9 RETURNING (SELECT max(b) FROM t)", "77"),
        ] {
            let found = text(&two, sql).await?;
            ensure!(found == expected, "{using}, {sql}: {found}");
        }
        two.batch_execute("COMMIT").await?;
        ensure!(text(&one, ROWS).await? == "2:9 77:9", "{using}");
    }
    Ok(())
}

/// What another session does to a table that a transaction has read, what the transaction does
/// then, and the error, or a query and its answer after the commit.
type Altered = (&'static str, &'static str, Result<(&'static str, &'static str), &'static str>);

const ALTERED: [Altered; 11] = [
    (
        "ALTER TABLE t ADD CONSTRAINT c CHECK (id <> 51)",
        "INSERT INTO t (id, b) VALUES (51, 51)",
        Err("23514"),
    ),
    (
        "ALTER TABLE t ALTER COLUMN b SET NOT NULL",
        "INSERT INTO t (id, b) VALUES (51, NULL)",
        Err("23502"),
    ),
    ("ALTER TABLE t ALTER COLUMN b SET NOT NULL", "UPDATE t SET b = NULL", Err("23502")),
    ("ALTER TABLE t ADD CONSTRAINT c CHECK (b <> 7)", "UPDATE t SET b = 7", Err("23514")),
    (
        "ALTER TABLE t ADD CONSTRAINT c CHECK (b <> 7)",
        "MERGE INTO t USING (SELECT 9 AS k) AS s ON t.id = s.k
         WHEN NOT MATCHED THEN INSERT (id, b) VALUES (k, 7)",
        Err("23514"),
    ),
    (
        "ALTER TABLE t ADD COLUMN g int GENERATED ALWAYS AS (id * 10) STORED",
        "INSERT INTO t (id, b) VALUES (51, 3)",
        Ok(("SELECT string_agg(g::text, ' ' ORDER BY id) FROM t", "10 510")),
    ),
    (
        "ALTER TABLE t ADD COLUMN g int DEFAULT 5",
        "INSERT INTO t (id, b) VALUES (51, 3)",
        Ok(("SELECT string_agg(g::text, ' ' ORDER BY id) FROM t", "5 5")),
    ),
    (
        "ALTER TABLE t ADD COLUMN g int",
        "UPDATE t SET id = 51",
        Ok(("SELECT concat(id, ' ', b, ' ', count(g)) FROM t GROUP BY id, b", "51 1 0")),
    ),
    ("ALTER TABLE t RENAME COLUMN b TO c", "INSERT INTO t (id, b) VALUES (51, 3)", Err("42703")),
    ("ALTER TABLE t DROP COLUMN b", "INSERT INTO t (id, b) VALUES (51, 3)", Err("42703")),
    ("ALTER TABLE t DROP COLUMN b", "UPDATE t SET id = 51", Ok(("SELECT * FROM t", "51"))),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_keeps_to_the_rules_of_what_it_writes() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    for (alter, statement, expected) in ALTERED {
        fresh(&one).await?;
        ensure!(text(&two, "BEGIN; SELECT count(*) FROM t").await? == "1");
        one.batch_execute(alter).await.with_context(|| alter.to_owned())?;
        let done = code(&two, statement).await;
        match expected {
            Err(expected) => {
                ensure!(done == expected, "{alter}; {statement}: {done}");
                two.batch_execute("ROLLBACK").await?;
            }
            Ok((query, expected)) => {
                let committed = code(&two, "COMMIT").await;
                ensure!((done.as_str(), committed.as_str()) == ("00000", "00000"), "{statement}");
                let found = text(&one, query).await?;
                ensure!(found == expected, "{alter}; {statement}: {found}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copied_rows_keep_to_the_rules_at_their_end() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    for (alter, expected) in [
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (b <> 7)", "23514"),
        ("ALTER TABLE t DROP COLUMN b", "42703"),
        ("ALTER TABLE t ADD COLUMN g int DEFAULT 5", "00000"),
    ] {
        fresh(&one).await?;
        ensure!(text(&two, "BEGIN; SELECT count(*) FROM t").await? == "1");
        one.batch_execute(alter).await.with_context(|| alter.to_owned())?;
        let copied = match two.copy_in("COPY t (id, b) FROM STDIN").await {
            Ok(sink) => {
                let mut sink = std::pin::pin!(sink);
                sink.send(Bytes::from_static(b"51\t7\n")).await?;
                code_of(sink.finish().await)
            }
            Err(error) => code_of::<()>(Err(error)),
        };
        // The columns are known when the rows begin to come: with those of the first look, a
        // column that is gone is found at the end.
        ensure!(copied == expected, "{alter}: {copied}");
        let ended = code(&two, "COMMIT").await;
        ensure!(ended == "00000", "{alter}: {ended}");
        if expected == "00000" {
            let found = text(&one, "SELECT g FROM t WHERE id = 51").await?;
            ensure!(found == "5", "{found}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_and_levels_keep_their_versions() -> Result<()> {
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    let count = "SELECT count(*) FROM t";
    // The default level: the newest version from the first write on.
    fresh(&one).await?;
    ensure!(text(&two, &format!("BEGIN; {count}")).await? == "1");
    one.batch_execute("INSERT INTO t VALUES (77, 77)").await?;
    ensure!(text(&two, count).await? == "1");
    two.batch_execute("SAVEPOINT s; DELETE FROM t WHERE id = 5").await?;
    ensure!(text(&two, count).await? == "2", "a write of no row");
    two.batch_execute("ROLLBACK TO s").await?;
    ensure!(text(&two, count).await? == "2", "back at the savepoint");
    two.batch_execute("COMMIT").await?;
    // A statement that fails writes nothing: the version stays.
    fresh(&one).await?;
    ensure!(text(&two, &format!("BEGIN; {count}")).await? == "1");
    one.batch_execute("INSERT INTO t VALUES (77, 77)").await?;
    ensure!(code(&two, "SAVEPOINT s; UPDATE t SET b = 1 / (b - 77)").await == "22012");
    two.batch_execute("ROLLBACK TO s").await?;
    ensure!(text(&two, count).await? == "1", "a write that has failed");
    two.batch_execute("COMMIT").await?;
    // Rows that others have taken out are out, also for a TRUNCATE that finds none.
    fresh(&one).await?;
    ensure!(text(&two, &format!("BEGIN; {count}")).await? == "1");
    one.batch_execute("DELETE FROM t").await?;
    two.batch_execute("TRUNCATE t").await?;
    ensure!(text(&two, count).await? == "0", "after TRUNCATE");
    two.batch_execute("COMMIT").await?;
    for using in ["delta", "memory"] {
        for level in ["REPEATABLE READ", "SERIALIZABLE"] {
            let create = format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (id int, b int) USING {using};
                 INSERT INTO t VALUES (1, 1)"
            );
            one.batch_execute(&create).await?;
            ensure!(text(&two, &format!("BEGIN ISOLATION LEVEL {level}; {count}")).await? == "1");
            if using == "memory" {
                // A write would be 40001 behind another one.
                two.batch_execute("SAVEPOINT s; UPDATE t SET b = 2; ROLLBACK TO s").await?;
            }
            one.batch_execute("INSERT INTO t VALUES (77, 77)").await?;
            if using == "delta" {
                let update = "SAVEPOINT s; UPDATE t SET b = (SELECT count(*) FROM t)";
                two.batch_execute(update).await?;
                ensure!(text(&two, ROWS).await? == "1:1", "{level} {using}");
                two.batch_execute("ROLLBACK TO s").await?;
            }
            ensure!(text(&two, count).await? == "1", "{level} {using}");
            two.batch_execute("COMMIT").await?;
        }
    }
    Ok(())
}

/// Statements outside of transactions, while columns come and go: each of them counts, or is 40001.
#[tokio::test(flavor = "multi_thread")]
async fn statements_beside_alter_are_run_again() -> Result<()> {
    const N_ALTERS: usize = 12;
    let server = Server::start(&[]).await?;
    let (one, two) = (server.connect().await?, server.connect().await?);
    fresh(&one).await?;
    let alters = tokio::spawn(async move {
        for at in 0..N_ALTERS {
            for sql in [format!("ADD COLUMN n{at} int"), format!("DROP COLUMN n{at}")] {
                let mut done = code(&one, &format!("ALTER TABLE t {sql}")).await;
                while done == "40001" {
                    done = code(&one, &format!("ALTER TABLE t {sql}")).await;
                }
                ensure!(done == "00000", "{sql}: {done}");
            }
        }
        Ok(())
    });
    let mut n_rows = 1;
    while !alters.is_finished() {
        let inserted = code(&two, "INSERT INTO t (id, b) VALUES (2, 2)").await;
        ensure!(["00000", "40001"].contains(&inserted.as_str()), "INSERT: {inserted}");
        n_rows += usize::from(inserted == "00000");
        let updated = code(&two, "UPDATE t SET b = b + 1 WHERE id = 1").await;
        ensure!(["00000", "40001"].contains(&updated.as_str()), "UPDATE: {updated}");
    }
    alters.await??;
    ensure!(text(&two, "SELECT count(*) FROM t").await? == n_rows.to_string());
    Ok(())
}

/// A server of several that share a catalog.
async fn start(data_dir: &Path, catalog: &Path) -> Result<Server> {
    Server::start_with(&[], |config| {
        config.data_dir = data_dir.to_owned();
        config.catalog = Some(catalog.display().to_string());
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_another_server_drops_is_not_damaged() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let catalog = folder.path().join("catalog");
    let data_dir = folder.path().join("one");
    let first = start(&data_dir, &catalog).await?;
    let second = start(&folder.path().join("two"), &catalog).await?;
    let (one, two) = (first.connect().await?, second.connect().await?);
    one.batch_execute("CREATE TABLE t USING delta AS SELECT 1 AS id, 1 AS b").await?;
    two.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT id FROM t").await?;
    one.batch_execute("DROP TABLE t").await?;
    // Its files stay for those who still read it, for a while.
    let tables = data_dir.join("tables/tarn/public");
    ensure!(std::fs::read_dir(&tables)?.next().is_some(), "the files went at once");
    std::fs::remove_dir_all(&tables)?;
    match two.simple_query("FETCH ALL FROM c").await {
        // It had read them.
        Ok(_) => two.batch_execute("COMMIT").await?,
        Err(error) => {
            ensure!(code_of::<()>(Err(error)) == "42P01");
            two.batch_execute("ROLLBACK").await?;
        }
    }
    for sql in ["SELECT * FROM t", "INSERT INTO t VALUES (2, 2)", "DELETE FROM t"] {
        let found = code(&two, sql).await;
        ensure!(found == "42P01", "{sql}: {found}");
    }
    // Another one of the name is another table.
    one.batch_execute("CREATE TABLE t USING delta AS SELECT 5 AS id, 5 AS b").await?;
    two.batch_execute("INSERT INTO t VALUES (6, 6)").await?;
    ensure!(text(&one, ROWS).await? == "5:5 6:6");
    drop((one, two));
    first.stop().await;
    second.stop().await;
    Ok(())
}
