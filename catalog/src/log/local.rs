//! The log in a folder.
//!
//! ```text
//! catalog/
//!   00000000000000000001.json             a record: written aside, fsynced, linked to its name
//!   00000000000000000064.checkpoint.json  the state after record 64
//!   _last_checkpoint                      64
//! ```
//! `link(2)` fails where the name is taken, so of two writers one wins, also over NFS.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::driver::{
    Appended, CatalogLog, Inventory, Numbered, POINTER, RECORDS_PER_READ_MAX, checkpoint_name,
    record_name,
};
use crate::discovery::{PRIVATE, make_private_folder};
use crate::{CatalogError, Result};

/// A log in a folder of the local file system.
#[derive(Debug, Clone)]
pub struct LocalLog {
    folder: Arc<PathBuf>,
    place: Arc<str>,
}

impl LocalLog {
    /// Makes the folder, where it is not there yet.
    ///
    /// # Errors
    /// `CatalogLog` when it cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        let place = folder.display().to_string();
        let log = Self { folder: Arc::new(folder.to_owned()), place: place.into() };
        make_private_folder(folder)
            .and_then(|()| std::fs::write(folder.join(PRIVATE), ""))
            .map_err(|error| log.failed("make the folder", error))?;
        Ok(log)
    }

    /// A log that is only read: the folder need not exist.
    #[must_use]
    pub fn existing(folder: &Path) -> Self {
        Self { folder: Arc::new(folder.to_owned()), place: folder.display().to_string().into() }
    }

    fn failed(&self, what: &str, source: io::Error) -> CatalogError {
        CatalogError::CatalogLog {
            place: self.place.to_string(),
            what: what.to_owned(),
            source: Some(Box::new(source)),
        }
    }

    /// Runs file system calls apart from the threads that serve connections.
    fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        call: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T>> {
        let folder = Arc::clone(&self.folder);
        async move {
            let done = tokio::task::spawn_blocking(move || call(&folder)).await;
            match done {
                Ok(result) => result.map_err(|error| self.failed(what, error)),
                Err(error) => Err(self.failed(what, io::Error::other(error))),
            }
        }
        .boxed()
    }
}

impl CatalogLog for LocalLog {
    fn place(&self) -> &str {
        &self.place
    }

    fn tail(&self, from: u64) -> BoxFuture<'_, Result<Vec<Numbered>>> {
        self.run("read a record", move |folder| {
            let mut records = Vec::new();
            let mut version = from;
            while records.len() < RECORDS_PER_READ_MAX {
                let Some(bytes) = read(&folder.join(record_name(version)))? else { break };
                records.push(Numbered { version, bytes });
                version += 1;
            }
            Ok(records)
        })
    }

    fn inventory(&self) -> BoxFuture<'_, Result<Inventory>> {
        self.run("list the records", |folder| {
            let mut found = Inventory::default();
            for entry in std::fs::read_dir(folder)? {
                found.note(&entry?.file_name().to_string_lossy());
            }
            let pointer = read(&folder.join(POINTER))?;
            found.pointer = pointer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            Ok(found)
        })
    }

    fn has_now(&self, version: u64) -> Option<bool> {
        self.folder.join(record_name(version)).try_exists().ok()
    }

    fn append(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<Appended>> {
        self.run("add a record", move |folder| {
            let name = folder.join(record_name(version));
            match create(folder, &name, &bytes) {
                Ok(()) => Ok(Appended::Done),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let own = read(&name)?.is_some_and(|found| found == bytes);
                    Ok(if own { Appended::Done } else { Appended::Conflict })
                }
                Err(error) => Err(error),
            }
        })
    }

    fn checkpoint(&self, version: u64, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        self.run("write a checkpoint", move |folder| {
            replace(folder, &folder.join(checkpoint_name(version)), &bytes)?;
            replace(folder, &folder.join(POINTER), version.to_string().as_bytes())
        })
    }

    fn latest_checkpoint(&self) -> BoxFuture<'_, Result<Option<Numbered>>> {
        self.run("read the checkpoint", |folder| {
            let Some(pointer) = read(&folder.join(POINTER))? else { return Ok(None) };
            // A pointer that cannot be used costs time only: all records are there.
            let version = std::str::from_utf8(&pointer).ok().and_then(|text| text.parse().ok());
            let Some(version) = version else { return Ok(None) };
            let bytes = read(&folder.join(checkpoint_name(version)))?;
            Ok(bytes.map(|bytes| Numbered { version, bytes }))
        })
    }
}

fn read(path: &Path) -> io::Result<Option<Bytes>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file that nobody sees before it is whole and on disk.
fn write_aside(folder: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let aside = folder.join(format!(".{}.tmp", uuid::Uuid::new_v4()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        // The log holds verifiers of passwords.
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok(aside),
        Err(error) => {
            // A full disk: the rest of the file must not take space as well.
            drop(std::fs::remove_file(&aside));
            Err(error)
        }
    }
}

fn create(folder: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = write_aside(folder, bytes)?;
    let linked = std::fs::hard_link(&aside, name);
    // Left behind by a crash only; the name starts with a dot, nobody reads it.
    drop(std::fs::remove_file(&aside));
    linked?;
    sync_folder(folder)
}

fn replace(folder: &Path, name: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = write_aside(folder, bytes)?;
    std::fs::rename(&aside, name)?;
    sync_folder(folder)
}

/// Makes names last: a file's own fsync does not cover the folder that it is in.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
