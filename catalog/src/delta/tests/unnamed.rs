//! Files that no version names: which go, and which stay.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::TryStreamExt;

use super::staged::{operation, written};
use super::*;
use crate::delta::{FileWriter, StagedTable, TableChange, WriteOptions};

impl Lake {
    /// The files that are there beside the log.
    async fn data_files(&self) -> BTreeSet<String> {
        let listed = self.store.list(Some(&self.path(""))).try_collect::<Vec<_>>().await.unwrap();
        let names = listed.into_iter().map(|found| found.location.to_string());
        names.filter(|name| !name.contains("_delta_log")).collect()
    }

    /// Waits until these are the files.
    async fn until(&self, expected: &BTreeSet<String>) {
        let began = Instant::now();
        loop {
            let found = self.data_files().await;
            if found == *expected {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{found:?}, not {expected:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn appended(&self, table: &Arc<DeltaTable>, from: i64) -> Arc<StagedTable> {
        let staged = table.stage().await.unwrap();
        let files = written(&staged, ids(from, from + 10, &[Some("a")])).await;
        staged.append(files, operation("WRITE")).unwrap()
    }
}

#[tokio::test]
async fn what_is_dropped_goes_and_what_is_committed_stays() {
    let lake = Lake::with_vectors(1, &[]).await;
    let table = lake.open().await;
    let before = lake.data_files().await;
    // A rollback, with a savepoint that knows half of it.
    let first = lake.appended(&table, 10).await;
    let savepoint = Arc::clone(&first);
    let files = written(&first, ids(20, 30, &[Some("a")])).await;
    let second = first.append(files, operation("WRITE")).unwrap();
    let both = lake.data_files().await;
    assert_eq!(both.len(), before.len() + 2);
    drop((first, second));
    let begun = lake.data_files().await;
    assert!(begun.is_superset(&before));
    savepoint.commit().await.unwrap();
    let after: BTreeSet<String> = live_files(&lake, &table).await;
    assert_eq!(after.len(), before.len() + 1);
    drop(savepoint);
    lake.until(&after).await;
}

/// The files of the newest version.
async fn live_files(lake: &Lake, table: &Arc<DeltaTable>) -> BTreeSet<String> {
    let snapshot = table.snapshot(Travel::Latest).await.unwrap();
    assert!(!lake.data_files().await.is_empty());
    snapshot.index.paths.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_nothing() {
    let lake = Lake::with_vectors(1, &[]).await;
    let table = lake.open().await;
    let before = lake.data_files().await;
    let staged = table.stage().await.unwrap();
    let target = staged.snapshot().write_target().unwrap();
    // So small that each batch is a file.
    let options = WriteOptions { file_bytes_target: 1, ..WriteOptions::default() };
    let mut writer = FileWriter::new(Arc::clone(&target), options);
    for from in [10, 20, 30] {
        writer.write(&ids(from, from + 10, &[Some("a")])).await.unwrap();
    }
    assert_eq!(lake.data_files().await.len(), before.len() + 3);
    drop((writer, target));
    lake.until(&before).await;
}

#[tokio::test]
async fn a_lost_race_takes_its_files_along() {
    let lake = Lake::with_vectors(2, &[]).await;
    let table = lake.open().await;
    let before = lake.data_files().await;
    let (winner, base) = (table.stage().await.unwrap(), table.stage().await.unwrap());
    let winner = winner.replace_all(vec![], operation("DELETE")).unwrap();
    let first = lake.deleted(&base, "id = 3").await;
    let files = written(&first, ids(20, 30, &[Some("a")])).await;
    let change = TableChange { added: files, ..TableChange::default() };
    let loser = first.change(change, operation("WRITE")).await.unwrap();
    drop(first);
    let there = lake.data_files().await;
    winner.commit().await.unwrap();
    let told = loser.commit().await;
    assert!(matches!(told, Err(CatalogError::Conflict { .. })), "{told:?}");
    // As long as somebody can try again they are there.
    assert_eq!(lake.data_files().await, there);
    drop(loser);
    // Those of the versions before stay.
    lake.until(&before).await;
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_keeps_its_files() {
    for how in ["lost answer", "never arrived"] {
        let mut lake = Lake::with_vectors(1, &[]).await;
        let lossy = Arc::new(lossy::Lossy::new(Arc::clone(&lake.store)));
        lake.store = Arc::clone(&lossy) as Arc<dyn ObjectStore>;
        let table = lake.open().await;
        let staged = lake.appended(&table, 10).await;
        let there = lake.data_files().await;
        lossy.next(how);
        staged.commit().await.unwrap();
        drop(staged);
        // And one of which nobody ever learns what has become of it.
        let unclear = lake.appended(&table, 20).await;
        let all = lake.data_files().await;
        assert!(all.is_superset(&there));
        lossy.next("silence");
        let told = unclear.commit().await;
        assert!(matches!(told, Err(CatalogError::CommitUnclear { .. })), "{told:?}");
        drop(unclear);
        crate::delta::finish_upkeep().await;
        assert_eq!(lake.data_files().await, all);
    }
}
