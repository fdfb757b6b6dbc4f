//! The local file system with files that are on disk when a put returns.
//!
//! `LocalFileSystem` never syncs: after a power cut a commit that was acknowledged could be gone, or
//! be there without its bytes. Here the bytes are synced before the file gets its name, and the
//! folder afterwards.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::time::SystemTime;

use ::object_store::local::LocalFileSystem;
use ::object_store::path::Path;
use ::object_store::{
    Attributes, CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload,
    ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, RenameOptions, Result as StoreResult, UploadPart,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use uuid::Uuid;

/// Name of the store in errors.
const STORE: &str = "LocalFileSystem";

/// The local file system; puts are synced if asked for.
#[derive(Debug)]
pub(super) struct DurableFileSystem {
    inner: LocalFileSystem,
    fsync: bool,
}

impl DurableFileSystem {
    pub(super) fn new(fsync: bool) -> Self {
        Self { inner: LocalFileSystem::new(), fsync }
    }
}

impl DurableFileSystem {
    /// What the file system says about a file, asked for on this thread.
    ///
    /// Each statement asks twice for each table whether it is still the newest. The answer takes two
    /// microseconds; to have another thread ask takes fifty.
    fn head_here(&self, location: &Path) -> StoreResult<GetResult> {
        let path = self.inner.path_to_filesystem(location)?;
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(failed(&path, ErrorKind::NotFound.into()));
            }
            Ok(metadata) => metadata,
            Err(error) => return Err(failed(&path, error)),
        };
        let modified = metadata.modified().map_err(|error| failed(&path, error))?;
        let size = metadata.len();
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: modified.into(),
            size,
            e_tag: Some(entity_tag(&metadata, modified)),
            version: None,
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::empty().boxed()),
            attributes: Attributes::default(),
            range: 0..size,
            meta,
        })
    }
}

/// Whether only the metadata is asked for, and without a condition.
fn is_plain_head(options: &GetOptions) -> bool {
    options.head
        && options.range.is_none()
        && options.version.is_none()
        && options.if_match.is_none()
        && options.if_none_match.is_none()
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
}

/// The tag that `LocalFileSystem` gives in lists and reads, with which it is compared.
fn entity_tag(metadata: &std::fs::Metadata, modified: SystemTime) -> String {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0_u64;
    let since_epoch = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{inode:x}-{:x}-{:x}", since_epoch.as_micros(), metadata.len())
}

impl fmt::Display for DurableFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for DurableFileSystem {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        let plain = opts.attributes.is_empty() && !matches!(opts.mode, PutMode::Update(_));
        if !self.fsync || !plain {
            return self.inner.put_opts(location, payload, opts).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        let create = opts.mode == PutMode::Create;
        let put = tokio::task::spawn_blocking(move || put_synced(&path, &payload, create));
        put.await??;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        if !self.fsync {
            return Ok(upload);
        }
        let path = self.inner.path_to_filesystem(location)?;
        Ok(Box::new(SyncedUpload { upload, path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        if is_plain_head(&options) {
            return self.head_here(location);
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> StoreResult<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// A file in parts that is synced when it is complete.
#[derive(Debug)]
struct SyncedUpload {
    upload: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait::async_trait]
impl MultipartUpload for SyncedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> StoreResult<PutResult> {
        let done = self.upload.complete().await?;
        let path = self.path.clone();
        let sync = tokio::task::spawn_blocking(move || {
            File::open(&path).and_then(|file| file.sync_all()).map_err(|e| failed(&path, e))?;
            sync_folder(&path)
        });
        sync.await??;
        Ok(done)
    }

    async fn abort(&mut self) -> StoreResult<()> {
        self.upload.abort().await
    }
}

/// Writes, syncs and only then names a file; `create` fails where the name is taken.
fn put_synced(path: &FilePath, payload: &PutPayload, create: bool) -> StoreResult<()> {
    let (mut file, staged) = stage(path)?;
    let written = payload
        .iter()
        .try_for_each(|bytes| file.write_all(bytes))
        .and_then(|()| file.sync_all())
        .and_then(|()| {
            if create { std::fs::hard_link(&staged, path) } else { std::fs::rename(&staged, path) }
        });
    if create || written.is_err() {
        // Listings do not show what is left of a staged file, so that it cannot go is no error.
        drop(std::fs::remove_file(&staged));
    }
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            StoreError::AlreadyExists { path: path.display().to_string(), source: Box::new(error) }
        }
        _ => failed(path, error),
    })?;
    sync_folder(path)
}

/// A new file beside `path`. `LocalFileSystem` hides names that end in `#` and digits.
fn stage(path: &FilePath) -> StoreResult<(File, PathBuf)> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{}", Uuid::new_v4().as_u128()));
    let staged = PathBuf::from(name);
    let open = || OpenOptions::new().write(true).create_new(true).open(&staged);
    let file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or_else(|| FilePath::new("/"));
            std::fs::create_dir_all(folder).and_then(|()| open())
        }
        opened => opened,
    };
    Ok((file.map_err(|error| failed(path, error))?, staged))
}

/// Makes the names in a file's folder durable, and the folder's own name.
fn sync_folder(path: &FilePath) -> StoreResult<()> {
    for folder in path.ancestors().skip(1).take(2) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        match synced {
            // Not every system lets a folder be opened or synced; the file itself is safe.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported
                ) => {}
            synced => synced.map_err(|error| failed(path, error))?,
        }
    }
    Ok(())
}

fn failed(path: &FilePath, error: std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => {
            StoreError::NotFound { path: path.display().to_string(), source: Box::new(error) }
        }
        ErrorKind::PermissionDenied => StoreError::PermissionDenied {
            path: path.display().to_string(),
            source: Box::new(error),
        },
        _ => StoreError::Generic { store: STORE, source: Box::new(error) },
    }
}
