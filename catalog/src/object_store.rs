//! Where bytes come from: paths and URLs to object stores.
//!
//! One store per scheme, account, host and credentials is built on first use and kept; building
//! does no I/O. A URL below the prefix of a [`Storage`] uses its credentials; all others those of
//! the environment as the clouds' own tools read it (`AWS_*`, `GOOGLE_*`, `AZURE_*`), and where
//! that says nothing the identity of the machine.
//!
//! | module | what |
//! |---|---|
//! | `storage` | named credentials and the URLs they are for |
//! | `build` | stores from URLs, options and limits |
//! | `guard` | create-if-absent that holds: tested, and settled where its outcome is in doubt |
//! | `local` | the local file system, synced |
//! | `prompt` | reads that go on while nobody polls them |
//! | `fault` | what a store's error means to the user |
//!
//! DataFusion knows a store by scheme and host. Two credentials for one bucket are two stores, so a
//! store with a storage has a made-up name: `tarn-1://bucket`.
//!
//! Not here: which folders are tables ([`crate::discovery`]) and caching of data.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ::object_store::ObjectStore;
use ::object_store::path::Path;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::StreamExt;
use parking_lot::RwLock;
use url::{Position, Url};

use crate::listing::FooterCache;
use crate::{CatalogError, Result};

mod build;
mod fault;
mod guard;
mod local;
mod prompt;
mod removal;
mod storage;
#[cfg(test)]
mod tests;

pub use fault::StoreFault;
pub use guard::{ConditionalPutIgnored, OutcomeUnknown};
pub(crate) use prompt::PromptReads;
pub use storage::Storage;

use guard::GuardedStore;
use storage::Provider;

/// What a remote store may cost before a request fails.
///
/// The options of a [`Storage`] override both time limits of single requests (`timeout`,
/// `connect_timeout`).
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Requests that one store answers at a time; more wait.
    pub requests_in_flight_max: usize,
    /// How often a request is tried again after a server error or a broken connection.
    pub retries_max: usize,
    /// After this time no further retry starts.
    pub retry_timeout_s: u64,
    /// How long one request may take, its answer's body included.
    pub timeout_s: u64,
    /// How long a connection may take to open.
    pub connect_timeout_s: u64,
    /// Whether files on local disk are synced before a put is acknowledged.
    pub fsync: bool,
    /// Memory for Parquet footers, in bytes.
    pub footer_cache_bytes_max: u64,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            requests_in_flight_max: 128,
            retries_max: 5,
            retry_timeout_s: 60,
            timeout_s: 30,
            connect_timeout_s: 5,
            fsync: true,
            footer_cache_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// A folder or object in a store.
#[derive(Debug, Clone)]
pub struct Location {
    /// The whole URL, without a slash at the end.
    pub url: Url,
    /// The store that holds it.
    pub store: Arc<dyn ObjectStore>,
    /// The name under which the store is known to DataFusion.
    pub store_url: ObjectStoreUrl,
    /// The place within the store.
    pub path: Path,
    /// Footers of Parquet files that were read, of all stores.
    pub footers: FooterCache,
}

impl Location {
    /// Names another place in the same store.
    #[must_use]
    pub fn at(&self, path: &Path) -> Self {
        let mut url = self.url.clone();
        // A percent sign in a store's path is a plain character, in a URL it starts an escape.
        url.set_path(&format!("/{}", path.as_ref().replace('%', "%25")));
        Self {
            url,
            store: Arc::clone(&self.store),
            store_url: self.store_url.clone(),
            path: path.clone(),
            footers: self.footers.clone(),
        }
    }

    /// A place in the same store as people write it: on disk with the slash in front.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        let root = if self.url.scheme() == "file" { "/" } else { "" };
        format!("{root}{path}")
    }

    /// The path in the local file system, where it is in one.
    #[must_use]
    pub fn local_path(&self) -> Option<PathBuf> {
        if self.url.scheme() == "file" { self.url.to_file_path().ok() } else { None }
    }
}

/// All stores of the process; a clone is another handle to the same stores.
#[derive(Debug, Clone)]
pub struct ObjectStores {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limits: StoreLimits,
    /// By the name that DataFusion knows a store under.
    stores: RwLock<HashMap<String, Known>>,
    storages: RwLock<Vec<Storage>>,
    footers: FooterCache,
}

#[derive(Debug, Clone)]
struct Known {
    store: Arc<dyn ObjectStore>,
    /// The same store where it is one of ours.
    guard: Option<Arc<GuardedStore>>,
    /// The root that the store was built for and its storage, if it has one.
    root: String,
    storage: Option<Storage>,
}

/// What a look at a store has shown.
#[derive(Debug, Clone)]
pub struct StoreCheck {
    /// The storage whose credentials were used.
    pub storage: Option<String>,
    /// Whether commits can be written; if not, why.
    pub writable: Result<(), String>,
}

