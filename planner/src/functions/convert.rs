//! A cast that DataFusion's own cannot do, or does otherwise than PostgreSQL.
//!
//! The function carries both types, as physical schemas do not keep all metadata. Users do not
//! call it: the analyzer puts it in the place of casts.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::facts::SessionFacts;
use crate::types::convert::Conversion;
use crate::types::forms::{NoForms, ValueForms};
use crate::types::scalar_of;

/// `expr` cast from one field's type to another's.
pub(crate) fn convert(expr: Expr, source: &Field, target: &Field, assignment: bool) -> Expr {
    let depends = |field: &Field| depends_on_session(field.data_type());
    let volatility =
        if depends(source) || depends(target) { Volatility::Stable } else { Volatility::Immutable };
    let function = Convert {
        source: Arc::new(source.clone().with_name("")),
        target: Arc::new(target.clone().with_name("")),
        assignment,
        signature: Signature::any(1, volatility),
    };
    let function = Arc::new(ScalarUDF::from(function));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr]))
}

/// Whether the text form depends on settings such as the time zone.
fn depends_on_session(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => true,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::List(element) => depends_on_session(element.data_type()),
        DataType::Struct(fields) => fields.iter().any(|f| depends_on_session(f.data_type())),
        DataType::FixedSizeBinary(12) => true,
        other => other.is_temporal(),
    }
}

#[derive(PartialEq, Eq)]
struct Convert {
    source: FieldRef,
    target: FieldRef,
    assignment: bool,
    signature: Signature,
}

impl Hash for Convert {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
        self.target.hash(state);
        self.assignment.hash(state);
    }
}

impl fmt::Debug for Convert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "convert to {}", self.target.data_type())
    }
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &'static str {
        "convert_type"
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        let oid = tarn_catalog::pg_type::pg_type_of(&self.target);
        let name = tarn_catalog::pg_type::format_type(oid.oid, Some(oid.modifier));
        Ok(match args {
            [arg] => format!("CAST({arg} AS {name})"),
            _ => self.name().to_owned(),
        })
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        // The name of a cast is that of what it casts; the types keep two casts of one apart.
        let key = tarn_catalog::pg_type::pg_type_of(&self.target);
        Ok(match args {
            [arg] => format!("convert({}, {}, {})", arg.schema_name(), key.oid, key.modifier),
            _ => self.name().to_owned(),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.target.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&self.target))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let facts = args.config_options.extensions.get::<SessionFacts>();
        let forms: &dyn ValueForms = match facts {
            Some(facts) => facts.forms.as_ref(),
            None => &NoForms,
        };
        let conversion = Conversion { forms, assignment: self.assignment };
        match args.args.first() {
            Some(ColumnarValue::Scalar(value)) => {
                let array = conversion.run(&value.to_array()?, &self.source, &self.target)?;
                Ok(ColumnarValue::Scalar(scalar_of(&array)?))
            }
            Some(ColumnarValue::Array(array)) => {
                Ok(ColumnarValue::Array(conversion.run(array, &self.source, &self.target)?))
            }
            None => Err(exec_datafusion_err!("a cast needs an argument")),
        }
    }
}
