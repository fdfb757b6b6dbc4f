//! The command line: `tarn demo | serve | sql | check | catalog`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};
use tarn_catalog::discovery::make_private_folder;
use tarn_catalog::object_store::ObjectStores;

use crate::client::{ClientOptions, Format, Script};
use crate::config::{AuthMode, ConfigError, Kind, SETTINGS, ServerConfig, Values, environment};
use crate::server::{Handle, Port, StartError};
use crate::{auth, demo, telemetry};

mod log_commands;

/// Runs the program and returns its exit code.
#[must_use]
pub fn run() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are answers, not failures.
            let code = if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            drop(error.print());
            return code;
        }
    };
    match matches.subcommand() {
        Some(("demo", arguments)) => serve(arguments, true),
        Some(("serve", arguments)) => serve(arguments, false),
        Some(("check", arguments)) => check(arguments),
        Some(("catalog", arguments)) => log_commands::run(arguments),
        Some(("sql", arguments)) => crate::client::run(client_options(arguments)),
        _ => ExitCode::from(2),
    }
}

fn command() -> Command {
    let paths = Arg::new("paths")
        .value_name("PATH_OR_URL")
        .action(ArgAction::Append)
        .help("Folders, files, buckets: every table below becomes one here");
    let config = Arg::new("config").long("config").value_name("FILE").help("Settings in TOML");
    Command::new("tarn")
        .about("An interactive SQL server for the lakehouse")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("demo")
                .about("Writes TPC-H sample tables and serves them at once")
                .args(setting_args(true))
                .arg(config.clone()),
        )
        .subcommand(
            Command::new("serve")
                .about("Serves every Delta table and Parquet, CSV or JSON file below the paths")
                .arg(paths.clone().required(true))
                .args(setting_args(false))
                .arg(config.clone()),
        )
        .subcommand(
            Command::new("check")
                .about("Checks settings, storage and tables, changes nothing")
                .arg(paths)
                .args(setting_args(false))
                .arg(config),
        )
        .subcommand(log_commands::command())
        .subcommand(sql_command())
}

fn setting_args(demo: bool) -> impl Iterator<Item = Arg> {
    SETTINGS.iter().filter(move |setting| demo || setting.name != "scale").map(|setting| {
        let arg = Arg::new(setting.name).long(setting.name);
        let help = format!("{} [default: {}]", setting.help, setting.default);
        match setting.kind {
            Kind::Switch => arg.action(ArgAction::SetTrue).help(setting.help),
            Kind::Address => arg.value_name("ADDRESS:PORT").help(help),
            Kind::Path => arg.value_name("PATH").help(help),
            Kind::Text => arg.value_name("PATH_OR_URL").help(help),
            Kind::Bytes => arg.value_name("SIZE").help(help),
            Kind::Count => arg.value_name("N").help(help),
            Kind::Time => arg.value_name("TIME").help(help),
            Kind::Scale => arg.value_name("FACTOR").help(help),
            Kind::Choice(choices) => arg.value_name(choices.join("|")).help(help),
        }
    })
}

