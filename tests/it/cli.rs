//! The program `tarn` as people start it: what it prints, its exit codes, how it stops.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tarn_catalog::log::{self, Entry, Outcome, TransactionDef, TransactionTable};
use tarn_catalog::object_store::ObjectStores;
use tarn_tests::harness::{
    Child, Server, connect_pg, demo_data, free_addrs, python, repository_file, require_or_skip,
    tarn_binary, wait_for_port,
};

const LIMIT: Duration = Duration::from_secs(120);

/// The program, unless it has not been built: `cargo test --workspace` builds it.
fn binary() -> Option<PathBuf> {
    let binary = tarn_binary();
    if binary.is_none() {
        require_or_skip("the program tarn is not built beside this test");
    }
    binary
}

/// Runs the program to its end.
fn run(binary: &Path, arguments: &[&str], input: &str) -> Result<(Option<i32>, String, String)> {
    let mut command = Command::new(binary);
    command.args(arguments).env("PAGER", "").env_remove("TARN_PASSWORD");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("no input")?;
    std::io::Write::write_all(&mut stdin, input.as_bytes())?;
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    Ok((status.code(), String::from_utf8(stdout)?, String::from_utf8(stderr)?))
}

/// A started `tarn demo`; its output goes to a file.
struct Demo {
    child: Child,
    pg: SocketAddr,
    output: PathBuf,
}

