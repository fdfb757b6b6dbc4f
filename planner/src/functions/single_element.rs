//! `single_element(array, name)`: the value of a scalar subquery whose rows are in an array.

use arrow::array::{Array, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::single_value::too_many_rows;

/// Returns NULL for an empty array, the element of an array of one and error 21000 for more.
///
/// The second argument is the name of the subquery's output, which the result takes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SingleElement {
    signature: Signature,
}

impl SingleElement {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SingleElement {
    fn name(&self) -> &'static str {
        "single_element"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types.first() {
            Some(DataType::List(element)) => Ok(element.data_type().clone()),
            _ => Err(exec_datafusion_err!("single_element needs an array")),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let argument = args.args.first();
        let argument = argument.ok_or_else(|| exec_datafusion_err!("no argument"))?;
        let array = argument.to_array(args.number_rows)?;
        let lists = array
            .as_list_opt::<i32>()
            .ok_or_else(|| exec_datafusion_err!("single_element needs an array"))?;
        let mut positions = Vec::with_capacity(lists.len());
        for (row, window) in lists.value_offsets().windows(2).enumerate() {
            let [start, end] = window else { continue };
            positions.push(match end - start {
                _ if lists.is_null(row) => None,
                0 => None,
                1 => u64::try_from(*start).ok(),
                _ => return Err(too_many_rows()),
            });
        }
        let values = take(lists.values(), &UInt64Array::from(positions), None)?;
        Ok(ColumnarValue::Array(values))
    }
}
