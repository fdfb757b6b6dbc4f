//! The functions.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use regex::Captures;

use super::compiled::{Compiled, compiled};
use super::longest::Matcher;
use crate::functions::fault::fault;
use crate::functions::frame::Kind::{Bool, Int4, Text, Texts};
use crate::functions::frame::{Call, Form, Function, Kind, Value, form};
use crate::functions::similar_to;

/// What `~` and `~*` are: text, pattern, letters.
pub(crate) static REGEXP_LIKE_OPERATOR: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    const FORMS: &[Form] = &[form(&[Text, Text, Bool], Bool, |call, row| {
        let regex = compiled(call.text(1, row)?, "", call.bool(2, row)?)?;
        Ok(Value::Bool(regex.regex.is_match(call.text(0, row)?)))
    })];
    Function::immutable("regexp_operator", FORMS).into_udf()
});

const TWO: &[Kind] = &[Text, Text];
const THREE: &[Kind] = &[Text, Text, Text];

/// All functions of this module.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    const MATCH: &[Form] = &[form(TWO, Texts, first_match), form(THREE, Texts, first_match)];
    const SPLIT: &[Form] = &[form(TWO, Texts, split), form(THREE, Texts, split)];
    const LIKE: &[Form] = &[form(TWO, Bool, like), form(THREE, Bool, like)];
    vec![
        Arc::clone(&REGEXP_LIKE_OPERATOR),
        Function::immutable("regexp_match", MATCH).into_udf(),
        Function::immutable("regexp_split_to_array", SPLIT).into_udf(),
        Function::immutable("regexp_like", LIKE).into_udf(),
        Function::immutable("regexp_replace", REPLACE).into_udf(),
        Function::immutable("regexp_count", COUNT).into_udf(),
        Function::immutable("regexp_instr", INSTR).into_udf(),
        Function::immutable("regexp_substr", SUBSTR).into_udf(),
        Arc::new(ScalarUDF::from(Matches::new())),
    ]
}

/// The letters at an argument that may be missing.
fn flags(call: &Call, at: usize, row: usize) -> Result<&str> {
    if at < call.n_args() { call.text(at, row) } else { Ok("") }
}

/// The pattern, for a function that takes no `g`.
fn single(call: &Call, at: usize, row: usize, name: &str) -> Result<Arc<Compiled>> {
    let regex = compiled(call.text(1, row)?, flags(call, at, row)?, false)?;
    if regex.global {
        let message = format!("{name}() does not support the \"global\" option");
        return Err(fault("22023", message));
    }
    Ok(regex)
}

fn like(call: &Call, row: usize) -> Result<Value> {
    let regex = single(call, 2, row, "regexp_like")?;
    Ok(Value::Bool(regex.regex.is_match(call.text(0, row)?)))
}

/// The groups of a match, or the whole match where there are none.
fn groups(found: &Captures<'_>) -> Vec<Option<String>> {
    let owned = |at: usize| found.get(at).map(|group| group.as_str().to_owned());
    if found.len() == 1 { vec![owned(0)] } else { (1..found.len()).map(owned).collect() }
}

fn first_match(call: &Call, row: usize) -> Result<Value> {
    let regex = single(call, 2, row, "regexp_match")?;
    let found = regex.exact()?.captures(call.text(0, row)?);
    Ok(found.map_or(Value::Null, |found| Value::Texts(groups(&found))))
}

fn split(call: &Call, row: usize) -> Result<Value> {
    let regex = single(call, 2, row, "regexp_split_to_array")?;
    Ok(Value::Texts(pieces(regex.exact()?, call.text(0, row)?)))
}

/// What is between the matches; empty matches at the ends or behind a match do not count.
fn pieces(regex: &Matcher, text: &str) -> Vec<Option<String>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for found in matches_from(regex, text, 0) {
        let Some(found) = found.get(0) else { continue };
        let empty = found.is_empty();
        if empty && (found.start() == start || found.start() == text.len()) {
            continue;
        }
        pieces.push(text.get(start..found.start()).map(str::to_owned));
        start = found.end();
    }
    pieces.push(text.get(start..).map(str::to_owned));
    pieces
}

/// `substring(text FROM pattern)`: the first group, or the whole match where there is none.
pub(crate) fn substring(call: &Call, row: usize) -> Result<Value> {
    let text = call.text(0, row)?;
    let regex = if call.n_args() > 2 {
        let escape = call.text(2, row)?;
        let pattern = similar_to::substring_pattern(call.text(1, row)?, escape)?;
        let found = pattern.captures(text);
        let found = found.and_then(|found| found.name("part").or_else(|| found.get(0)));
        return Ok(found.map_or(Value::Null, |found| Value::text(found.as_str())));
    } else {
        compiled(call.text(1, row)?, "", false)?
    };
    let found = regex.exact()?.captures(text);
    let part = found.and_then(|found| found.get(usize::from(found.len() > 1)));
    Ok(part.map_or(Value::Null, |part| Value::text(part.as_str())))
}