impl Default for ObjectStores {
    fn default() -> Self {
        Self::new(StoreLimits::default())
    }
}

impl ObjectStores {
    /// Makes an empty set of stores.
    #[must_use]
    pub fn new(limits: StoreLimits) -> Self {
        let footers = FooterCache::new(limits.footer_cache_bytes_max);
        let (stores, storages) = Default::default();
        Self { inner: Arc::new(Inner { limits, stores, storages, footers }) }
    }

    /// The Parquet footers read from these stores.
    #[must_use]
    pub fn footers(&self) -> &FooterCache {
        &self.inner.footers
    }

    /// Finds the store and the path that a user's words mean.
    ///
    /// Takes plain paths (relative ones from the working folder) and URLs with the schemes `file`,
    /// `s3`, `s3a`, `gs`, `az`, `azure`, `adl`, `abfs`, `abfss`, `http`, `https` and `memory`.
    /// Nothing is read: the place need not exist.
    ///
    /// # Errors
    /// `InvalidLocation`: an unknown scheme, a password in the URL, or settings from which no store
    /// can be built.
    pub fn resolve(&self, location: &str) -> Result<Location> {
        let invalid =
            |reason: String| CatalogError::InvalidLocation { url: redacted(location), reason };
        let mut url = if location.contains("://") {
            Url::parse(location).map_err(|e| invalid(e.to_string()))?
        } else {
            local_url(location).map_err(invalid)?
        };
        if url.password().is_some() {
            return Err(invalid(
                "credentials belong in CREATE STORAGE or the environment, not in a URL".into(),
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("a location cannot have a query or a fragment".into()));
        }
        if url.scheme() == "file" && url.host().is_some() {
            return Err(invalid("a file URL needs three slashes: file:///folder".into()));
        }
        let path = Path::from_url_path(url.path()).map_err(|e| invalid(e.to_string()))?;
        if url.path().ends_with('/') && url.path() != "/" {
            let trimmed = url.path().trim_end_matches('/').to_owned();
            url.set_path(&trimmed);
        }
        let storage = storage::longest(&self.inner.storages.read(), &url).cloned();
        let (key, store) = match storage {
            None => (key_of(&url), self.store(&url).map_err(invalid)?),
            Some(storage) => self.store_with(&url, storage).map_err(invalid)?,
        };
        let store_url = ObjectStoreUrl::parse(key).map_err(|e| invalid(e.to_string()))?;
        Ok(Location { url, store, store_url, path, footers: self.footers().clone() })
    }

    /// Replaces all storages by these; tables that are open use changed credentials from now on,
    /// and those of a storage that is gone can no longer be read.
    ///
    /// A table keeps the storage that it was opened with: after a new storage for its URL it has to
    /// be opened again.
    pub fn set_storages(&self, storages: Vec<Storage>) {
        let known: Vec<Known> = self.inner.stores.read().values().cloned().collect();
        for (guard, root, then) in known
            .iter()
            .filter_map(|known| Some((known.guard.as_ref()?, &known.root, known.storage.as_ref()?)))
        {
            let now = storages.iter().find(|storage| storage.name() == then.name());
            if now == Some(then) && !guard.is_gone() {
                continue;
            }
            let built = now.map(|storage| self.build(root, Some(storage)));
            let store = built.and_then(|built| {
                built.inspect_err(|error| tracing::warn!(%error, %root, "storage not usable")).ok()
            });
            guard.exchange(store, true);
        }
        for known in self.inner.stores.write().values_mut() {
            if let Some(then) = &mut known.storage
                && let Some(now) = storages.iter().find(|storage| storage.name() == then.name())
            {
                *then = now.clone();
            }
        }
        *self.inner.storages.write() = storages;
    }

    /// The storages in use.
    #[must_use]
    pub fn storages(&self) -> Vec<Storage> {
        self.inner.storages.read().clone()
    }

    /// Lists a place and tests whether commits can be written there.
    ///
    /// The test puts an object of a few bytes and deletes it; on local disk it only lists.
    ///
    /// # Errors
    /// `InvalidLocation`, and `Storage` where the place cannot be listed.
    pub async fn check(&self, location: &str) -> Result<StoreCheck> {
        let found = self.resolve(location)?;
        let failed = |source| CatalogError::Storage {
            what: found.url.to_string(),
            source: Box::new(source),
        };
        let storage = storage::longest(&self.inner.storages.read(), &found.url)
            .map(|storage| storage.name().to_owned());
        if Provider::of_scheme(found.url.scheme()) == Some(Provider::Http) {
            let writable = Err("tables behind HTTP can only be read".to_owned());
            return Ok(StoreCheck { storage, writable });
        }
        let prefix = (!found.path.as_ref().is_empty()).then_some(&found.path);
        found.store.list(prefix).next().await.transpose().map_err(failed)?;
        let guard = self.inner.stores.read().get(&key_of(found.store_url.as_ref())).cloned();
        let writable = match guard.and_then(|known| known.guard) {
            None => Ok(()),
            Some(guard) => match guard.test(&found.path).await {
                Ok(verdict) => verdict,
                Err(error) => Err(error.to_string()),
            },
        };
        Ok(StoreCheck { storage, writable })
    }

    /// Makes the stores built so far known to a runtime.
    ///
    /// Better: give a clone of this as the registry to `RuntimeEnvBuilder`, which then finds stores
    /// built later as well.
    pub fn register(&self, runtime: &RuntimeEnv) {
        for (key, known) in self.inner.stores.read().iter() {
            if let Ok(url) = Url::parse(key) {
                runtime.register_object_store(&url, Arc::clone(&known.store));
            }
        }
    }

    /// The store of a URL with the credentials of the environment.
    fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, String> {
        let key = key_of(url);
        if let Some(known) = self.inner.stores.read().get(&key) {
            return Ok(Arc::clone(&known.store));
        }
        let known = guarded(self.build(&key, None)?, key.clone(), None);
        Ok(Arc::clone(&self.inner.stores.write().entry(key).or_insert(known).store))
    }

    /// The store of a URL with the credentials of a storage, and its made-up name.
    fn store_with(
        &self,
        url: &Url,
        storage: Storage,
    ) -> Result<(String, Arc<dyn ObjectStore>), String> {
        let root = key_of(url);
        let is_it = |known: &Known| {
            known.root == root
                && known.storage.as_ref().is_some_and(|known| known.name() == storage.name())
        };
        // Held until the store is in: two storages must not get one number.
        let mut stores = self.inner.stores.write();
        if let Some((key, known)) = stores.iter().find(|(_, known)| is_it(known)) {
            // A storage of this name that was dropped and made again takes the store over.
            return Ok((key.clone(), Arc::clone(&known.store)));
        }
        let number = stores.values().filter(|known| known.storage.is_some()).count() + 1;
        let (_, host) = root.split_once("://").unwrap_or_default();
        let key = format!("tarn-{number}://{host}");
        let known = guarded(self.build(&root, Some(&storage))?, root, Some(storage));
        let store = Arc::clone(&known.store);
        stores.insert(key.clone(), known);
        Ok((key, store))
    }

    fn build(&self, root: &str, storage: Option<&Storage>) -> Result<Arc<dyn ObjectStore>, String> {
        let (scheme, _) = root.split_once("://").unwrap_or((root, ""));
        let provider = Provider::of_scheme(scheme)
            .ok_or_else(|| format!("the scheme \"{scheme}\" is not supported"))?;
        build::build(root, provider, storage.map(Storage::options), &self.inner.limits)
    }
}

impl ObjectStoreRegistry for ObjectStores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        let known = Known { store, guard: None, root: key_of(url), storage: None };
        self.inner.stores.write().insert(key_of(url), known).map(|known| known.store)
    }

    fn deregister_store(&self, url: &Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        let removed = self.inner.stores.write().remove(&key_of(url));
        removed
            .map(|known| known.store)
            .ok_or_else(|| DataFusionError::Execution(format!("no object store for {url}")))
    }

    fn get_store(&self, url: &Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        let invalid = |reason| CatalogError::InvalidLocation { url: key_of(url), reason };
        self.store(url).map_err(|reason| invalid(reason).into())
    }
}

