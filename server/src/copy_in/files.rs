//! COPY … FROM 'place': files of the server's folders and of object stores.

use std::path::Path as FilePath;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use tarn_catalog::discovery::{Format, FoundTable};
use tarn_catalog::listing::{FileTable, unpacked};
use tarn_catalog::object_store::Location;
use tarn_catalog::pg_type::pg_type_of;
use tarn_catalog::rights::Privilege;
use tarn_catalog::{CatalogError, LakeTable, Travel};
use tarn_exec::QueryId;
use tarn_planner::statement::{Copy, CopyFile, CopyFormat, FileKind};
use tarn_planner::write::Target;

use super::{CopyIn, Incoming, prepare};
use crate::error::{Error, Result};
use crate::modify::{ColumnValue, Source, WriteTable, insert_rows, quoted};
use crate::pg::rows::EncodeSettings;
use crate::query::{CommandTag, unsupported};
use crate::session::Session;

/// Bytes of one request to a store.
const N_BYTES_PER_READ: u64 = 8 << 20;
/// Requests that are under way.
const N_READS_MAX: usize = 3;

/// Copies files into a table.
pub(crate) async fn run(session: &Arc<Session>, copy: &Copy) -> Result<CommandTag> {
    let Some(file) = &copy.file else {
        return Err(Error::Internal { what: "COPY FROM without a file".to_owned() });
    };
    session.require_files(false)?;
    let location = session.shared.catalog.stores().resolve(&file.place)?;
    check_place(session, &location, file)?;
    let n_rows = match file.kind {
        FileKind::Lines => copy_lines(session, copy, &location).await?,
        FileKind::Parquet => copy_parquet(session, copy, &location).await?,
        FileKind::Json => copy_objects(session, copy, &location).await?,
    };
    Ok(CommandTag::with_rows("COPY", n_rows))
}

/// Files of the server's machine are read below the folders that it serves only.
fn check_place(session: &Arc<Session>, location: &Location, file: &CopyFile) -> Result<()> {
    let Some(path) = location.local_path() else { return Ok(()) };
    let refused = || Error::Value {
        code: "42501",
        message: format!(
            "permission denied to COPY from \"{}\": it is not below a folder that is served",
            file.place
        ),
    };
    // Links must not lead out of the folders.
    let found = match path.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let is_below = |root: &FilePath| path.starts_with(root);
            let dots = path.components().any(|part| part.as_os_str() == "..");
            let known = !dots && folders(session).iter().any(|root| is_below(root));
            return if known { Err(missing(file)) } else { Err(refused()) };
        }
        Err(_) => return Err(refused()),
    };
    let is_below = folders(session).iter().any(|root| found.starts_with(root));
    if is_below { Ok(()) } else { Err(refused()) }
}

fn missing(file: &CopyFile) -> Error {
    let message =
        format!("could not open file \"{}\" for reading: No such file or directory", file.place);
    Error::Value { code: "58P01", message }
}

/// The folders that the server serves.
fn folders(session: &Arc<Session>) -> Vec<std::path::PathBuf> {
    let catalog = &session.shared.catalog;
    let roots = catalog.roots().iter().filter_map(|root| {
        let location = catalog.stores().resolve(root).ok()?;
        location.local_path()?.canonicalize().ok()
    });
    roots.collect()
}

async fn copy_lines(session: &Arc<Session>, copy: &Copy, location: &Location) -> Result<u64> {
    if copy.options.format == CopyFormat::Binary {
        return Err(unsupported("COPY of a binary file"));
    }
    let name = location.path.as_ref().to_ascii_lowercase();
    if [".gz", ".zst", ".bz2", ".xz"].iter().any(|end| name.ends_with(end)) {
        return Err(unsupported("COPY of compressed lines"));
    }
    let target: CopyIn = prepare(session, copy).await?;
    let settings = EncodeSettings::of(|name| session.setting(name).unwrap_or_default());
    let mut incoming = target.start(settings.times.zone);
    match push_object(location, &mut incoming).boxed().await {
        Ok(()) => incoming.finish().await,
        Err(error) => {
            incoming.stop().await;
            Err(error)
        }
    }
}

