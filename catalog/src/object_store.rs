//! Where bytes come from: paths and URLs to object stores.
//!
//! One store per scheme, account and host is built on first use and kept; building does no I/O.
//! Credentials and endpoints come from the environment as the clouds' own tools read it (`AWS_*`,
//! `GOOGLE_*`, `AZURE_*`; `AWS_ENDPOINT_URL` and `AWS_ALLOW_HTTP` for S3-compatible servers).
//!
//! Not here: which folders are tables ([`crate::discovery`]) and caching of data.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::object_store::aws::AmazonS3Builder;
use ::object_store::azure::MicrosoftAzureBuilder;
use ::object_store::gcp::GoogleCloudStorageBuilder;
use ::object_store::http::HttpBuilder;
use ::object_store::limit::LimitStore;
use ::object_store::local::LocalFileSystem;
use ::object_store::memory::InMemory;
use ::object_store::path::Path;
use ::object_store::{ClientOptions, ObjectStore, RetryConfig};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::object_store::{ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::RuntimeEnv;
use parking_lot::RwLock;
use url::{Position, Url};

use crate::listing::FooterCache;
use crate::{CatalogError, Result};

#[cfg(test)]
mod tests;

/// What a remote store may cost before a request fails.
///
/// Time limits of a single request are the client's own (30 s, 5 s to connect) unless the
/// environment says otherwise (`AWS_TIMEOUT`, `AWS_CONNECT_TIMEOUT` and their like).
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Requests that one store answers at a time; more wait.
    pub requests_in_flight_max: usize,
    /// How often a request is tried again after a server error or a broken connection.
    pub retries_max: usize,
    /// After this time no further retry starts.
    pub retry_timeout_s: u64,
    /// Memory for Parquet footers, in bytes.
    pub footer_cache_bytes_max: u64,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            requests_in_flight_max: 128,
            retries_max: 5,
            retry_timeout_s: 60,
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
    stores: RwLock<HashMap<String, Arc<dyn ObjectStore>>>,
    footers: FooterCache,
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
        Self { inner: Arc::new(Inner { limits, stores: RwLock::default(), footers }) }
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
            return Err(invalid("credentials belong in the environment, not in a URL".into()));
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
        let store = self.store(&url).map_err(invalid)?;
        let store_url = ObjectStoreUrl::parse(key_of(&url)).map_err(|e| invalid(e.to_string()))?;
        Ok(Location { url, store, store_url, path })
    }

    /// Makes the stores built so far known to a runtime.
    ///
    /// Better: give a clone of this as the registry to `RuntimeEnvBuilder`, which then finds stores
    /// built later as well.
    pub fn register(&self, runtime: &RuntimeEnv) {
        for (key, store) in self.inner.stores.read().iter() {
            if let Ok(url) = Url::parse(key) {
                runtime.register_object_store(&url, Arc::clone(store));
            }
        }
    }

    fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, String> {
        let key = key_of(url);
        if let Some(store) = self.inner.stores.read().get(&key) {
            return Ok(Arc::clone(store));
        }
        let store = self.build(url)?;
        let mut stores = self.inner.stores.write();
        Ok(Arc::clone(stores.entry(key).or_insert(store)))
    }

    fn build(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, String> {
        let limits = &self.inner.limits;
        let retry = RetryConfig {
            max_retries: limits.retries_max,
            retry_timeout: Duration::from_secs(limits.retry_timeout_s),
            ..RetryConfig::default()
        };
        let n_requests = limits.requests_in_flight_max.max(1);
        let root = key_of(url);
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "file" => return Ok(Arc::new(LocalFileSystem::new())),
            "memory" => return Ok(Arc::new(InMemory::new())),
            "s3" | "s3a" => {
                let builder = AmazonS3Builder::from_env().with_url(root).with_retry(retry);
                Arc::new(LimitStore::new(builder.build().map_err(text)?, n_requests))
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(root);
                let store = builder.with_retry(retry).build().map_err(text)?;
                Arc::new(LimitStore::new(store, n_requests))
            }
            "az" | "azure" | "adl" | "abfs" | "abfss" => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(root).with_retry(retry);
                Arc::new(LimitStore::new(builder.build().map_err(text)?, n_requests))
            }
            "http" | "https" => {
                let options = ClientOptions::new().with_allow_http(url.scheme() == "http");
                let builder = HttpBuilder::new().with_url(root).with_client_options(options);
                let store = builder.with_retry(retry).build().map_err(text)?;
                Arc::new(LimitStore::new(store, n_requests))
            }
            scheme => return Err(format!("the scheme \"{scheme}\" is not supported")),
        };
        Ok(store)
    }
}

impl ObjectStoreRegistry for ObjectStores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        self.inner.stores.write().insert(key_of(url), store)
    }

    fn deregister_store(&self, url: &Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        let removed = self.inner.stores.write().remove(&key_of(url));
        removed.ok_or_else(|| DataFusionError::Execution(format!("no object store for {url}")))
    }

    fn get_store(&self, url: &Url) -> DataFusionResult<Arc<dyn ObjectStore>> {
        let invalid = |reason| CatalogError::InvalidLocation { url: key_of(url), reason };
        self.store(url).map_err(|reason| invalid(reason).into())
    }
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

#[expect(clippy::needless_pass_by_value, reason = "given to map_err")]
fn text(error: ::object_store::Error) -> String {
    error.to_string()
}
