//! Builders of the stores: limits, credentials and addresses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use ::object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use ::object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use ::object_store::http::HttpBuilder;
use ::object_store::limit::LimitStore;
use ::object_store::memory::InMemory;
use ::object_store::{ClientConfigKey, Error as StoreError, ObjectStore, RetryConfig};

use super::StoreLimits;
use super::local::DurableFileSystem;
use super::storage::{FROM_ENVIRONMENT, Provider};

/// Builds the store of a URL's root, `s3://bucket`.
///
/// With `options` nothing of the environment is used unless they say so: credentials of two origins
/// are never mixed by accident.
pub(super) fn build(
    root: &str,
    provider: Provider,
    options: Option<&BTreeMap<String, String>>,
    limits: &StoreLimits,
) -> Result<Arc<dyn ObjectStore>, String> {
    let Some(options) = options else {
        let environment = BTreeMap::from([(FROM_ENVIRONMENT.to_owned(), "true".to_owned())]);
        return build(root, provider, Some(&environment), limits);
    };
    let given = Given { root, options, limits };
    let store = match provider {
        Provider::Local => return Ok(Arc::new(DurableFileSystem::new(limits.fsync))),
        Provider::Memory => return Ok(Arc::new(InMemory::new())),
        Provider::S3 => given.s3(),
        Provider::Gcs => given.gcs(),
        Provider::Azure => given.azure(),
        Provider::Http => given.http(),
    };
    store.map_err(|error| error.to_string())
}

struct Given<'a> {
    root: &'a str,
    options: &'a BTreeMap<String, String>,
    limits: &'a StoreLimits,
}

impl Given<'_> {
    fn asks_environment(&self) -> bool {
        let value = self.options.get(FROM_ENVIRONMENT).map(|value| value.to_ascii_lowercase());
        matches!(value.as_deref(), Some("true" | "on" | "yes" | "1"))
    }

    /// The options for the provider, ours taken out.
    fn own(&self) -> impl Iterator<Item = (&str, &str)> {
        let options = self.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        options.filter(|(key, _)| *key != FROM_ENVIRONMENT)
    }

    fn retry(&self) -> RetryConfig {
        RetryConfig {
            max_retries: self.limits.retries_max,
            retry_timeout: Duration::from_secs(self.limits.retry_timeout_s),
            ..RetryConfig::default()
        }
    }

    fn timeouts(&self) -> [(ClientConfigKey, String); 2] {
        [
            (ClientConfigKey::Timeout, format!("{}s", self.limits.timeout_s.max(1))),
            (ClientConfigKey::ConnectTimeout, format!("{}s", self.limits.connect_timeout_s.max(1))),
        ]
    }

    fn limited<S: ObjectStore>(&self, store: S) -> Arc<dyn ObjectStore> {
        Arc::new(LimitStore::new(store, self.limits.requests_in_flight_max.max(1)))
    }

    fn s3(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut builder =
            if self.asks_environment() { AmazonS3Builder::from_env() } else { Default::default() };
        for (key, value) in self.timeouts() {
            builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
        }
        for (key, value) in self.own() {
            builder = builder.with_config(key.parse()?, value);
        }
        Ok(self.limited(builder.with_url(self.root).with_retry(self.retry()).build()?))
    }

    fn gcs(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut builder = if self.asks_environment() {
            GoogleCloudStorageBuilder::from_env()
        } else {
            Default::default()
        };
        for (key, value) in self.timeouts() {
            builder = builder.with_config(GoogleConfigKey::Client(key), value);
        }
        for (key, value) in self.own() {
            builder = builder.with_config(key.parse()?, value);
        }
        Ok(self.limited(builder.with_url(self.root).with_retry(self.retry()).build()?))
    }

    fn azure(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut builder = if self.asks_environment() {
            MicrosoftAzureBuilder::from_env()
        } else {
            Default::default()
        };
        for (key, value) in self.timeouts() {
            builder = builder.with_config(AzureConfigKey::Client(key), value);
        }
        for (key, value) in self.own() {
            builder = builder.with_config(key.parse()?, value);
        }
        Ok(self.limited(builder.with_url(self.root).with_retry(self.retry()).build()?))
    }

    fn http(&self) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let mut builder = HttpBuilder::new().with_url(self.root);
        let allow = self.root.starts_with("http://").to_string();
        for (key, value) in self.timeouts().into_iter().chain([(ClientConfigKey::AllowHttp, allow)])
        {
            builder = builder.with_config(key, value);
        }
        for (key, value) in self.own() {
            builder = builder.with_config(key.parse()?, value);
        }
        Ok(self.limited(builder.with_retry(self.retry()).build()?))
    }
}