fn sql_command() -> Command {
    Command::new("sql")
        .about("Connects to a server and runs SQL, interactively or as a script")
        .arg(Arg::new("url").value_name("CONNECTION_URL").help(
            "postgres://user@host:port/database [default: postgres://tarn@127.0.0.1:5432/tarn]",
        ))
        .arg(
            Arg::new("command")
                .short('c')
                .long("command")
                .value_name("SQL")
                .action(ArgAction::Append)
                .help("Runs statements and leaves; can be given several times"),
        )
        .arg(
            Arg::new("file")
                .short('f')
                .long("file")
                .value_name("FILE")
                .action(ArgAction::Append)
                .help("Runs a file and leaves; - is standard input"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("table|csv|json|arrow")
                .value_parser(["table", "csv", "json", "arrow"])
                .help("Form of the results [default: table]"),
        )
}

fn client_options(arguments: &ArgMatches) -> ClientOptions {
    // Scripts run in the order in which they were given, whichever flag they came by.
    let mut scripts: Vec<(usize, Script)> = Vec::new();
    for (name, make) in [
        ("command", Script::Command as fn(String) -> Script),
        ("file", |path| Script::File(PathBuf::from(path))),
    ] {
        let indices = arguments.indices_of(name).into_iter().flatten();
        let values = arguments.get_many::<String>(name).into_iter().flatten();
        scripts.extend(indices.zip(values).map(|(at, value)| (at, make(value.clone()))));
    }
    scripts.sort_by_key(|(at, _)| *at);
    let format = arguments.get_one::<String>("format");
    ClientOptions {
        url: arguments.get_one::<String>("url").cloned(),
        scripts: scripts.into_iter().map(|(_, script)| script).collect(),
        format: format.and_then(|name| name.parse::<Format>().ok()),
        password: None,
        pager: None,
        home: None,
        plain: false,
    }
    .with_environment(environment)
}

fn gather(arguments: &ArgMatches, trust_by_default: bool) -> Result<ServerConfig, ConfigError> {
    let mut flags = BTreeMap::new();
    for setting in SETTINGS {
        let value = match setting.kind {
            Kind::Switch => arguments
                .try_get_one::<bool>(setting.name)
                .ok()
                .flatten()
                .filter(|on| **on)
                .map(|_| "true".to_owned()),
            _ => arguments.try_get_one::<String>(setting.name).ok().flatten().cloned(),
        };
        if let Some(value) = value {
            flags.insert(setting.name.to_owned(), value);
        }
    }
    let file = arguments.get_one::<String>("config").map(PathBuf::from);
    let values = Values::gather(flags, file.as_deref(), environment)?;
    let paths = arguments.try_get_many::<String>("paths").ok().flatten();
    let paths = paths.map(|paths| paths.cloned().collect()).unwrap_or_default();
    let password = environment("TARN_PASSWORD");
    let config = ServerConfig::from_values(&values, paths, trust_by_default, password)?;
    Ok(config.with_secret_key(environment("TARN_SECRET_KEY")))
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_name("tarn-io").enable_all().build()
}

fn serve(arguments: &ArgMatches, is_demo: bool) -> ExitCode {
    telemetry::start_log();
    let config = match gather(arguments, is_demo) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        match serve_until_stopped(config, is_demo).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        }
    })
}

async fn serve_until_stopped(mut config: ServerConfig, is_demo: bool) -> Result<(), StartError> {
    let began = std::time::Instant::now();
    if is_demo {
        check_ports(&config)?;
        let data_dir = config.data_dir.clone();
        make_private_folder(&data_dir)
            .map_err(|source| StartError::DataDir { path: data_dir.clone(), source })?;
        let folder = demo::write(&data_dir, config.scale)
            .await
            .map_err(|error| StartError::Demo(chain(&error)))?;
        config.paths = vec![folder.display().to_string()];
    }
    let handle = crate::start(config).await?;
    greet(&handle, is_demo, began.elapsed().as_secs_f64());
    wait_for_signal().await;
    say("\nstopping: no new connections, running queries have 5 s\n");
    let pending = handle.shutdown().await;
    for part in pending {
        say(&format!("still pending, cut off: {part}\n"));
    }
    say("stopped\n");
    Ok(())
}

/// Finds busy ports before the demo's data is written.
fn check_ports(config: &ServerConfig) -> Result<(), StartError> {
    for (address, flag) in [(config.pg, "pg"), (config.flight, "flight"), (config.http, "http")] {
        drop(Port::take(address, flag)?);
    }
    Ok(())
}

async fn wait_for_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    drop(tokio::signal::ctrl_c().await);
}

