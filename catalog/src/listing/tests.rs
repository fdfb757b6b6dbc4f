#![expect(clippy::disallowed_methods, reason = "unit tests have no runtime of their own")]

use ::object_store::PutPayload;
use ::object_store::path::Path;
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::stats::Precision;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use parquet::arrow::ArrowWriter;

use super::*;

struct Lake {
    stores: ObjectStores,
    host: String,
}

impl Lake {
    fn new(host: &str) -> Self {
        Self { stores: ObjectStores::default(), host: format!("memory://{host}") }
    }

    async fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        let store = self.stores.resolve(&self.host).unwrap().store;
        store.put(&Path::parse(path).unwrap(), PutPayload::from(content.into())).await.unwrap();
    }

    fn table(&self, path: &str, format: Format) -> Arc<FileTable> {
        self.table_with(path, format, &[])
    }

    fn table_with(&self, path: &str, format: Format, options: &[(&str, &str)]) -> Arc<FileTable> {
        let single_file = path.contains('.');
        let url = format!("{}/{path}", self.host);
        let found = FoundTable { name: "t".into(), url, format, single_file };
        let options = FileOptions::of_pairs(format, &pairs(options)).unwrap();
        FileTable::with_options(&self.stores, &found, options).unwrap()
    }

    async fn query(&self, table: &Arc<FileTable>, sql: &str) -> Result<String, String> {
        let text = |e: &dyn std::error::Error| match e.source() {
            Some(source) => format!("{e}: {source}"),
            None => e.to_string(),
        };
        let pinned = Arc::clone(table).pin(Travel::Latest).await.map_err(|e| text(&e))?;
        let runtime = RuntimeEnvBuilder::new()
            .with_object_store_registry(Arc::new(self.stores.clone()))
            .build_arc()
            .unwrap();
        let config = SessionConfig::new().with_target_partitions(3).with_batch_size(2);
        let session = SessionContext::new_with_config_rt(config, runtime);
        session.register_table("t", pinned.provider).unwrap();
        let rows = session.sql(sql).await.unwrap().collect().await.map_err(|e| text(&e))?;
        let shown = pretty_format_batches(&rows).unwrap().to_string();
        let lines = shown.lines().filter(|line| !line.starts_with('+')).skip(1);
        let cells = |line: &str| {
            let cells = line.trim_matches('|').split('|').map(str::trim);
            cells.collect::<Vec<_>>().join("|")
        };
        Ok(lines.map(cells).collect::<Vec<_>>().join(";"))
    }
}

