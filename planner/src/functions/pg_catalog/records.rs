//! Functions that yield records, which tarn has none of: options of foreign objects, grants,
//! partitions.
//!
//! Each returns a list of its records; `rewrite/sets.rs` unnests it.

use std::sync::Arc;

use arrow::array::new_empty_array;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The functions, with the columns of their records.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let text = || DataType::Utf8;
    let oid = || DataType::UInt32;
    let all = [
        ("pg_options_to_table", vec![("option_name", text()), ("option_value", text())]),
        (
            "aclexplode",
            vec![
                ("grantor", oid()),
                ("grantee", oid()),
                ("privilege_type", text()),
                ("is_grantable", DataType::Boolean),
            ],
        ),
        (
            "pg_partition_tree",
            vec![
                ("relid", oid()),
                ("parentrelid", oid()),
                ("isleaf", DataType::Boolean),
                ("level", DataType::Int32),
            ],
        ),
        ("pg_partition_ancestors", vec![("relid", oid())]),
    ];
    let function = |(name, columns): (&'static str, Vec<(&str, DataType)>)| {
        let fields = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true));
        let fields: Fields = fields.collect();
        let signature = Signature::any(1, Volatility::Stable);
        Arc::new(ScalarUDF::from(NoRecords { name, fields, signature }))
    };
    all.into_iter().map(function).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NoRecords {
    name: &'static str,
    fields: Fields,
    signature: Signature,
}

impl ScalarUDFImpl for NoRecords {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Struct(self.fields.clone()), true))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let records = new_empty_array(&DataType::Struct(self.fields.clone()));
        let list = datafusion::common::utils::SingleRowListArrayBuilder::new(records);
        Ok(ColumnarValue::Scalar(ScalarValue::List(Arc::new(list.build_list_array()))))
    }
}
