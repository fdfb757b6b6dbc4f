//! Which folders and files below a path are tables.
//!
//! ```text
//! root/                         tables
//!   orders/_delta_log/…         orders        a Delta table: nothing below it is looked at
//!   events/year=2024/a.parquet  events        folders `k=v` are partitions of the folder above
//!   trips/2024-01.csv, …-02.csv trips         files that belong together: one table
//!   exports/users.csv, paid.csv users, paid   files that differ: one table each
//!   Sales 2024.csv              sales_2024    a file in the root: a table of its own
//! ```
//! Files belong together when their names differ only in numbers and the like, or when they have
//! the same columns. Names that start with `.` or `_` are hidden, and so are folders with a file
//! [`PRIVATE`].
//!
//! Only names are read (and, of files that may or may not belong together, the columns); folders
//! are listed level by level, so that the data files of a Delta table are never listed.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ::object_store::path::Path;
use ::object_store::{Error as StoreError, ListResult, ObjectMeta, ObjectStoreExt};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};

use crate::listing;
use crate::object_store::{Location, ObjectStores};
use crate::{CatalogError, Result};

mod name;

pub(crate) use name::table_name;
#[cfg(test)]
mod tests;

/// A file of this name keeps a folder, and all below it, from being looked at: there are a
/// server's own files.
pub const PRIVATE: &str = ".tarn-private";

/// Makes a folder for what is the server's own: for the server's user only, because rights in SQL do
/// not protect files. One that is there keeps its permissions.
///
/// # Errors
/// Those of the file system.
pub fn make_private_folder(folder: &std::path::Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    // Those above it may be for others, too.
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // Another process may have made it meanwhile.
    builder.recursive(true).create(folder)
}

const FOLDERS_LISTED_AT_A_TIME: usize = 16;

/// How far a walk goes before it fails.
#[derive(Debug, Clone, Copy)]
pub struct DiscoveryLimits {
    /// Folders below each other.
    pub depth_max: usize,
    /// Files and folders seen.
    pub objects_max: usize,
}

impl Default for DiscoveryLimits {
    fn default() -> Self {
        Self { depth_max: 16, objects_max: 100_000 }
    }
}

/// The formats that a table can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// A Delta table.
    Delta,
    /// Parquet files.
    Parquet,
    /// Delimited text with or without a header.
    Csv,
    /// JSON objects, one after another or in one array.
    Json,
}

impl Format {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    /// The format of a name in lower case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Delta, Self::Parquet, Self::Csv, Self::Json].into_iter().find(|f| f.name() == name)
    }

    /// The format that a file's name promises.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let stem = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst"));
        let (_, extension) = stem.unwrap_or(&name).rsplit_once('.')?;
        match extension {
            // Parquet compresses inside: a compressed Parquet file cannot be read in parts.
            "parquet" if stem.is_none() => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            "json" | "ndjson" | "jsonl" => Some(Self::Json),
            _ => None,
        }
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The tables in order of their names, which are all different.
    pub tables: Vec<FoundTable>,
    /// Places that could not be looked at, and why.
    pub broken: Vec<(String, CatalogError)>,
}

/// A table that was found and not yet opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTable {
    /// The folded name, unique in its discovery.
    pub name: String,
    /// The URL of the folder or file.
    pub url: String,
    /// The format.
    pub format: Format,
    /// Whether the URL names one file.
    pub single_file: bool,
}

/// Finds the tables below a path or URL, which may itself be a table.
///
/// # Errors
/// `InvalidLocation` for a path that cannot be used or exceeds the limits, `PathNotFound` for one
/// that names nothing, `Storage` when the root cannot be listed. Trouble further down is reported
/// in [`Discovery::broken`].
pub async fn discover(
    stores: &ObjectStores,
    root: &str,
    limits: DiscoveryLimits,
) -> Result<Discovery> {
    let location = stores.resolve(root)?;
    let mut walk = Walk { stores, root: &location, limits, n_objects: 0, found: Vec::new() };
    if let Some(format) = single_file(&location, root).await? {
        walk.push(&location.path, format, true);
        return Ok(Discovery { tables: name::assign(walk.found), broken: Vec::new() });
    }
    let mut broken = Vec::new();
    let mut depth = 0;
    let mut level = vec![location.path.clone()];
    while !level.is_empty() {
        let lists: Vec<_> = level.iter().map(|folder| list(location.at(folder))).collect();
        let lists = futures::stream::iter(lists).buffered(FOLDERS_LISTED_AT_A_TIME);
        let lists: Vec<Result<ListResult>> = lists.collect().await;
        let mut below = Vec::new();
        for (folder, listed) in level.iter().zip(lists) {
            let children = match listed {
                Ok(listed) => walk.folder(folder, listed, depth).await,
                Err(error) => Err(error),
            };
            match children {
                Ok(children) => below.extend(children),
                Err(error @ CatalogError::InvalidLocation { .. }) => return Err(error),
                Err(error) if depth == 0 => return Err(error),
                Err(error) => broken.push((location.at(folder).url.to_string(), error)),
            }
        }
        level = below;
        depth += 1;
    }
    if walk.n_objects == 0 && !exists(&location) {
        return Err(CatalogError::PathNotFound { path: root.to_owned() });
    }
    Ok(Discovery { tables: name::assign(walk.found), broken })
}

/// An empty folder exists on disk only: object stores do not know folders.
fn exists(location: &Location) -> bool {
    location.local_path().is_some_and(|path| path.is_dir())
}

