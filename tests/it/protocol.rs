//! The Postgres protocol message by message: startup, simple and extended queries, transactions.
//!
//! Each case sends bytes and compares a line for every message of the answer; see [`super::wire`].

use anyhow::{Result, ensure};
use tarn_tests::harness::Server;

use super::wire::{
    PROTOCOL_3_0, Wire, bind, bind_texts, close, describe, execute, flush, packet, parse, query,
    startup, sync,
};

/// A server without tables and a connection to it.
async fn connected() -> Result<(Server, Wire)> {
    let server = Server::start(&[]).await?;
    let wire = Wire::connect(server.pg_addr()?).await?;
    Ok((server, wire))
}

/// Numbers `1` to `n` as rows.
fn series(n: usize) -> String {
    format!("SELECT x FROM generate_series(1, {n}) AS t(x)")
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_refused_where_there_is_none() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::open(server.pg_addr()?).await?;
    // GSS first, then TLS, as libpq asks; both are answered and the startup goes on.
    for request in [80_877_104_i32, 80_877_103] {
        wire.send(&packet(&request.to_be_bytes())).await?;
        ensure!(wire.byte().await? == b'N', "{request} was not refused");
    }
    let lines = wire.exchange(&startup(PROTOCOL_3_0, &[("user", "tarn")])).await?;
    ensure!(lines.first().is_some_and(|line| line == "auth 0"), "{lines:?}");
    ensure!(lines.ends_with(&["key of 4 bytes".to_owned(), "ready I".to_owned()]), "{lines:?}");
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_protocols_are_negotiated() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::open(server.pg_addr()?).await?;
    let newer = startup(PROTOCOL_3_0 + 7, &[("user", "tarn"), ("_pq_.shiny", "1")]);
    let lines = wire.exchange(&newer).await?;
    ensure!(lines[0] == "version 3.2 without _pq_.shiny", "{lines:?}");
    ensure!(lines[1] == "auth 0", "{lines:?}");
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_startups_are_answered_and_closed() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.pg_addr()?;
    let cases: [(Vec<u8>, &str); 10] = [
        (startup(PROTOCOL_3_0, &[]), "FATAL 28000"),
        (startup(PROTOCOL_3_0, &[("database", "tarn")]), "FATAL 28000"),
        (startup(PROTOCOL_3_0, &[("user", "nobody"), ("database", "tarn")]), "FATAL 28000"),
        (startup(PROTOCOL_3_0, &[("user", "tarn"), ("database", "other")]), "FATAL 3D000"),
        (startup(PROTOCOL_3_0, &[("user", "tarn"), ("replication", "true")]), "FATAL 0A000"),
        (startup(PROTOCOL_3_0, &[("user", "tarn"), ("timezone", "Nowhere")]), "FATAL 22023"),
        (startup(2 << 16, &[("user", "tarn")]), "FATAL 0A000"),
        (vec![0, 0, 0, 7, 0, 3, 0], "FATAL 08P01"),
        (i32::MAX.to_be_bytes().to_vec(), "FATAL 08P01"),
        (b"GET / HTTP/1.1\r\nHost: tarn\r\n\r\n".to_vec(), "FATAL 08P01"),
    ];
    for (bytes, expected) in cases {
        let mut wire = Wire::open(addr).await?;
        let mut lines = wire.exchange(&bytes).await?;
        // The role is who it says; only then is it told what else is wrong.
        lines.retain(|line| line != "auth 0");
        ensure!(lines == [expected, "closed"], "{:?}: {lines:?}", String::from_utf8_lossy(&bytes));
    }
    Wire::connect(addr).await?.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn startup_options_set_the_session() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut wire = Wire::open(server.pg_addr()?).await?;
    let options = "-c statement_timeout=7000 --application-name=a\\ b";
    let parameters = [("user", "tarn"), ("options", options), ("TimeZone", "Europe/Berlin")];
    let lines = wire.exchange(&startup(PROTOCOL_3_0, &parameters)).await?;
    for status in ["status TimeZone=Europe/Berlin", "status application_name=a b"] {
        ensure!(lines.iter().any(|line| line == status), "{lines:?}");
    }
    for name in [
        "server_version",
        "server_encoding=UTF8",
        "client_encoding=UTF8",
        "DateStyle=ISO, MDY",
        "integer_datetimes=on",
        "standard_conforming_strings=on",
        "IntervalStyle=postgres",
    ] {
        let status = format!("status {name}");
        ensure!(lines.iter().any(|line| line.starts_with(&status)), "no {status} in {lines:?}");
    }
    wire.check(
        &[query("SHOW statement_timeout")],
        &["columns statement_timeout:25:0", "row 7s", "done SHOW", "ready I"],
    )
    .await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_queries() -> Result<()> {
    let (server, mut wire) = connected().await?;
    wire.check(&[query("")], &["empty", "ready I"]).await?;
    wire.check(&[query(" ; -- nothing\n;")], &["empty", "ready I"]).await?;
    wire.check(
        &[query("SELECT 1::int AS a, NULL AS b; ; SELECT 'x' AS c WHERE false; BEGIN; COMMIT")],
        &[
            "columns a:23:0, b:25:0",
            "row 1, NULL",
            "done SELECT 1",
            "columns c:25:0",
            "done SELECT 0",
            "done BEGIN",
            "done COMMIT",
            "ready I",
        ],
    )
    .await?;
    // The first error ends the text; a syntax error anywhere keeps all of it from running.
    wire.check(
        &[query("SELECT 1::int AS a; SELECT b FROM missing; SELECT 3 AS c")],
        &["columns a:23:0", "row 1", "done SELECT 1", "ERROR 42P01", "ready I"],
    )
    .await?;
    wire.check(&[query("SELECT 1; SELEC 2")], &["ERROR 42601", "ready I"]).await?;
    wire.check(&[query("SELECT $1")], &["ERROR 42P02", "ready I"]).await?;
    // Queries that wait are answered in order.
    let answer = ["columns two:23:0", "row 2", "done SELECT 1", "ready I"];
    wire.check(&[query("SELECT 2::int AS two"), query("SELECT 2::int AS two")], &answer).await?;
    let rest: Vec<String> = wire.until_ready().await?.iter().map(|m| m.line()).collect();
    ensure!(rest == answer, "{rest:?}");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_their_fields() -> Result<()> {
    let (server, mut wire) = connected().await?;
    wire.send(&query("SELECT 'é', missing_column")).await?;
    let messages = wire.until_ready().await?;
    let error = messages.iter().find(|message| message.kind == b'E').expect("an error");
    ensure!(error.field(b'S') == "ERROR" && error.field(b'C') == "42703", "{}", error.line());
    ensure!(
        error.field(b'M') == "column \"missing_column\" does not exist",
        "{}",
        error.field(b'M')
    );
    // Characters are counted, not bytes.
    ensure!(error.field(b'P') == "13", "position {}", error.field(b'P'));
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parse_bind_describe_execute() -> Result<()> {
    let (server, mut wire) = connected().await?;
    let sql = "SELECT $1 + 1::int AS n, $2 AS t";
    wire.check(
        &[
            parse("", sql, &[23, 25]),
            describe(b'S', ""),
            bind_texts(&["41", "hi"]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ],
        &[
            "parsed",
            "parameters 23, 25",
            "columns n:23:0, t:25:0",
            "bound",
            "columns n:23:0, t:25:0",
            "row 42, hi",
            "done SELECT 1",
            "ready I",
        ],
    )
    .await?;
    // The unnamed statement stays after Sync, the unnamed portal does not.
    wire.check(&[execute("", 0), sync()], &["ERROR 34000", "ready I"]).await?;
    wire.check(
        &[bind("", "", &[], &[Some(b"1"), None], &[]), execute("", 0), sync()],
        &["bound", "row 2, NULL", "done SELECT 1", "ready I"],
    )
    .await?;
    // Statements without columns, and without anything.
    wire.check(
        &[
            parse("", "SET extra_float_digits = 0", &[]),
            describe(b'S', ""),
            bind_texts(&[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ],
        &["parsed", "parameters ", "no rows", "bound", "no rows", "done SET", "ready I"],
    )
    .await?;
    wire.check(
        &[parse("", "", &[]), bind_texts(&[]), describe(b'P', ""), execute("", 0), sync()],
        &["parsed", "bound", "no rows", "empty", "ready I"],
    )
    .await?;
    wire.check(
        &[close(b'S', "never"), close(b'P', "made"), sync()],
        &["closed name", "closed name", "ready I"],
    )
    .await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_binary_values() -> Result<()> {
    let (server, mut wire) = connected().await?;
    let prepare = parse("s", "SELECT $1 AS i, $2 AS f, $3 AS b", &[23, 701, 16]);
    wire.check(&[prepare, sync()], &["parsed", "ready I"]).await?;
    let float = 0.5_f64.to_be_bytes();
    let values: [Option<&[u8]>; 3] = [Some(&[0, 0, 1, 0]), Some(&float), Some(&[1])];
    let execute = [execute("", 0), sync()].concat();
    wire.check(
        &[bind("", "s", &[1], &values, &[1]), execute.clone()],
        &["bound", "row x00000100, x3fe0000000000000, x01", "done SELECT 1", "ready I"],
    )
    .await?;
    wire.check(
        &[bind("", "s", &[1], &values, &[]), execute.clone()],
        &["bound", "row 256, 0.5, t", "done SELECT 1", "ready I"],
    )
    .await?;
    // A format for each value and each column.
    let mixed: [Option<&[u8]>; 3] = [Some(b"256"), Some(&float), Some(b"yes")];
    wire.check(
        &[bind("", "s", &[0, 1, 0], &mixed, &[1, 0, 0]), execute.clone()],
        &["bound", "row x00000100, 0.5, t", "done SELECT 1", "ready I"],
    )
    .await?;
    for (formats, values, results) in [
        (&[2_i16][..], &values[..], &[][..]),
        (&[0, 0], &values, &[]),
        (&[1], &values[..2], &[]),
        (&[1], &[values[0]; 4], &[]),
        (&[1], &values, &[-1]),
        (&[1], &values, &[0, 1]),
    ] {
        let messages = [bind("", "s", formats, values, results), execute.clone()];
        let lines = wire.exchange(&messages.concat()).await?;
        let known = ["ERROR 08P01", "ERROR 22023"].contains(&lines[0].as_str());
        ensure!(known && lines[1..] == ["ready I"], "{lines:?}");
    }
    // Bytes that are no value of the type.
    let short: [Option<&[u8]>; 3] = [Some(&[1]), Some(&float), Some(&[1])];
    wire.check(&[bind("", "s", &[1], &short, &[]), execute.clone()], &["ERROR 22P03", "ready I"])
        .await?;
    let word: [Option<&[u8]>; 3] = [Some(b"one"), Some(b"0"), Some(b"t")];
    wire.check(&[bind("", "s", &[], &word, &[]), execute.clone()], &["ERROR 22P02", "ready I"])
        .await?;
    let bytes: [Option<&[u8]>; 3] = [Some(b"\xff\xfe"), Some(b"0"), Some(b"t")];
    wire.check(&[bind("", "s", &[], &bytes, &[]), execute], &["ERROR 22021", "ready I"]).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_skips_to_sync() -> Result<()> {
    let (server, mut wire) = connected().await?;
    wire.check(
        &[
            parse("", "SELECT * FROM missing", &[]),
            bind_texts(&[]),
            describe(b'P', ""),
            execute("", 0),
            parse("made", "SELECT 1", &[]),
            flush(),
            sync(),
        ],
        &["ERROR 42P01", "ready I"],
    )
    .await?;
    // What was skipped was not done.
    wire.check(&[describe(b'S', "made"), sync()], &["ERROR 26000", "ready I"]).await?;
    // Flush brings the error without a Sync.
    wire.send(&[parse("", "SELEC", &[]), flush()].concat()).await?;
    let error = wire.next().await?.expect("an answer to Flush");
    ensure!(error.line() == "ERROR 42601", "{}", error.line());
    wire.check(&[sync()], &["ready I"]).await?;
    // Without a transaction each Sync ends what an error has begun.
    wire.check(&[sync(), sync()], &["ready I"]).await?;
    wire.until_ready().await?;
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_missing_or_taken() -> Result<()> {
    let (server, mut wire) = connected().await?;
    wire.check(&[parse("s", "SELECT 1", &[]), sync()], &["parsed", "ready I"]).await?;
    let cases: [(Vec<u8>, &str); 8] = [
        (parse("s", "SELECT 2", &[]), "ERROR 42P05"),
        (bind("", "t", &[], &[], &[]), "ERROR 26000"),
        (describe(b'S', "t"), "ERROR 26000"),
        (describe(b'P', "p"), "ERROR 34000"),
        (execute("p", 0), "ERROR 34000"),
        (parse("", "SELECT 1; SELECT 2", &[]), "ERROR 42601"),
        (describe(b'X', "s"), "ERROR 08P01"),
        (close(b'X', "s"), "ERROR 08P01"),
    ];
    for (message, expected) in cases {
        wire.check(&[message, sync()], &[expected, "ready I"]).await?;
    }
    let bound = bind("p", "s", &[], &[], &[]);
    wire.check(&[bound.clone(), bound, sync()], &["bound", "ERROR 42P03", "ready I"]).await?;
    // Closed names are free again, and DEALLOCATE frees them, too.
    wire.check(
        &[
            close(b'S', "s"),
            parse("s", "SELECT 2 AS b", &[]),
            bind("", "s", &[], &[], &[]),
            execute("", 0),
            sync(),
        ],
        &["closed name", "parsed", "bound", "row 2", "done SELECT 1", "ready I"],
    )
    .await?;
    wire.check(&[query("DEALLOCATE s")], &["done DEALLOCATE", "ready I"]).await?;
    wire.check(&[describe(b'S', "s"), sync()], &["ERROR 26000", "ready I"]).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn row_limits_suspend_portals() -> Result<()> {
    let (server, mut wire) = connected().await?;
    let begin = [parse("", &series(5), &[]), bind_texts(&[])].concat();
    wire.check(
        &[begin.clone(), execute("", 2), execute("", 2), execute("", 2), execute("", 2), sync()],
        &[
            "parsed",
            "bound",
            "row 1",
            "row 2",
            "suspended",
            "row 3",
            "row 4",
            "suspended",
            "row 5",
            "done SELECT 1",
            "done SELECT 0",
            "ready I",
        ],
    )
    .await?;
    // The limit is reached with the last row: PostgreSQL, too, finds the end only when asked again.
    wire.check(
        &[begin.clone(), execute("", 5), execute("", 5), sync()],
        &[
            "parsed",
            "bound",
            "row 1",
            "row 2",
            "row 3",
            "row 4",
            "row 5",
            "suspended",
            "done SELECT 0",
            "ready I",
        ],
    )
    .await?;
    for limit in [i32::MAX, 0, -1, i32::MIN] {
        wire.check(
            &[begin.clone(), execute("", limit), sync()],
            &[
                "parsed",
                "bound",
                "row 1",
                "row 2",
                "row 3",
                "row 4",
                "row 5",
                "done SELECT 5",
                "ready I",
            ],
        )
        .await?;
    }
    // Across batches: every row once, in order.
    let n_rows = 20_000;
    wire.check(&[query("BEGIN")], &["done BEGIN", "ready T"]).await?;
    wire.check(
        &[parse("", &series(n_rows), &[]), bind_texts(&[]), sync()],
        &["parsed", "bound", "ready T"],
    )
    .await?;
    let mut next = 1;
    loop {
        let lines = wire.exchange(&[execute("", 3_001), sync()].concat()).await?;
        for line in lines.iter().filter(|line| line.starts_with("row ")) {
            ensure!(*line == format!("row {next}"), "{line} where {next} was expected");
            next += 1;
        }
        match lines[lines.len() - 2].as_str() {
            "suspended" => {}
            done => break ensure!(done == "done SELECT 1994", "{done}"),
        }
    }
    ensure!(next == n_rows + 1, "{next} rows");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_live_as_long_as_their_transaction() -> Result<()> {
    let (server, mut wire) = connected().await?;
    let begin = [parse("s", &series(9), &[]), bind("p", "s", &[], &[], &[]), execute("p", 1)];
    let begin = begin.concat();
    // Outside of a transaction, Sync ends it.
    wire.check(&[begin.clone(), sync()], &["parsed", "bound", "row 1", "suspended", "ready I"])
        .await?;
    wire.check(&[execute("p", 1), sync()], &["ERROR 34000", "ready I"]).await?;
    wire.check(&[close(b'S', "s"), sync()], &["closed name", "ready I"]).await?;
    for end in ["COMMIT", "ROLLBACK"] {
        wire.check(&[query("BEGIN")], &["done BEGIN", "ready T"]).await?;
        wire.check(&[begin.clone(), sync()], &["parsed", "bound", "row 1", "suspended", "ready T"])
            .await?;
        // Another statement in between does not disturb it, nor does closing its statement.
        wire.check(
            &[query("SELECT 7::int AS x")],
            &["columns x:23:0", "row 7", "done SELECT 1", "ready T"],
        )
        .await?;
        wire.check(
            &[close(b'S', "s"), execute("p", 2), sync()],
            &["closed name", "row 2", "row 3", "suspended", "ready T"],
        )
        .await?;
        wire.check(&[query(end)], &[&format!("done {end}"), "ready I"]).await?;
        wire.check(&[execute("p", 1), sync()], &["ERROR 34000", "ready I"]).await?;
    }
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_transactions_wait_for_their_end() -> Result<()> {
    let (server, mut wire) = connected().await?;
    wire.check(&[query("BEGIN")], &["done BEGIN", "ready T"]).await?;
    wire.check(&[query("BEGIN")], &["WARNING 25001", "done BEGIN", "ready T"]).await?;
    wire.check(&[query("SELECT * FROM missing")], &["ERROR 42P01", "ready E"]).await?;
    wire.check(&[query("SELECT 1")], &["ERROR 25P02", "ready E"]).await?;
    wire.check(&[parse("", "SELECT 1", &[]), sync()], &["ERROR 25P02", "ready E"]).await?;
    wire.check(&[query("SAVEPOINT a")], &["ERROR 25P02", "ready E"]).await?;
    wire.check(&[query("COMMIT")], &["done ROLLBACK", "ready I"]).await?;
    wire.check(&[query("COMMIT")], &["WARNING 25P01", "done COMMIT", "ready I"]).await?;
    wire.check(&[query("ROLLBACK")], &["WARNING 25P01", "done ROLLBACK", "ready I"]).await?;
    // An error in the extended protocol fails the transaction as well.
    wire.check(&[query("BEGIN")], &["done BEGIN", "ready T"]).await?;
    wire.check(&[execute("none", 0), sync()], &["ERROR 34000", "ready E"]).await?;
    wire.check(
        &[parse("", "ROLLBACK", &[]), bind_texts(&[]), execute("", 0), sync()],
        &["parsed", "bound", "done ROLLBACK", "ready I"],
    )
    .await?;
    wire.check_alive().await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_revive_a_transaction() -> Result<()> {
    let (server, mut wire) = connected().await?;
    for sql in ["SAVEPOINT a", "ROLLBACK TO a", "RELEASE a"] {
        wire.check(&[query(sql)], &["ERROR 25P01", "ready I"]).await?;
    }
    wire.check(
        &[query("BEGIN; SAVEPOINT a; SAVEPOINT b")],
        &["done BEGIN", "done SAVEPOINT", "done SAVEPOINT", "ready T"],
    )
    .await?;
    wire.check(&[query("SELECT 1 FROM missing")], &["ERROR 42P01", "ready E"]).await?;
    wire.check(&[query("ROLLBACK TO c")], &["ERROR 3B001", "ready E"]).await?;
    wire.check(&[query("ROLLBACK TO SAVEPOINT a")], &["done ROLLBACK", "ready T"]).await?;
    wire.check(
        &[query("SELECT 1::int AS x")],
        &["columns x:23:0", "row 1", "done SELECT 1", "ready T"],
    )
    .await?;
    // `b` was made after `a` and is gone; `a` is still there.
    wire.check(&[query("RELEASE b")], &["ERROR 3B001", "ready E"]).await?;
    wire.check(&[query("ROLLBACK TO a")], &["done ROLLBACK", "ready T"]).await?;
    wire.check(&[query("RELEASE a; COMMIT")], &["done RELEASE", "done COMMIT", "ready I"]).await?;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_reported() -> Result<()> {
    let (server, mut wire) = connected().await?;
    let status = |zone: &str| format!("status TimeZone={zone}");
    let lines = wire.exchange(&query("SET timezone = 'Asia/Kolkata'")).await?;
    ensure!(
        lines.contains(&status("Asia/Kolkata")) && lines.contains(&"done SET".to_owned()),
        "{lines:?}"
    );
    let lines = wire.exchange(&query("RESET timezone")).await?;
    ensure!(lines.contains(&status("UTC")), "{lines:?}");
    // Settings that clients do not follow are not reported.
    wire.check(&[query("SET statement_timeout = '3s'")], &["done SET", "ready I"]).await?;
    wire.check(
        &[query("SHOW statement_timeout")],
        &["columns statement_timeout:25:0", "row 3s", "done SHOW", "ready I"],
    )
    .await?;
    for (sql, code) in [
        ("SET nonsense = 1", "42704"),
        ("SET timezone = 'Nowhere'", "22023"),
        ("SET server_version = '9'", "55P02"),
    ] {
        wire.check(&[query(sql)], &[&format!("ERROR {code}"), "ready I"]).await?;
    }
    // A rolled back transaction takes its settings back and says so.
    wire.exchange(&query("BEGIN; SET timezone = 'Asia/Tokyo'")).await?;
    let lines = wire.exchange(&query("ROLLBACK")).await?;
    ensure!(lines.contains(&status("UTC")), "{lines:?}");
    // SET LOCAL lasts as long as the transaction.
    wire.exchange(&query("BEGIN; SET LOCAL timezone = 'Asia/Tokyo'")).await?;
    let lines = wire.exchange(&query("COMMIT")).await?;
    ensure!(lines.contains(&status("UTC")), "{lines:?}");
    // Sessions do not see each other's settings.
    let mut other = Wire::connect(server.pg_addr()?).await?;
    other
        .check(
            &[query("SHOW statement_timeout")],
            &["columns statement_timeout:25:0", "row 0", "done SHOW", "ready I"],
        )
        .await?;
    server.stop().await;
    Ok(())
}