/// Prints how to connect.
fn greet(handle: &Handle, is_demo: bool, elapsed_s: f64) {
    let shared = handle.shared();
    let snapshot = shared.catalog.snapshot();
    let n_tables = snapshot.schema("public").map_or(0, |schema| schema.tables.len());
    let mut text = format!("\ntarn is ready after {elapsed_s:.1} s with {n_tables} tables\n\n");
    let password = if shared.config.auth == AuthMode::Trust { "" } else { ":PASSWORD" };
    if let Some(pg) = handle.pg_addr() {
        text.push_str(&format!("  psql    psql postgresql://tarn{password}@{pg}/tarn\n"));
        text.push_str(&format!("  shell   tarn sql postgres://tarn{password}@{pg}/tarn\n"));
        text.push_str(&format!("  JDBC    jdbc:postgresql://{pg}/tarn?user=tarn\n"));
    }
    if let Some(flight) = handle.flight_addr() {
        let scheme = if shared.config.tls.is_some() { "grpc+tls" } else { "grpc" };
        text.push_str(&format!(
            "  ADBC    adbc_driver_flightsql.dbapi.connect(\"{scheme}://{flight}\", db_kwargs={{\"username\": \"tarn\", \"password\": \"{}\"}})\n",
            password.trim_start_matches(':'),
        ));
        text.push_str(&format!(
            "  JDBC    jdbc:arrow-flight-sql://{flight}?useEncryption={}&user=tarn&password={}\n",
            shared.config.tls.is_some(),
            password.trim_start_matches(':')
        ));
    }
    if let Some(http) = handle.http_addr() {
        text.push_str(&format!("  page    http://{http}/\n"));
    }
    if let Some(password) = shared.users.generated_password() {
        let file = shared.config.data_dir.join(auth::PASSWORD_FILE);
        text.push_str(&format!(
            "\nThe password of role tarn is {password}\n(shown once; kept in {})\n",
            file.display()
        ));
    }
    if is_demo {
        text.push_str(SAMPLE_QUERIES);
    }
    for (place, error) in handle.broken() {
        text.push_str(&format!("\nskipped {place}: {}\n", chain(error)));
    }
    text.push_str("\nCtrl-C stops the server.\n");
    say(&text);
}

const SAMPLE_QUERIES: &str = "
Try:
  SELECT l_returnflag, count(*), sum(l_extendedprice) FROM lineitem GROUP BY 1 ORDER BY 1;
  SELECT n_name, count(*) FROM customer JOIN nation ON c_nationkey = n_nationkey GROUP BY 1 ORDER BY 2 DESC LIMIT 5;
  SELECT (SELECT count(*) FROM orders VERSION AS OF 1) AS before, (SELECT count(*) FROM orders) AS now;
";

fn check(arguments: &ArgMatches) -> ExitCode {
    let config = match gather(arguments, false) {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        let stores = ObjectStores::new(config.store_limits);
        let stores_fit = check_stores(&stores, &config.paths).await;
        let catalog_fits = log_commands::check(&stores, &config).await;
        let catalog = tarn_catalog::Catalog::new(crate::server::DATABASE, stores, config.paths);
        let broken = match catalog.rescan().await {
            Ok(broken) => broken,
            Err(error) => return fail(&error),
        };
        let snapshot = catalog.snapshot();
        for table in snapshot.schema("public").map(|s| s.tables.as_slice()).unwrap_or_default() {
            let comment = table.comment.as_deref().unwrap_or_default();
            say(&format!("ok      {}: {} columns, {comment}\n", table.name, table.columns.len()));
        }
        for (place, error) in &broken {
            say(&format!("broken  {place}: {}\n", chain(error)));
        }
        if broken.is_empty() && stores_fit && catalog_fits {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        }
    })
}

/// Says of each object store whether it answers and takes commits; false if one does not answer.
async fn check_stores(stores: &ObjectStores, paths: &[String]) -> bool {
    let mut fit = true;
    for path in paths.iter().filter(|path| path.contains("://") && !path.starts_with("file:")) {
        let text = match stores.check(path).await {
            Ok(check) => {
                let whose = check.storage.unwrap_or_else(|| "the environment's".to_owned());
                let writable = match check.writable {
                    Ok(()) => "commits can be written".to_owned(),
                    Err(reason) => format!("read only: {reason}"),
                };
                format!("store   {path}: {whose} credentials, {writable}\n")
            }
            Err(error) => {
                fit = false;
                format!("store   {path}: {}\n", chain(&error))
            }
        };
        say(&text);
    }
    fit
}

/// Writes to standard output; a reader that is gone is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()));
    drop(out.flush());
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut out = std::io::stderr().lock();
    drop(writeln!(out, "tarn: {}", chain(error)));
    ExitCode::from(1)
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}