const REPLACE: &[Form] = &[
    form(THREE, Text, |call, row| replace(call, row, (1, 1), 3)),
    form(&[Text, Text, Text, Text], Text, |call, row| replace(call, row, (1, 1), 3)),
    form(&[Text, Text, Text, Int4], Text, |call, row| {
        let start = positive(call, 3, row, "start")?;
        replace(call, row, (start, 1), 4)
    }),
    form(&[Text, Text, Text, Int4, Int4], Text, |call, row| {
        let start = positive(call, 3, row, "start")?;
        replace(call, row, (start, not_negative(call, 4, row, "n")?), 5)
    }),
    form(&[Text, Text, Text, Int4, Int4, Text], Text, |call, row| {
        let start = positive(call, 3, row, "start")?;
        replace(call, row, (start, not_negative(call, 4, row, "n")?), 5)
    }),
];

fn invalid_value(name: &str, value: i64) -> datafusion::error::DataFusionError {
    fault("22023", format!("invalid value for parameter \"{name}\": {value}"))
}

fn positive(call: &Call, at: usize, row: usize, name: &str) -> Result<usize> {
    if at >= call.n_args() {
        return Ok(1);
    }
    let value = call.int(at, row)?;
    let count = usize::try_from(value).ok().filter(|value| *value > 0);
    count.ok_or_else(|| invalid_value(name, value))
}

fn not_negative(call: &Call, at: usize, row: usize, name: &str) -> Result<usize> {
    if at >= call.n_args() {
        return Ok(0);
    }
    let value = call.int(at, row)?;
    usize::try_from(value).map_err(|_| invalid_value(name, value))
}

/// Where the character with this number, counted from one, begins.
fn offset(text: &str, character: usize) -> Option<usize> {
    let ends = std::iter::once(text.len());
    text.char_indices().map(|(at, _)| at).chain(ends).nth(character - 1)
}

/// Replaces the match with a number, or all matches from a character on for number nought.
fn replace(
    call: &Call,
    row: usize,
    (start, number): (usize, usize),
    flags_at: usize,
) -> Result<Value> {
    let text = call.text(0, row)?;
    let letters = flags(call, flags_at, row)?;
    let regex = compiled(call.text(1, row)?, letters, false)?;
    let number = if regex.global && flags_at == 3 { 0 } else { number };
    let template = Template::parse(call.text(2, row)?);
    let Some(start) = offset(text, start) else { return Ok(Value::text(text)) };
    let regex = regex.exact()?;
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut n_found = 0;
    let mut at = start;
    while let Some(found) = regex.captures_at(text, at) {
        let Some(whole) = found.get(0) else { break };
        n_found += 1;
        if number == 0 || n_found == number {
            out.push_str(text.get(copied..whole.start()).unwrap_or_default());
            template.expand(&found, &mut out);
            copied = whole.end();
        }
        if n_found == number {
            break;
        }
        at = match whole.is_empty() {
            false => whole.end(),
            // One character on, so that an empty match is not found again.
            true => match text.get(whole.end()..).and_then(|rest| rest.chars().next()) {
                Some(c) => whole.end() + c.len_utf8(),
                None => break,
            },
        };
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Ok(Value::Text(out))
}

/// What stands for a match: texts and numbers of groups.
struct Template(Vec<Part>);

enum Part {
    Text(String),
    Group(usize),
}

impl Template {
    /// `\1` is a group, `\&` the match, `\\` a backslash.
    fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let group = match (c, chars.peek()) {
                ('\\', Some('&')) => Some(0),
                ('\\', Some(digit @ '1'..='9')) => {
                    digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok())
                }
                ('\\', Some('\\')) => {
                    chars.next();
                    plain.push('\\');
                    continue;
                }
                _ => None,
            };
            match group {
                Some(group) => {
                    chars.next();
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Group(group));
                }
                None => plain.push(c),
            }
        }
        parts.push(Part::Text(plain));
        Self(parts)
    }

    fn expand(&self, found: &Captures<'_>, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(group) => {
                    out.push_str(found.get(*group).map_or("", |group| group.as_str()));
                }
            }
        }
    }
}

const COUNT: &[Form] = &[
    form(TWO, Int4, count),
    form(&[Text, Text, Int4], Int4, count),
    form(&[Text, Text, Int4, Text], Int4, count),
];

fn count(call: &Call, row: usize) -> Result<Value> {
    let text = call.text(0, row)?;
    let start = positive(call, 2, row, "start")?;
    let regex = single(call, 3, row, "regexp_count")?;
    let Some(start) = offset(text, start) else { return Ok(Value::Int(0)) };
    Ok(Value::length(matches_from(regex.exact()?, text, start).len()))
}

