//! The disk is full in the moment of a commit over several tables.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tarn_tests::harness::Server;
use tokio_postgres::Client;

use crate::stores::SmallDisk;

/// Takes all the room that is left; gives it back when dropped.
struct Filler(PathBuf);

impl Filler {
    fn fill(disk: &SmallDisk) -> Result<Self> {
        let path = disk.path().join("filler");
        let mut file = std::fs::File::create(&path)?;
        for n_bytes in [64 << 10, 4 << 10, 1] {
            while file.write_all(&vec![0_u8; n_bytes]).is_ok() {}
        }
        Ok(Self(path))
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn rows(client: &Client) -> Result<(i64, i64)> {
    let sql = "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)";
    let row = client.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

/// The server's own tables are on the disk that is full; its catalog is too, or is not.
async fn commits_on_a_full_disk(catalog_too: bool) -> Result<()> {
    let Some(disk) = SmallDisk::mount("4m")? else {
        println!("skipped: a small file system cannot be mounted here");
        return Ok(());
    };
    let elsewhere = tempfile::tempdir()?;
    let server = Server::start_with(&[], |config| {
        config.data_dir = disk.path().join("data");
        if !catalog_too {
            config.catalog = Some(elsewhere.path().display().to_string());
        }
    })
    .await?;
    let client = server.connect().await?;
    for table in ["a", "b"] {
        client.batch_execute(&format!("CREATE TABLE {table} (n bigint) USING delta")).await?;
    }
    let both = "BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)";
    client.batch_execute(&format!("{both}; COMMIT")).await?;
    // The rows are written before the disk is full, so that it is the commit which fails.
    client.batch_execute(both).await?;
    let filler = Filler::fill(&disk)?;
    let error = client.batch_execute("COMMIT").await.err().context("it was committed")?;
    let error = error.as_db_error().context("the connection is lost")?.clone();
    ensure!(error.code().code() == "53100", "{error:?}");
    ensure!(error.hint().is_some(), "{error:?}");
    // Neither now nor later is there a half of it.
    ensure!(rows(&client).await? == (1, 1), "{:?} on the full disk", rows(&client).await?);
    drop(filler);
    ensure!(rows(&client).await? == (1, 1), "{:?} later", rows(&client).await?);
    client.batch_execute(&format!("{both}; COMMIT")).await?;
    ensure!(rows(&client).await? == (2, 2), "{:?} after another commit", rows(&client).await?);
    drop(client);
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_tables_and_catalog() -> Result<()> {
    commits_on_a_full_disk(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_tables_only() -> Result<()> {
    commits_on_a_full_disk(false).await
}