fn guarded(store: Arc<dyn ObjectStore>, root: String, storage: Option<Storage>) -> Known {
    let remote = !root.starts_with("file:") && !root.starts_with("memory:");
    let guard = Arc::new(GuardedStore::new(store, remote));
    Known { store: Arc::clone(&guard) as _, guard: Some(guard), root, storage }
}

/// The part of a URL that names a store: scheme, user, host and port.
///
/// The user is kept because `abfss://container@account…` names the container there.
fn key_of(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[Position::BeforeUsername..Position::AfterPort])
}

/// Turns a plain path into a URL; `.` and `..` are taken out.
fn local_url(path: &str) -> Result<Url, String> {
    if path.is_empty() {
        return Err("the path is empty".into());
    }
    let absolute = std::path::absolute(path).map_err(|e| e.to_string())?;
    let mut clean = PathBuf::new();
    for part in absolute.components() {
        if part == std::path::Component::ParentDir {
            clean.pop();
        } else {
            clean.push(part);
        }
    }
    Url::from_file_path(&clean).map_err(|()| "not a path of this system".into())
}

/// A URL as it may be shown: without what stands before the host, should it be a password.
fn redacted(location: &str) -> String {
    match Url::parse(location) {
        Ok(mut url) if url.password().is_some() => match url.set_password(None) {
            Ok(()) => url.into(),
            Err(()) => key_of(&url),
        },
        _ => location.to_owned(),
    }
}
