//! Batches of parameters that do not fit their statement.

use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use tarn_tests::harness::Server;
use tonic::Code;

use super::caller::{Caller, any, check_refused, check_told, field, parameter_messages, ticket_of};
use crate::hostile::Seeded;

const BIND: &str = "CommandPreparedStatementQuery";
const UPDATE: &str = "CommandPreparedStatementUpdate";

/// A batch with a column for each array.
fn batch(columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let named = columns.into_iter().enumerate().map(|(at, column)| (format!("p{at}"), column));
    Ok(RecordBatch::try_from_iter(named)?)
}

fn numbers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

/// Runs a prepared query with what is bound; the number of rows.
async fn run(caller: &mut Caller, handle: &[u8]) -> Result<usize, tonic::Status> {
    let info = caller.info(any(BIND, &field(1, handle))).await?;
    let ticket = ticket_of(&info).map_err(|error| tonic::Status::unknown(error.to_string()))?;
    caller.read(ticket).await
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_do_not_fit_are_refused() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    caller.query("CREATE TABLE t (x bigint, y bigint)").await?;
    let select = caller.prepare("SELECT $1::bigint + $2::bigint AS sum").await?;
    let insert = caller.prepare("INSERT INTO t VALUES ($1, $2)").await?;
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let inner: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let nested = StructArray::from(vec![(Arc::new(Field::new("a", DataType::Utf8, true)), inner)]);
    let one = numbers([1]);
    let count = (Code::InvalidArgument, "08P01");
    let value = (Code::InvalidArgument, "22P02");
    let cases: Vec<(&str, Vec<ArrayRef>, (Code, &str))> = vec![
        ("one column", vec![one.clone()], count),
        ("three columns", vec![one.clone(), one.clone(), one.clone()], count),
        ("a thousand columns", vec![one.clone(); 1_000], count),
        ("text", vec![one.clone(), Arc::new(StringArray::from(vec!["x"]))], value),
        ("bytes", vec![one.clone(), Arc::new(BinaryArray::from(vec![&b"\xff\xfe"[..]]))], value),
        ("a list", vec![one.clone(), Arc::new(list)], value),
        ("a row", vec![one.clone(), Arc::new(nested)], value),
        ("a day", vec![one.clone(), Arc::new(Date32Array::from(vec![1]))], value),
        ("a huge number", vec![one.clone(), Arc::new(Float64Array::from(vec![1e300]))], value),
    ];
    for (what, columns, (code, state)) in cases {
        for (how, command, handle) in [("bound", BIND, &select), ("run", UPDATE, &insert)] {
            let what = format!("{what}, {how}");
            let answer = caller.send_parameters(command, handle, batch(columns.clone())?).await;
            check_refused(&what, answer, code, state)?;
        }
        caller.check_alive().await?;
    }
    // A truth value is no number, but what comes of it is said, whichever way it goes.
    let truth: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    check_told(
        "a truth value",
        caller.send_parameters(BIND, &select, batch(vec![one, truth])?).await,
    )?;
    // None of it has been done, and the statements still work.
    ensure!(caller.query("SELECT * FROM t").await? == 0, "rows of refused parameters");
    let right = batch(vec![numbers([1]), numbers([2])])?;
    caller.send_parameters(BIND, &select, right.clone()).await?;
    ensure!(run(&mut caller, &select).await? == 1);
    caller.send_parameters(UPDATE, &insert, right).await?;
    ensure!(caller.query("SELECT * FROM t WHERE x = 1 AND y = 2").await? == 1);
    server.stop().await;
    Ok(())
}

/// A statement runs once for each row of parameters.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_parameters_are_counted() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    caller.query("CREATE TABLE t (x bigint)").await?;
    let select = caller.prepare("SELECT $1::bigint + 1 AS next").await?;
    let insert = caller.prepare("INSERT INTO t VALUES ($1)").await?;
    for handle in [&select, &insert] {
        let answer = run(&mut caller, handle).await;
        check_refused("nothing was bound", answer, Code::InvalidArgument, "08P01")?;
    }
    let none = batch(vec![numbers([])])?;
    caller.send_parameters(BIND, &select, none.clone()).await?;
    let answer = run(&mut caller, &select).await;
    check_refused("no rows were bound", answer, Code::InvalidArgument, "08P01")?;
    check_told("no rows", caller.send_parameters(UPDATE, &insert, none).await)?;
    ensure!(caller.query("SELECT * FROM t").await? == 0);
    let many = batch(vec![numbers(0..500)])?;
    caller.send_parameters(BIND, &select, many.clone()).await?;
    ensure!(run(&mut caller, &select).await? == 500);
    caller.send_parameters(UPDATE, &insert, many).await?;
    ensure!(caller.query("SELECT DISTINCT x FROM t").await? == 500);
    let too_many = batch(vec![numbers(0..(1 << 20) + 1)])?;
    for (command, handle) in [(BIND, &select), (UPDATE, &insert)] {
        let answer = caller.send_parameters(command, handle, too_many.clone()).await;
        check_refused("too many rows", answer, Code::ResourceExhausted, "53400")?;
    }
    ensure!(caller.query("SELECT * FROM t").await? == 500);
    caller.check_alive().await?;
    server.stop().await;
    Ok(())
}

/// Bytes that are no Arrow data, or damaged data: an error each, and the server lives.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_parameters_do_no_harm() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.flight_addr()?;
    let mut caller = Caller::connect(addr).await?;
    let select = caller.prepare("SELECT $1::bigint + length($2) AS sum").await?;
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
    let right = batch(vec![numbers([1, 2, 3]), texts])?;
    let messages = parameter_messages(BIND, &select, right.clone()).await?;
    let mut random = Seeded(0x7a72_6e00_2026);
    for _ in 0..400 {
        let mut damaged = messages.clone();
        let message = &mut damaged[random.below(messages.len())];
        let is_header = random.below(3) > 0;
        let part = if is_header { &mut message.data_header } else { &mut message.data_body };
        let mut bytes = part.to_vec();
        match random.below(4) {
            _ if bytes.is_empty() => {}
            0 => bytes.truncate(random.below(bytes.len())),
            1 => {
                let n = random.below(64);
                bytes.extend(random.bytes(n));
            }
            _ => {
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len());
                    bytes[at] = random.bytes(1)[0];
                }
            }
        }
        *part = bytes.into();
        // It may be right by chance, and a panic of the decoder is an error like others.
        if let Err(status) = caller.put(damaged).await {
            ensure!(status.code() != Code::Unknown, "{status:?}");
            ensure!(status.message().get(5..7) == Some(": "), "{status:?}");
        }
    }
    caller.check_alive().await?;
    caller.send_parameters(BIND, &select, right).await?;
    ensure!(run(&mut caller, &select).await? == 3);
    server.stop().await;
    Ok(())
}
