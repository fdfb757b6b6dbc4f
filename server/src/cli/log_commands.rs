//! `tarn catalog copy`, and what `tarn check` says of the catalog's log.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use tarn_catalog::log;
use tarn_catalog::object_store::ObjectStores;
use tarn_catalog::{CatalogError, Result};

use super::{chain, fail, runtime, say};
use crate::config::ServerConfig;
use crate::server::DATABASE;

/// The subcommand and its arguments.
pub(super) fn command() -> Command {
    let place = |name: &'static str, help: &'static str| {
        Arg::new(name).value_name(name).required(true).help(help)
    };
    Command::new("catalog")
        .about("Works on a catalog's log")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("copy")
                .about("Copies all records to an empty place, or goes on with an earlier copy")
                .arg(place("FROM", "A folder, s3://… or postgres://… that holds a catalog"))
                .arg(place("TO", "The place to copy it to")),
        )
}

/// Runs the subcommand.
pub(super) fn run(arguments: &ArgMatches) -> ExitCode {
    let Some(("copy", arguments)) = arguments.subcommand() else { return ExitCode::from(2) };
    let place = |name: &str| arguments.get_one::<String>(name).cloned().unwrap_or_default();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(copy(&place("FROM"), &place("TO"))) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

async fn copy(from: &str, to: &str) -> Result<String> {
    let stores = ObjectStores::default();
    let from = log::open_existing(&stores, from)?;
    let to = log::open(&stores, to).await?;
    let version = log::copy(from.as_ref(), to.as_ref(), DATABASE).await?;
    Ok(format!("copied records 1 to {version} from {} to {}\n", from.place(), to.place()))
}

/// Reads every record of the catalog; returns whether all is well.
pub(super) async fn check(stores: &ObjectStores, config: &ServerConfig) -> bool {
    let folder = config.data_dir.join("catalog").display().to_string();
    let place = config.catalog.as_ref().unwrap_or(&folder);
    let report = match log::open_existing(stores, place) {
        Ok(opened) => log::check(opened.as_ref(), DATABASE).await,
        Err(CatalogError::PathNotFound { .. }) => {
            say("catalog none yet\n");
            return true;
        }
        Err(error) => Err(error),
    };
    match report {
        Ok(report) => {
            let (n_records, n_objects) = (report.n_records, report.n_objects);
            let checkpoint = match report.checkpoint {
                Some(version) => format!("checkpoint {version}"),
                None => "no checkpoint".to_owned(),
            };
            say(&format!("catalog {n_records} records, {checkpoint}, {n_objects} objects\n"));
            for open in &report.open {
                say(&format!(
                    "open    catalog: {open}: start a server of this catalog, or read one of \
                     them, and it is completed\n"
                ));
            }
            for fault in &report.faults {
                say(&format!("broken  catalog: {fault}\n"));
            }
            report.faults.is_empty()
        }
        Err(error) => {
            say(&format!("broken  catalog: {}\n", chain(&error)));
            false
        }
    }
}
