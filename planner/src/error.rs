//! What can go wrong between SQL text and a plan.

use datafusion::error::DataFusionError;
use tarn_catalog::CatalogError;

/// The result of a planning step.
pub type Result<T, E = PlannerError> = std::result::Result<T, E>;

/// Conditions found while a statement is read and planned.
///
/// Positions count characters from 1, as PostgreSQL's error field `P` does.
#[derive(Debug, thiserror::Error)]
pub enum PlannerError {
    /// The text is not SQL.
    #[error("{message}")]
    Syntax {
        /// PostgreSQL's wording where it can be had.
        message: String,
        /// Where in the text.
        position: Option<usize>,
    },
    /// The statement is larger or deeper than the limits allow.
    #[error("statement is too complex: {what}")]
    TooComplex {
        /// What was counted, with the limit and the setting that holds it.
        what: String,
    },
    /// A relation that does not exist.
    #[error("relation \"{name}\" does not exist")]
    UndefinedTable {
        /// The name as written.
        name: String,
        /// Where in the text.
        position: Option<usize>,
        /// A name that looks like it.
        suggestion: Option<String>,
    },
    /// A column that does not exist.
    #[error("column {name} does not exist")]
    UndefinedColumn {
        /// The name as PostgreSQL shows it: quoted where it has no qualifier.
        name: String,
        /// Where in the text.
        position: Option<usize>,
        /// A name that looks like it.
        suggestion: Option<String>,
    },
    /// A column name that could mean several columns.
    #[error("column reference \"{name}\" is ambiguous")]
    AmbiguousColumn {
        /// The name as written.
        name: String,
        /// Where in the text.
        position: Option<usize>,
    },
    /// A function that does not exist for these arguments.
    #[error("function {name} does not exist")]
    UndefinedFunction {
        /// The name with the arguments' types where they are known.
        name: String,
        /// Where in the text.
        position: Option<usize>,
    },
    /// A setting that does not exist.
    #[error("unrecognized configuration parameter \"{name}\"")]
    UndefinedSetting {
        /// The folded name.
        name: String,
    },
    /// A value that a setting does not take.
    #[error("invalid value for parameter \"{name}\": \"{value}\"")]
    InvalidSetting {
        /// The folded name.
        name: String,
        /// The value as given.
        value: String,
        /// What would be accepted.
        accepted: String,
    },
    /// A setting that a session cannot change.
    #[error("parameter \"{name}\" cannot be changed")]
    ReadOnlySetting {
        /// The folded name.
        name: String,
    },
    /// A statement or clause that tarn does not have.
    #[error("{what} is not supported")]
    Unsupported {
        /// The statement or clause.
        what: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// What nobody may do through SQL here, while PostgreSQL lets some.
    #[error("{message}")]
    Denied {
        /// The primary message.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// Operands of types that do not go together.
    #[error("{message}")]
    DatatypeMismatch {
        /// What does not fit.
        message: String,
    },
    /// A column of a table appears twice in a list.
    #[error("column \"{name}\" specified more than once")]
    DuplicateColumn {
        /// The folded name.
        name: String,
    },
    /// Two common table expressions or columns of one name, a misplaced aggregate and the like.
    #[error("{message}")]
    Semantics {
        /// The SQLSTATE that PostgreSQL uses.
        code: &'static str,
        /// The primary message.
        message: String,
        /// Where in the text.
        position: Option<usize>,
    },
    /// The catalog could not give a table.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// DataFusion refused the statement.
    #[error("{}", message_of(.0))]
    Engine(Box<DataFusionError>),
    /// A bug in tarn.
    #[error("internal error: {what}")]
    Internal {
        /// What was not as it must be.
        what: String,
    },
}

/// The innermost message without the prefixes that DataFusion adds on the way up.
fn message_of(error: &DataFusionError) -> String {
    error.find_root().message().into_owned()
}

impl PlannerError {
    /// Creates [`PlannerError::Unsupported`] without a hint.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into(), hint: None }
    }
}
