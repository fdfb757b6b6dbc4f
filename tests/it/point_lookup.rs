//! Queries by a key: the rows are those of a server that keeps nothing, before and after each write.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::{Server, wait_until};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, SimpleQueryMessage};

const LIMIT: Duration = Duration::from_secs(60);
/// Keys that are asked for; there are rows for most, several for some, none for others.
const KEYS: [i64; 9] = [1, 7, 107, 4_095, 4_096, 11_999, 12_000, 0, 99_999];

/// A server that answers lookups from memory, and one over the same tables that does not.
struct Pair {
    keeps: Server,
    reads: Server,
    on: Client,
    off: Client,
    _folder: tempfile::TempDir,
}

impl Pair {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let paths = [folder.path().to_owned()];
        let keeps = Server::start(&paths).await?;
        let place = folder.path().join("t");
        let on = keeps.connect().await?;
        on.batch_execute(&format!(
            "CREATE TABLE t (id bigint, small integer, name text, u uuid, d date, p integer)
                 USING delta PARTITIONED BY (p) LOCATION '{}';
             INSERT INTO t SELECT i, i % 6000, 'n' || (i % 3000), md5(i::text)::uuid,
                 date '2020-01-01' + (i % 1000), i % 2 FROM generate_series(1, 12000) AS g (i);
             INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL, 0);
             DELETE FROM t WHERE id % 100 = 7;
             UPDATE t SET name = 'changed' WHERE id = 11999",
            place.display()
        ))
        .await?;
        let reads = Server::start_with(&paths, |config| config.lookup_cache_bytes_max = 0).await?;
        let off = reads.connect().await?;
        Ok(Self { keeps, reads, on, off, _folder: folder })
    }

    fn n_answered(&self) -> u64 {
        self.keeps.shared().lookups.n_answered()
    }

    /// Sends each statement to both until the first answers all of them from memory.
    async fn check(&self, sql: &str, types: &[Type], values: &[&(dyn ToSql + Sync)]) -> Result<()> {
        let on = self.on.prepare_typed(sql, types).await?;
        let off = self.off.prepare_typed(sql, types).await?;
        wait_until(LIMIT, async || {
            let n_before = self.n_answered();
            for value in values {
                let (mut ours, mut theirs) = (
                    texts(&self.on.query(&on, &[*value]).await?)?,
                    texts(&self.off.query(&off, &[*value]).await?)?,
                );
                ours.sort();
                theirs.sort();
                ensure!(ours == theirs, "{sql} with {value:?}: {ours:?} instead of {theirs:?}");
            }
            Ok(self.n_answered() - n_before == u64::try_from(values.len())?)
        })
        .await
        .with_context(|| format!("{sql} is not answered from memory"))
    }

    async fn check_all(&self) -> Result<()> {
        let keys: Vec<&(dyn ToSql + Sync)> = KEYS.iter().map(|key| key as _).collect();
        for sql in [
            "SELECT id::text, name, u::text, p::text FROM t WHERE id = $1",
            "SELECT x.name AS n, (x.id + 1)::text FROM t AS x WHERE x.id = $1",
            "SELECT small::text, name FROM t WHERE small = $1 AND name <> 'n1' LIMIT 1000",
            "SELECT d::text FROM t WHERE $1 = id AND p = 1 AND small > 3",
        ] {
            self.check(sql, &[Type::INT8], &keys).await?;
        }
        let shorts: Vec<i16> = vec![1, 7, 4_095, -3];
        let shorts: Vec<&(dyn ToSql + Sync)> = shorts.iter().map(|key| key as _).collect();
        self.check("SELECT name FROM t WHERE id = $1", &[Type::INT2], &shorts).await?;
        let names = ["n1", "n7", "n2999", "changed", "", "nobody"];
        let names: Vec<&(dyn ToSql + Sync)> = names.iter().map(|name| name as _).collect();
        self.check("SELECT id::text, small::text FROM t WHERE name = $1", &[Type::TEXT], &names)
            .await?;
        let large: Vec<i64> = vec![5_999, i64::MAX, i64::MIN];
        let large: Vec<&(dyn ToSql + Sync)> = large.iter().map(|key| key as _).collect();
        self.check("SELECT id::text FROM t WHERE small = $1", &[Type::INT8], &large).await
    }
}

