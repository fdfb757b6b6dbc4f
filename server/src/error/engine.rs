//! What DataFusion's and Arrow's errors are in PostgreSQL's words.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::parquet::errors::ParquetError;
use tarn_catalog::CatalogError;
use tarn_catalog::object_store::StoreFault;
use tarn_exec::ExecError;
use tarn_planner::PlannerError;

/// A failure below the planner, translated.
pub(super) struct EngineFault {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
}

impl EngineFault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: None }
    }

    pub(super) fn of(error: &DataFusionError) -> Self {
        let root = error.find_root();
        match root {
            DataFusionError::External(inner) => Self::of_external(inner.as_ref()),
            DataFusionError::ArrowError(error, _) => Self::of_arrow(error),
            DataFusionError::ParquetError(error) => Self::of_parquet(error),
            DataFusionError::ObjectStore(error) => Self::of_store(error),
            DataFusionError::IoError(error) => {
                let code = super::storage::code(StoreFault::of(error));
                Self::new(code, format!("could not read or write a file: {error}"))
            }
            DataFusionError::SQL(..) => Self::new("42601", first_line(&root.message())),
            DataFusionError::NotImplemented(text) => {
                Self::new("0A000", format!("not supported: {}", lower_first(first_line(text))))
            }
            DataFusionError::Plan(text) | DataFusionError::Configuration(text) => {
                Self::new("42601", lower_first(first_line(text)))
            }
            DataFusionError::SchemaError(..) => {
                Self::new("42703", lower_first(first_line(&root.message())))
            }
            DataFusionError::Execution(text) => Self::of_execution(text),
            DataFusionError::ExecutionJoin(_) => {
                Self::new("XX000", "internal error: a query task ended unexpectedly")
            }
            DataFusionError::ResourcesExhausted(text) => Self {
                detail: Some(text.clone()),
                hint: Some(
                    "Raise --memory, lower tarn.target_partitions, or make the query smaller."
                        .to_owned(),
                ),
                ..Self::new("53200", "out of memory")
            },
            DataFusionError::Internal(text) => {
                Self::new("XX000", format!("internal error: {}", first_line(text)))
            }
            DataFusionError::Collection(errors) => {
                errors.first().map_or_else(|| Self::new("XX000", "internal error"), Self::of)
            }
            DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
                Self::of(inner)
            }
            DataFusionError::Shared(inner) => Self::of(inner),
            DataFusionError::Substrait(text) | DataFusionError::Ffi(text) => {
                Self::new("XX000", text.clone())
            }
        }
    }

    /// Errors of our own crates travel through DataFusion boxed.
    fn of_external(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(error) = error.downcast_ref::<CatalogError>() {
            return Self {
                detail: super::catalog_detail(error),
                hint: super::catalog_hint(error),
                ..Self::new(super::catalog_code(error), error.to_string())
            };
        }
        if let Some(error) = error.downcast_ref::<PlannerError>() {
            return Self::new(super::planner_code(error), error.to_string());
        }
        if let Some(error) = error.downcast_ref::<ExecError>() {
            return Self::new("57014", error.to_string());
        }
        if let Some(error) = error.downcast_ref::<DataFusionError>() {
            return Self::of(error);
        }
        if let Some(error) = error.downcast_ref::<ArrowError>() {
            return Self::of_arrow(error);
        }
        if let Some(error) = error.downcast_ref::<ParquetError>() {
            return Self::of_parquet(error);
        }
        if let Some(error) = error.downcast_ref::<object_store::Error>() {
            return Self::of_store(error);
        }
        Self::new("XX000", error.to_string())
    }

    fn of_arrow(error: &ArrowError) -> Self {
        match error {
            ArrowError::DivideByZero => Self::new("22012", "division by zero"),
            ArrowError::ArithmeticOverflow(text) => {
                Self { detail: Some(text.clone()), ..Self::new("22003", "value out of range") }
            }
            ArrowError::CastError(text) | ArrowError::ParseError(text) => Self::of_cast(text),
            ArrowError::CsvError(text) => Self::new("22P04", format!("damaged CSV: {text}")),
            ArrowError::JsonError(text) => Self::new("22P02", format!("damaged JSON: {text}")),
            ArrowError::MemoryError(text) => Self::new("53200", text.clone()),
            ArrowError::ParquetError(text) | ArrowError::IpcError(text) => {
                Self::new("XX001", format!("a data file is damaged: {text}"))
            }
            ArrowError::IoError(text, _) => Self::new("58030", text.clone()),
            ArrowError::NotYetImplemented(text) => Self::new("0A000", lower_first(text)),
            ArrowError::ExternalError(inner) => Self::of_external(inner.as_ref()),
            ArrowError::SchemaError(text)
            | ArrowError::ComputeError(text)
            | ArrowError::InvalidArgumentError(text)
            | ArrowError::AvroError(text)
            | ArrowError::CDataInterface(text) => Self::of_execution(text),
            ArrowError::DictionaryKeyOverflowError
            | ArrowError::RunEndIndexOverflowError
            | ArrowError::OffsetOverflowError(_) => {
                Self::new("54000", "a column is too large for one batch")
            }
        }
    }

    /// `Cannot cast string 'abc' to value of Int32 type` and its relatives.
    fn of_cast(text: &str) -> Self {
        let Some((_, rest)) = text.split_once("Cannot cast string '") else {
            return if text.contains("Can't cast value")
                || text.contains("too large")
                || text.contains("out of range")
            {
                Self::new("22003", lower_first(text))
            } else if let Some((value, sql)) = parse_failure(text) {
                Self::new(
                    if sql == "date" || sql.starts_with("timestamp") { "22007" } else { "22P02" },
                    format!("invalid input syntax for type {sql}: \"{value}\""),
                )
            } else {
                Self::new("22P02", lower_first(text))
            };
        };
        let value = rest.rsplit_once("' to value of ").map_or(rest, |(value, _)| value);
        let arrow_type =
            rest.rsplit_once("' to value of ").map_or("", |(_, t)| t).trim_end_matches(" type");
        let sql = sql_type(arrow_type);
        Self::new("22P02", format!("invalid input syntax for type {sql}: \"{value}\""))
    }

    fn of_parquet(error: &ParquetError) -> Self {
        if let ParquetError::External(inner) = error {
            return Self::of_external(inner.as_ref());
        }
        // The reader of footers keeps only the text of what storage said.
        if let Some((_, text)) = error.to_string().split_once("Object Store error: ") {
            if text.contains(" not found") {
                return Self::missing_file(text);
            }
            return Self {
                detail: Some(text.to_owned()),
                ..Self::new("58030", "could not read from storage")
            };
        }
        Self {
            hint: Some("Other tables are not affected; restore the damaged file.".to_owned()),
            ..Self::new("XX001", format!("a Parquet file is damaged: {error}"))
        }
    }

    fn of_store(error: &object_store::Error) -> Self {
        if let object_store::Error::NotFound { path, .. } = error {
            return Self::missing_file(&format!("The object \"{path}\" is gone."));
        }
        let fault = StoreFault::of(error);
        Self {
            detail: Some(error.to_string()),
            hint: Some(super::storage::hint(fault).to_owned()),
            ..Self::new(super::storage::code(fault), fault.words())
        }
    }

    fn missing_file(detail: &str) -> Self {
        Self {
            detail: Some(detail.to_owned()),
            hint: Some("The table's files may have been removed; run the query again.".to_owned()),
            ..Self::new("58P01", "a data file does not exist")
        }
    }

    fn of_execution(text: &str) -> Self {
        let lower = text.to_lowercase();
        if lower.contains("divide by zero") {
            return Self::new("22012", "division by zero");
        }
        if lower.contains("overflow") || lower.contains("out of range") {
            return Self {
                detail: Some(text.to_owned()),
                ..Self::new("22003", "value out of range")
            };
        }
        if lower.contains("more than one row") || lower.contains("returned more than") {
            return Self::new(
                "21000",
                "more than one row returned by a subquery used as an expression",
            );
        }
        if lower.contains("ntile requires") {
            return Self::new("22014", "argument of ntile must be greater than zero");
        }
        if lower.contains("is not struct, map, or null") && lower.contains("type list") {
            // A subscript that is no number.
            return Self::new("22P02", "invalid input syntax for type integer");
        }
        if lower.contains("is not struct, map, or null") {
            return Self::new("42809", lower_first(first_line(text)));
        }
        if lower.contains("cannot cast") || lower.contains("error parsing") {
            return Self::of_cast(text);
        }
        if lower.contains("regular expression") || lower.contains("regex") {
            return Self::new("2201B", lower_first(first_line(text)));
        }
        Self::new("22000", lower_first(first_line(text)))
    }
}

/// `Error parsing timestamp from 'x': …`, `Cannot cast … 'x' to …`.
fn parse_failure(text: &str) -> Option<(&str, &'static str)> {
    let (what, rest) = text.split_once(" from '")?;
    let (value, _) = rest.split_once('\'')?;
    let sql = if what.contains("timestamp") {
        "timestamp"
    } else if what.contains("date") {
        "date"
    } else if what.contains("time") {
        "time"
    } else {
        return None;
    };
    Some((value, sql))
}

fn sql_type(arrow: &str) -> &'static str {
    match arrow {
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" | "UInt64" => "bigint",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        t if t.starts_with("Decimal") => "numeric",
        t if t.starts_with("Timestamp") && t.contains("Some") => "timestamp with time zone",
        t if t.starts_with("Timestamp") => "timestamp",
        t if t.starts_with("Time") => "time",
        t if t.starts_with("Interval") => "interval",
        _ => "unknown",
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or(text)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.clone().next()) {
        // Keywords such as LIMIT keep their letters.
        (Some(_), Some(second)) if second.is_uppercase() => text.to_owned(),
        (Some(first), _) => first.to_lowercase().chain(chars).collect(),
        (None, _) => String::new(),
    }
}
