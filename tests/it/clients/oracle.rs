//! PostgreSQL with the demo tables, one for all suites of a run.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use tarn_tests::bench::fetch::copy_table;
use tarn_tests::harness::{PostgresProcess, Server, TPCH_TABLES, connect_pg_url, demo_data};
use tokio::sync::{Mutex, OnceCell};

static ORACLE: OnceCell<Option<Oracle>> = OnceCell::const_new();
static N_COPIES: AtomicU32 = AtomicU32::new(0);

/// The database that suites get copies of.
const TEMPLATE: &str = "tarn";

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Oracle {
    process: PostgresProcess,
    /// One copy at a time: the template must have no connection.
    copying: Mutex<()>,
    // Statics are not dropped; the guard's input ends with this process, then it stops the server.
    _guard: Child,
}

/// A suite's own database.
#[derive(Debug)]
pub struct Database {
    pub host: String,
    pub port: u16,
    pub name: String,
}

/// Returns PostgreSQL with the demo tables, or `None` where it is not installed.
pub async fn oracle() -> Result<Option<&'static Oracle>> {
    Ok(ORACLE.get_or_try_init(start).await?.as_ref())
}

async fn start() -> Result<Option<Oracle>> {
    let Some(process) = tokio::task::spawn_blocking(PostgresProcess::start).await?? else {
        return Ok(None);
    };
    let admin = connect_pg_url(&process.url()).await?;
    // tarn's sessions start in UTC, PostgreSQL's in the zone of the machine.
    for sql in [
        "alter system set timezone = 'UTC'".to_owned(),
        "select pg_reload_conf()".to_owned(),
        format!("create database {TEMPLATE}"),
    ] {
        admin.batch_execute(&sql).await?;
    }
    let folder: String = admin.query_one("show data_directory", &[]).await?.get(0);
    let guard = Command::new("sh")
        .args(["-c", "read -r _; kill -INT \"$1\"; sleep 1; rm -rf \"$2\"", "guard"])
        .args([process.pid().to_string(), folder.trim_end_matches("/cluster").to_owned()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the guard of PostgreSQL")?;
    let tarn = Server::start(&[demo_data(super::SCALE)?]).await?;
    let from = tarn.connect().await?;
    let to = connect_pg_url(&url(&process, TEMPLATE)).await?;
    for table in TPCH_TABLES {
        copy_table(&from, &to, table, None).await.with_context(|| format!("copying {table}"))?;
        constrain(&from, &to, table).await?;
    }
    drop((from, to));
    tarn.stop().await;
    Ok(Some(Oracle { process, copying: Mutex::new(()), _guard: guard }))
}

/// Gives a copied table the type modifiers and NOT NULL of the original.
async fn constrain(
    from: &tokio_postgres::Client,
    to: &tokio_postgres::Client,
    table: &str,
) -> Result<()> {
    let sql = format!(
        "select attname::text, format_type(atttypid, atttypmod)::text, attnotnull \
         from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 order by attnum"
    );
    let mut changes = Vec::new();
    for row in from.query(&sql, &[]).await? {
        let (name, data_type): (String, String) = (row.get(0), row.get(1));
        if data_type.contains('(') {
            changes.push(format!("alter {name} type {data_type}"));
        }
        if row.get(2) {
            changes.push(format!("alter {name} set not null"));
        }
    }
    to.batch_execute(&format!("alter table {table} {}", changes.join(", "))).await?;
    Ok(())
}

fn url(process: &PostgresProcess, database: &str) -> String {
    format!("host={} port={} user=tarn dbname={database}", process.addr.ip(), process.addr.port())
}

impl Oracle {
    /// Makes a database with the demo tables that only the caller uses.
    pub async fn database(&self) -> Result<Database> {
        let _copying = self.copying.lock().await;
        let admin = connect_pg_url(&self.process.url()).await?;
        let name = format!("{TEMPLATE}_{}", N_COPIES.fetch_add(1, Ordering::Relaxed));
        admin.batch_execute(&format!("create database {name} template {TEMPLATE}")).await?;
        let addr = self.process.addr;
        Ok(Database { host: addr.ip().to_string(), port: addr.port(), name })
    }

    /// Its version, `15.18` for example.
    pub fn version(&self) -> &str {
        &self.process.version
    }
}