fn pairs(options: &[(&str, &str)]) -> Vec<(String, String)> {
    options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn types(table: &Arc<FileTable>) -> String {
    let pinned = Arc::clone(table).pin(Travel::Latest).await.unwrap();
    let schema = pinned.provider.schema();
    let show = |f: &Arc<arrow::datatypes::Field>| format!("{} {}", f.name(), f.data_type());
    schema.fields().iter().map(show).collect::<Vec<_>>().join(", ")
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn ints(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

#[tokio::test]
async fn csv_is_sniffed() {
    let lake = Lake::new("csv");
    let content =
        "\u{feff}id; Name ;price;;day;id\n1;\"a;b\nc\";1,5;;2024-01-02;7\n2;;2;;2024-01-03;8";
    lake.put("a.csv", content).await;
    let table = lake.table("a.csv", Format::Csv);
    let expected = "id Int64, Name Utf8, price Utf8, column_4 Utf8, day Date32, id_2 Int64";
    assert_eq!(types(&table).await, expected);
    let rows = lake.query(&table, "SELECT count(*), sum(id_2), min(day) FROM t").await;
    assert_eq!(rows.unwrap(), "2|15|2024-01-02");
    lake.put("b.tsv", "1\t2.5\n3\t4\n").await;
    let table = lake.table("b.tsv", Format::Csv);
    assert_eq!(types(&table).await, "column_1 Int64, column_2 Float64");
    assert_eq!(lake.query(&table, "SELECT * FROM t ORDER BY 1").await.unwrap(), "1|2.5;3|4.0");
    lake.put("c.csv", "a,b\nx,y\n").await;
    let table = lake.table("c.csv", Format::Csv);
    assert_eq!(lake.query(&table, "SELECT b, a FROM t").await.unwrap(), "y|x");
}

#[tokio::test]
async fn csv_files_are_matched_by_name() {
    let lake = Lake::new("csv-many");
    lake.put("t/1.csv", "a,b\n1,x\n").await;
    lake.put("t/2.csv", "b,a,c\ny,2.5,true\n").await;
    lake.put("t/_SUCCESS", "").await;
    lake.put("t/note.txt", "no").await;
    let table = lake.table("t", Format::Csv);
    assert_eq!(types(&table).await, "a Float64, b Utf8, c Boolean");
    let rows = lake.query(&table, "SELECT * FROM t ORDER BY a").await.unwrap();
    assert_eq!(rows, "1.0|x|;2.5|y|true");
}

#[tokio::test]
async fn bad_lines_name_file_and_line() {
    let lake = Lake::new("csv-bad");
    lake.put("a.csv", "a,b\n1,2\n3\n").await;
    let ragged =
        lake.query(&lake.table("a.csv", Format::Csv), "SELECT * FROM t").await.unwrap_err();
    assert!(ragged.contains("a.csv: ") && ragged.contains("line 3"), "{ragged}");
    let mut late = "a,b\n".to_owned() + &format!("1,{}\n", "x".repeat(1000)).repeat(5000);
    late += "word,x\n";
    lake.put("b.csv", late).await;
    let table = lake.table("b.csv", Format::Csv);
    assert_eq!(types(&table).await, "a Int64, b Utf8");
    let wrong = lake.query(&table, "SELECT sum(a) FROM t").await.unwrap_err();
    assert!(wrong.contains("b.csv: ") && wrong.contains("line 5002."), "{wrong}");
    lake.put("c.csv", vec![0xff, 0xfe, 0x00, b'\n', 0xff]).await;
    let binary = lake.query(&lake.table("c.csv", Format::Csv), "SELECT 1").await.unwrap_err();
    assert!(binary.contains("\"t\" is damaged: c.csv"), "{binary}");
}

#[tokio::test]
async fn json_lines_and_arrays() {
    let lake = Lake::new("json");
    lake.put("t/a.json", "{\"a\": 1, \"b\": {\"x\": [1]}}\n{\"a\": 2}\n{\"a\":3}").await;
    lake.put(
        "t/b.json",
        "\n[ {\"a\": 1.5, \"c\": \"],{\\\"\"} , {\"a\": 9, \"b\": {\"y\": null}} ]\n",
    )
    .await;
    let table = lake.table("t", Format::Json);
    let shown = types(&table).await;
    assert!(shown.starts_with("a Float64, b Struct("), "{shown}");
    let rows = lake.query(&table, "SELECT count(*), sum(a), max(c) FROM t").await.unwrap();
    assert_eq!(rows, "5|16.5|],{\"");
    assert_eq!(lake.query(&table, "SELECT count(*) FROM t").await.unwrap(), "5");
    lake.put("o.json", "{\"z\": 1, \"a\": 2}\n{\"m\": 3, \"a\": null}").await;
    assert_eq!(types(&lake.table("o.json", Format::Json)).await, "z Int64, a Int64, m Int64");
    lake.put("bad.json", "{\"a\": 1}\n{\"a\": \n").await;
    let broken = lake.query(&lake.table("bad.json", Format::Json), "SELECT 1").await.unwrap_err();
    assert!(broken.contains("bad.json"), "{broken}");
}

#[tokio::test]
async fn parquet_columns_are_widened_and_counted() {
    let lake = Lake::new("parquet");
    let narrow: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    lake.put("t/a.parquet", parquet(vec![("id", narrow)])).await;
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None, Some("z")]));
    lake.put("t/b.parquet", parquet(vec![("s", text), ("id", ints([10, 20, 30]))])).await;
    let table = lake.table("t", Format::Parquet);
    assert_eq!(types(&table).await, "id Int64, s Utf8View");
    let pinned = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    let statistics = pinned.provider.statistics().unwrap();
    assert_eq!(statistics.num_rows, Precision::Exact(5));
    assert_eq!(statistics.column_statistics[0].max_value.get_value().unwrap().to_string(), "30");
    assert_eq!(statistics.column_statistics[1].null_count, Precision::Exact(3));
    let rows = lake.query(&table, "SELECT id, s FROM t WHERE id > 1 ORDER BY id").await.unwrap();
    assert_eq!(rows, "2|;10|x;20|;30|z");
    let plan = lake.query(&table, "EXPLAIN SELECT id FROM t WHERE id > 5").await.unwrap();
    assert!(plan.contains("b.parquet") && !plan.contains("a.parquet"), "{plan}");
    assert!(plan.contains("pruning_predicate=id_null_count"), "{plan}");
    let counted = lake.query(&table, "SELECT count(s), min(id), max(id) FROM t").await.unwrap();
    assert_eq!(counted, "2|1|30");
}

