use std::sync::Arc;

use ::object_store::PutPayload;

use super::*;

async fn store(files: &[&str]) -> (ObjectStores, String) {
    let stores = ObjectStores::default();
    let location = stores.resolve("memory://lake/data").unwrap();
    for file in files {
        let (name, content) = file.split_once('|').unwrap_or((file, "a,b\n1,2\n"));
        let path = Path::parse(format!("data/{name}")).unwrap();
        location.store.put(&path, PutPayload::from(content.to_owned())).await.unwrap();
    }
    (stores, "memory://lake/data".to_owned())
}

async fn check(files: &[&str], expected: &[&str]) {
    let (stores, root) = store(files).await;
    let found = discover(&stores, &root, DiscoveryLimits::default()).await.unwrap();
    let show = |t: &FoundTable| {
        let place = t.url.strip_prefix("memory://lake/data").unwrap();
        format!("{} {} {place}", t.name, t.format.name())
    };
    let shown: Vec<String> = found.tables.iter().map(show).collect();
    assert_eq!(shown, expected, "{files:?}");
    assert!(found.broken.is_empty());
}

#[tokio::test]
async fn finds_delta_tables_and_stops_there() {
    let files = ["o/_delta_log/0.json", "o/a.parquet", "o/x/b.csv", "n/l/_delta_log/0.json"];
    check(&files, &["l delta /n/l", "o delta /o"]).await;
    check(&["_delta_log/0.json", "a.parquet"], &["data delta "]).await;
}

#[tokio::test]
async fn loose_files_are_tables() {
    let files = ["Sales 2024.csv", "x.csv.gz|", "y.JSONL", "z.txt", "_h.csv", ".c.csv", "2.tsv"];
    let expected = [
        "sales_2024 csv /Sales%202024.csv",
        "t_2 csv /2.tsv",
        "x csv /x.csv.gz",
        "y json /y.JSONL",
    ];
    check(&files, &expected).await;
    check(&["part-0.parquet", "part-1.parquet"], &["data parquet "]).await;
}

#[tokio::test]
async fn folders_of_one_kind_are_tables() {
    check(&["t/2024-01.csv", "t/2024-02.csv"], &["t csv /t"]).await;
    check(&["t/north.csv", "t/south.csv"], &["t csv /t"]).await;
    check(
        &["t/north.csv", "t/users.csv|id\n1\n"],
        &["north csv /t/north.csv", "users csv /t/users.csv"],
    )
    .await;
    check(&["t/a.csv", "t/b.json"], &["a csv /t/a.csv", "b json /t/b.json"]).await;
    check(&["e/year=1/m=2/a.json", "e/year=2/m=1/b.json"], &["e json /e"]).await;
    check(&["y=1/a.csv", "y=2/a.csv"], &["data csv "]).await;
    check(&["t/1.csv", "t/deep/er/2.csv"], &["er csv /t/deep/er", "t csv /t"]).await;
}

#[tokio::test]
async fn names_do_not_collide() {
    let files = ["a/t/1.csv", "b/t/1.csv", "T.csv"];
    check(&files, &["t csv /T.csv", "t_a csv /a/t", "t_b csv /b/t"]).await;
}

#[tokio::test]
async fn single_files_and_wrong_places() {
    let (stores, root) = store(&["a.csv", "b.bin"]).await;
    let limits = DiscoveryLimits::default();
    let one = discover(&stores, &format!("{root}/a.csv"), limits).await.unwrap().tables;
    assert_eq!((one.len(), one[0].name.as_str(), one[0].single_file), (1, "a", true));
    let error = discover(&stores, &format!("{root}/b.bin"), limits).await.unwrap_err();
    assert!(matches!(error, CatalogError::InvalidLocation { .. }), "{error}");
    for missing in ["memory://lake/none", "/no/such/folder", "/no/such/file.csv"] {
        let error = discover(&stores, missing, limits).await.unwrap_err();
        assert!(matches!(error, CatalogError::PathNotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn walks_are_bounded() {
    let (stores, root) = store(&["a/b/c/d.csv", "e.csv"]).await;
    let check = async |depth_max, objects_max, text: &str| {
        let limits = DiscoveryLimits { depth_max, objects_max };
        let error = discover(&stores, &root, limits).await.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    check(2, 100, "nested more than 2").await;
    check(9, 2, "more than 2 files").await;
}

#[tokio::test]
async fn empty_folder_on_disk_has_no_tables() {
    let folder = std::env::temp_dir().join(format!("tarn-discovery-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let root = folder.to_str().unwrap();
    let found = discover(&ObjectStores::default(), root, DiscoveryLimits::default()).await.unwrap();
    assert!(found.tables.is_empty());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn folds_names() {
    for (words, name) in [
        ("Sales 2024", "sales_2024"),
        ("2024", "t_2024"),
        ("--", "t"),
        ("Größe (cm)", "größe_cm"),
        ("a__b", "a_b"),
    ] {
        assert_eq!(name::identifier(words), name);
    }
    assert_eq!(name::identifier(&"ä".repeat(80)).len(), 62);
    assert_eq!(name::shape("part-00001-9f3c-4e1a.c000.snappy.parquet"), "part-snappy-parquet");
}

#[test]
fn one_handle_is_shared() {
    let stores = ObjectStores::default();
    let store = stores.resolve("memory://lake/x").unwrap().store;
    assert!(Arc::ptr_eq(&store, &stores.resolve("memory://lake/y").unwrap().store));
}
