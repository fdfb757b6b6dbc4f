//! A catalog that was damaged: `tarn check` says what is wrong and what to do about it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use tarn_catalog::log::{self, Definitions, Entry, SchemaDef};

use super::places::{Driver, Place, Places};
use super::start;

/// What is done to a catalog of 80 records with a checkpoint of record 80.
#[derive(Debug, Clone, Copy)]
enum Damage {
    MissingBefore,
    MissingBehind,
    CutOff,
    Changed,
    Swapped,
    Unknown,
    SameNumber,
    NoOwner,
    CheckpointCut,
    CheckpointLies,
    PointerAstray,
    NoFolder,
    OtherKey,
}

use Damage::*;

/// Each damage, a word of what is said of it, and one of the next step.
const DAMAGES: [(Damage, &str, &str); 13] = [
    (MissingBefore, "record 5 is missing", "backup"),
    (MissingBehind, "record 81 is missing", "backup"),
    (CutOff, "record 82", "backup"),
    (Changed, "checksum", "backup"),
    (Swapped, "it says that it is number", "backup"),
    (Unknown, "put_function", "not older"),
    (SameNumber, "have the same number", "make it anew"),
    (NoOwner, "which is gone", "OWNER TO"),
    (CheckpointCut, "checkpoint", "remove it"),
    (CheckpointLies, "says something else", "remove it"),
    (PointerAstray, "checkpoint 999 is missing", "remove it"),
    (NoFolder, "table tarn.kept", "DROP TABLE"),
    (OtherKey, "key", "TARN_SECRET_KEY"),
];

/// A catalog with all kinds of things in it, and how many records it has; a server makes it in the
/// folder `first`.
async fn filled(data_dir: &Path, first: &Place, place: &Place) -> Result<u64> {
    let server = start(data_dir, Some(&first.url)).await?;
    let client = server.connect().await?;
    for sql in [
        "CREATE TABLE kept (a int) USING delta; INSERT INTO kept VALUES (1); CREATE ROLE ann",
        "CREATE STORAGE far TYPE s3 SCOPE 's3://far' \
         OPTIONS (access_key_id 'k', secret_access_key 's', region 'eu-central-1')",
    ] {
        client.batch_execute(sql).await?;
    }
    drop(client);
    server.stop().await;
    if first.url != place.url {
        place.copy_from(first).await?;
    }
    let log = place.log().await?;
    let (state, _) = log::load(log.as_ref(), "tarn").await?;
    for version in state.version + 1..=84 {
        let oid = 20_000 + u32::try_from(version)?;
        let schema = SchemaDef { oid, ..SchemaDef::default() };
        append(place, version, &[schema_entry(&format!("s{version}"), schema)]).await?;
        if version == 80 {
            checkpoint(place, version, |_| {}).await?;
        }
    }
    Ok(84)
}

fn schema_entry(name: &str, schema: SchemaDef) -> Entry {
    Entry::PutSchema { database: "tarn".to_owned(), name: name.to_owned(), schema }
}

async fn append(place: &Place, version: u64, entries: &[Entry]) -> Result<()> {
    place.put(version, false, &log::encode(version, entries)?).await
}

async fn checkpoint(
    place: &Place,
    version: u64,
    change: impl FnOnce(&mut Definitions),
) -> Result<()> {
    let log = place.log().await?;
    let mut state = Definitions::new("tarn");
    for record in log.tail(1).await?.into_iter().filter(|record| record.version <= version) {
        log::replay(log.place(), &mut state, &record)?;
    }
    change(&mut state);
    log.checkpoint(version, log::encode_checkpoint(version, &state.to_entries())?).await?;
    Ok(())
}

async fn text_of(place: &Place, version: u64) -> Result<String> {
    let records = place.log().await?.tail(version).await?;
    let record = records.first().context("no such record")?;
    Ok(String::from_utf8(record.bytes.to_vec())?)
}

/// Does it; false where the place has nothing of the kind.
async fn damage(what: Damage, place: &Place, last: u64, data_dir: &Path) -> Result<bool> {
    match what {
        MissingBefore => place.remove(5, false).await?,
        MissingBehind => place.remove(81, false).await?,
        CutOff => {
            let text = text_of(place, 82).await?;
            let half = text.get(..text.len() / 2).context("half")?;
            place.put(82, false, half.as_bytes()).await?;
        }
        Changed => {
            let text = text_of(place, 82).await?.replace("\"s82\"", "\"S82\"");
            place.put(82, false, text.as_bytes()).await?;
        }
        Swapped => {
            let text = text_of(place, 83).await?;
            place.put(82, false, text.as_bytes()).await?;
        }
        Unknown => {
            let next = last + 1;
            let text = format!(
                "{{\"tarn_catalog\":1,\"version\":{next},\"n_entries\":1}}\n{{\"put_function\":{{}}}}\n"
            );
            place.put(next, false, text.as_bytes()).await?;
        }
        SameNumber => {
            let schema = SchemaDef { oid: 20_082, ..SchemaDef::default() };
            append(place, last + 1, &[schema_entry("twin", schema)]).await?;
        }
        NoOwner => {
            let owner = Some("ghost".to_owned());
            let schema = SchemaDef { oid: 30_000, owner, ..SchemaDef::default() };
            append(place, last + 1, &[schema_entry("haunted", schema)]).await?;
        }
        CheckpointCut => place.put(80, true, b"{\"tarn_catalog\":1,").await?,
        CheckpointLies => {
            place.remove(80, true).await?;
            checkpoint(place, 80, |state| {
                state.roles.remove("ann");
            })
            .await?;
        }
        PointerAstray => return place.point_at("999").await,
        NoFolder => {
            let tables = data_dir.join("tables/tarn/public");
            for entry in std::fs::read_dir(&tables)? {
                let path = entry?.path();
                if path.display().to_string().contains("kept") {
                    std::fs::remove_dir_all(path)?;
                }
            }
        }
        OtherKey => {
            let path = data_dir.join(log::KEY_FILE);
            std::fs::write(path, "ab".repeat(32))?;
        }
    }
    Ok(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_is_named_with_a_next_step() -> Result<()> {
    let places = Places::start().await?;
    for driver in places.drivers() {
        for (at, (what, said, next)) in DAMAGES.into_iter().enumerate() {
            // Damage inside of a record is the same wherever records are.
            if driver != Driver::Folder && matches!(what, Swapped | NoOwner | NoFolder | OtherKey) {
                continue;
            }
            let data_dir = tempfile::tempdir()?;
            let place = places.place(driver, &format!("damage_{at}")).await?;
            let first = match driver {
                Driver::Folder => None,
                _ => Some(places.place(Driver::Folder, &format!("{driver:?}_{at}")).await?),
            };
            let first = first.as_ref().unwrap_or(&place);
            let last = filled(data_dir.path(), first, &place).await?;
            let Some((code, out)) = place.check(data_dir.path()).await? else { return Ok(()) };
            ensure!(code == Some(0) && !out.contains("broken"), "{driver:?}: {code:?}: {out}");
            if !damage(what, &place, last, data_dir.path()).await? {
                continue;
            }
            let Some((code, out)) = place.check(data_dir.path()).await? else { return Ok(()) };
            let line = out.lines().find(|line| line.starts_with("broken") && line.contains(said));
            let line = line.with_context(|| format!("{driver:?}, {what:?}: {code:?}: {out}"))?;
            ensure!(line.contains(next), "{driver:?}, {what:?}: no next step: {line}");
            ensure!(code == Some(1), "{driver:?}, {what:?}: {code:?}: {out}");
        }
    }
    Ok(())
}