#[tokio::test]
async fn partitions_are_columns() {
    let lake = Lake::new("hive");
    for (folder, id) in [("y=2023/r=north%20east", 1), ("y=2024/r=__HIVE_DEFAULT_PARTITION__", 2)] {
        lake.put(&format!("t/{folder}/a.parquet"), parquet(vec![("id", ints([id, id]))])).await;
    }
    let table = lake.table("t", Format::Parquet);
    assert_eq!(types(&table).await, "id Int64, y Int64, r Utf8");
    let rows = lake.query(&table, "SELECT DISTINCT y, r, id FROM t ORDER BY y").await.unwrap();
    assert_eq!(rows, "2023|north east|1;2024||2");
    assert_eq!(
        lake.query(&table, "SELECT count(r), count(*), max(y) FROM t").await.unwrap(),
        "2|4|2024"
    );
    let plan = lake.query(&table, "EXPLAIN SELECT id FROM t WHERE y = 2024").await.unwrap();
    assert!(plan.contains("y=2024") && !plan.contains("y=2023"), "{plan}");
    lake.put("t/z=1/a.parquet", parquet(vec![("id", ints([1]))])).await;
    let mixed = lake.query(&table, "SELECT 1").await.unwrap_err();
    assert!(mixed.contains("partition folders"), "{mixed}");
}

#[tokio::test]
async fn new_files_are_seen_and_pins_stay() {
    let lake = Lake::new("fresh");
    lake.put("t/a.parquet", parquet(vec![("id", ints(0..10))])).await;
    let table = lake.table("t", Format::Parquet);
    let first = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    let again = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    assert!(Arc::ptr_eq(&first.provider, &again.provider));
    lake.put("t/b.parquet", parquet(vec![("id", ints(10..15))])).await;
    let second = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    assert_ne!(first.version, second.version);
    assert_eq!(first.provider.statistics().unwrap().num_rows, Precision::Exact(10));
    assert_eq!(lake.query(&table, "SELECT sum(id) FROM t").await.unwrap(), "105");
    let travel = table.pin(Travel::Version(0)).await.unwrap_err();
    assert!(matches!(travel, CatalogError::TravelUnsupported { .. }));
}

#[tokio::test]
async fn a_file_replaced_under_a_scan_is_an_error() {
    let lake = Lake::new("replaced");
    lake.put("a.parquet", parquet(vec![("id", ints(0..10))])).await;
    let table = lake.table("a.parquet", Format::Parquet);
    let pinned = Arc::clone(&table).pin(Travel::Latest).await.unwrap();
    lake.put("a.parquet", parquet(vec![("id", ints(50..60))])).await;
    let session = SessionContext::new();
    lake.stores.register(session.runtime_env().as_ref());
    session.register_table("old", pinned.provider).unwrap();
    let rows = session.sql("SELECT sum(id) FROM old").await.unwrap().collect().await;
    assert!(rows.is_err(), "{rows:?}");
    assert_eq!(lake.query(&table, "SELECT sum(id) FROM t").await.unwrap(), "545");
}

