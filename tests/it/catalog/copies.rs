//! A copy of a catalog holds everything, whatever places it goes through.

use std::path::Path;

use anyhow::{Result, ensure};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::places::{Driver, Places};
use super::start;

/// One of each kind of thing, in two databases.
const CONTENT: &str = "
CREATE ROLE reader NOLOGIN;
CREATE ROLE ann LOGIN PASSWORD 'secret' CREATEDB CONNECTION LIMIT 7 VALID UNTIL '2030-01-01';
GRANT reader TO ann WITH ADMIN OPTION;
COMMENT ON ROLE ann IS 'Ann';
CREATE SCHEMA sales AUTHORIZATION ann;
COMMENT ON SCHEMA sales IS 'what was sold';
CREATE TABLE sales.orders (id int PRIMARY KEY, at timestamptz DEFAULT now(), u uuid,
  price numeric(12,2) CHECK (price >= 0), twice numeric(14,2) GENERATED ALWAYS AS (price * 2) STORED)
  USING delta;
INSERT INTO sales.orders (id, price) VALUES (1, 2.50), (2, 3);
COMMENT ON COLUMN sales.orders.price IS 'in euros';
CREATE VIEW sales.dear AS SELECT id, price FROM sales.orders WHERE price > 2.75;
CREATE TABLE parts USING delta PARTITIONED BY (p) AS SELECT 1 AS p, 'x' AS t;
GRANT SELECT ON sales.orders TO reader WITH GRANT OPTION;
GRANT INSERT, UPDATE ON parts TO PUBLIC;
GRANT USAGE ON SCHEMA sales TO reader;
REVOKE CONNECT ON DATABASE tarn FROM PUBLIC;
ALTER ROLE ann SET search_path = sales, public;
ALTER DATABASE tarn SET lock_timeout = '7s';
ALTER ROLE reader IN DATABASE tarn SET statement_timeout = '5s';
CREATE STORAGE far TYPE s3 SCOPE 's3://far/away'
  OPTIONS (access_key_id 'k', secret_access_key 'hush', region 'eu-central-1');
ANALYZE parts";

/// What there is, as lines.
const LISTING: [&str; 12] = [
    "SELECT oid, datname, datdba, datacl::text FROM pg_database",
    "SELECT oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolconnlimit, \
     rolpassword, rolvaliduntil FROM pg_authid",
    "SELECT roleid, member, admin_option FROM pg_auth_members",
    "SELECT setdatabase, setrole, setconfig::text FROM pg_db_role_setting",
    "SELECT oid, nspname, nspowner, nspacl::text FROM pg_namespace",
    "SELECT oid, relname, relnamespace, relkind, relowner, relacl::text FROM pg_class",
    "SELECT attrelid, attnum, attname, atttypid, atttypmod, attnotnull, attgenerated FROM pg_attribute \
     WHERE attrelid >= 16384",
    "SELECT conrelid, conname, contype, pg_get_constraintdef(oid) FROM pg_constraint",
    "SELECT adrelid, adnum, pg_get_expr(adbin, adrelid) FROM pg_attrdef",
    "SELECT objoid, classoid, objsubid, description FROM pg_description WHERE objoid >= 16384",
    "SELECT viewname, definition FROM pg_views WHERE schemaname IN ('sales', 'public')",
    "SELECT tablename, attname, n_distinct, null_frac FROM pg_stats WHERE schemaname = 'public'",
];

async fn listing(client: &Client) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for sql in LISTING {
        let mut found = Vec::new();
        for message in client.simple_query(sql).await? {
            if let SimpleQueryMessage::Row(row) = message {
                let values = (0..row.len()).map(|at| row.get(at).unwrap_or("NULL").to_owned());
                found.push(format!("{sql}: {}", values.collect::<Vec<_>>().join(" | ")));
            }
        }
        found.sort();
        lines.extend(found);
    }
    Ok(lines)
}

fn ensure_same(before: &[String], after: &[String]) -> Result<()> {
    let lacks = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let (gone, new) = (lacks(before, after), lacks(after, before));
    ensure!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}; new: {new:#?}");
    Ok(())
}

/// The whole state that a log says, storages with their encrypted secrets.
async fn state(place: &super::places::Place) -> Result<tarn_catalog::log::Definitions> {
    let log = place.log().await?;
    Ok(tarn_catalog::log::load(log.as_ref(), "tarn").await?.0)
}

fn copy_key(from: &Path, to: &Path) -> Result<()> {
    let key = tarn_catalog::log::KEY_FILE;
    std::fs::copy(from.join(key), to.join(key))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_hold_everything() -> Result<()> {
    let places = Places::start().await?;
    let data_dir = tempfile::tempdir()?;
    let first = places.place(Driver::Folder, "first").await?;
    let server = start(data_dir.path(), Some(&first.url)).await?;
    let client = server.connect().await?;
    for sql in CONTENT.split(";\n").filter(|sql| !sql.trim().is_empty()) {
        client.batch_execute(sql).await?;
    }
    client.batch_execute("CREATE DATABASE other OWNER ann").await?;
    let other = server.connect_to("other").await?;
    other
        .batch_execute("CREATE TABLE there (a int) USING delta; CREATE VIEW v AS SELECT 1 AS one")
        .await?;
    let before = (listing(&client).await?, listing(&other).await?);
    ensure!(before.0.len() > 60, "too little is listed: {:#?}", before.0);
    drop((client, other));
    server.stop().await;
    let whole = state(&first).await?;
    ensure!(whole.storages.values().all(|storage| storage.secrets.is_some()), "no secrets");
    let mut from = first;
    let mut route = places.drivers();
    route.rotate_left(1);
    // S3, PostgreSQL and a folder again, each a copy of the one before.
    for (at, driver) in route.into_iter().enumerate() {
        let to = places.place(driver, &format!("copy_{at}")).await?;
        let version = to.copy_from(&from).await?;
        ensure!(version == whole.version && state(&to).await? == whole, "{driver:?}");
        if let Some((code, out)) = to.check(data_dir.path()).await? {
            ensure!(code == Some(0) && !out.contains("broken"), "{driver:?}: {code:?}: {out}");
        }
        from = to;
    }
    let elsewhere = tempfile::tempdir()?;
    copy_key(data_dir.path(), elsewhere.path())?;
    let server = start(elsewhere.path(), Some(&from.url)).await?;
    let (client, other) = (server.connect().await?, server.connect_to("other").await?);
    // Statistics are learnt when a table is read first; all else is listed without it.
    client.batch_execute("SELECT * FROM parts").await?;
    ensure_same(&before.0, &listing(&client).await?)?;
    ensure_same(&before.1, &listing(&other).await?)?;
    let row = client.query_one("SELECT sum(price)::text FROM sales.orders", &[]).await?;
    ensure!(row.get::<_, String>(0) == "5.50");
    drop((client, other));
    server.stop().await;
    Ok(())
}
