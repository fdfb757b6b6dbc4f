//! Missing buckets, bad credentials, timeouts, full disks: each is told apart.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode};
use tarn_catalog::CatalogError;
use tarn_catalog::object_store::{ObjectStores, StoreFault, StoreLimits};
use tarn_tests::fakes::{Azurite, CarelessS3, FakeGcs, Faults, MetadataService, Moto, Proxy};
use tarn_tests::harness::require_or_skip;

use super::{nobody, stores, stores_with};

/// Limits with which trouble shows soon.
pub(super) fn impatient() -> StoreLimits {
    StoreLimits {
        retries_max: 1,
        retry_timeout_s: 2,
        timeout_s: 1,
        connect_timeout_s: 1,
        ..StoreLimits::default()
    }
}

/// What listing a place shows.
async fn fault(stores: &ObjectStores, url: &str) -> Result<StoreFault> {
    match stores.check(url).await {
        Ok(check) => anyhow::bail!("{url} answers: {check:?}"),
        Err(CatalogError::Storage { source, .. }) => Ok(StoreFault::of(source.as_ref())),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_buckets_are_named_so() -> Result<()> {
    let gcs = FakeGcs::start("lake").await?;
    let google = stores(&[("g", "gs://nothing", FakeGcs::options(gcs.addr()))])?;
    ensure!(fault(&google, "gs://nothing/t").await? == StoreFault::MissingBucket);
    if let Some(moto) = Moto::start(&[]).await? {
        let s3 = stores(&[("s", "s3://nothing", Moto::options(moto.addr()))])?;
        ensure!(fault(&s3, "s3://nothing/t").await? == StoreFault::MissingBucket);
    } else {
        require_or_skip("moto is not installed");
    }
    if let Some(azurite) = Azurite::start("lake")? {
        let azure = stores(&[("a", "az://nothing", Azurite::options(azurite.addr()))])?;
        ensure!(fault(&azure, "az://nothing/t").await? == StoreFault::MissingBucket);
    } else {
        require_or_skip("azurite is not installed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_credentials_are_named_so() -> Result<()> {
    let gcs = FakeGcs::start_with_token("lake", Some("Bearer of today".to_owned())).await?;
    let google = stores(&[("g", "gs://lake", FakeGcs::options(gcs.addr()))])?;
    ensure!(fault(&google, "gs://lake/t").await? == StoreFault::BadCredentials);
    let Some(azurite) = Azurite::start("lake")? else {
        require_or_skip("azurite is not installed");
        return Ok(());
    };
    let mut options = Azurite::options(azurite.addr());
    for (key, value) in &mut options {
        if key == "account_key" {
            *value = "c29tZSBvdGhlciBrZXk=".to_owned();
        }
    }
    let azure = stores(&[("a", "az://lake", options)])?;
    ensure!(fault(&azure, "az://lake/t").await? == StoreFault::BadCredentials);
    Ok(())
}

/// A storage without keys asks the machine for them, and one with other keys is not let in.
#[tokio::test(flavor = "multi_thread")]
async fn machines_have_an_identity() -> Result<()> {
    let s3 = CarelessS3::start_for(Some("OFTHEMACHINE")).await?;
    let metadata = MetadataService::start("OFTHEMACHINE").await?;
    let mut options = Moto::options(s3.addr());
    let strangers = stores(&[("s", "s3://lake", options.clone())])?;
    ensure!(fault(&strangers, "s3://lake/t").await? == StoreFault::BadCredentials);
    options.retain(|(key, _)| !key.contains("access_key"));
    let nowhere = format!("http://{}", nobody()?);
    options.push(("metadata_endpoint".to_owned(), nowhere));
    let unknown = stores_with(impatient(), &[("s", "s3://lake", options.clone())])?;
    ensure!(fault(&unknown, "s3://lake/t").await? == StoreFault::BadCredentials);
    for (key, value) in &mut options {
        if key == "metadata_endpoint" {
            *value = format!("http://{}", metadata.addr());
        }
    }
    let known = stores(&[("s", "s3://lake", options)])?;
    let check = known.check("s3://lake/t").await?;
    ensure!(check.storage.as_deref() == Some("s"), "{check:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_named_so() -> Result<()> {
    let of = |addr| stores_with(impatient(), &[("g", "gs://lake", FakeGcs::options(addr))]);
    ensure!(fault(&of(nobody()?)?, "gs://lake/t").await? == StoreFault::Unreachable);
    let gcs = FakeGcs::start("lake").await?;
    let late = Faults { late: 1000, ..Faults::default() };
    let proxy = Proxy::start(gcs.addr(), late, 1).await?;
    ensure!(fault(&of(proxy.addr())?, "gs://lake/t").await? == StoreFault::TimedOut);
    let cut = Faults { refused: 1000, ..Faults::default() };
    let proxy = Proxy::start(gcs.addr(), cut, 1).await?;
    ensure!(fault(&of(proxy.addr())?, "gs://lake/t").await? == StoreFault::Other);
    Ok(())
}

/// DESIGN, rule 9.
#[tokio::test(flavor = "multi_thread")]
async fn stores_that_ignore_conditions_are_not_written() -> Result<()> {
    let careless = CarelessS3::start().await?;
    let stores = stores(&[("c", "s3://lake", Moto::options(careless.addr()))])?;
    let check = stores.check("s3://lake/t").await?;
    let reason = check.writable.err().context("it takes commits")?;
    ensure!(reason.contains("overwritten"), "{reason}");
    let place = stores.resolve("s3://lake/t")?;
    let commit = Path::from("t/_delta_log/00000000000000000000.json");
    let put = place.store.put_opts(&commit, "x".into(), PutMode::Create.into()).await;
    let error = put.err().context("a commit was written")?;
    ensure!(StoreFault::of(&error) == StoreFault::ReadOnly, "{error}");
    ensure!(place.store.get(&commit).await.is_err());
    Ok(())
}

/// A small file system in memory, gone when dropped; none where we may not mount.
#[derive(Debug)]
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts a file system of this size.
    pub fn mount(size: &str) -> Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        Ok(mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder)))
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0.path()).output());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_so_and_leaves_nothing() -> Result<()> {
    let Some(disk) = SmallDisk::mount("256k")? else {
        println!("skipped: a small file system cannot be mounted here");
        return Ok(());
    };
    for fsync in [true, false] {
        let stores = ObjectStores::new(StoreLimits { fsync, ..StoreLimits::default() });
        let place = stores.resolve(&disk.path().display().to_string())?;
        let large = place.path.clone().join("large");
        for mode in [PutMode::Create, PutMode::Overwrite] {
            let put = place.store.put_opts(&large, vec![7_u8; 1 << 20].into(), mode.into()).await;
            let error = put.err().context("a large file fits")?;
            ensure!(StoreFault::of(&error) == StoreFault::Full, "{error}");
        }
        let left: Vec<_> = std::fs::read_dir(disk.path())?.flatten().collect();
        ensure!(left.is_empty(), "{left:?}");
        place.store.put_opts(&large, vec![7; 1000].into(), PutMode::Create.into()).await?;
        place.store.delete(&large).await?;
    }
    Ok(())
}
