//! Texts that differ only in what a column is compared with, planned once.
//!
//! `SELECT … WHERE id = 17` comes with another number each time from clients that do not prepare. Its
//! numbers and texts behind `=` become parameters, and where the query is one that lookups answer,
//! the plan of the first serves all. Texts that this does not understand are planned as they are.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;
use tarn_planner::{Command, Statement};

use super::{Prepared, Session, bounded};
use crate::error::Result;
use crate::plan_cache::Scope;

/// Longer texts are not looked at.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Texts of which it is known that they are not worth it, or that they came once.
const N_TEXTS_MAX: u64 = 10_000;
/// After this a text is tried again.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// What is known of texts with parameters in the place of their values.
#[derive(Debug, Clone)]
pub(crate) struct Similar {
    texts: moka::sync::Cache<(String, Arc<Scope>), Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It came once.
    Seen,
    /// It is no lookup.
    Unfit,
}

impl Default for Similar {
    fn default() -> Self {
        let texts = moka::sync::Cache::builder().max_capacity(N_TEXTS_MAX);
        Self { texts: texts.time_to_live(KNOWN_FOR).build() }
    }
}

/// A plan with parameters and the values for them.
#[derive(Debug, Clone)]
pub(super) struct WithValues {
    pub(super) prepared: Arc<Prepared>,
    pub(super) values: Vec<ScalarValue>,
}

impl Session {
    /// A statement prepared from the plan of a similar one, where lookups answer it.
    pub(super) async fn prepare_similar(
        self: &Arc<Self>,
        statement: &Statement,
        scope: &Arc<Scope>,
    ) -> Result<Option<Arc<Prepared>>> {
        if !self.shared.lookups.cache().is_on() || scope.private.is_some() {
            return Ok(None);
        }
        let Some((text, values)) = parameterized(statement.text()) else { return Ok(None) };
        let declared: Vec<Option<DataType>> = values
            .iter()
            .map(|value| (!matches!(value, ScalarValue::Utf8(_))).then(|| value.data_type()))
            .collect();
        let plan = match self.shared.plans.get(&text, &declared, scope) {
            Some(plan) => plan,
            None => match self.plan_similar(&text, &declared, scope).await? {
                Some(plan) => plan,
                None => return Ok(None),
            },
        };
        let types = values.iter().map(ScalarValue::data_type);
        if !types.eq(plan.parameter_types().iter().cloned()) {
            return Ok(None);
        }
        Ok(Some(Arc::new(Prepared {
            statement: statement.clone(),
            command: Command::Query,
            schema: plan.schema().cloned(),
            parameter_types: vec![],
            cached: Mutex::new(None),
            similar: Some(WithValues { prepared: plan, values }),
        })))
    }

    /// Plans a text that came before and keeps the plan, if it is a lookup.
    async fn plan_similar(
        self: &Arc<Self>,
        text: &str,
        declared: &[Option<DataType>],
        scope: &Arc<Scope>,
    ) -> Result<Option<Arc<Prepared>>> {
        let texts = &self.shared.similar.texts;
        let key = (text.to_owned(), Arc::clone(scope));
        match texts.get(&key) {
            None => {
                texts.insert(key, Known::Seen);
                return Ok(None);
            }
            Some(Known::Unfit) => return Ok(None),
            Some(Known::Seen) => {}
        }
        texts.insert(key, Known::Unfit);
        // Errors are those of the text as it was written, which is planned next.
        let Ok(statements) = self.parse(text) else { return Ok(None) };
        let (Some(statement), 1) = (statements.first().cloned(), statements.len()) else {
            return Ok(None);
        };
        let (session, types) = (Arc::clone(self), declared.to_vec());
        let planning = self.on_cpu(async move { session.plan_statement(statement, types).await });
        let token = self.fresh_token();
        let Ok(plan) = bounded(Box::pin(planning), &token, self.deadline()).await else {
            return Ok(None);
        };
        let cached = plan.cached(scope);
        let fits = |c: &super::Cached| c.lookup.is_some() && self.is_shared(&c.pins);
        if !cached.as_ref().is_some_and(fits) {
            return Ok(None);
        }
        self.shared.plans.put(declared, scope, &plan);
        Ok(Some(plan))
    }
}

