//! Tables in open formats: new ones below the data directory, new and existing ones anywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use tarn_catalog::delta::{Creation, DeltaTable, NewDeltaTable, NewFile, TableMetadata, is_delta};
use tarn_catalog::discovery::{Format, FoundTable, PRIVATE, make_private_folder};
use tarn_catalog::listing::{FileOptions, FileTable};
use tarn_catalog::object_store::Location;
use tarn_catalog::pg_type::{format_type, pg_type_of_column};
use tarn_catalog::registry::Object;
use tarn_catalog::{CatalogError, LakeTable, TableDetails, TableName, Travel};
use tarn_exec::QueryId;
use tarn_planner::statement::TableClauses;
use tarn_planner::{PlannerError, Statement, plan};
use uuid::Uuid;

use super::columns::Declared;
use super::fill::{self, NewRows};
use super::replace::{emptied, filled};
use super::tables::{NewTable, renamed};
use crate::changes::OnCommit;
use crate::error::{Error, Result};
use crate::garbage::MadeFolder;
use crate::query::unsupported;
use crate::session::Session;

/// The property that marks tables whose files go with them.
pub(crate) const MANAGED: &str = "tarn.managed";

/// Characters of a table's name that its folder repeats.
const FOLDER_NAME_CHARS_MAX: usize = 60;

/// Adds what the clauses of CREATE TABLE say to what the columns say.
pub(super) fn note_clauses(declared: &mut Declared, clauses: &TableClauses) -> Result<()> {
    if clauses.comment.is_some() {
        declared.details.comment.clone_from(&clauses.comment);
    }
    for (name, value) in &clauses.properties {
        refuse_own(name)?;
        declared.details.properties.insert(name.clone(), value.clone());
    }
    Ok(())
}

/// Properties that start with `tarn.` are the server's own.
pub(crate) fn refuse_own(name: &str) -> Result<()> {
    if name.starts_with("tarn.") {
        let reason = "names that start with tarn. are the server's own".to_owned();
        return Err(CatalogError::InvalidProperty { name: name.to_owned(), reason }.into());
    }
    Ok(())
}

/// Makes a table, or attaches one that is there.
pub(super) async fn create(
    session: &Arc<Session>,
    new: &NewTable<'_>,
    format: Format,
    declared: Declared,
) -> Result<()> {
    if format != Format::Delta {
        return attach_files(session, new, format, &declared).await;
    }
    refuse_options(new.clauses)?;
    if let Some(staged) = &new.replaces {
        if declared.fields.is_empty() {
            let message = "a Delta table needs at least one column".to_owned();
            return Err(Error::Value { code: "42P16", message });
        }
        let metadata = metadata_of(new.clauses, &declared.fields, declared.details)?;
        session.put_staged(&new.name, emptied(staged, metadata, Creation::Empty)?);
        return Ok(());
    }
    let place = place_of(session, new)?;
    if !place.managed && is_delta(place.location.store.as_ref(), &place.location.path).await? {
        return attach_delta(session, new, &place.location, &declared).await;
    }
    if declared.fields.is_empty() {
        return Err(Error::Value { code: "42P16", message: no_columns(&place) });
    }
    let metadata = metadata_of(new.clauses, &declared.fields, declared.details)?;
    place.check_empty(session).await?;
    let table = NewDeltaTable::new(new.name.table(), &place.location, metadata)?
        .with_managed(place.managed);
    let table = table.create(vec![], Creation::Empty).await?;
    // Not before: a table that somebody else has made there meanwhile must stay.
    session.note_made(place.made(session, vec![]));
    add(session, &new.name, table, place.managed).await
}

fn no_columns(place: &Place) -> String {
    match place.managed {
        true => "a Delta table needs at least one column".to_owned(),
        false => format!(
            "there is no Delta table at \"{}\", and no columns are given to make one",
            place.location.url
        ),
    }
}

/// The metadata of a new Delta table.
fn metadata_of(
    clauses: &TableClauses,
    fields: &[Field],
    mut details: TableDetails,
) -> Result<TableMetadata> {
    let vectors = "delta.enableDeletionVectors".to_owned();
    // Rows are deleted without writing files anew; every reader that is tested knows it.
    details.properties.entry(vectors).or_insert_with(|| "true".to_owned());
    let is_plain = clauses.using.is_none()
        && clauses.location.is_none()
        && clauses.partitioned_by.is_empty()
        && clauses.properties.is_empty();
    if is_plain {
        // Who asks for a table and no more expects that columns have any names and can be renamed
        // and dropped.
        let mapping = "delta.columnMapping.mode".to_owned();
        details.properties.entry(mapping).or_insert_with(|| "name".to_owned());
    }
    Ok(TableMetadata::create(fields, &details, clauses.partitioned_by.clone())?)
}

/// Where a new table goes.
struct Place {
    location: Location,
    managed: bool,
}

