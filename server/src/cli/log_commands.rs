//! `tarn catalog copy`, and what `tarn check` says of the catalog's log.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use tarn_catalog::log::{self, CatalogLog, RelationKind, SecretKey};
use tarn_catalog::object_store::ObjectStores;
use tarn_catalog::{Catalog, CatalogError, Result, TableName, Travel};

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
    let mut text =
        format!("copied records 1 to {version} from {} to {}\n", from.place(), to.place());
    let (state, _) = log::load(to.as_ref(), DATABASE).await?;
    if state.storages.values().any(|storage| storage.secrets.is_some()) {
        text.push_str(
            "its credentials are encrypted: servers of the copy need the same secret key\n",
        );
    }
    Ok(text)
}

/// Reads every record of the catalog and opens its tables; returns whether all is well.
pub(super) async fn check(stores: &ObjectStores, config: &ServerConfig) -> bool {
    let folder = config.data_dir.join("catalog").display().to_string();
    let place = config.catalog.as_ref().unwrap_or(&folder);
    let opened = match log::open_existing(stores, place) {
        Ok(opened) => opened,
        Err(CatalogError::PathNotFound { .. }) => {
            say("catalog none yet\n");
            return true;
        }
        Err(error) => return broken(&format!("catalog: {}", chain(&error))),
    };
    let report = match log::check(opened.as_ref(), DATABASE).await {
        Ok(report) => report,
        Err(error) => return broken(&format!("catalog: {}", chain(&error))),
    };
    let (n_records, n_objects) = (report.n_records, report.n_objects);
    let checkpoint = match report.checkpoint {
        Some(version) => format!("checkpoint {version}"),
        None => "no checkpoint".to_owned(),
    };
    say(&format!("catalog {n_records} records, {checkpoint}, {n_objects} objects\n"));
    for open in &report.open {
        say(&format!(
            "open    catalog: {open}: start a server of this catalog, or read one of them, and it \
             is completed\n"
        ));
    }
    for fault in &report.faults {
        broken(&format!("catalog: {fault}"));
    }
    let tables_fit = match report.is_usable {
        true => check_tables(stores, config, opened).await,
        false => broken("catalog: its tables are not looked at before the log is whole"),
    };
    report.faults.is_empty() && tables_fit
}

/// Says what is wrong; false.
fn broken(what: &str) -> bool {
    say(&format!("broken  {what}\n"));
    false
}

/// Opens the tables of all databases; false if one of them cannot be opened.
async fn check_tables(
    stores: &ObjectStores,
    config: &ServerConfig,
    opened: Arc<dyn CatalogLog>,
) -> bool {
    let key = match secret_key(config) {
        Ok(key) => key,
        Err(error) => return broken(&format!("catalog: {}: {KEY_HINT}", chain(&error))),
    };
    let catalog = match Catalog::open(DATABASE, stores.clone(), vec![], opened, key).await {
        Ok(catalog) => catalog,
        Err(error @ CatalogError::SecretKey { .. }) => {
            return broken(&format!("catalog: {}: {KEY_HINT}", chain(&error)));
        }
        Err(error) => return broken(&format!("catalog: {}", chain(&error))),
    };
    let names: Vec<String> =
        catalog.with_definitions(|all| all.databases.keys().cloned().collect());
    let mut fits = true;
    for database in names {
        let beside = match catalog.beside(&database).await {
            Ok(beside) => beside,
            Err(error) => {
                fits = broken(&format!("database {database}: {}", chain(&error)));
                continue;
            }
        };
        for name in tables_of(&beside, &database) {
            if let Err(error) = beside.pin(&name, Travel::Latest).await {
                fits = broken(&format!(
                    "table {database}.{name}: {}: put its files back, or DROP TABLE {name}",
                    chain(&error)
                ));
            }
        }
    }
    fits
}

/// What to do where credentials cannot be read.
const KEY_HINT: &str = "set TARN_SECRET_KEY, or put the file secret-key of the servers of this \
                        catalog into the data directory";

/// The key of the credentials; nothing is made where there is none.
fn secret_key(config: &ServerConfig) -> Result<Option<SecretKey>> {
    match &config.secret_key {
        Some(text) => SecretKey::parse(&text.0).map(Some),
        None if config.data_dir.join(log::KEY_FILE).exists() => {
            SecretKey::open(&config.data_dir).map(Some)
        }
        None => Ok(None),
    }
}

fn tables_of(catalog: &Catalog, database: &str) -> Vec<TableName> {
    catalog.with_definitions(|all| {
        let known = all.databases.get(database).into_iter();
        let relations = known.flat_map(|database| database.relations());
        let tables = relations.filter(|(_, _, relation)| match relation.kind {
            RelationKind::Table { .. } => true,
            RelationKind::View { .. } => false,
        });
        tables.map(|(schema, name, _)| TableName::new(schema, name)).collect()
    })
}
