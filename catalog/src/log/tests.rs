use std::collections::BTreeMap;
use std::sync::Arc;

use ::object_store::memory::InMemory;
use ::object_store::path::Path;
use bytes::Bytes;

use super::definition::{RoleDef, SchemaDef, StorageDef};
use super::{
    Appended, CatalogLog, Definitions, Entry, GrantDef, LocalLog, Numbered, Scope, SecretKey,
    Securable, StoreLog, check, copy, decode, encode, encode_checkpoint, load, replay,
};
use crate::CatalogError;

fn schema(name: &str, oid: u32) -> Entry {
    let schema = SchemaDef { oid, ..SchemaDef::default() };
    Entry::PutSchema { database: "tarn".to_owned(), name: name.to_owned(), schema }
}

fn local() -> (tempfile::TempDir, LocalLog) {
    let folder = tempfile::tempdir().unwrap();
    let log = LocalLog::open(&folder.path().join("catalog")).unwrap();
    (folder, log)
}

fn in_store() -> StoreLog {
    StoreLog::new(Arc::new(InMemory::new()), Path::from("bucket/catalog"), "memory:///catalog")
}

async fn fill(log: &dyn CatalogLog, n: u64) {
    for version in 1..=n {
        let oid = 20_000 + u32::try_from(version).unwrap();
        let record = encode(version, &[schema(&format!("s{version}"), oid)]).unwrap();
        assert_eq!(log.append(version, record).await.unwrap(), Appended::Done);
    }
}

