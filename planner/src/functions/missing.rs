//! Stands for a function that does not exist, until the types of its arguments are known.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use super::fault::fault;
use super::frame::type_name;
use crate::error::PlannerError;

/// A function whose call is the error 42883 with the types of its arguments.
pub(crate) fn missing(name: &str) -> Arc<ScalarUDF> {
    let any = vec![TypeSignature::VariadicAny, TypeSignature::Nullary];
    let signature = Signature::one_of(any, Volatility::Immutable);
    Arc::new(ScalarUDF::from(Missing { name: name.to_owned(), signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Missing {
    name: String,
    signature: Signature,
}

impl ScalarUDFImpl for Missing {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        exec_err!("{} does not exist", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if let Some((schema, _)) = self.name.rsplit_once('.') {
            return Err(fault("3F000", format!("schema \"{schema}\" does not exist")));
        }
        let types = args.arg_fields.iter().zip(args.scalar_arguments).map(|(field, literal)| {
            let text = matches!(
                field.data_type(),
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            );
            if literal.is_some() && text { "unknown".to_owned() } else { type_name(field) }
        });
        let name = format!("{}({})", self.name, types.collect::<Vec<_>>().join(", "));
        let error = PlannerError::UndefinedFunction { name, position: None };
        Err(DataFusionError::External(Box::new(error)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} does not exist", self.name)
    }
}