fn texts(rows: &[Row]) -> Result<Vec<Vec<Option<String>>>> {
    let row = |row: &Row| (0..row.len()).map(|i| Ok(row.try_get(i)?)).collect::<Result<Vec<_>>>();
    rows.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lookups_give_the_rows_of_scans() -> Result<()> {
    let pair = Pair::start().await?;
    pair.check_all().await?;
    // No comparison with NULL is true.
    let rows = pair.on.query("SELECT name FROM t WHERE id = $1", &[&None::<i64>]).await?;
    ensure!(rows.is_empty());
    for (writer, sql) in [
        (&pair.on, "INSERT INTO t VALUES (1, 1, 'again', NULL, NULL, 0)"),
        (&pair.off, "DELETE FROM t WHERE id = 4096"),
        (&pair.on, "UPDATE t SET name = 'n7', small = 0 WHERE id = 12000"),
    ] {
        writer.batch_execute(sql).await.with_context(|| sql.to_owned())?;
        pair.check_all().await.with_context(|| format!("after {sql}"))?;
    }
    let (n_entries, bytes) = pair.keeps.shared().lookups.cache().size();
    ensure!(n_entries > 0 && bytes <= 64_000_000, "{n_entries} entries, {bytes} bytes");
    ensure!(pair.reads.shared().lookups.n_answered() == 0, "the other keeps something too");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_looks_up_what_it_sees() -> Result<()> {
    let pair = Pair::start().await?;
    let sql = "SELECT name FROM t WHERE id = $1";
    pair.check(sql, &[Type::INT8], &[&5_i64]).await?;
    let lookup = pair.on.prepare_typed(sql, &[Type::INT8]).await?;
    let name =
        async || -> Result<String> { Ok(pair.on.query_one(&lookup, &[&5_i64]).await?.get(0)) };
    pair.on.batch_execute("BEGIN").await?;
    ensure!(name().await? == "n5");
    pair.off.batch_execute("UPDATE t SET name = 'new' WHERE id = 5").await?;
    ensure!(name().await? == "n5", "a commit of others shows in the transaction");
    pair.on.batch_execute("COMMIT; BEGIN; UPDATE t SET name = 'own' WHERE id = 5").await?;
    ensure!(name().await? == "own", "its own change does not show");
    pair.on.batch_execute("ROLLBACK").await?;
    ensure!(name().await? == "new");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_with_other_values_are_planned_once() -> Result<()> {
    let pair = Pair::start().await?;
    let mut next = 0;
    wait_until(LIMIT, async || {
        let n_before = pair.n_answered();
        for _ in 0..20 {
            next = next % 4_000 + 1;
            for sql in [
                format!("SELECT id, name FROM t WHERE id = {next}"),
                format!("SELECT id, u FROM t WHERE name = 'n{next}' AND p = 1"),
            ] {
                let rows = (simple(&pair.on, &sql).await?, simple(&pair.off, &sql).await?);
                ensure!(rows.0 == rows.1, "{sql}: {:?} instead of {:?}", rows.0, rows.1);
            }
        }
        Ok(pair.n_answered() - n_before >= 30)
    })
    .await?;
    // A value that is none of the column's type is an error as ever, with its own place in the text.
    let error =
        simple(&pair.on, "SELECT id FROM t WHERE id = 'x'").await.err().context("no error")?;
    ensure!(format!("{error:?}").contains("invalid input syntax for type bigint"), "{error:?}");
    Ok(())
}

async fn simple(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
    let mut rows = Vec::new();
    for message in client.simple_query(sql).await? {
        if let SimpleQueryMessage::Row(row) = message {
            rows.push((0..row.len()).map(|i| row.get(i).map(ToOwned::to_owned)).collect());
        }
    }
    rows.sort();
    Ok(rows)
}