/// The text with `$1`, `$2`, … for each number and each text that stands behind `=` and before the
/// next condition or the end, and these values; `None` where there are none or the text has
/// something that makes it hard to read.
fn parameterized(text: &str) -> Option<(String, Vec<ScalarValue>)> {
    let is_select = text.trim_start().get(..6).is_some_and(|w| w.eq_ignore_ascii_case("select"));
    if text.len() > TEXT_BYTES_MAX || !is_select || text.contains(['$', '\\', '"']) {
        return None;
    }
    if text.contains("--") || text.contains("/*") {
        return None;
    }
    let (mut out, mut values) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '\'' || c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let (literal, after) = literal(from)?;
        let is_compared = follows_equals(before, &out);
        out.push_str(before);
        match value(literal).filter(|_| is_compared && ends_condition(after)) {
            Some(value) => {
                values.push(value);
                out.push_str(&format!("${}", values.len()));
            }
            None => out.push_str(literal),
        }
        rest = after;
    }
    out.push_str(rest);
    (!values.is_empty()).then_some((out, values))
}

/// Splits off a text in quotes, or a word that begins with a digit.
fn literal(from: &str) -> Option<(&str, &str)> {
    if let Some(inside) = from.strip_prefix('\'') {
        let end = inside.find('\'')?;
        let after = inside.get(end + 1..)?;
        // A quote in the text is written twice.
        return (!after.starts_with('\'')).then(|| from.split_at(end + 2));
    }
    let end = from.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
    Some(from.split_at(end.unwrap_or(from.len())))
}

fn value(literal: &str) -> Option<ScalarValue> {
    if let Some(text) = literal.strip_prefix('\'') {
        return Some(ScalarValue::Utf8(Some(text.strip_suffix('\'')?.to_owned())));
    }
    if !literal.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The type that PostgreSQL gives such a number.
    let number: i64 = literal.parse().ok()?;
    Some(match i32::try_from(number) {
        Ok(number) => ScalarValue::Int32(Some(number)),
        Err(_) => ScalarValue::Int64(Some(number)),
    })
}

/// Whether the last thing before a literal is `=` and not an operator that ends with it.
fn follows_equals(before: &str, out: &str) -> bool {
    const OPERATOR: [char; 18] =
        ['+', '-', '*', '/', '<', '>', '=', '~', '!', '@', '#', '%', '^', '&', '|', '?', '`', ':'];
    let Some(before) = before.trim_end().strip_suffix('=') else { return false };
    let last = before.chars().next_back().or_else(|| out.chars().next_back());
    last.is_some_and(|last| !OPERATOR.contains(&last))
}

/// Whether a condition ends where a literal did.
fn ends_condition(after: &str) -> bool {
    let rest = after.trim_start();
    if rest.is_empty() || rest.trim_end() == ";" {
        return true;
    }
    let word_end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let word = rest.get(..word_end).unwrap_or_default();
    // A word that begins right behind a number belongs to it.
    rest.len() < after.len()
        && ["and", "limit"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_behind_equals_become_parameters() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let found = parameterized(text).map(|(text, values)| (text, format!("{values:?}")));
            let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
            assert_eq!(found, expected, "{text}");
        };
        check(
            "SELECT a FROM t WHERE id = 17",
            Some(("SELECT a FROM t WHERE id = $1", "[Int32(17)]")),
        );
        check(
            "select a1 from t2 where id=3000000000 and name = 'x y' limit 5;",
            Some((
                "select a1 from t2 where id=$1 and name = $2 limit 5;",
                "[Int64(3000000000), Utf8(\"x y\")]",
            )),
        );
        check("SELECT 1", None);
        check("SELECT a = 1, b FROM t", None);
        check("SELECT a FROM t WHERE id >= 17", None);
        check("SELECT a FROM t WHERE id = 17.5", None);
        check("SELECT a FROM t WHERE id = -17", None);
        check("SELECT a FROM t WHERE id = 17 + 1", None);
        check("SELECT a FROM t WHERE id = 17 ORDER BY 1", None);
        check("SELECT a FROM t WHERE d = '2020-01-01'::date", None);
        check("SELECT a FROM t WHERE d = 'it''s'", None);
        check("SELECT a FROM t WHERE d = E'x'", None);
        check("SELECT a FROM t WHERE d = 'a' -- = 5", None);
        check("SELECT $1 FROM t WHERE d = 5", None);
        check("INSERT INTO t SELECT 1 WHERE a = 5", None);
    }
}
