//! `normalize(text [, form])` and `IS [form] NORMALIZED`.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use unicode_normalization::{UnicodeNormalization, is_nfc, is_nfd, is_nfkc, is_nfkd};

use crate::functions::fault::fault;
use crate::functions::frame::Kind::{Bool, Text};
use crate::functions::frame::{Call, Form, Function, Value, form};

/// The functions.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    const NORMALIZE: &[Form] = &[
        form(&[Text], Text, |call, row| {
            Ok(Value::text(call.text(0, row)?.nfc().collect::<String>()))
        }),
        form(&[Text, Text], Text, normalized),
    ];
    const TEST: &[Form] = &[form(&[Text, Text], Bool, |call, row| {
        let text = call.text(0, row)?;
        Ok(Value::Bool(match form_of(call, row)? {
            Named::C => is_nfc(text),
            Named::D => is_nfd(text),
            Named::Kc => is_nfkc(text),
            Named::Kd => is_nfkd(text),
        }))
    })];
    vec![
        Function::immutable("normalize", NORMALIZE).into_udf(),
        Function::immutable("is_normalized", TEST).into_udf(),
    ]
}

/// The forms of Unicode's annex 15.
enum Named {
    C,
    D,
    Kc,
    Kd,
}

fn form_of(call: &Call, row: usize) -> Result<Named> {
    match call.text(1, row)?.to_ascii_uppercase().as_str() {
        "NFC" => Ok(Named::C),
        "NFD" => Ok(Named::D),
        "NFKC" => Ok(Named::Kc),
        "NFKD" => Ok(Named::Kd),
        other => Err(fault("22023", format!("invalid normalization form: {other}"))),
    }
}

fn normalized(call: &Call, row: usize) -> Result<Value> {
    let text = call.text(0, row)?;
    Ok(Value::text(match form_of(call, row)? {
        Named::C => text.nfc().collect::<String>(),
        Named::D => text.nfd().collect(),
        Named::Kc => text.nfkc().collect(),
        Named::Kd => text.nfkd().collect(),
    }))
}
