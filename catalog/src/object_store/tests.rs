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