impl Place {
    /// Refuses a folder in which other files would be taken for the table's.
    async fn check_empty(&self, session: &Arc<Session>) -> Result<()> {
        if self.managed {
            return Ok(());
        }
        let stores = session.shared.catalog.stores();
        if !stores.is_empty(self.location.url.as_str()).await? {
            return Err(Error::Value {
                code: "42P16",
                message: format!("the location \"{}\" is not empty", self.location.url),
            });
        }
        if let Some(around) = self.table_around().await {
            return Err(Error::Value {
                code: "42P16",
                message: format!(
                    "the location \"{}\" is inside of the Delta table at \"{around}\"",
                    self.location.url
                ),
            });
        }
        Ok(())
    }

    /// The folder of a table in which this one would lie: programs that tidy it up would delete the
    /// files of both.
    async fn table_around(&self) -> Option<ObjectPath> {
        let parts: Vec<_> = self.location.path.parts().collect();
        for n in (0..parts.len()).rev() {
            let folder: ObjectPath = parts.iter().take(n).cloned().collect();
            match is_delta(self.location.store.as_ref(), &folder).await {
                Ok(true) => return Some(folder),
                Ok(false) => {}
                // Folders above may belong to others.
                Err(error) => tracing::debug!(%folder, %error, "not looked for a table"),
            }
        }
        None
    }

    /// What has to go if the transaction is rolled back.
    fn made(&self, session: &Arc<Session>, data_files: Vec<String>) -> Arc<MadeFolder> {
        let first = "_delta_log/00000000000000000000.json".to_owned();
        let files: Vec<String> = data_files.into_iter().chain([first]).collect();
        let files = (!self.managed).then_some(files);
        MadeFolder::new(&session.shared, self.location.url.as_str(), files)
    }
}

/// The folder of the server's own tables, marked so that no server takes them for found ones.
fn managed_folder(data_dir: &Path) -> Result<PathBuf> {
    let folder = data_dir.join("tables");
    let mark = folder.join(PRIVATE);
    if !mark.exists() {
        let made = make_private_folder(&folder).and_then(|()| std::fs::write(&mark, ""));
        made.map_err(|source| CatalogError::WriteStorage {
            what: format!("file {}", mark.display()),
            source: Box::new(source),
        })?;
    }
    Ok(folder)
}

fn place_of(session: &Arc<Session>, new: &NewTable<'_>) -> Result<Place> {
    let stores = session.shared.catalog.stores();
    if let Some(location) = &new.clauses.location {
        session.require_files(true)?;
        return Ok(Place { location: stores.resolve(location)?, managed: false });
    }
    let plain = |name: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        name.chars().take(FOLDER_NAME_CHARS_MAX).map(plain).collect()
    };
    let folder = format!("{}-{}", plain(new.name.table()), Uuid::new_v4());
    let database = plain(session.shared.catalog.database());
    let path = managed_folder(&session.shared.config.data_dir)?;
    let path = path.join(database).join(plain(new.name.schema())).join(folder);
    Ok(Place { location: stores.resolve(&path.display().to_string())?, managed: true })
}

/// Puts a table under its name.
async fn add(
    session: &Arc<Session>,
    name: &TableName,
    table: Arc<DeltaTable>,
    managed: bool,
) -> Result<()> {
    let table: Arc<dyn LakeTable> = table;
    let pinned = Arc::clone(&table).pin(Travel::Latest).await?;
    let mut details = table.details().map(|details| details.as_ref().clone()).unwrap_or_default();
    if managed {
        details.properties.insert(MANAGED.to_owned(), "true".to_owned());
    }
    let object = Object::lake(table, &pinned.provider.schema(), details);
    session.put(name, Some(object), OnCommit::Preserve);
    Ok(())
}

/// A Delta table that is there already.
async fn attach_delta(
    session: &Arc<Session>,
    new: &NewTable<'_>,
    location: &Location,
    declared: &Declared,
) -> Result<()> {
    let (store, store_url) = (Arc::clone(&location.store), location.store_url.clone());
    let (name, footers) = (new.name.table(), location.footers.clone());
    let table = DeltaTable::open(name, &location.url, store, store_url, footers).await?;
    let snapshot = table.snapshot(Travel::Latest).await?;
    let partitions = &new.clauses.partitioned_by;
    if !partitions.is_empty() && *partitions != snapshot.partition_columns() {
        let message = format!(
            "the table at \"{}\" is partitioned by ({})",
            location.url,
            snapshot.partition_columns().join(", ")
        );
        return Err(Error::Value { code: "42P16", message });
    }
    check_same(&declared.fields, &datafusion::catalog::TableProvider::schema(&*snapshot))?;
    let asked: BTreeMap<_, _> = new.clauses.properties.iter().cloned().collect();
    let there = snapshot.metadata().configuration();
    if let Some((name, _)) = asked.iter().find(|(name, value)| there.get(*name) != Some(value)) {
        let reason = "the table exists and does not have it; use ALTER TABLE".to_owned();
        return Err(CatalogError::InvalidProperty { name: name.clone(), reason }.into());
    }
    add(session, &new.name, table, false).await
}

