//! Parameters that clients bind, one batch column per placeholder, one run per row.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use datafusion::common::ScalarValue;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use tonic::Status;

use super::refusal;
use super::schema::cast_exactly;

#[cfg(test)]
mod tests;

/// How many rows of parameters may be bound at a time.
const PARAMETER_ROWS_MAX: usize = 1 << 20;

/// How many bytes of parameters may be bound at a time.
const PARAMETER_BYTES_MAX: usize = 256 << 20;

/// Reads the batches of a `DoPut`; none if the client sends a command only.
///
/// # Errors
/// Bytes that are not Arrow data, more than the limits allow.
pub(super) async fn read(mut data: PeekableFlightDataStream) -> Result<Vec<RecordBatch>, Status> {
    let bare = match data.peek().await {
        Some(Ok(first)) => first.data_header.is_empty(),
        Some(Err(status)) => return Err(status.clone()),
        None => true,
    };
    // A command without data has no Arrow header, which the decoder would refuse.
    let data: BoxStream<'static, Result<FlightData, FlightError>> =
        data.skip(usize::from(bare)).map_err(FlightError::from).boxed();
    let mut stream = FlightRecordBatchStream::new_from_flight_data(data);
    let (mut batches, mut n_rows, mut n_bytes) = (Vec::new(), 0_usize, 0_usize);
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => refusal::malformed("parameters", other),
        })?;
        n_rows = n_rows.saturating_add(batch.num_rows());
        n_bytes = n_bytes.saturating_add(batch.get_array_memory_size());
        if n_rows > PARAMETER_ROWS_MAX {
            let message = format!("more than {PARAMETER_ROWS_MAX} rows of parameters");
            return Err(refusal::too_much(message));
        }
        if n_bytes > PARAMETER_BYTES_MAX {
            let message = format!("more than {PARAMETER_BYTES_MAX} bytes of parameters");
            return Err(refusal::too_much(message));
        }
        if batch.num_rows() > 0 {
            batches.push(batch);
        }
    }
    Ok(batches)
}

/// Turns batches into rows of values of the types that the statement wants.
///
/// # Errors
/// Another number of columns than the statement has parameters; a value that cannot become its
/// parameter's type.
pub(super) fn rows(
    batches: &[RecordBatch],
    types: &[DataType],
) -> Result<Vec<Vec<ScalarValue>>, Status> {
    let mut rows = Vec::new();
    for batch in batches {
        if batch.num_columns() != types.len() {
            return Err(refusal::wrong_parameter_count(batch.num_columns(), types.len()));
        }
        let columns = batch
            .columns()
            .iter()
            .zip(types)
            .enumerate()
            .map(|(index, (column, data_type))| {
                // A parameter of no known type takes what comes.
                let wanted = if data_type.is_null() { column.data_type() } else { data_type };
                let invalid = |error: String| {
                    let message = format!("invalid value of parameter ${}: {error}", index + 1);
                    refusal::refuse("22P02", message)
                };
                // Arrow would count days and microseconds.
                if column.data_type().is_temporal() && wanted.is_numeric() {
                    return Err(invalid(format!("{} is no {wanted}", column.data_type())));
                }
                cast_exactly(column, wanted).map_err(|error| invalid(error.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            let values = columns.iter().map(|column| ScalarValue::try_from_array(column, row));
            let values = values.collect::<Result<Vec<_>, _>>();
            rows.push(values.map_err(|error| refusal::malformed("parameters", error))?);
        }
    }
    Ok(rows)
}

/// Returns the types that a client gave, where they tell more than the statement does.
///
/// A placeholder whose type nothing in the statement tells is text, as in PostgreSQL. ADBC sends no
/// types before it binds: `select ?` with an integer means an integer.
pub(super) fn better_types(
    batches: &[RecordBatch],
    types: &[DataType],
) -> Option<Vec<Option<DataType>>> {
    let given = batches.first()?.schema();
    if given.fields().len() != types.len() {
        return None;
    }
    let mut better = false;
    let declared = types.iter().zip(given.fields()).map(|(known, given)| {
        let given = given.data_type();
        let untyped = known.is_null() || is_text(known);
        if untyped && !given.is_null() && !is_text(given) {
            better = true;
            Some(given.clone())
        } else if known.is_null() {
            None
        } else {
            Some(known.clone())
        }
    });
    let declared = declared.collect();
    better.then_some(declared)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}