/// Reads an object from its beginning to its end.
async fn push_object(location: &Location, incoming: &mut Incoming) -> Result<()> {
    let failed = |source: object_store::Error| -> Error {
        CatalogError::Storage { what: location.url.to_string(), source: Box::new(source) }.into()
    };
    let n_bytes = location.store.head(&location.path).await.map_err(failed)?.size;
    let step = usize::try_from(N_BYTES_PER_READ).unwrap_or(usize::MAX);
    let starts = (0..n_bytes).step_by(step);
    let reads = starts.map(|start| {
        let (store, path) = (Arc::clone(&location.store), location.path.clone());
        let range = start..(start + N_BYTES_PER_READ).min(n_bytes);
        async move { store.get_range(&path, range).await }.boxed()
    });
    let mut pieces = futures::stream::iter(reads).buffered(N_READS_MAX);
    while let Some(piece) = pieces.try_next().await.map_err(failed)? {
        let piece: Bytes = piece;
        incoming.push(&piece).await?;
    }
    Ok(())
}

/// Reads JSON by the columns of the table.
async fn copy_objects(session: &Arc<Session>, copy: &Copy, location: &Location) -> Result<u64> {
    if location.local_path().is_some_and(|path| path.is_dir()) {
        return Err(unsupported("COPY of a folder of JSON files"));
    }
    let target: CopyIn = prepare(session, copy).await?;
    let settings = EncodeSettings::of(|name| session.setting(name).unwrap_or_default());
    let mut incoming = target.start(settings.times.zone);
    match push_unpacked(location, &mut incoming).boxed().await {
        Ok(()) => incoming.finish().await,
        Err(error) => {
            incoming.stop().await;
            Err(error)
        }
    }
}

/// Reads an object from its beginning to its end, decompressed as its name says.
async fn push_unpacked(location: &Location, incoming: &mut Incoming) -> Result<()> {
    let mut pieces = unpacked(location).await?;
    while let Some(piece) = pieces.try_next().await? {
        incoming.push(&piece).await?;
    }
    Ok(())
}

/// Files whose columns have names.
async fn copy_parquet(session: &Arc<Session>, copy: &Copy, location: &Location) -> Result<u64> {
    let Some(target) = &copy.table else { return Ok(0) };
    let format = Format::Parquet;
    let url = location.url.to_string();
    let single_file = Format::of_file(location.path.filename().unwrap_or_default()).is_some();
    let found = FoundTable { name: target.table.clone(), url, format, single_file };
    let table = FileTable::new(session.shared.catalog.stores(), &found)?;
    let rows = (table as Arc<dyn LakeTable>).pin(Travel::Latest).await?.provider;
    let values = texts_of_bytes(session, target, &rows.schema()).await?;
    let (columns, condition) = (copy.columns.clone(), copy.condition.clone());
    let source = Source { rows, columns, values, condition };
    insert_rows(session, target, source, QueryId::next()).await
}

/// Bytes for columns of text: Impala and old versions of Spark write texts without a word of it.
async fn texts_of_bytes(
    session: &Arc<Session>,
    target: &Target,
    found: &Schema,
) -> Result<Vec<ColumnValue>> {
    let table = WriteTable::find(session, target, &[Privilege::Insert]).await?;
    let is_text = |field: &Field| matches!(pg_type_of(field).oid, 25 | 1042 | 1043);
    let is_bytes = |field: &Field| pg_type_of(field).oid == 17;
    let columns = found.fields().iter().filter(|field| {
        is_bytes(field) && table.schema.field_with_name(field.name()).is_ok_and(is_text)
    });
    let values = columns.map(|field| {
        let value = format!("convert_from({}, 'UTF8')", quoted(field.name()));
        ColumnValue { column: field.name().clone(), value }
    });
    Ok(values.collect())
}
