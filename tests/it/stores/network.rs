//! Commits by several writers while requests are refused, delayed, cut and lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};
use tarn_catalog::object_store::{StoreFault, StoreLimits};
use tarn_tests::fakes::{FakeGcs, Faults, Moto, Proxy};
use tarn_tests::harness::require_or_skip;

use super::super::child::ChildServer;
use super::super::lake::{Lake, skipped};
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

/// What was asked for of a table's commits, and how often.
fn commits_asked(proxy: &Proxy) -> BTreeMap<String, usize> {
    let mut asked = BTreeMap::new();
    for request in proxy.take_asked() {
        let path = request.split('?').next().unwrap_or_default();
        if let Some((_, commit)) = path.rsplit_once("/_delta_log/")
            && request.starts_with("GET")
            && commit.ends_with(".json")
        {
            *asked.entry(commit.to_owned()).or_default() += 1;
        }
    }
    asked
}

/// The log is read many files at a time: those that have been answered are not asked for again
/// because one is late.
#[tokio::test(flavor = "multi_thread")]
async fn one_late_answer_holds_up_no_other() -> Result<()> {
    const LATE: &str = "00000000000000000003.json";
    if skipped() {
        return Ok(());
    }
    let Some(lake) = Lake::s3(Faults::default(), 1).await? else {
        require_or_skip("moto is not installed");
        return Ok(());
    };
    let Lake::S3 { proxy, .. } = &lake else { return Ok(()) };
    lake.python("create_table.py", "t", &["n:long"]).await?;
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?];
    let serve = |n: usize| tokio::task::block_in_place(|| lake.serve(folders[n].path()));
    let server = serve(0)?;
    let client = server.connect().await?;
    for n in 0..8 {
        client.batch_execute(&format!("INSERT INTO t VALUES ({n})")).await?;
    }
    let count = async |server: &ChildServer| -> Result<i64> {
        Ok(server.connect().await?.query_one("SELECT count(*) FROM t", &[]).await?.get(0))
    };
    proxy.take_asked();
    let server = serve(1)?;
    ensure!(count(&server).await? == 8);
    let mut expected = commits_asked(proxy);
    ensure!(expected.len() >= 8, "{expected:?}");
    proxy.delay_once(LATE);
    let server = serve(2)?;
    ensure!(count(&server).await? == 8);
    *expected.entry(LATE.to_owned()).or_default() += 1;
    let asked = commits_asked(proxy);
    ensure!(asked == expected, "asked {asked:?}, expected {expected:?}");
    Ok(())
}
