//! Object stores: what each must do, how trouble shows, and commits through a bad network.

mod network;
mod trouble;

pub use trouble::SmallDisk;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tarn_catalog::object_store::{ObjectStores, Storage, StoreLimits};
use tarn_tests::fakes::{Azurite, FakeGcs, FileServer, Moto};
use tarn_tests::harness::require_or_skip;

/// A storage's name, prefix and options.
type Given<'a> = (&'a str, &'a str, Vec<(String, String)>);

/// Stores with one storage each for these prefixes.
fn stores(storages: &[Given<'_>]) -> Result<ObjectStores> {
    stores_with(StoreLimits::default(), storages)
}

fn stores_with(limits: StoreLimits, storages: &[Given<'_>]) -> Result<ObjectStores> {
    let stores = ObjectStores::new(limits);
    let made: Result<Vec<Storage>, _> = storages
        .iter()
        .map(|(name, prefix, options)| Storage::try_new(name, prefix, options.clone()))
        .collect();
    stores.set_storages(made?);
    Ok(stores)
}

/// What every store must do for tables to be read and committed.
async fn exercise(stores: &ObjectStores, url: &str) -> Result<()> {
    let check = stores.check(url).await?;
    ensure!(check.writable.is_ok(), "{url}: {check:?}");
    let place = stores.resolve(url)?;
    let store = &place.store;
    let at = |name: &str| Path::from(format!("{}/{name}", place.path));
    // Names that need escaping in URLs, as partition folders have them.
    let odd = at("p=a%20b%2Fc/d e+ü&x.bin");
    store.put(&odd, PutPayload::from_static(b"0123456789")).await?;
    ensure!(store.get(&odd).await?.bytes().await? == "0123456789");
    ensure!(store.get_range(&odd, 3..6).await? == "345");
    ensure!(store.head(&odd).await?.size == 10);
    let listed: Vec<_> = store.list(Some(&place.path)).try_collect().await?;
    ensure!(listed.iter().any(|meta| meta.location == odd), "{listed:?}");
    let level = store.list_with_delimiter(Some(&place.path)).await?;
    ensure!(level.common_prefixes == [at("p=a%20b%2Fc")], "{level:?}");
    ensure!(level.objects.is_empty(), "the test's object is still there: {level:?}");
    // A file in parts, as the writers of large files put it.
    let parts = at("parts");
    let mut upload = store.put_multipart(&parts).await?;
    upload.put_part(vec![1_u8; 5 * 1024 * 1024].into()).await?;
    upload.put_part(vec![2_u8; 100].into()).await?;
    upload.complete().await?;
    ensure!(store.head(&parts).await?.size == 5 * 1024 * 1024 + 100);
    ensure!(store.get_range(&parts, 5_242_879..5_242_881).await?.as_ref() == [1, 2]);
    race(store, &at("race"), 8).await?;
    for gone in [&odd, &parts] {
        store.delete(gone).await?;
        ensure!(matches!(store.get(gone).await, Err(Error::NotFound { .. })), "{gone}");
    }
    Ok(())
}

/// Of several puts of one new object exactly one wins, and its bytes are there.
async fn race(store: &Arc<dyn ObjectStore>, folder: &Path, n_writers: usize) -> Result<()> {
    for round in 0..5 {
        let place = folder.clone().join(format!("{round:020}.json"));
        let puts = (0..n_writers).map(|writer| {
            let (store, place) = (Arc::clone(store), place.clone());
            tokio::spawn(async move {
                let text = format!("writer {writer}");
                (writer, store.put_opts(&place, text.into(), PutMode::Create.into()).await)
            })
        });
        let mut winners = BTreeSet::new();
        for put in puts.collect::<Vec<_>>() {
            match put.await? {
                (writer, Ok(_)) => drop(winners.insert(format!("writer {writer}"))),
                (_, Err(Error::AlreadyExists { .. })) => {}
                (_, Err(error)) => return Err(error.into()),
            }
        }
        let there = String::from_utf8(store.get(&place).await?.bytes().await?.into())?;
        ensure!(winners == BTreeSet::from([there.clone()]), "{winners:?}, but {there} is there");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_does_what_tables_need() -> Result<()> {
    let Some(moto) = Moto::start(&["lake"]).await? else {
        require_or_skip("moto is not installed");
        return Ok(());
    };
    let stores = stores(&[("s3", "s3://lake", Moto::options(moto.addr()))])?;
    exercise(&stores, "s3://lake/some/folder").await?;
    exercise(&stores, "s3a://lake/other").await
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_does_what_tables_need() -> Result<()> {
    let Some(azurite) = Azurite::start("lake")? else {
        require_or_skip("azurite is not installed");
        return Ok(());
    };
    let stores = stores(&[("azure", "az://lake", Azurite::options(azurite.addr()))])?;
    exercise(&stores, "az://lake/some/folder").await
}

#[tokio::test(flavor = "multi_thread")]
async fn google_does_what_tables_need() -> Result<()> {
    let gcs = FakeGcs::start("lake").await?;
    let stores = stores(&[("google", "gs://lake", FakeGcs::options(gcs.addr()))])?;
    exercise(&stores, "gs://lake/some/folder").await
}

#[tokio::test(flavor = "multi_thread")]
async fn local_disk_does_what_tables_need() -> Result<()> {
    for fsync in [true, false] {
        let folder = tempfile::tempdir()?;
        let stores = ObjectStores::new(StoreLimits { fsync, ..StoreLimits::default() });
        exercise(&stores, &folder.path().join("some folder").display().to_string()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_is_read_only() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("a b.csv"), "x\n1\n2\n")?;
    let server = FileServer::start(folder.path().to_owned()).await?;
    let stores = ObjectStores::default();
    let url = format!("http://{}/a%20b.csv", server.addr());
    let place = stores.resolve(&url)?;
    ensure!(place.store.get(&place.path).await?.bytes().await? == "x\n1\n2\n");
    ensure!(place.store.get_range(&place.path, 2..3).await? == "1");
    let check = stores.check(&url).await?;
    ensure!(check.writable.is_err_and(|reason| reason.contains("only be read")));
    let put = place.store.put_opts(&place.path, "x".into(), PutMode::Create.into()).await;
    ensure!(put.is_err());
    Ok(())
}

/// One bucket's name with two storages: the longer prefix has a store of its own.
#[tokio::test(flavor = "multi_thread")]
async fn storages_of_one_bucket_do_not_mix() -> Result<()> {
    let (outer, inner) = (FakeGcs::start("lake").await?, FakeGcs::start("lake").await?);
    let options = |gcs: &FakeGcs| FakeGcs::options(gcs.addr());
    let stores = stores(&[
        ("outer", "gs://lake/", options(&outer)),
        ("inner", "gs://lake/team/", options(&inner)),
    ])?;
    let (a, b) = (stores.resolve("gs://lake/teams")?, stores.resolve("gs://lake/team/x")?);
    ensure!(a.store_url != b.store_url, "{} for both", a.store_url);
    ensure!(b.url.as_str() == "gs://lake/team/x", "{}", b.url);
    a.store.put(&Path::from("k"), "outer".into()).await?;
    b.store.put(&Path::from("k"), "inner".into()).await?;
    for (place, text) in [(&a, "outer"), (&b, "inner")] {
        ensure!(place.store.get(&Path::from("k")).await?.bytes().await? == text);
        // DataFusion finds the same store by the name in the plan.
        use datafusion::execution::object_store::ObjectStoreRegistry;
        let found = stores.get_store(place.store_url.as_ref())?;
        ensure!(found.get(&Path::from("k")).await?.bytes().await? == text);
    }
    // Changed credentials reach tables that are open.
    stores.set_storages(vec![
        Storage::try_new("outer", "gs://lake/", options(&inner))?,
        Storage::try_new("inner", "gs://lake/team/", options(&inner))?,
    ]);
    ensure!(a.store.get(&Path::from("k")).await?.bytes().await? == "inner");
    stores.set_storages(vec![]);
    ensure!(matches!(a.store.get(&Path::from("k")).await, Err(Error::Unauthenticated { .. })));
    Ok(())
}

/// The address of a server that nobody has.
fn nobody() -> Result<SocketAddr> {
    let [addr] = tarn_tests::harness::free_addrs()?;
    Ok(addr)
}