impl Demo {
    fn start(binary: &Path, data_dir: &Path, output: PathBuf) -> Result<Self> {
        let [pg, flight, http] = free_addrs()?;
        let log = std::fs::File::create(&output)?;
        let mut command = Command::new(binary);
        command.args(["demo", "--scale", "0.01", "--data-dir"]).arg(data_dir);
        command.arg("--pg").arg(pg.to_string()).arg("--flight").arg(flight.to_string());
        command.arg("--http").arg(http.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = Child::of(command.spawn()?);
        let output_now = || std::fs::read_to_string(&output).unwrap_or_default();
        wait_for_port(pg, &mut child, LIMIT).with_context(output_now)?;
        Ok(Self { child, pg, output })
    }

    /// Stops it as Ctrl-C does, and returns its exit code and all that it has printed.
    fn interrupt(mut self) -> Result<(Option<i32>, String)> {
        let pid = self.child.pid().to_string();
        ensure!(Command::new("kill").args(["-INT", &pid]).status()?.success(), "kill failed");
        let code = self.child.wait(LIMIT)?.code();
        Ok((code, std::fs::read_to_string(&self.output)?))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_prints_answers_and_is_used_again() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let data_dir = folder.path().join("data");
    let mut written = Vec::new();
    for turn in 0..2 {
        let output = folder.path().join(format!("output-{turn}"));
        let demo = Demo::start(&binary, &data_dir, output)?;
        let client = connect_pg(demo.pg).await?;
        let sql = "SELECT count(*) FROM lineitem";
        let n_rows: i64 = client.query_one(sql, &[]).await?.get(0);
        ensure!(n_rows == 60_175, "{n_rows} rows");
        let sql = "SELECT count(*) FROM orders VERSION AS OF 1";
        ensure!(client.query_one(sql, &[]).await?.get::<_, i64>(0) < 15_000);
        let pg = demo.pg;
        let (code, text) = tokio::task::spawn_blocking(move || demo.interrupt()).await??;
        ensure!(code == Some(0), "exit code {code:?}: {text}");
        for part in [
            "tarn is ready after",
            "with 8 tables",
            &format!("psql postgresql://tarn@{pg}/tarn"),
            "adbc_driver_flightsql",
            "jdbc:postgresql://",
            "jdbc:arrow-flight-sql://",
            "page    http://",
            "Try:",
            "Ctrl-C stops the server",
            "stopping: no new connections",
            "stopped",
        ] {
            ensure!(text.contains(part), "no {part:?} in:\n{text}");
        }
        let marker = data_dir.join("demo/lineitem/_delta_log/00000000000000000000.json");
        written.push(std::fs::metadata(marker)?.modified()?);
    }
    ensure!(written[0] == written[1], "the second start has written the tables again");
    Ok(())
}

/// What tarn has not written it does not remove.
#[tokio::test(flavor = "multi_thread")]
async fn demo_leaves_foreign_folders_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["demo", "demo.partial"] {
        let data_dir = folder.path().join(format!("data-{name}"));
        let foreign = data_dir.join(name).join("thesis.txt");
        std::fs::create_dir_all(data_dir.join(name))?;
        std::fs::write(&foreign, "three years of work")?;
        let error = tarn_server::demo::write(&data_dir, 0.01).await.err().context("no error")?;
        ensure!(error.to_string().contains("left as it is"), "{error}");
        ensure!(std::fs::read_to_string(&foreign)? == "three years of work");
    }
    // One's own, of another scale or cut short, gives way.
    let data_dir = folder.path().join("own");
    std::fs::create_dir_all(data_dir.join("demo"))?;
    std::fs::write(data_dir.join("demo/_scale"), "7")?;
    std::fs::create_dir_all(data_dir.join("demo.partial"))?;
    std::fs::write(data_dir.join("demo.partial/_writing"), "")?;
    tarn_server::demo::write(&data_dir, 0.001).await?;
    ensure!(data_dir.join("demo/region/_delta_log").is_dir());
    ensure!(!data_dir.join("demo.partial").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port_names_its_flag() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let busy = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = busy.local_addr()?.to_string();
    let data_dir = folder.path().display().to_string();
    let run = tokio::task::spawn_blocking(move || {
        let off = ["--flight", "off", "--http", "off"];
        let on = ["demo", "--data-dir", &data_dir, "--pg", &address];
        run(&binary, &[on.as_slice(), off.as_slice()].concat(), "")
    });
    let (code, _, errors) = run.await??;
    ensure!(code == Some(1) && errors.contains("--pg"), "{code:?}: {errors}");
    ensure!(!folder.path().join("demo").exists(), "tables were written first");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_refused_until_the_server_is_ready() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    // A store that takes requests and never answers, so that the catalog cannot be read.
    let store = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let [pg] = free_addrs()?;
    let mut command = Command::new(binary);
    command.args(["serve", "--catalog", "s3://lake/catalog", "--flight", "off", "--http", "off"]);
    command.arg("--pg").arg(pg.to_string()).arg("--data-dir").arg(folder.path().join("data"));
    command.arg(folder.path());
    command.env("AWS_ENDPOINT_URL", format!("http://{}", store.local_addr()?));
    command.env("AWS_ALLOW_HTTP", "true").env("AWS_ACCESS_KEY_ID", "tests");
    command.env("AWS_SECRET_ACCESS_KEY", "tests").env("AWS_REGION", "us-east-1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Child::of(command.spawn()?);
    let (_request, _) = tokio::time::timeout(LIMIT, store.accept()).await??;
    let refused = std::net::TcpStream::connect(pg).err().context("let in before it was ready")?;
    ensure!(refused.kind() == std::io::ErrorKind::ConnectionRefused, "{refused}");
    drop(child);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_has_formats_and_exit_codes() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let server = Server::start(&[demo_data(0.01)?]).await?;
    let url = format!("postgres://tarn@{}/tarn", server.pg_addr()?);
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("script.sql");
    std::fs::write(&script, "SELECT 1 AS a;\nSELECT n_name FROM nation WHERE n_nationkey = 7;\n")?;
    let script = script.display().to_string();
    let missing = folder.path().join("missing.sql").display().to_string();
    let checks = tokio::task::spawn_blocking(move || -> Result<()> {
        let sql = "SELECT 1 AS a, 'x,y' AS b, NULL::text AS c";
        let check = |arguments: &[&str], input: &str, expected: Result<&[&str], &str>| {
            let arguments = [&["sql", url.as_str()], arguments].concat();
            let (code, out, errors) = run(&binary, &arguments, input)?;
            let what = format!("{arguments:?}: {code:?}\n{out}\n{errors}");
            match expected {
                Ok(parts) => {
                    ensure!(code == Some(0), "{what}");
                    ensure!(parts.iter().all(|part| out.contains(part)), "{what}");
                }
                Err(part) => ensure!(code != Some(0) && errors.contains(part), "{what}"),
            }
            Ok(())
        };
        check(&["-c", sql], "", Ok(&["a", "x,y", "1 row"]))?;
        check(&["-c", sql, "--format", "csv"], "", Ok(&["a,b,c\n1,\"x,y\",\n"]))?;
        check(&["-c", sql, "--format", "json"], "", Ok(&["{\"a\":1,\"b\":\"x,y\",\"c\":null}\n"]))?;
        check(&["-f", &script, "--format", "csv"], "", Ok(&["a\n1\n", "n_name\nGERMANY\n"]))?;
        check(&["-f", "-", "--format", "csv"], "SELECT 2 AS b;", Ok(&["b\n2\n"]))?;
        check(&["--format", "csv"], "SELECT 3 AS c;", Ok(&["c\n3\n"]))?;
        check(&["-c", "SELECT 1 AS a", "-c", "SELECT 2 AS b"], "", Ok(&["a", "b"]))?;
        check(&["-c", "SELECT * FROM nope"], "", Err("nope"))?;
        check(&["-c", "SELECT 1 / 0"], "", Err("division by zero"))?;
        check(&["-f", &missing], "", Err("missing.sql"))?;
        // Nothing after the first error is run.
        let (code, out, _) =
            run(&binary, &["sql", &url, "-c", "SELECT 1/0", "-c", "SELECT 77 AS z"], "")?;
        ensure!(code != Some(0) && !out.contains("77"), "{code:?}: {out}");
        let (code, _, errors) = run(&binary, &["sql", "postgres://tarn@127.0.0.1:1/tarn"], "")?;
        ensure!(code != Some(0) && !errors.is_empty(), "{code:?}: {errors}");
        Ok(())
    });
    checks.await??;
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_of_transactions_that_were_left_open() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let data_dir = tempfile::tempdir()?;
    let place = data_dir.path().join("catalog").display().to_string();
    let log = log::open(&ObjectStores::default(), &place).await?;
    let table = |name: &str| TransactionTable {
        name: name.to_owned(),
        location: format!("file:///nowhere/{name}/"),
        after: 0,
        has_times: false,
        content: String::new(),
        content_file: None,
    };
    let transaction = |record| {
        let tables = vec![table("accounts"), table("moves")];
        let at = "2026-11-21T10:00:00.000Z".to_owned();
        Box::new(TransactionDef { record, at, tables })
    };
    let put = |version, token: &str| {
        let entry =
            Entry::PutTransaction { token: token.to_owned(), transaction: transaction(version) };
        log::encode(version, &[entry])
    };
    log.append(1, put(1, "open")?).await?;
    log.append(2, put(2, "ended")?).await?;
    let end = |token: &str, outcome| Entry::EndTransaction { token: token.to_owned(), outcome };
    log.append(3, log::encode(3, &[end("ended", Outcome::Aborted)])?).await?;
    let data = data_dir.path().display().to_string();
    let folder = tempfile::tempdir()?;
    let served = folder.path().display().to_string();
    let ask = async || {
        let (binary, data, served) = (binary.clone(), data.clone(), served.clone());
        let ask = move || run(&binary, &["check", &served, "--data-dir", &data], "");
        tokio::task::spawn_blocking(ask).await?
    };
    let (code, out, _) = ask().await?;
    let open: Vec<&str> = out.lines().filter(|line| line.starts_with("open")).collect();
    let [line] = open.as_slice() else { anyhow::bail!("{out}") };
    ensure!(code == Some(0) && line.contains("accounts, moves"), "{code:?}: {line}");
    ensure!(line.contains("start a server"), "it does not say what to do: {line}");
    // One that can never be whole stays a fault.
    let what = "the commit is in accounts and cannot get into moves".to_owned();
    let broken = end("open", Outcome::Broken { what: what.clone() });
    log.append(4, log::encode(4, &[broken])?).await?;
    let (code, out, _) = ask().await?;
    ensure!(code == Some(1) && out.contains(&what), "{code:?}: {out}");
    ensure!(out.contains("RESTORE") && !out.contains("open  "), "{out}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_it_finds() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let good = demo_data(0.01)?.display().to_string();
    let folder = tempfile::tempdir()?;
    std::fs::create_dir_all(folder.path().join("bad/_delta_log"))?;
    std::fs::write(folder.path().join("bad/_delta_log/00000000000000000000.json"), "{")?;
    let bad = folder.path().display().to_string();
    let checks = tokio::task::spawn_blocking(move || -> Result<()> {
        let data_dir = tempfile::tempdir()?;
        let data = data_dir.path().display().to_string();
        let (code, out, errors) = run(&binary, &["check", &good, "--data-dir", &data], "")?;
        ensure!(code == Some(0), "{code:?}: {out}{errors}");
        ensure!(out.contains("lineitem: 16 columns"), "{out}");
        let (code, out, _) = run(&binary, &["check", &bad, "--data-dir", &data], "")?;
        ensure!(code == Some(1) && out.contains("broken"), "{code:?}: {out}");
        let (code, _, errors) = run(&binary, &["check", "/no/such/place"], "")?;
        ensure!(code == Some(1) && errors.contains("/no/such/place"), "{code:?}: {errors}");
        let (code, _, errors) = run(&binary, &["check", "--memory", "lots"], "")?;
        ensure!(code.is_some_and(|code| code != 0) && !errors.is_empty(), "{code:?}: {errors}");
        let (code, out, _) = run(&binary, &["--version"], "")?;
        ensure!(code == Some(0) && out.starts_with("tarn"), "{out}");
        Ok(())
    });
    checks.await?
}

/// A process that ends is seen, and its output read to the end.
#[test]
fn help_names_the_commands() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let mut child = Command::new(binary).arg("--help").stdout(Stdio::piped()).spawn()?;
    let mut text = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut text)?;
    ensure!(child.wait()?.success());
    for command in ["demo", "serve", "sql", "check"] {
        ensure!(text.contains(command), "no {command} in {text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_works_in_a_terminal() -> Result<()> {
    let Some(binary) = binary() else { return Ok(()) };
    let Some(python) = python() else {
        require_or_skip("the drivers' Python is not installed");
        return Ok(());
    };
    let server = Server::start(&[demo_data(0.01)?]).await?;
    let url = format!("postgres://tarn@{}/tarn", server.pg_addr()?);
    let home = tempfile::tempdir()?;
    let mut command = Command::new(python);
    command.arg(repository_file("clients/python/terminal.py"));
    command.arg(binary).arg(url).arg(home.path()).stdin(Stdio::null());
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output()).await??;
    let (told, trouble) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    println!("{told}");
    ensure!(status.success(), "{told}{trouble}");
    server.stop().await;
    Ok(())
}
