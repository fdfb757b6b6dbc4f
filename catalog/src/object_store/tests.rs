use super::*;

fn reason(location: &str) -> String {
    match ObjectStores::default().resolve(location) {
        Err(CatalogError::InvalidLocation { reason, .. }) => reason,
        other => format!("{other:?}"),
    }
}

#[test]
fn finds_store_and_path() {
    let stores = ObjectStores::default();
    let check = |location: &str, store: &str, path: &str, url: &str| {
        let found = stores.resolve(location).unwrap();
        assert_eq!((found.store_url.as_str(), found.path.as_ref()), (store, path), "{location}");
        assert_eq!(found.url.as_str(), url, "{location}");
    };
    check("/a/../b/./c d/", "file:///", "b/c d", "file:///b/c%20d");
    check("/a%20b", "file:///", "a%20b", "file:///a%2520b");
    check("file:///x/y.csv", "file:///", "x/y.csv", "file:///x/y.csv");
    check("memory://one/t", "memory://one/", "t", "memory://one/t");
    check("s3://bucket/a/b/", "s3://bucket/", "a/b", "s3://bucket/a/b");
    check("http://h:81/f.csv", "http://h:81/", "f.csv", "http://h:81/f.csv");
    let relative = stores.resolve("some/folder").unwrap();
    assert!(relative.local_path().unwrap().is_absolute());
    assert!(relative.path.as_ref().ends_with("some/folder"));
}

#[test]
fn names_places_beside() {
    let root = ObjectStores::default().resolve("/data").unwrap();
    let place = root.at(&Path::parse("data/50%20 off").unwrap());
    assert_eq!(place.url.as_str(), "file:///data/50%2520%20off");
    assert_eq!(place.local_path().unwrap(), PathBuf::from("/data/50%20 off"));
}

#[test]
fn refuses_what_it_cannot_use() {
    assert!(reason("ftp://host/x").contains("\"ftp\" is not supported"));
    assert!(reason("s3://key:secret@bucket/x").contains("environment"));
    assert!(reason("https://h/x?sig=1").contains("query"));
    assert!(reason("file://relative/x").contains("three slashes"));
    assert!(reason("").contains("empty"));
    let error = ObjectStores::default().resolve("s3://key:secret@bucket/x").unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn one_store_per_host() {
    let stores = ObjectStores::default();
    let one = stores.resolve("memory://one/a").unwrap().store;
    assert!(Arc::ptr_eq(&one, &stores.clone().resolve("memory://one/b").unwrap().store));
    assert!(!Arc::ptr_eq(&one, &stores.resolve("memory://two/a").unwrap().store));
    let lazily = stores.get_store(&Url::parse("memory://one/").unwrap()).unwrap();
    assert!(Arc::ptr_eq(&one, &lazily));
}

fn storage(name: &str, prefix: &str) -> Storage {
    Storage::try_new(name, prefix, []).unwrap()
}

#[test]
fn the_longest_prefix_wins() {
    let storages = [
        storage("bucket", "s3://b"),
        storage("folder", "s3://b/a/"),
        storage("below", "s3://b/a/x"),
        storage("other", "gs://b/a"),
    ];
    let check = |url: &str, expected: Option<&str>| {
        let found = storage::longest(&storages, &Url::parse(url).unwrap());
        assert_eq!(found.map(Storage::name), expected, "{url}");
    };
    check("s3://b", Some("bucket"));
    check("s3://b/ab/c", Some("bucket"));
    check("s3a://b/a", Some("folder"));
    check("s3://b/a/y", Some("folder"));
    check("s3://b/a/x/y", Some("below"));
    check("gs://b/a/x", Some("other"));
    check("s3://c/a", None);
    check("gs://b/b", None);
}

#[test]
fn storages_are_checked_and_hide_their_values() {
    let option = |key: &str| [(key.to_owned(), "geheim".to_owned())];
    let storage = Storage::try_new("s", "s3://b", option("ACCESS_KEY_ID")).unwrap();
    assert_eq!(storage.options().keys().collect::<Vec<_>>(), ["access_key_id"]);
    assert!(!format!("{storage:?}").contains("geheim"));
    for (prefix, key) in
        [("s3://b", "acess_key"), ("ftp://b", "timeout"), ("s3://u:p@b", "token"), ("/x", "x")]
    {
        let refused = Storage::try_new("s", prefix, option(key));
        assert!(matches!(refused, Err(CatalogError::InvalidLocation { .. })), "{prefix} {key}");
    }
}

#[test]
fn faults_are_told_apart() {
    use ::object_store::Error as StoreError;
    let check = |error: StoreError, fault: StoreFault| {
        assert_eq!(StoreFault::of(&error), fault, "{error}");
    };
    let generic = |text: &str| StoreError::Generic { store: "S3", source: text.into() };
    let denied =
        |text: &str| StoreError::PermissionDenied { path: "p".into(), source: text.into() };
    check(generic("<Code>ExpiredToken</Code>"), StoreFault::BadCredentials);
    check(denied("<Code>InvalidAccessKeyId</Code>"), StoreFault::BadCredentials);
    check(denied("<Code>AccessDenied</Code>"), StoreFault::Denied);
    check(denied("no"), StoreFault::Denied);
    check(generic("GET http://169.254.169.254/latest/api/token"), StoreFault::BadCredentials);
    let missing = |text: &str| StoreError::NotFound { path: "p".into(), source: text.into() };
    check(missing("<Code>NoSuchBucket</Code>"), StoreFault::MissingBucket);
    check(missing("<Code>NoSuchKey</Code>"), StoreFault::MissingObject);
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    check(StoreError::Generic { store: "L", source: full.into() }, StoreFault::Full);
    check(generic("500"), StoreFault::Other);
}

#[tokio::test]
async fn files_are_described_as_in_lists() {
    use ::object_store::{ObjectStore, ObjectStoreExt, local::LocalFileSystem};

    let folder = tempfile::tempdir().unwrap();
    let root = Path::from_absolute_path(folder.path()).unwrap();
    let (file, inside) = (root.clone().join("a b"), root.clone().join("folder").join("x"));
    let store = local::DurableFileSystem::new(false);
    store.put(&file, "12345".into()).await.unwrap();
    store.put(&inside, "1".into()).await.unwrap();
    let plain = LocalFileSystem::new();
    assert_eq!(store.head(&file).await.unwrap(), plain.head(&file).await.unwrap());
    let listed = plain.list_with_delimiter(Some(&root)).await.unwrap();
    assert_eq!(listed.objects, [store.head(&file).await.unwrap()]);
    for missing in ["nothing", "folder"] {
        let found = store.head(&root.clone().join(missing)).await;
        assert!(
            matches!(found, Err(::object_store::Error::NotFound { .. })),
            "{missing}: {found:?}"
        );
    }
}
