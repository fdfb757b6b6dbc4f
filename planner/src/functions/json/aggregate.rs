//! `json_agg`, `json_object_agg` and their kin for `jsonb`.

use std::collections::HashSet;
use std::fmt;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use tarn_catalog::pg_type::{Json, json_type};

use super::build::Writer;
use crate::functions::array::frame::list_of;
use crate::functions::fault::fault;
use crate::types::convert::{json_fault, texts_of};
use crate::types::forms::NoForms;
use crate::types::json::{normalized, quoted};
use crate::types::json_scalar;

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let function = |name, kind, object| {
        let n_arguments = if object { 2 } else { 1 };
        let signature = Signature::any(n_arguments, Volatility::Stable);
        Arc::new(AggregateUDF::from(JsonAggregate { name, kind, object, signature }))
    };
    vec![
        function("json_agg", Json::Text, false),
        function("jsonb_agg", Json::Binary, false),
        function("json_object_agg", Json::Text, true),
        function("jsonb_object_agg", Json::Binary, true),
    ]
}

#[derive(PartialEq, Eq, Hash)]
struct JsonAggregate {
    name: &'static str,
    kind: Json,
    object: bool,
    signature: Signature,
}

impl fmt::Debug for JsonAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl AggregateUDFImpl for JsonAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(json_type(self.kind))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = format!("{}[items]", args.name);
        Ok(vec![Arc::new(Field::new(name, list_of(&DataType::Utf8, 1), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Collected {
            kind: self.kind,
            object: self.object,
            fields: args.expr_fields.to_vec(),
            seen: args.is_distinct.then(HashSet::new),
            items: Vec::new(),
            n_bytes: 0,
        }))
    }
}

/// The JSON texts of the elements or pairs so far.
struct Collected {
    kind: Json,
    object: bool,
    fields: Vec<FieldRef>,
    seen: Option<HashSet<String>>,
    items: Vec<String>,
    n_bytes: usize,
}

impl fmt::Debug for Collected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collected").field("n_items", &self.items.len()).finish_non_exhaustive()
    }
}

impl Collected {
    fn push(&mut self, item: String) {
        if let Some(seen) = &mut self.seen
            && !seen.insert(item.clone())
        {
            return;
        }
        self.n_bytes += item.len() + size_of::<String>();
        self.items.push(item);
    }

    fn writer(&self, array: &ArrayRef, argument: usize) -> Result<Writer> {
        let field = self.fields.get(argument);
        let field = field.ok_or_else(|| exec_datafusion_err!("argument {argument} is missing"))?;
        // An aggregate is not told the session's options; analysis has made all values whose text
        // depends on them into text or JSON before.
        Writer::new(array, field, &NoForms)
    }
}

impl Accumulator for Collected {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [first, rest @ ..] = values else { return Ok(()) };
        let value_at = usize::from(self.object);
        let value = if self.object { rest.first().unwrap_or(first) } else { first };
        let writer = self.writer(value, value_at)?;
        let keys = if self.object { Some(texts_of(first)?) } else { None };
        for row in 0..first.len() {
            let mut item = String::new();
            if let Some(keys) = &keys {
                if keys.is_null(row) {
                    return Err(fault("22023", "field name must not be null"));
                }
                item.push_str(&quoted(keys.value(row)));
                item.push_str(" : ");
            }
            writer.put(row, &mut item);
            self.push(item);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.items.is_empty() {
            return Ok(json_scalar(None, self.kind));
        }
        let items = self.items.join(", ");
        let text = match (self.object, self.kind) {
            (true, Json::Text) => format!("{{ {items} }}"),
            (true, Json::Binary) => format!("{{{items}}}"),
            (false, _) => format!("[{items}]"),
        };
        let text = match self.kind {
            Json::Text => text,
            Json::Binary => normalized(&text).map_err(|error| json_fault(&error))?,
        };
        Ok(json_scalar(Some(&text), self.kind))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.n_bytes * if self.seen.is_some() { 2 } else { 1 }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let items: Vec<ScalarValue> =
            self.items.iter().map(|item| ScalarValue::from(item.as_str())).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list_nullable(&items, &DataType::Utf8))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(lists) = states.first().and_then(|array| array.as_list_opt::<i32>()) else {
            return Err(exec_datafusion_err!("a state of json_agg is no list"));
        };
        for list in lists.iter().flatten() {
            let items: StringArray = texts_of(&list)?;
            for item in items.iter().flatten() {
                self.push(item.to_owned());
            }
        }
        Ok(())
    }
}
