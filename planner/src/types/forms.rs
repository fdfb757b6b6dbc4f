//! Text to values of any type and back, as the wire writes them.
//!
//! The code is the Postgres frontend's, which the server hands in, so that `x::text` and a result
//! in text form are the same by construction.

use std::fmt;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::Field;

use crate::error::{PlannerError, Result};

/// The text forms of values in one session.
pub trait ValueForms: fmt::Debug + Send + Sync {
    /// Reads texts as values of a type.
    ///
    /// # Errors
    /// `Semantics` with PostgreSQL's code and words for a text that is no such value.
    fn read(&self, texts: &StringArray, target: &Field) -> Result<ArrayRef>;

    /// Writes values as text.
    ///
    /// `iso` asks for dates and intervals that do not depend on the session's styles.
    ///
    /// # Errors
    /// `Semantics` for a value that has no text form.
    fn write(&self, values: &ArrayRef, source: &Field, iso: bool) -> Result<StringArray>;
}

/// For planning without a server.
#[derive(Debug)]
pub struct NoForms;

impl ValueForms for NoForms {
    fn read(&self, _texts: &StringArray, _target: &Field) -> Result<ArrayRef> {
        Err(PlannerError::unsupported("reading values from text"))
    }

    fn write(&self, _values: &ArrayRef, _source: &Field, _iso: bool) -> Result<StringArray> {
        Err(PlannerError::unsupported("writing values as text"))
    }
}
