//! Values as texts that are in the same order: the digits of their bytes.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::types::convert::{json_fault, json_texts};
use crate::types::json::order;

/// `window_key(value)` of `uuid`, `bytea` and `jsonb`.
pub(crate) static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::from(WindowKey { signature }))
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowKey {
    signature: Signature,
}

impl ScalarUDFImpl for WindowKey {
    fn name(&self) -> &'static str {
        "window_key"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let keys = arrays.first().map(keys).transpose()?;
        Ok(ColumnarValue::Array(Arc::new(keys.unwrap_or_else(|| StringArray::new_null(0)))))
    }
}

fn keys(values: &ArrayRef) -> Result<StringArray> {
    if let DataType::Struct(_) = values.data_type() {
        let texts = json_texts(values)?;
        let key = |text: Option<&str>| -> Result<Option<String>> {
            let key = text.map(order::key).transpose().map_err(|error| json_fault(&error))?;
            Ok(key.map(|bytes| digits(&bytes)))
        };
        return texts.iter().map(key).collect();
    }
    if let Some(values) = values.as_fixed_size_binary_opt() {
        return Ok(values.iter().map(|bytes| bytes.map(digits)).collect());
    }
    let values = cast(values, &DataType::Binary)?;
    Ok(values.as_binary::<i32>().iter().map(|bytes| bytes.map(digits)).collect())
}

fn digits(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // A text takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
