//! The three places of a catalog's log, for tests that write into them by hand.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use tarn_catalog::log::{self, CatalogLog};
use tarn_catalog::object_store::{ObjectStores, Storage, StoreLimits};
use tarn_tests::fakes::Moto;
use tarn_tests::harness::{PostgresProcess, require_or_skip, tarn_binary};
use tokio_postgres::{Client, NoTls};

use crate::lake::environment;

/// Where catalogs can be: each test takes a new one.
#[derive(Debug)]
pub(super) struct Places {
    folder: tempfile::TempDir,
    moto: Option<Moto>,
    postgres: Option<PostgresProcess>,
    stores: ObjectStores,
}

/// A driver of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    Folder,
    S3,
    Postgres,
}

impl Places {
    pub(super) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let moto = Moto::start(&["catalogs"]).await?;
        let postgres = PostgresProcess::start()?;
        let stores = ObjectStores::new(StoreLimits::default());
        if let Some(moto) = &moto {
            let options = Moto::options(moto.addr());
            stores.set_storages(vec![Storage::try_new("s", "s3://catalogs", options)?]);
        }
        Ok(Self { folder, moto, postgres, stores })
    }

    /// The drivers that can be tried here.
    pub(super) fn drivers(&self) -> Vec<Driver> {
        let mut drivers = vec![Driver::Folder];
        match self.moto {
            Some(_) => drivers.push(Driver::S3),
            None => require_or_skip("moto is not installed"),
        }
        match self.postgres {
            Some(_) => drivers.push(Driver::Postgres),
            None => require_or_skip("PostgreSQL is not installed"),
        }
        drivers
    }

    /// A place of this name that nobody has used.
    pub(super) async fn place(&self, driver: Driver, name: &str) -> Result<Place> {
        let postgres = match (&self.postgres, driver) {
            (Some(postgres), Driver::Postgres) => {
                let (host, port) = (postgres.addr.ip(), postgres.addr.port());
                let root = format!("host={host} port={port} user=tarn dbname=postgres");
                let (client, connection) = tokio_postgres::connect(&root, NoTls).await?;
                tokio::spawn(connection);
                client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
                let own = format!("host={host} port={port} user=tarn dbname={name}");
                let (client, connection) = tokio_postgres::connect(&own, NoTls).await?;
                tokio::spawn(connection);
                Some((Arc::new(client), postgres.addr))
            }
            _ => None,
        };
        let url = match (driver, &postgres) {
            (Driver::Folder, _) => self.folder.path().join(name).display().to_string(),
            (Driver::S3, _) => format!("s3://catalogs/{name}"),
            (Driver::Postgres, postgres) => {
                let (_, addr) = postgres.as_ref().context("PostgreSQL is not installed")?;
                format!("postgres://tarn@{addr}/{name}?sslmode=disable")
            }
        };
        let environment = self.moto.as_ref().map(|moto| environment(moto.addr()));
        Ok(Place {
            url,
            stores: self.stores.clone(),
            client: postgres.map(|(client, _)| client),
            environment: environment.unwrap_or_default(),
        })
    }
}

/// One catalog.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) url: String,
    stores: ObjectStores,
    client: Option<Arc<Client>>,
    environment: Vec<(String, String)>,
}

impl Place {
    pub(super) async fn log(&self) -> Result<Arc<dyn CatalogLog>> {
        Ok(log::open(&self.stores, &self.url).await?)
    }

    fn object(&self, name: &str) -> Result<(Arc<dyn object_store::ObjectStore>, ObjectPath)> {
        let location = self.stores.resolve(&self.url)?;
        let path = ObjectPath::parse(format!("{}/{name}", location.path))?;
        Ok((location.store, path))
    }

    fn name(version: u64, is_checkpoint: bool) -> String {
        let ending = if is_checkpoint { "checkpoint.json" } else { "json" };
        format!("{version:020}.{ending}")
    }

    fn table(is_checkpoint: bool) -> &'static str {
        if is_checkpoint { "tarn_catalog_checkpoint" } else { "tarn_catalog_log" }
    }

    /// Takes a record or checkpoint away.
    pub(super) async fn remove(&self, version: u64, is_checkpoint: bool) -> Result<()> {
        if let Some(client) = &self.client {
            let sql = format!("DELETE FROM {} WHERE version = $1", Self::table(is_checkpoint));
            client.execute(&sql, &[&i64::try_from(version)?]).await?;
            return Ok(());
        }
        let (store, path) = self.object(&Self::name(version, is_checkpoint))?;
        Ok(store.delete(&path).await?)
    }

    /// Puts a text in the place of a record or checkpoint.
    pub(super) async fn put(&self, version: u64, is_checkpoint: bool, text: &[u8]) -> Result<()> {
        if let Some(client) = &self.client {
            let sql = format!(
                "INSERT INTO {} VALUES ($1, $2) ON CONFLICT (version) DO UPDATE SET payload = $2",
                Self::table(is_checkpoint)
            );
            client.execute(&sql, &[&i64::try_from(version)?, &text]).await?;
            return Ok(());
        }
        let (store, path) = self.object(&Self::name(version, is_checkpoint))?;
        store.put(&path, text.to_vec().into()).await?;
        Ok(())
    }

    /// Makes the pointer to the newest checkpoint say something; false where there is none.
    pub(super) async fn point_at(&self, text: &str) -> Result<bool> {
        if self.client.is_some() {
            return Ok(false);
        }
        let (store, path) = self.object("_last_checkpoint")?;
        store.put(&path, text.to_owned().into_bytes().into()).await?;
        Ok(true)
    }

    /// What `tarn check` says, and its exit code; none where the program is not built.
    pub(super) async fn check(&self, data_dir: &Path) -> Result<Option<(Option<i32>, String)>> {
        let Some(binary) = tarn_binary() else {
            require_or_skip("the program tarn is not built beside this test");
            return Ok(None);
        };
        let mut command = Command::new(binary);
        command.args(["check", "--data-dir"]).arg(data_dir).args(["--catalog", &self.url]);
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null());
        let done = tokio::task::spawn_blocking(move || command.output()).await??;
        let said = String::from_utf8(done.stdout)? + &String::from_utf8(done.stderr)?;
        Ok(Some((done.status.code(), said)))
    }

    /// Copies another catalog here as `tarn catalog copy` does.
    pub(super) async fn copy_from(&self, from: &Self) -> Result<u64> {
        let (from, to) = (log::open_existing(&from.stores, &from.url)?, self.log().await?);
        Ok(log::copy(from.as_ref(), to.as_ref(), "tarn").await?)
    }
}
