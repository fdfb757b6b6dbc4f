//! `pg_sleep(seconds)` and its kin, which end early when their statement does.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::fault::fault;
use super::frame::Kind::{Float8, Interval, Timestamptz, Void};
use super::frame::{Call, Form, Function, Value, form};

/// The functions.
pub(crate) fn functions() -> Vec<Arc<ScalarUDF>> {
    const SECONDS: &[Form] = &[form(&[Float8], Void, |call, row| sleep(call, call.float(0, row)?))];
    const SPAN: &[Form] =
        &[form(&[Interval], Void, |call, row| sleep(call, seconds(call.span(0, row)?.order())))];
    const UNTIL: &[Form] = &[form(&[Timestamptz], Void, |call, row| {
        let left = call.micros(0, row)?.saturating_sub(Utc::now().timestamp_micros());
        sleep(call, seconds(i128::from(left)))
    })];
    vec![
        Function::volatile("pg_sleep", SECONDS).into_udf(),
        Function::volatile("pg_sleep_for", SPAN).into_udf(),
        Function::volatile("pg_sleep_until", UNTIL).into_udf(),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "nobody sleeps so exactly")]
fn seconds(micros: i128) -> f64 {
    micros as f64 / 1e6
}

fn sleep(call: &Call, seconds: f64) -> Result<Value> {
    let time = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    let slept = call.facts().is_none_or(|facts| facts.backends.sleep(time));
    if slept {
        return Ok(Value::text(""));
    }
    Err(fault("57014", "canceling statement due to user request"))
}
