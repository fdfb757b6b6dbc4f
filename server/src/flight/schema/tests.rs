use arrow::array::{
    Array, AsArray, DictionaryArray, Int32Array, ListViewArray, RunArray, StringViewArray,
    StructArray,
};
use arrow::datatypes::{Int32Type, Int64Type};

use super::*;

fn item(data_type: DataType, nullable: bool) -> FieldRef {
    Arc::new(Field::new("item", data_type, nullable))
}

fn check(input: DataType, expected: DataType) {
    let schema = result_schema(&Schema::new(vec![Field::new("c", input.clone(), false)]));
    let field = schema.field(0);
    assert_eq!(field.data_type(), &expected, "{input:?}");
    assert_eq!(field.is_nullable(), !is_union(&expected), "{input:?}");
    let empty = arrow::array::new_empty_array(&input);
    let batch = RecordBatch::try_new(
        Arc::new(Schema::new(vec![Field::new("c", input, true)])),
        vec![empty],
    )
    .unwrap();
    assert_eq!(to_wire(&batch, &schema).unwrap().schema(), schema);
}

#[test]
fn converts_types_that_clients_do_not_know() {
    check(DataType::Utf8View, DataType::Utf8);
    check(DataType::BinaryView, DataType::Binary);
    check(DataType::LargeUtf8, DataType::LargeUtf8);
    check(DataType::Decimal32(5, 2), DataType::Decimal128(5, 2));
    check(DataType::Decimal64(15, 0), DataType::Decimal128(15, 0));
    check(DataType::Decimal256(70, 3), DataType::Decimal256(70, 3));
    check(
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View)),
        DataType::Utf8,
    );
    check(
        DataType::RunEndEncoded(
            Arc::new(Field::new("run_ends", DataType::Int32, false)),
            Arc::new(Field::new("values", DataType::Int64, true)),
        ),
        DataType::Int64,
    );
}

#[test]
fn converts_nested_types() {
    let strings = DataType::List(item(DataType::Utf8, true));
    check(DataType::List(item(DataType::Utf8View, false)), strings.clone());
    check(DataType::LargeList(item(DataType::Utf8View, true)), strings.clone());
    check(DataType::ListView(item(DataType::Utf8View, true)), strings.clone());
    check(DataType::LargeListView(item(DataType::Utf8View, true)), strings.clone());
    check(
        DataType::FixedSizeList(item(DataType::Utf8View, true), 3),
        DataType::FixedSizeList(item(DataType::Utf8, true), 3),
    );
    check(
        DataType::Struct(
            vec![Field::new("a", DataType::LargeList(item(DataType::Utf8View, true)), false)]
                .into(),
        ),
        DataType::Struct(vec![Field::new("a", strings, true)].into()),
    );
    let map = |text: DataType, value_nullable| {
        let fields = vec![
            Field::new("keys", text.clone(), false),
            Field::new("values", text, value_nullable),
        ];
        DataType::Map(
            Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)),
            false,
        )
    };
    check(map(DataType::Utf8View, false), map(DataType::Utf8, true));
}

#[test]
fn keeps_values() {
    let text: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some("b")]));
    let dictionary: ArrayRef = Arc::new(
        vec![Some("x"), Some("x"), None].into_iter().collect::<DictionaryArray<Int32Type>>(),
    );
    let lists: ArrayRef = Arc::new(ListViewArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
    ]));
    let runs: ArrayRef = Arc::new(
        RunArray::<Int32Type>::try_new(
            &Int32Array::from(vec![2, 3]),
            &Int32Array::from(vec![7, 8]),
        )
        .unwrap(),
    );
    let batch =
        RecordBatch::try_from_iter([("t", text), ("d", dictionary), ("l", lists), ("r", runs)])
            .unwrap();
    let sent = to_wire(&batch, &result_schema(&batch.schema())).unwrap();
    assert_eq!(
        sent.column(0).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("a"), None, Some("b")]
    );
    assert_eq!(
        sent.column(1).as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("x"), Some("x"), None]
    );
    assert_eq!(sent.column(2).as_list::<i32>().value(0).as_primitive::<Int64Type>().len(), 2);
    assert!(sent.column(2).is_null(1));
    assert_eq!(sent.column(3).as_primitive::<Int32Type>().values(), &[7, 7, 8]);
}

#[test]
fn keeps_the_number_of_rows_without_columns() {
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let batch =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert_eq!(to_wire(&batch, &result_schema(&batch.schema())).unwrap().num_rows(), 3);
}

#[test]
fn refuses_other_columns_than_announced() {
    let batch = RecordBatch::from(StructArray::new_empty_fields(1, None));
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)]));
    assert!(to_wire(&batch, &schema).is_err());
}

#[test]
fn describes_columns_and_drops_internal_metadata() {
    let internal = [("tarn.pg_typmod".to_owned(), "7".to_owned())];
    let field = Field::new("c", DataType::Decimal64(15, 2), false).with_metadata(internal.into());
    let schema = result_schema(&Schema::new(vec![field]));
    let metadata = schema.field(0).metadata();
    assert_eq!(metadata.get(TYPE_NAME).map(String::as_str), Some("numeric"));
    assert_eq!(metadata.get(PRECISION).map(String::as_str), Some("15"));
    assert_eq!(metadata.get(SCALE).map(String::as_str), Some("2"));
    assert_eq!(metadata.len(), 3);
}

#[test]
fn names_parameters_in_numeric_order() {
    let schema = parameter_schema(&vec![DataType::Utf8View; 11]);
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names[..2], ["$1", "$2"]);
    assert_eq!(names[10], "$11");
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
}
