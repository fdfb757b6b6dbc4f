//! The text forms of values for casts inside of queries: the same code as for rows and parameters.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder, new_empty_array};
use arrow::datatypes::{DataType, Field};
use bytes::BytesMut;
use datafusion::scalar::ScalarValue;
use tarn_catalog::{CatalogSnapshot, pg_type};
use tarn_planner::PlannerError;
use tarn_planner::functions::pg_catalog::object_name;
use tarn_planner::types::forms::ValueForms;

use super::params;
use super::rows::{Column, EncodeSettings, Format, ObjectNames};
use crate::session::Session;

/// The forms in one session, whose settings are looked up when the first value is met.
pub(crate) struct SessionForms {
    session: Arc<Session>,
    settings: OnceLock<EncodeSettings>,
}

impl fmt::Debug for SessionForms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionForms").finish_non_exhaustive()
    }
}

impl SessionForms {
    /// The forms for a statement of a session.
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        Self { session: Arc::clone(session), settings: OnceLock::new() }
    }

    fn settings(&self) -> &EncodeSettings {
        self.settings.get_or_init(|| {
            EncodeSettings::of(|name| self.session.setting(name).unwrap_or_default())
                .with_names(Arc::new(SessionNames::new(&self.session)))
        })
    }
}

impl ValueForms for SessionForms {
    fn read(&self, texts: &StringArray, target: &Field) -> tarn_planner::Result<ArrayRef> {
        let zone = &self.settings().times.zone;
        let oid = pg_type::pg_type_of(target).oid;
        let to = target.data_type();
        let null = ScalarValue::try_from(to).map_err(engine)?;
        let mut values = Vec::with_capacity(texts.len());
        for text in texts {
            let Some(text) = text else {
                values.push(null.clone());
                continue;
            };
            let value = params::parse_text_in(oid, text, zone).map_err(|error| {
                let (code, message) = (error.code, error.message);
                PlannerError::Semantics { code, message, position: None }
            })?;
            values.push(shaped(value, to)?);
        }
        if values.is_empty() {
            return Ok(new_empty_array(to));
        }
        ScalarValue::iter_to_array(values).map_err(engine)
    }

    fn write(
        &self,
        values: &ArrayRef,
        source: &Field,
        iso: bool,
    ) -> tarn_planner::Result<StringArray> {
        let settings = if iso { self.settings().iso() } else { self.settings().clone() };
        let oid = pg_type::pg_type_of(source).oid;
        let failed = |error: super::rows::EncodeError| PlannerError::Semantics {
            code: error.sqlstate(),
            message: error.to_string(),
            position: None,
        };
        let column = Column::new(values, oid, Format::Text, &settings).map_err(failed)?;
        let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 8);
        let mut buffer = BytesMut::new();
        for row in 0..values.len() {
            if column.is_null(row) {
                texts.append_null();
                continue;
            }
            buffer.clear();
            column.encode_value(row, &mut buffer).map_err(failed)?;
            texts.append_value(String::from_utf8_lossy(&buffer));
        }
        Ok(texts.finish())
    }
}

/// Gives a value the exact type that is wanted; an empty array has any number of dimensions.
fn shaped(value: ScalarValue, to: &DataType) -> tarn_planner::Result<ScalarValue> {
    if value.data_type() == *to {
        return Ok(value);
    }
    if let (ScalarValue::List(list), DataType::List(_)) = (&value, to)
        && list.values().is_empty()
    {
        return ScalarValue::new_default(to).map_err(engine);
    }
    if depth(&value.data_type()) != depth(to) {
        let what = "an array of another number of dimensions than its column or cast";
        return Err(PlannerError::unsupported(what));
    }
    value.cast_to(to).map_err(engine)
}

fn depth(data_type: &DataType) -> usize {
    match data_type {
        DataType::List(element) => 1 + depth(element.data_type()),
        _ => 0,
    }
}

fn engine(error: datafusion::error::DataFusionError) -> PlannerError {
    PlannerError::Engine(Box::new(error))
}

/// The objects that a session sees, looked up when the first name is asked for.
pub(crate) struct SessionNames {
    session: Arc<Session>,
    known: OnceLock<(Arc<CatalogSnapshot>, Vec<String>)>,
}

impl fmt::Debug for SessionNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionNames").finish_non_exhaustive()
    }
}

impl SessionNames {
    /// The names for a statement of a session.
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        Self { session: Arc::clone(session), known: OnceLock::new() }
    }
}

impl ObjectNames for SessionNames {
    fn name(&self, type_name: &str, object: u32) -> Option<String> {
        let session = &self.session;
        let known = || {
            let mut path = vec![session.temporary_schema()];
            path.extend(session.search_path());
            (session.catalog_snapshot(), path)
        };
        let (catalog, path) = self.known.get_or_init(known);
        object_name(catalog, path, type_name, object)
    }
}