#[tokio::test]
async fn damage_is_named() {
    let lake = Lake::new("damage");
    let mut truncated = parquet(vec![("id", ints(0..10))]);
    truncated.truncate(truncated.len() - 9);
    lake.put("t/a.parquet", truncated).await;
    lake.put("t/b.parquet", parquet(vec![("id", ints(0..10))])).await;
    let error = lake.table("t", Format::Parquet).pin(Travel::Latest).await.unwrap_err();
    let CatalogError::Corrupt { table, what, .. } = &error else { panic!("{error:?}") };
    assert!(table == "t" && what.starts_with("t/a.parquet: "), "{error}");
    for (name, content) in [("zero", vec![]), ("short", vec![1]), ("noise", vec![0x50; 4096])] {
        lake.put(&format!("{name}.parquet"), content).await;
        let table = lake.table(&format!("{name}.parquet"), Format::Parquet);
        let error = table.pin(Travel::Latest).await.unwrap_err();
        assert!(matches!(error, CatalogError::Corrupt { .. }), "{name}: {error:?}");
    }
    lake.put("m/a.parquet", parquet(vec![("id", ints(0..1))])).await;
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    lake.put("m/b.parquet", parquet(vec![("id", text)])).await;
    let mixed = lake.query(&lake.table("m", Format::Parquet), "SELECT 1").await.unwrap_err();
    assert!(mixed.contains("\"id\" is Utf8View in m/b.parquet but Int64"), "{mixed}");
    let empty = lake.query(&lake.table("none", Format::Csv), "SELECT 1").await.unwrap_err();
    assert!(empty.contains("holds no csv files"), "{empty}");
    let missing = lake.table("x.csv", Format::Csv).pin(Travel::Latest).await.unwrap_err();
    assert!(matches!(missing, CatalogError::PathNotFound { .. }));
}

#[tokio::test]
async fn files_on_disk() {
    let folder = std::env::temp_dir().join(format!("tarn listing-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("y=1")).unwrap();
    std::fs::write(folder.join("y=1/a.csv"), "id\n1\n2\n").unwrap();
    // `printf 'id\n5\n' | gzip -n`
    let gzip = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x4c, 0xe1, 0x32, 0xe5, 2, 0, 0x0b, 0x2c, 0x37,
        0xa9, 5, 0, 0, 0,
    ];
    std::fs::write(folder.join("y=1/b.csv.gz"), gzip).unwrap();
    let mut lake = Lake::new("unused");
    lake.host = folder.to_str().unwrap().to_owned();
    let table = lake.table("", Format::Csv);
    assert_eq!(lake.query(&table, "SELECT sum(id), min(y) FROM t").await.unwrap(), "8|1");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn columns_are_joined() {
    let check = |a: DataType, b: DataType, as_text: bool, expected: Option<DataType>| {
        let schema = |t: &DataType| {
            Arc::new(arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
                "c",
                t.clone(),
                false,
            )]))
        };
        for (x, y) in [(&a, &b), (&b, &a)] {
            let joined = columns::merge(&[schema(x), schema(y)], as_text).ok();
            assert_eq!(joined.map(|s| s.field(0).data_type().clone()), expected, "{x} {y}");
        }
    };
    use DataType::{
        Date32, Float64, Int8, Int16, Int32, Int64, Null, UInt16, UInt32, UInt64, Utf8,
    };
    check(Int8, Int32, false, Some(Int32));
    check(UInt16, Int8, false, Some(Int32));
    check(UInt32, Int16, false, Some(Int64));
    check(UInt64, Int64, false, None);
    check(Int64, Float64, false, None);
    check(Int64, Float64, true, Some(Float64));
    check(Int64, Date32, true, Some(Utf8));
    check(Null, Int64, true, Some(Int64));
    check(Null, Null, true, Some(Utf8));
}

