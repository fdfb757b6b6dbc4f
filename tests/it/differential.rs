//! The statements of `tests/differential` on PostgreSQL and on tarn.

use tarn_tests::differential::exceptions::Exceptions;
use tarn_tests::differential::report::{EQUAL_PERCENT_MIN, Totals, markdown, per_file};
use tarn_tests::differential::run::{Target, run};
use tarn_tests::differential::script::read;
use tarn_tests::harness::{PostgresProcess, Server, repository_file, require_or_skip};

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_postgres() {
    let folder = repository_file("differential");
    let exceptions = Exceptions::read(&folder.join("exceptions.txt")).expect("is readable");
    let scripts = read(&folder, &[]).expect("the scripts are readable");
    let Some(process) = PostgresProcess::start().expect("PostgreSQL starts") else {
        return require_or_skip("PostgreSQL is not installed");
    };
    let server = Server::start(&[]).await.expect("tarn starts");
    let target = |addr, database: &str| Target {
        addr,
        user: "tarn".to_owned(),
        database: database.to_owned(),
    };
    let postgres = target(process.addr, "postgres");
    let tarn = target(server.pg_addr().expect("listens"), "tarn");
    let files = tokio::task::spawn_blocking(move || run(&postgres, &tarn, &scripts))
        .await
        .expect("ends")
        .expect("both servers answer");
    server.stop().await;
    let totals = Totals::count(&files, &exceptions);
    println!("PostgreSQL {}\n{}{}", process.version, per_file(&files), totals.line());
    let list = markdown(&files, &exceptions);
    assert!(totals.reaches_goal(), "fewer than {EQUAL_PERCENT_MIN} % are equal:\n{list}");
    assert!(totals.unlisted.is_empty(), "not in exceptions.txt: {:?}\n{list}", totals.unlisted);
    assert!(totals.stale.is_empty(), "equal now, delete from exceptions.txt: {:?}", totals.stale);
}
