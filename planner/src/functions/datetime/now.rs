//! The clocks: `now()` and its kin.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use tarn_catalog::pg_type::TIMETZ;

use super::calendar::split;
use super::span_text::round_to;
use super::text::TimeSettings;
use super::types::{TIME, TIMESTAMP, timestamptz};
use crate::functions::frame::Kind::{Text, Timestamptz};
use crate::functions::frame::{Form, Function, Value, form};

/// What a clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Shows {
    Instant,
    LocalTimestamp,
    LocalTime,
    Time,
    Date,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Clock {
    name: &'static str,
    aliases: Vec<String>,
    shows: Shows,
    signature: Signature,
}

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    const CLOCK: &[Form] = &[form(&[], Timestamptz, |_, _| Ok(Value::Micros(super::text::now())))];
    const DAY_TEXT: &[Form] = &[form(&[], Text, |call, _| {
        let now = super::text::now();
        let settings = TimeSettings { style: super::text::DateStyle::Postgres, ..call.time };
        Ok(Value::Text(super::text::timestamptz_text(now, &settings)))
    })];
    let clock = |name: &'static str, aliases: &[&str], shows: Shows| {
        let counts = vec![TypeSignature::Nullary, TypeSignature::Any(1)];
        let signature = Signature::one_of(counts, Volatility::Stable);
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Arc::new(ScalarUDF::from(Clock { name, aliases, shows, signature }))
    };
    vec![
        clock(
            "now",
            &["current_timestamp", "transaction_timestamp", "statement_timestamp"],
            Shows::Instant,
        ),
        clock("localtimestamp", &[], Shows::LocalTimestamp),
        clock("localtime", &[], Shows::LocalTime),
        clock("current_time", &[], Shows::Time),
        clock("current_date", &["today"], Shows::Date),
        Function::volatile("clock_timestamp", CLOCK).into_udf(),
        Function::volatile("timeofday", DAY_TEXT).into_udf(),
    ]
}

impl ScalarUDFImpl for Clock {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(match self.shows {
            Shows::Instant => timestamptz(),
            Shows::LocalTimestamp => TIMESTAMP,
            Shows::LocalTime => TIME,
            Shows::Time => TIMETZ,
            Shows::Date => DataType::Date32,
        })
    }

    /// The statement's start is known while it is planned.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(started) = info.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let digits = match args.first() {
            None => 6,
            Some(Expr::Literal(ScalarValue::Int32(Some(digits)), _)) => {
                u32::try_from(*digits).unwrap_or(6)
            }
            Some(Expr::Literal(ScalarValue::Int64(Some(digits)), _)) => {
                u32::try_from(*digits).unwrap_or(6)
            }
            Some(_) => return Ok(ExprSimplifyResult::Original(args)),
        };
        let now = round_to(started.timestamp_micros(), digits.min(6));
        let local = TimeSettings::of(info.config_options()).zone.to_local(now);
        let (day, time) = split(local);
        let value = match self.shows {
            Shows::Instant => ScalarValue::TimestampMicrosecond(Some(now), Some("UTC".into())),
            Shows::LocalTimestamp => ScalarValue::TimestampMicrosecond(Some(local), None),
            Shows::LocalTime => ScalarValue::Time64Microsecond(Some(time)),
            Shows::Time => {
                let time = super::timetz::instant(now, &TimeSettings::of(info.config_options()))?;
                ScalarValue::FixedSizeBinary(12, Some(time.to_bytes().to_vec()))
            }
            Shows::Date => ScalarValue::Date32(i32::try_from(day).ok()),
        };
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(value, None)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} is replaced while the statement is planned", self.name)
    }
}
