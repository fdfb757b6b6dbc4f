//! Statements and messages that are too large, or no messages at all.

use std::time::Instant;

use anyhow::{Result, ensure};
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use tarn_tests::harness::{Server, demo_data};

use super::caller::{Caller, any, check_told, field};
use crate::hostile::{Seeded, large_statements};

/// How a statement ended, in the words of the Postgres wire.
async fn last_line(caller: &mut Caller, sql: &str) -> String {
    match caller.query(sql).await {
        Ok(n_rows) => format!("done SELECT {n_rows}"),
        Err(status) => match status.message().split_once(": ") {
            Some((state, _)) if state.len() == 5 => format!("ERROR {state}"),
            _ => format!("{status:?}"),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_statements_are_answered_over_flight() -> Result<()> {
    let server = Server::start(&[demo_data(0.01)?]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    let mut faults = Vec::new();
    for (what, sql, expected) in large_statements() {
        let started = Instant::now();
        // A ticket is for one statement.
        let expected = if what == "2,000 statements" { &["ERROR 42601"][..] } else { expected };
        let last = last_line(&mut caller, &sql).await;
        if !expected.contains(&last.as_str()) {
            faults.push(format!("{what}: {last} instead of {expected:?}"));
        }
        if let Err(error) = caller.check_alive().await {
            faults.push(format!("{what}: {error:#}"));
            caller = Caller::connect(server.flight_addr()?).await?;
        }
        // The same text as a prepared statement, and as a change.
        let prepared = caller.prepare(&sql).await;
        let as_change = any("CommandStatementUpdate", &field(1, sql.as_bytes()));
        let changed = caller.put(vec![put_message(as_change)]).await;
        for (how, answer) in [("prepared", prepared), ("as a change", changed)] {
            if let Err(error) = check_told(&format!("{what}, {how}"), answer) {
                faults.push(format!("{error:#}"));
            }
        }
        println!("{what}: {:?}", started.elapsed());
    }
    server.stop().await;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// A message above the limit ends its call, not its connection.
#[tokio::test(flavor = "multi_thread")]
async fn messages_above_the_limit_are_refused() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    let sql = format!("SELECT length('{}')", "x".repeat(40 << 20));
    let status = caller.plan(&sql).await.err();
    ensure!(status.as_ref().is_some_and(|s| s.message().contains("too large")), "{status:?}");
    caller.check_alive().await?;
    server.stop().await;
    Ok(())
}

fn put_message(command: Bytes) -> FlightData {
    let descriptor = Some(FlightDescriptor::new_cmd(command));
    FlightData { flight_descriptor: descriptor, ..FlightData::default() }
}

/// Bytes that are no message, or one that nothing can be made of.
fn broken_messages() -> Vec<Bytes> {
    let handle = field(1, &[7; 32]);
    let good = any("TicketStatementQuery", &handle);
    let mut messages: Vec<Bytes> = (0..good.len()).map(|length| good.slice(..length)).collect();
    for name in [
        "CommandStatementQuery",
        "CommandStatementUpdate",
        "CommandPreparedStatementQuery",
        "CommandPreparedStatementUpdate",
        "CommandStatementIngest",
        "CommandStatementSubstraitPlan",
        "CommandGetTables",
        "CommandGetSqlInfo",
        "TicketStatementQuery",
        "ActionCreatePreparedStatementRequest",
        "ActionBeginSavepointRequest",
        "Nonsense",
        "",
    ] {
        // Another message inside, no UTF-8, bytes that end too early, fields of other types.
        for value in [&handle[..], b"\x0a\x02\xff\xfe", b"\x0a\x7f", b"\x08\x01\x12\x00", b"\xff"] {
            messages.push(any(name, value));
        }
    }
    messages.push(field(1, b"\xff\xfe\xfd").into());
    messages.push(field(1, &vec![b'x'; 1 << 20]).into());
    // A length of nine exabytes, one that never ends, and ten thousand groups in each other.
    messages.push(Bytes::from_static(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
    messages.push(vec![0xff; 100].into());
    messages.push(vec![0x0b; 10_000].into());
    let mut random = Seeded(0x7a72_6e00_2026);
    for _ in 0..60 {
        let n = random.below(200);
        messages.push(random.bytes(n).into());
    }
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_messages_are_told() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    let mut faults = Vec::new();
    for message in broken_messages() {
        let shown = &message[..message.len().min(60)];
        let calls = [
            ("GetFlightInfo", caller.info(message.clone()).await.map(drop)),
            ("GetSchema", caller.schema(message.clone()).await.map(drop)),
            ("PollFlightInfo", caller.poll(message.clone()).await.map(drop)),
            ("DoGet", caller.read(message.clone()).await.map(drop)),
            ("DoPut", caller.put(vec![put_message(message.clone())]).await.map(drop)),
        ];
        for (call, answer) in calls {
            let what = format!("{call} {}", shown.escape_ascii());
            faults.extend(check_told(&what, answer).err().map(|error| error.to_string()));
        }
    }
    caller.check_alive().await?;
    for (what, messages) in [
        ("nothing", vec![]),
        ("no descriptor", vec![FlightData::default()]),
        ("an empty one", vec![put_message(Bytes::new())]),
    ] {
        let answer = caller.put(messages).await;
        faults.extend(check_told(&format!("DoPut of {what}"), answer).err().map(|e| e.to_string()));
    }
    caller.check_alive().await?;
    server.stop().await;
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_actions_are_told() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    let names = [
        "CreatePreparedStatement",
        "ClosePreparedStatement",
        "CreatePreparedSubstraitPlan",
        "BeginTransaction",
        "EndTransaction",
        "BeginSavepoint",
        "EndSavepoint",
        "CancelQuery",
        "CancelFlightInfo",
        "RenewFlightEndpoint",
        "SetSessionOptions",
        "GetSessionOptions",
        "CloseSession",
        "nonsense",
        "",
    ];
    let mut faults = Vec::new();
    for name in names {
        for body in broken_messages() {
            let answer = caller.action(name, body.clone()).await;
            let what = format!("{name} {}", body[..body.len().min(60)].escape_ascii());
            faults.extend(check_told(&what, answer).err().map(|error| error.to_string()));
        }
        caller.check_alive().await?;
    }
    server.stop().await;
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    Ok(())
}
