//! Named credentials: which URLs they are for.
//!
//! A storage belongs to all URLs below its prefix. Where several match, the longest prefix wins, so
//! that one folder of a bucket can have other credentials than the rest of it. URLs without a
//! storage use the environment, and the machine's own identity where that says nothing.

use std::collections::BTreeMap;
use std::fmt;

use ::object_store::aws::AmazonS3ConfigKey;
use ::object_store::azure::AzureConfigKey;
use ::object_store::gcp::GoogleConfigKey;
use ::object_store::{ClientConfigKey, Error as StoreError};
use url::Url;

use crate::{CatalogError, Result};

/// The option that takes everything else from the environment.
pub(super) const FROM_ENVIRONMENT: &str = "from_environment";

/// The kinds of store that a URL's scheme can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Local,
    Memory,
    S3,
    Gcs,
    Azure,
    Http,
}

impl Provider {
    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        Some(match scheme {
            "file" => Self::Local,
            "memory" => Self::Memory,
            "s3" | "s3a" => Self::S3,
            "gs" => Self::Gcs,
            "az" | "azure" | "adl" | "abfs" | "abfss" => Self::Azure,
            "http" | "https" => Self::Http,
            _ => return None,
        })
    }

    /// Checks the name of an option as the provider's own tools spell it.
    fn check_option(self, name: &str) -> Result<(), StoreError> {
        if name == FROM_ENVIRONMENT {
            return Ok(());
        }
        match self {
            Self::S3 => name.parse::<AmazonS3ConfigKey>().map(drop),
            Self::Gcs => name.parse::<GoogleConfigKey>().map(drop),
            Self::Azure => name.parse::<AzureConfigKey>().map(drop),
            Self::Http | Self::Local | Self::Memory => name.parse::<ClientConfigKey>().map(drop),
        }
    }
}

/// Credentials and options for all URLs below a prefix.
#[derive(Clone, PartialEq, Eq)]
pub struct Storage {
    name: String,
    prefix: Url,
    options: BTreeMap<String, String>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets: only the names of the options are shown.
        let names: Vec<&String> = self.options.keys().collect();
        f.debug_struct("Storage")
            .field("name", &self.name)
            .field("prefix", &self.prefix.as_str())
            .field("options", &names)
            .finish()
    }
}

impl Storage {
    /// Checks a storage's prefix and the names of its options.
    ///
    /// Options are those of the provider (`access_key_id`, `region`, `endpoint`, `account_key`,
    /// `service_account_key`, `allow_http`, `timeout` and so on), in any case, with or without its
    /// prefix (`aws_`, `google_`, `azure_`). `from_environment` adds what the environment says.
    ///
    /// # Errors
    /// `InvalidLocation` for a prefix that is no URL of an object store, and for an unknown option.
    pub fn try_new(
        name: &str,
        prefix: &str,
        options: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let invalid =
            |reason: String| CatalogError::InvalidLocation { url: prefix.to_owned(), reason };
        let url = Url::parse(prefix).map_err(|error| invalid(error.to_string()))?;
        if url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("a storage is for a plain URL without credentials".to_owned()));
        }
        let provider = Provider::of_scheme(url.scheme())
            .ok_or_else(|| invalid(format!("the scheme \"{}\" is not supported", url.scheme())))?;
        if provider == Provider::Local {
            return Err(invalid("local files need no storage".to_owned()));
        }
        let options: BTreeMap<String, String> =
            options.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect();
        for key in options.keys() {
            provider
                .check_option(key)
                .map_err(|_| invalid(format!("{provider:?} has no option \"{key}\"")))?;
        }
        Ok(Self { name: name.to_owned(), prefix: url, options })
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL below which it is used.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.prefix.as_str()
    }

    /// Options by lower-case name; values may be secrets.
    #[must_use]
    pub fn options(&self) -> &BTreeMap<String, String> {
        &self.options
    }

    /// Whether a URL lies at or below the prefix: whole path segments count.
    #[must_use]
    pub fn covers(&self, url: &Url) -> bool {
        let same_scheme = Provider::of_scheme(self.prefix.scheme())
            == Provider::of_scheme(url.scheme())
            || self.prefix.scheme() == url.scheme();
        if !same_scheme || authority(&self.prefix) != authority(url) {
            return false;
        }
        let prefix = self.prefix.path().trim_end_matches('/');
        url.path().strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn authority(url: &Url) -> &str {
    &url[url::Position::BeforeUsername..url::Position::AfterPort]
}

/// The storage with the longest prefix above a URL.
pub(super) fn longest<'a>(storages: &'a [Storage], url: &Url) -> Option<&'a Storage> {
    storages
        .iter()
        .filter(|storage| storage.covers(url))
        .max_by_key(|storage| storage.prefix.path().trim_end_matches('/').len())
}
