//! `coalesce`, `greatest` and `least` over literals of unknown type.
//!
//! A literal is text to DataFusion; beside a value of another type it has to become that type.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::functions::core;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::functions::fault::fault;
use crate::types::is_text;
use crate::widening::common_float;

/// The functions under the names that they replace.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    [core::coalesce(), core::greatest(), core::least()]
        .into_iter()
        .map(|inner| {
            let signature = Signature::variadic_any(Volatility::Immutable);
            Arc::new(ScalarUDF::from(Choice { inner, signature }))
        })
        .collect()
}

#[derive(Debug)]
struct Choice {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        self.inner.name() == other.inner.name()
    }
}

impl Eq for Choice {}

impl Hash for Choice {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.name().hash(state);
    }
}

impl Choice {
    /// The type of all arguments and of the result.
    fn common(&self, types: &[DataType]) -> Result<DataType> {
        let known = |data_type: &&DataType| !is_text(data_type) && **data_type != DataType::Null;
        let typed: Vec<DataType> = types.iter().filter(known).cloned().collect();
        let common = match typed.first() {
            None => type_union_resolution(types),
            Some(first) if typed.iter().all(|other| other == first) => Some(first.clone()),
            Some(_) => common_float(&typed).or_else(|| type_union_resolution(&typed)),
        };
        let Some(common) = common else {
            let name = self.inner.name().to_uppercase();
            let shown: Vec<String> = typed
                .iter()
                .map(|data_type| {
                    let oid = tarn_catalog::pg_type::pg_type_of_data_type(data_type).oid;
                    tarn_catalog::pg_type::format_type(oid, None)
                })
                .collect();
            let message = format!("{name} types {} cannot be matched", shown.join(" and "));
            return Err(fault("42804", message));
        };
        Ok(common)
    }
}

/// The type that the arguments of one of these functions take; `None` for other functions.
pub(crate) fn coerced(function: &ScalarUDF, types: &[DataType]) -> Option<Result<Vec<DataType>>> {
    let choice = function.inner().downcast_ref::<Choice>()?;
    Some(choice.common(types).map(|common| vec![common; types.len()]))
}

impl ScalarUDFImpl for Choice {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let common = self.common(&types)?;
        let nullable = args.arg_fields.iter().all(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), common, nullable)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }
}

/// Whether a function is one of these.
pub(crate) fn is_choice(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<Choice>().is_some()
}