#[tokio::test]
async fn options_say_how_csv_is_written() {
    let lake = Lake::new("options");
    let content = "# from\tthe' shop\n#\n'1'~'it\\'s~'~-\n2~'a\nb'~3\n-~~4\n";
    lake.put("a.csv", content).await;
    let options = [
        ("Header", "false"),
        ("sep", "~"),
        ("quote", "'"),
        ("escape", "\\"),
        ("nullValue", "-"),
        ("comment", "#"),
    ];
    let table = lake.table_with("a.csv", Format::Csv, &options);
    assert_eq!(types(&table).await, "column_1 Int64, column_2 Utf8, column_3 Int64");
    let sql = "SELECT sum(column_1), sum(column_3), count(column_1), count(column_2), \
               string_agg(replace(column_2, chr(10), '/'), '+' ORDER BY column_3 NULLS LAST) FROM t";
    assert_eq!(lake.query(&table, sql).await.unwrap(), "3|7|2|3|a/b++it's~");
    // The first line is names, though it looks like the others.
    lake.put("b.csv", "1,2\n3,4\n").await;
    let table = lake.table_with("b.csv", Format::Csv, &[("header", "on")]);
    assert_eq!(types(&table).await, "1 Int64, 2 Int64");
    let table = lake.table_with("b.csv", Format::Csv, &[("delimiter", "\\t"), ("header", "0")]);
    assert_eq!(types(&table).await, "column_1 Utf8");
}

#[tokio::test]
async fn compression_is_taken_from_options_before_names() {
    use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
    let lake = Lake::new("packed");
    for (name, packing) in [
        ("gzip", FileCompressionType::GZIP),
        ("zstd", FileCompressionType::ZSTD),
        ("bzip2", FileCompressionType::BZIP2),
        ("xz", FileCompressionType::XZ),
        ("none", FileCompressionType::UNCOMPRESSED),
    ] {
        let text = futures::stream::iter([Ok(Bytes::from_static(b"a,b\n1,2\n"))]).boxed();
        let packed = packing.convert_to_compress_stream(text).unwrap();
        let packed: Vec<Bytes> = packed.try_collect().await.unwrap();
        let path = format!("{name}.csv");
        lake.put(&path, packed.concat()).await;
        let table = lake.table_with(&path, Format::Csv, &[("compression", name)]);
        assert_eq!(lake.query(&table, "SELECT b FROM t").await.unwrap(), "2", "{name}");
    }
    lake.put("plain.json.gz", "{\"a\": 1}").await;
    lake.query(&lake.table("plain.json.gz", Format::Json), "SELECT a FROM t").await.unwrap_err();
    let table = lake.table_with("plain.json.gz", Format::Json, &[("compression", "NONE")]);
    assert_eq!(lake.query(&table, "SELECT a FROM t").await.unwrap(), "1");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |format, options: &[(&str, &str)]| {
        FileOptions::of_pairs(format, &pairs(options)).unwrap_err().to_string()
    };
    let unknown = refused(Format::Csv, &[("colour", "red")]);
    assert!(unknown.contains("header, delimiter (or sep), quote"), "{unknown}");
    let unknown = refused(Format::Json, &[("header", "true")]);
    assert!(unknown.contains("a json table has compression"), "{unknown}");
    assert!(refused(Format::Parquet, &[("compression", "none")]).contains("no options"));
    for (options, reason) in [
        (&[("header", "maybe")][..], "neither true nor false"),
        (&[("delimiter", "||")], "not one character"),
        (&[("quote", "")], "not one character"),
        (&[("delimiter", "ä")], "not one character"),
        (&[("delimiter", "\"")], "same character"),
        (&[("comment", "~"), ("sep", "~")], "same character"),
        (&[("sep", ","), ("delimiter", ",")], "given twice"),
        (&[("compression", "lzo")], "not one of"),
    ] {
        let message = refused(Format::Csv, options);
        assert!(message.contains(reason), "{message}");
    }
    // An option of a later version is not passed over.
    serde_json::from_str::<FileOptions>(r#"{"encoding": "latin1"}"#).unwrap_err();
}