#[tokio::test]
async fn of_two_appends_one_is_done() {
    let (_folder, local) = local();
    let store = in_store();
    store.check().await.unwrap();
    for log in [&local as &dyn CatalogLog, &store] {
        let (one, two) = (encode(1, &[]).unwrap(), encode(1, &[]).unwrap());
        assert_ne!(one, two, "the token tells them apart");
        assert_eq!(log.append(1, one.clone()).await.unwrap(), Appended::Done);
        assert_eq!(log.append(1, two).await.unwrap(), Appended::Conflict);
        // An answer that was lost: the same append is done.
        assert_eq!(log.append(1, one.clone()).await.unwrap(), Appended::Done);
        assert_eq!(log.tail(1).await.unwrap(), vec![Numbered { version: 1, bytes: one }]);
        assert!(log.tail(2).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn concurrent_appends_leave_one_winner_for_each_number() {
    let (_folder, local) = local();
    let logs: [Arc<dyn CatalogLog>; 2] = [Arc::new(local), Arc::new(in_store())];
    for log in logs {
        for version in 1..=10 {
            let tries = (0..8).map(|_| {
                let log = Arc::clone(&log);
                tokio::spawn(
                    async move { log.append(version, encode(version, &[]).unwrap()).await },
                )
            });
            let mut n_done = 0;
            for one in tries.collect::<Vec<_>>() {
                n_done += usize::from(one.await.unwrap().unwrap() == Appended::Done);
            }
            assert_eq!(n_done, 1);
        }
        assert_eq!(log.tail(1).await.unwrap().len(), 10);
    }
}

#[tokio::test]
async fn a_log_is_copied_and_checked() {
    let (_folder, from) = local();
    fill(&from, 600).await;
    let to = in_store();
    assert_eq!(copy(&from, &to, "tarn").await.unwrap(), 600);
    let (copied, n_read) = load(&to, "tarn").await.unwrap();
    assert_eq!((copied.version, n_read), (600, 1));
    assert_eq!(copied, load(&from, "tarn").await.unwrap().0);
    let report = check(&to, "tarn").await.unwrap();
    assert_eq!((report.version, report.n_records, report.checkpoint), (600, 600, Some(600)));
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    // Going on where an earlier copy stopped.
    fill_one(&from, 601).await;
    assert_eq!(copy(&from, &to, "tarn").await.unwrap(), 601);
    // Another log is not overwritten.
    let other = in_store();
    fill(&other, 3).await;
    assert!(copy(&from, &other, "tarn").await.is_err());
}

async fn fill_one(log: &dyn CatalogLog, version: u64) {
    let record = encode(version, &[schema("last", 30_000)]).unwrap();
    log.append(version, record).await.unwrap();
}

#[tokio::test]
async fn damage_is_found() {
    let (folder, log) = local();
    fill(&log, 5).await;
    let path = folder.path().join("catalog/00000000000000000003.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.lines().next().unwrap()).unwrap();
    let report = check(&log, "tarn").await.unwrap();
    assert!(report.faults[0].contains("record 3"), "{:?}", report.faults);
    assert!(matches!(
        load(&log, "tarn").await,
        Err(CatalogError::CatalogDamaged { version: 3, .. })
    ));
    // A missing record hides those behind it: the checkpoint shows that there were some.
    std::fs::write(&path, text).unwrap();
    let (state, _) = load(&log, "tarn").await.unwrap();
    log.checkpoint(5, encode_checkpoint(5, &state.to_entries()).unwrap()).await.unwrap();
    assert!(check(&log, "tarn").await.unwrap().faults.is_empty());
    std::fs::remove_file(&path).unwrap();
    let report = check(&log, "tarn").await.unwrap();
    assert!(report.faults[0].contains("record 3 is missing"), "{:?}", report.faults);
    assert!(report.is_usable, "the checkpoint has it: {report:?}");
}

#[tokio::test]
async fn a_damaged_checkpoint_costs_time_only() {
    let (folder, log) = local();
    fill(&log, 5).await;
    log.checkpoint(4, Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(load(&log, "tarn").await.unwrap(), (load(&log, "tarn").await.unwrap().0, 6));
    assert_eq!(check(&log, "tarn").await.unwrap().faults.len(), 1);
    std::fs::write(folder.path().join("catalog/_last_checkpoint"), "not a number").unwrap();
    assert_eq!(load(&log, "tarn").await.unwrap().1, 5);
}

#[test]
fn what_is_not_known_is_refused_by_its_name() {
    let text =
        "{\"tarn_catalog\":1,\"version\":7,\"n_entries\":1}\n{\"put_function\":{\"name\":\"f\"}}\n";
    let record = Numbered { version: 7, bytes: Bytes::from(text) };
    let refused = decode("there", &record, false);
    assert!(
        matches!(refused, Err(CatalogError::CatalogTooNew { kind, .. }) if kind == "put_function")
    );
    let newer = text.replace("\"tarn_catalog\":1", "\"tarn_catalog\":2");
    let record = Numbered { version: 7, bytes: Bytes::from(newer) };
    let refused = decode("there", &record, false);
    assert!(matches!(refused, Err(CatalogError::CatalogTooNew { kind, .. }) if kind == "form 2"));
    // A field that is not known is left alone.
    let text = "{\"tarn_catalog\":1,\"version\":7,\"n_entries\":1,\"x\":1}\n\
                {\"put_schema\":{\"database\":\"tarn\",\"name\":\"s\",\"schema\":{\"oid\":20000,\"y\":2}}}\n";
    let record = Numbered { version: 7, bytes: Bytes::from(text) };
    assert_eq!(decode("there", &record, false).unwrap(), vec![schema("s", 20_000)]);
}

#[test]
fn the_state_survives_its_checkpoint() {
    let mut state = Definitions::new("tarn");
    let on = Securable::Schema("tarn".to_owned(), "s".to_owned());
    let entries = [
        schema("s", 16_384),
        Entry::PutRole {
            name: "ann".to_owned(),
            role: RoleDef { oid: 16_385, ..RoleDef::default() },
        },
        Entry::PutGrant {
            on,
            role: "ann".to_owned(),
            grant: GrantDef {
                privileges: BTreeMap::from([("usage".to_owned(), false)]),
                ..GrantDef::by("tarn")
            },
        },
        Entry::PutStorage {
            name: "b".to_owned(),
            storage: StorageDef { oid: 16_386, ..StorageDef::default() },
        },
        Entry::PutSetting { scope: Scope::System, name: "a".to_owned(), value: "b".to_owned() },
        schema("gone", 16_387),
        Entry::DropSchema { database: "tarn".to_owned(), name: "gone".to_owned() },
    ];
    let record = Numbered { version: 1, bytes: encode(1, &entries).unwrap() };
    assert_eq!(replay("there", &mut state, &record).unwrap(), entries);
    assert_eq!(state.next_oid, 16_388, "numbers are not handed out twice");
    let checkpoint =
        Numbered { version: 1, bytes: encode_checkpoint(1, &state.to_entries()).unwrap() };
    assert_eq!(super::tools::state_of("there", &checkpoint).unwrap(), state);
    // Rights and settings go with what they are about.
    state.apply(&Entry::DropRole { name: "ann".to_owned() }).unwrap();
    assert!(state.grants.is_empty() && state.faults().is_empty());
    assert!(state.apply(&Entry::DropRole { name: "ann".to_owned() }).is_err());
}

#[test]
fn secrets_need_their_key_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::open(folder.path()).unwrap();
    let secrets = BTreeMap::from([("secret_access_key".to_owned(), "xyzzy".to_owned())]);
    let sealed = key.seal("lake", &secrets).unwrap();
    assert!(!format!("{sealed:?} {key:?}").contains("xyzzy"));
    let again = SecretKey::open(folder.path()).unwrap();
    assert_eq!(again.open_sealed("lake", &sealed).unwrap(), secrets);
    assert!(again.open_sealed("other", &sealed).is_err());
    let other = SecretKey::parse(&"ab".repeat(32)).unwrap();
    assert!(other.open_sealed("lake", &sealed).is_err());
    assert!(SecretKey::parse("too short").is_err());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join(super::KEY_FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(SecretKey::open(folder.path()).is_err());
    }
}
