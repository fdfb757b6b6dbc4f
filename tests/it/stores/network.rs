//! Commits by several writers while requests are refused, delayed, cut and lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};
use tarn_catalog::object_store::{StoreFault, StoreLimits};
use tarn_tests::fakes::{FakeGcs, Faults, Moto, Proxy};
use tarn_tests::harness::require_or_skip;

use super::stores_with;
use super::trouble::impatient;

const N_WRITERS: usize = 6;
const N_COMMITS: usize = 12;

fn limits() -> StoreLimits {
    StoreLimits { retries_max: 3, ..impatient() }
}

/// Appends `n` numbered objects like commits of a log: on a lost race with the next number.
/// Returns the numbers of acknowledged commits, and those whose outcome the store could not tell.
async fn append(
    store: Arc<dyn ObjectStore>,
    writer: usize,
) -> Result<(Vec<(usize, String)>, Vec<String>)> {
    let (mut acknowledged, mut unknown) = (Vec::new(), Vec::new());
    let mut number = 0;
    for commit in 0..N_COMMITS {
        let text = format!("writer {writer} commit {commit}");
        loop {
            let place = Path::from(format!("log/{number:020}.json"));
            let put = store.put_opts(&place, text.clone().into(), PutMode::Create.into()).await;
            match put {
                Ok(_) => {
                    acknowledged.push((number, text));
                    break;
                }
                Err(Error::AlreadyExists { .. }) => number += 1,
                Err(error) if StoreFault::of(&error) == StoreFault::OutcomeUnknown => {
                    unknown.push(text);
                    break;
                }
                // The test of conditional puts was what failed: nothing has been sent.
                Err(error) => println!("{text}: {error}"),
            }
        }
    }
    Ok((acknowledged, unknown))
}

async fn commits_are_neither_lost_nor_doubled(
    proxy: &Proxy,
    storage: (&str, &str, Vec<(String, String)>),
) -> Result<()> {
    let url = storage.1.to_owned();
    let stores = stores_with(limits(), &[storage])?;
    let store = stores.resolve(&url)?.store;
    let writers: Vec<_> =
        (0..N_WRITERS).map(|writer| tokio::spawn(append(Arc::clone(&store), writer))).collect();
    let mut acknowledged = BTreeMap::new();
    let mut unknown = Vec::new();
    for writer in writers {
        let (done, open) = writer.await??;
        for (number, text) in done {
            let before = acknowledged.insert(number, text.clone());
            ensure!(before.is_none(), "{number} is both {text} and {before:?}");
        }
        unknown.extend(open);
    }
    proxy.set_faults(false);
    println!("{} requests went wrong, outcomes unknown: {unknown:?}", proxy.n_faults());
    ensure!(proxy.n_faults() > 20, "only {} requests went wrong", proxy.n_faults());
    let mut n_there = 0;
    for number in 0..N_WRITERS * N_COMMITS {
        let place = Path::from(format!("log/{number:020}.json"));
        let Ok(found) = store.get(&place).await else { break };
        let text = String::from_utf8(found.bytes().await?.into())?;
        n_there += 1;
        match acknowledged.get(&number) {
            Some(expected) => ensure!(*expected == text, "{number}: {expected} became {text}"),
            None => ensure!(unknown.contains(&text), "{number}: nobody was told of {text}"),
        }
    }
    ensure!(acknowledged.keys().all(|number| *number < n_there), "commits are lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_bad_network_to_google() -> Result<()> {
    let gcs = FakeGcs::start("lake").await?;
    let proxy = Proxy::start(gcs.addr(), Faults::often(), 42).await?;
    let storage = ("g", "gs://lake", FakeGcs::options(proxy.addr()));
    commits_are_neither_lost_nor_doubled(&proxy, storage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_bad_network_to_s3() -> Result<()> {
    let Some(moto) = Moto::start(&["lake"]).await? else {
        require_or_skip("moto is not installed");
        return Ok(());
    };
    let proxy = Proxy::start(moto.addr(), Faults::often(), 43).await?;
    let storage = ("s", "s3://lake", Moto::options(proxy.addr()));
    commits_are_neither_lost_nor_doubled(&proxy, storage).await
}
