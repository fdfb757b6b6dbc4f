//! CREATE, ALTER and DROP STORAGE: credentials for the URLs that begin with a scope.
//!
//! They are committed at once, outside of transactions: a store that is open already cannot be
//! rolled back.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::log::{Entry, StorageDef};
use tarn_catalog::object_store::Storage;
use tarn_catalog::registry::{Change, Expect};
use tarn_planner::statement::{NewStorage, StorageChange};

use crate::error::{Error, Result};
use crate::query::CommandTag;
use crate::session::Session;

/// Options that say nothing secret and are kept as they are.
const PLAIN: [&str; 14] = [
    "account_name",
    "allow_http",
    "base_url",
    "bucket",
    "connect_timeout",
    "container_name",
    "default_region",
    "endpoint",
    "from_environment",
    "region",
    "skip_signature",
    "timeout",
    "use_emulator",
    "virtual_hosted_style_request",
];

/// CREATE STORAGE.
pub(super) async fn create(session: &Arc<Session>, new: &NewStorage) -> Result<CommandTag> {
    refuse_in_block(session, "CREATE STORAGE")?;
    check_kind(&new.kind, &new.scope)?;
    let known = definition(session, &new.name).is_some();
    if known && !new.or_replace {
        let message = format!("storage \"{}\" already exists", new.name);
        if new.if_not_exists {
            session.notice("NOTICE", "42710", format!("{message}, skipping"));
            return Ok(CommandTag::new("CREATE STORAGE"));
        }
        return Err(Error::Value { code: "42710", message });
    }
    let options = new.options.iter().cloned().collect();
    put(session, &new.name, &new.scope, options, Expect::Any).await?;
    Ok(CommandTag::new("CREATE STORAGE"))
}

/// ALTER STORAGE.
pub(super) async fn alter(session: &Arc<Session>, change: &StorageChange) -> Result<CommandTag> {
    refuse_in_block(session, "ALTER STORAGE")?;
    let Some(definition) = definition(session, &change.name) else {
        return Err(missing(&change.name));
    };
    let stores = session.shared.catalog.stores();
    let open = stores.storages().into_iter().find(|storage| storage.name() == change.name);
    let mut options = open.map(|storage| storage.options().clone()).unwrap_or_default();
    for (name, value) in &change.options {
        let name = name.to_ascii_lowercase();
        match value {
            Some(value) => drop(options.insert(name, value.clone())),
            None => drop(options.remove(&name)),
        }
    }
    let scope = change.scope.as_ref().unwrap_or(&definition.prefix);
    let name = change.rename_to.as_ref().unwrap_or(&change.name);
    if *name == change.name {
        put(session, name, scope, options, Expect::Known).await?;
    } else {
        put(session, name, scope, options, Expect::New).await?;
        remove_one(session, &change.name).await?;
    }
    Ok(CommandTag::new("ALTER STORAGE"))
}

/// DROP STORAGE.
pub(super) async fn remove(
    session: &Arc<Session>,
    names: &[String],
    if_exists: bool,
) -> Result<CommandTag> {
    refuse_in_block(session, "DROP STORAGE")?;
    for name in names {
        if definition(session, name).is_some() {
            remove_one(session, name).await?;
        } else if if_exists {
            let message = format!("storage \"{name}\" does not exist, skipping");
            session.notice("NOTICE", "00000", message);
        } else {
            return Err(missing(name));
        }
    }
    Ok(CommandTag::new("DROP STORAGE"))
}

fn definition(session: &Arc<Session>, name: &str) -> Option<StorageDef> {
    session.shared.catalog.with_definitions(|all| all.storages.get(name).cloned())
}

fn missing(name: &str) -> Error {
    Error::Value { code: "42704", message: format!("storage \"{name}\" does not exist") }
}

/// Credentials are for superusers, outside of transactions.
fn refuse_in_block(session: &Arc<Session>, what: &str) -> Result<()> {
    session.require_superuser(&format!("permission denied to {}", what.to_lowercase()))?;
    if session.in_block() {
        let message = format!("{what} cannot run inside a transaction block");
        return Err(Error::Value { code: "25001", message });
    }
    Ok(())
}

async fn put(
    session: &Arc<Session>,
    name: &str,
    scope: &str,
    options: BTreeMap<String, String>,
    expect: Expect,
) -> Result<()> {
    // Checks the scope and the names of the options, which its messages repeat; never the values.
    let storage = Storage::try_new(name, scope, options)?;
    let is_plain = |option: &str| {
        let bare = ["aws_", "google_", "azure_"].iter().find_map(|p| option.strip_prefix(p));
        PLAIN.contains(&bare.unwrap_or(option))
    };
    let (plain, secrets): (BTreeMap<_, _>, BTreeMap<_, _>) =
        storage.options().clone().into_iter().partition(|(option, _)| is_plain(option));
    let catalog = &session.shared.catalog;
    let sealed = match secrets.is_empty() {
        true => None,
        false => Some(catalog.seal(name, &secrets)?),
    };
    let before = definition(session, name);
    let storage = StorageDef {
        oid: before.as_ref().map_or(0, |before| before.oid),
        prefix: scope.to_owned(),
        options: plain,
        secrets: sealed,
        comment: before.and_then(|before| before.comment),
    };
    let entry = Entry::PutStorage { name: name.to_owned(), storage };
    Ok(catalog.commit(vec![Change::Define { entry, expect }]).await?)
}

async fn remove_one(session: &Arc<Session>, name: &str) -> Result<()> {
    let entry = Entry::DropStorage { name: name.to_owned() };
    let change = Change::Define { entry, expect: Expect::Known };
    Ok(session.shared.catalog.commit(vec![change]).await?)
}

/// Sees that the type is that of the scope's URLs.
fn check_kind(kind: &str, scope: &str) -> Result<()> {
    let schemes: &[&str] = match kind {
        "s3" => &["s3", "s3a"],
        "gcs" => &["gs"],
        "azure" => &["az", "azure", "adl", "abfs", "abfss"],
        "http" => &["http", "https"],
        other => {
            let message = format!(
                "storage type \"{other}\" does not exist; there are s3, gcs, azure and http"
            );
            return Err(Error::Value { code: "42704", message });
        }
    };
    match scope.split_once("://") {
        Some((scheme, _)) if schemes.contains(&scheme) => Ok(()),
        _ => Err(Error::Value {
            code: "22023",
            message: format!(
                "the scope of a storage of type {kind} begins with {}",
                schemes.iter().map(|s| format!("{s}://")).collect::<Vec<_>>().join(" or ")
            ),
        }),
    }
}
