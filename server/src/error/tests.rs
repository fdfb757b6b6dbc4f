use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use tarn_catalog::CatalogError;
use tarn_exec::ExecError;
use tarn_planner::PlannerError;

use super::Error;

fn check(error: impl Into<Error>, code: &str, message: &str) {
    let error = error.into();
    assert_eq!(error.sqlstate(), code, "{error:?}");
    assert_eq!(error.message(), message, "{error:?}");
}

fn engine(error: DataFusionError) -> Error {
    Error::Exec(ExecError::Engine(Box::new(error)))
}

#[test]
fn engine_errors_have_postgresql_codes_and_words() {
    let cast = "Cannot cast string 'abc' to value of Int32 type".to_owned();
    check(
        engine(ArrowError::CastError(cast).into()),
        "22P02",
        "invalid input syntax for type integer: \"abc\"",
    );
    check(engine(ArrowError::DivideByZero.into()), "22012", "division by zero");
    check(engine(DataFusionError::ResourcesExhausted("x".into())), "53200", "out of memory");
    let context = DataFusionError::NotImplemented("Lambda".into()).context("a").context("b");
    check(engine(context), "0A000", "not supported: lambda");
}

#[test]
fn errors_of_lower_crates_are_found_inside_of_the_engines() {
    let error = CatalogError::TravelUnsupported { table: "t".into(), format: "csv" };
    let error = engine(DataFusionError::from(error).context("while planning"));
    assert_eq!(error.detail().as_deref(), Some("Its format is csv."));
    check(error, "0A000", "table \"t\" has no history to travel in");
}

#[test]
fn planner_errors_carry_positions_and_hints() {
    let error = Error::from(PlannerError::UndefinedTable {
        name: "lineitm".into(),
        position: Some(15),
        suggestion: Some("lineitem".into()),
    });
    assert_eq!(error.position(), Some(15));
    assert_eq!(error.hint().as_deref(), Some("Perhaps you meant the relation \"lineitem\"."));
    assert_eq!(error.to_status().code(), tonic::Code::NotFound);
    check(error, "42P01", "relation \"lineitm\" does not exist");
}