async fn single_file(location: &Location, root: &str) -> Result<Option<Format>> {
    let Some(name) = location.path.filename() else { return Ok(None) };
    let format = Format::of_file(name);
    match location.store.head(&location.path).await {
        Ok(_) => format.map(Some).ok_or_else(|| CatalogError::InvalidLocation {
            url: root.to_owned(),
            reason: "not a Parquet, CSV or JSON file by its name".into(),
        }),
        Err(StoreError::NotFound { .. }) => Ok(None),
        // Some web servers answer HEAD for a folder with an error of their own.
        Err(_) if format.is_none() => Ok(None),
        Err(e) => Err(storage(location, e)),
    }
}

async fn list(folder: Location) -> Result<ListResult> {
    let prefix = (!folder.path.as_ref().is_empty()).then_some(&folder.path);
    let listed = folder.store.list_with_delimiter(prefix).await;
    listed.map_err(|e| storage(&folder, e))
}

fn storage(location: &Location, source: StoreError) -> CatalogError {
    CatalogError::Storage { what: location.url.to_string(), source: Box::new(source) }
}

struct Walk<'a> {
    stores: &'a ObjectStores,
    root: &'a Location,
    limits: DiscoveryLimits,
    n_objects: usize,
    found: Vec<FoundTable>,
}

impl Walk<'_> {
    fn push(&mut self, path: &Path, format: Format, single_file: bool) {
        let url = self.root.at(path).url.to_string();
        self.found.push(FoundTable { name: String::new(), url, format, single_file });
    }

    /// Looks at one folder and returns the folders below it that are still to be looked at.
    async fn folder(
        &mut self,
        folder: &Path,
        listed: ListResult,
        depth: usize,
    ) -> Result<Vec<Path>> {
        let location = self.root.at(folder);
        self.n_objects += listed.objects.len() + listed.common_prefixes.len();
        self.check_limits(depth)?;
        let is_private = |file: &ObjectMeta| file.location.filename() == Some(PRIVATE);
        if depth > 0 && listed.objects.iter().any(is_private) {
            return Ok(Vec::new());
        }
        if listed.common_prefixes.iter().any(|p| p.filename() == Some("_delta_log")) {
            self.push(folder, Format::Delta, false);
            return Ok(Vec::new());
        }
        let visible = |path: &Path| path.filename().is_some_and(|name| !listing::hidden(name));
        let (partitions, children): (Vec<Path>, Vec<Path>) =
            listed.common_prefixes.into_iter().filter(|p| visible(p)).partition(is_partition);
        let mut files: BTreeMap<Format, Vec<ObjectMeta>> = BTreeMap::new();
        for file in listed.objects.into_iter().filter(|o| visible(&o.location)) {
            if let Some(format) = file.location.filename().and_then(Format::of_file) {
                files.entry(format).or_default().push(file);
            }
        }
        let partitioned = match partitions.first() {
            Some(first) => self.format_below(first, depth).await?,
            None => None,
        };
        if let Some(format) = partitioned {
            self.push(folder, format, false);
            files.remove(&format);
        }
        let alone = files.len() == 1 && partitioned.is_none();
        for (format, files) in files {
            if alone && self.together(&location, format, &files, depth).await {
                self.push(folder, format, false);
            } else {
                files.iter().for_each(|file| self.push(&file.location, format, true));
            }
        }
        Ok(children)
    }

    fn check_limits(&self, depth: usize) -> Result<()> {
        let reason = if self.n_objects > self.limits.objects_max {
            format!("it holds more than {} files and folders", self.limits.objects_max)
        } else if depth > self.limits.depth_max {
            format!("its folders are nested more than {} deep", self.limits.depth_max)
        } else {
            return Ok(());
        };
        Err(CatalogError::InvalidLocation { url: self.root.url.to_string(), reason })
    }

    /// The format of the files in the first partition folder that has any.
    async fn format_below(&mut self, first: &Path, depth: usize) -> Result<Option<Format>> {
        let location = self.root.at(first);
        let mut objects = location.store.list(Some(first));
        while let Some(object) = objects.try_next().await.map_err(|e| storage(&location, e))? {
            self.n_objects += 1;
            self.check_limits(depth)?;
            let name = object.location.filename().filter(|name| !listing::hidden(name));
            if let Some(format) = name.and_then(Format::of_file) {
                return Ok(Some(format));
            }
        }
        Ok(None)
    }

    /// Whether the files of a folder are parts of one table.
    ///
    /// In the root only names that a writer made (`part-…`) say so: a person who serves a folder of
    /// files expects one table for each.
    async fn together(
        &self,
        folder: &Location,
        format: Format,
        files: &[ObjectMeta],
        depth: usize,
    ) -> bool {
        let names = || files.iter().filter_map(|file| file.location.filename());
        if depth == 0 {
            return names().all(|name| name.starts_with("part-"));
        }
        let shapes: HashSet<String> = names().map(name::shape).collect();
        if shapes.len() <= 1 {
            return true;
        }
        // So many files with names of their own are too many tables to be meant as such.
        const FILES_COMPARED_MAX: usize = 64;
        if files.len() > FILES_COMPARED_MAX {
            return true;
        }
        // Boxed: the compiler cannot see through the borrows otherwise (rust-lang/rust#102211).
        let columns_of = |file| -> BoxFuture<'_, Option<BTreeSet<String>>> {
            Box::pin(async move { listing::columns(self.stores, folder, format, file).await.ok() })
        };
        let reads: Vec<_> = files.iter().map(columns_of).collect();
        let columns: Vec<Option<BTreeSet<String>>> =
            futures::stream::iter(reads).buffered(8).collect().await;
        columns.iter().zip(columns.iter().skip(1)).all(|(a, b)| a.is_some() && a == b)
    }
}

fn is_partition(folder: &Path) -> bool {
    folder.filename().is_some_and(|name| listing::partition_of(name).is_some())
}