/// All matches from a byte on.
fn matches_from<'t>(regex: &Matcher, text: &'t str, start: usize) -> Vec<Captures<'t>> {
    let mut matches = Vec::new();
    let mut at = start;
    let mut last_end = None;
    while let Some(found) = regex.captures_at(text, at) {
        let Some(whole) = found.get(0) else { break };
        let (start, end) = (whole.start(), whole.end());
        let step = text.get(end..).and_then(|rest| rest.chars().next()).map(char::len_utf8);
        // An empty match right behind another one is none.
        if !(start == end && last_end == Some(start)) {
            matches.push(found);
            last_end = Some(end);
        }
        match (start == end, step) {
            (false, _) => at = end,
            (true, Some(step)) => at = end + step,
            (true, None) => break,
        }
    }
    matches
}

const INSTR: &[Form] = &[
    form(TWO, Int4, instr),
    form(&[Text, Text, Int4], Int4, instr),
    form(&[Text, Text, Int4, Int4], Int4, instr),
    form(&[Text, Text, Int4, Int4, Int4], Int4, instr),
    form(&[Text, Text, Int4, Int4, Int4, Text], Int4, instr),
    form(&[Text, Text, Int4, Int4, Int4, Text, Int4], Int4, instr),
];

/// Where a match, or a group of it, begins or ends.
fn instr(call: &Call, row: usize) -> Result<Value> {
    let text = call.text(0, row)?;
    let start = positive(call, 2, row, "start")?;
    let number = positive(call, 3, row, "n")?;
    let end = not_negative(call, 4, row, "endoption")?;
    if end > 1 {
        return Err(invalid_value("endoption", call.int(4, row)?));
    }
    let regex = single(call, 5, row, "regexp_instr")?;
    let group = not_negative(call, 6, row, "subexpr")?;
    let found = nth(regex.exact()?, text, start, number);
    let found = found.as_ref().and_then(|found| found.get(group));
    let at = found.map(|found| if end == 1 { found.end() } else { found.start() });
    let n_before = at.and_then(|at| text.get(..at)).map(|before| before.chars().count() + 1);
    Ok(Value::length(n_before.unwrap_or(0)))
}

fn nth<'t>(regex: &Matcher, text: &'t str, start: usize, number: usize) -> Option<Captures<'t>> {
    let start = offset(text, start)?;
    matches_from(regex, text, start).into_iter().nth(number - 1)
}

const SUBSTR: &[Form] = &[
    form(TWO, Text, substr),
    form(&[Text, Text, Int4], Text, substr),
    form(&[Text, Text, Int4, Int4], Text, substr),
    form(&[Text, Text, Int4, Int4, Text], Text, substr),
    form(&[Text, Text, Int4, Int4, Text, Int4], Text, substr),
];

fn substr(call: &Call, row: usize) -> Result<Value> {
    let text = call.text(0, row)?;
    let start = positive(call, 2, row, "start")?;
    let number = positive(call, 3, row, "n")?;
    let regex = single(call, 4, row, "regexp_substr")?;
    let group = not_negative(call, 5, row, "subexpr")?;
    let found = nth(regex.exact()?, text, start, number);
    let found = found.as_ref().and_then(|found| found.get(group));
    Ok(found.map_or(Value::Null, |found| Value::text(found.as_str())))
}

/// `regexp_matches`, which gives a row for each match: an array of the rows' arrays, to be taken
/// apart by `unnest`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Matches {
    signature: Signature,
}

impl Matches {
    fn new() -> Self {
        let counts = vec![TypeSignature::Any(2), TypeSignature::Any(3)];
        Self { signature: Signature::one_of(counts, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Matches {
    fn name(&self) -> &'static str {
        "regexp_matches_list"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::new_list(DataType::Utf8, true), true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let n_rows = if constant { 1 } else { args.number_rows };
        let texts = args.args.iter().map(|arg| Ok(cast(&arg.to_array(n_rows)?, &DataType::Utf8)?));
        let texts: Vec<ArrayRef> = texts.collect::<Result<_>>()?;
        let text = |at: usize, row: usize| {
            let array = texts.get(at)?.as_string::<i32>();
            array.is_valid(row).then(|| array.value(row))
        };
        let mut out = ListBuilder::new(ListBuilder::new(StringBuilder::new()));
        for row in 0..n_rows {
            let letters = if texts.len() > 2 { text(2, row) } else { Some("") };
            let (Some(value), Some(pattern), Some(letters)) = (text(0, row), text(1, row), letters)
            else {
                out.append_null();
                continue;
            };
            let regex = compiled(pattern, letters, false)?;
            let matches = matches_from(regex.exact()?, value, 0);
            let n = if regex.global { matches.len() } else { 1 };
            for found in matches.iter().take(n) {
                out.values().append_value(groups(found));
            }
            out.append(true);
        }
        let array: ArrayRef = Arc::new(out.finish());
        if !constant {
            return Ok(ColumnarValue::Array(array));
        }
        if array.is_empty() {
            return Err(exec_datafusion_err!("no row"));
        }
        Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?))
    }
}