/// Sees that columns that were declared for an existing table are the columns that it has.
fn check_same(declared: &[Field], found: &SchemaRef) -> Result<()> {
    if declared.is_empty() {
        return Ok(());
    }
    let shown = |field: &Field| {
        let pg_type = pg_type_of_column(field);
        format!("{} {}", field.name(), format_type(pg_type.oid, Some(pg_type.modifier)))
    };
    let wanted: Vec<String> = declared.iter().map(shown).collect();
    let there: Vec<String> = found.fields().iter().map(|field| shown(field)).collect();
    if wanted == there {
        return Ok(());
    }
    Err(Error::Value {
        code: "42P16",
        message: format!(
            "the columns ({}) are not those of the existing table ({})",
            wanted.join(", "),
            there.join(", ")
        ),
    })
}

/// A table of files that are there already.
async fn attach_files(
    session: &Arc<Session>,
    new: &NewTable<'_>,
    format: Format,
    declared: &Declared,
) -> Result<()> {
    let using = format.name();
    let Some(location) = &new.clauses.location else {
        return Err(PlannerError::Unsupported {
            what: format!("CREATE TABLE … USING {using} without LOCATION"),
            hint: Some(
                "Only Delta tables can be written: use USING delta, or give the LOCATION of files."
                    .to_owned(),
            ),
        }
        .into());
    };
    session.require_files(true)?;
    let options = FileOptions::of_pairs(format, &new.clauses.options)?;
    if !new.clauses.properties.is_empty() {
        return Err(unsupported(format!("TBLPROPERTIES of a table USING {using}")));
    }
    let stores = session.shared.catalog.stores();
    let resolved = stores.resolve(location)?;
    let single_file = match resolved.path.filename().and_then(Format::of_file) {
        // A file of any name will do when the statement says what is in it.
        None => resolved.store.head(&resolved.path).await.is_ok(),
        Some(_) => !resolved.local_path().is_some_and(|path| path.is_dir()),
    };
    let found = FoundTable {
        name: new.name.table().to_owned(),
        url: resolved.url.to_string(),
        format,
        single_file,
    };
    let table: Arc<dyn LakeTable> = FileTable::with_options(stores, &found, options)?;
    let pinned = Arc::clone(&table).pin(Travel::Latest).await?;
    let schema = pinned.provider.schema();
    check_same(&declared.fields, &schema)?;
    if !declared.details.checks.is_empty() {
        return Err(unsupported(format!("CHECK for a table USING {using}")));
    }
    let object = Object::lake(table, &schema, declared.details.clone());
    session.put(&new.name, Some(object), OnCommit::Preserve);
    Ok(())
}

/// OPTIONS: a Delta table has none, and none is dropped.
fn refuse_options(clauses: &TableClauses) -> Result<()> {
    FileOptions::of_pairs(Format::Delta, &clauses.options)?;
    Ok(())
}

/// CREATE TABLE … AS: one commit with the columns and the rows.
pub(super) async fn create_as(
    session: &Arc<Session>,
    inner: &Statement,
    new: &NewTable<'_>,
    format: Format,
    logical: LogicalPlan,
    names: &[String],
    query_id: QueryId,
) -> Result<u64> {
    if format != Format::Delta {
        return Err(unsupported(format!("CREATE TABLE … USING {} AS", format.name())));
    }
    refuse_options(new.clauses)?;
    let state = session.state();
    let optimized = plan::optimize(&logical, &state, inner)?;
    let schema = renamed(optimized.schema().as_arrow(), names, "CREATE TABLE AS")?;
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut declared = Declared { fields, ..Declared::default() };
    note_clauses(&mut declared, new.clauses)?;
    let metadata = metadata_of(new.clauses, &declared.fields, declared.details)?;
    let physical = plan::physical_plan(&optimized, &state, inner).await?;
    let physical = fill::spread(physical, new.clauses, session.shared.engine.n_threads())?;
    if let Some(staged) = &new.replaces {
        let staged = emptied(staged, metadata, Creation::AsSelect)?;
        let sink = Arc::new(NewRows::new(staged.snapshot().write_target()?, schema));
        fill::run(session, physical, &state, Arc::clone(&sink) as _, query_id).await?;
        let (files, n_rows) = sink.take();
        session.put_staged(&new.name, filled(&staged, files)?);
        return Ok(n_rows);
    }
    let place = place_of(session, new)?;
    place.check_empty(session).await?;
    let made = place.managed.then(|| place.made(session, vec![]));
    let table = NewDeltaTable::new(new.name.table(), &place.location, metadata)?
        .with_managed(place.managed);
    let sink = Arc::new(NewRows::new(Arc::clone(table.write_target()), schema));
    fill::run(session, physical, &state, Arc::clone(&sink) as _, query_id).await?;
    let (files, n_rows) = sink.take();
    let names = files.iter().map(NewFile::name).collect();
    let table = table.create(files, Creation::AsSelect).await?;
    session.note_made(made.unwrap_or_else(|| place.made(session, names)));
    add(session, &new.name, table, place.managed).await?;
    Ok(n_rows)
}
