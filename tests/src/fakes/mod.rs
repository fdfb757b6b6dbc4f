//! Object stores for tests, and what goes wrong on the way to one.
//!
//! | module | what |
//! |---|---|
//! | `http` | the little HTTP/1.1 that the fakes need |
//! | `bucket` | objects in memory with true conditional puts, behind the dialects below |
//! | `gcs` | Google Cloud Storage's XML interface over a bucket |
//! | `careless` | an S3 that ignores conditions: writes to it must be refused |
//! | `metadata` | the service that tells a machine of Amazon's its credentials |
//! | `files` | a web server for a folder |
//! | `proxy` | loses, delays and refuses requests on the way to another server, by a seed |
//! | `moto`, `azurite` | S3 and Azure servers of others, as child processes |
//!
//! Conditional puts of the fakes are atomic: a commit that is lost is tarn's fault, not theirs.

mod azurite;
mod bucket;
mod careless;
mod files;
mod gcs;
mod http;
mod metadata;
mod moto;
mod proxy;

pub use azurite::Azurite;
pub use careless::CarelessS3;
pub use files::FileServer;
pub use gcs::FakeGcs;
pub use metadata::MetadataService;
pub use moto::Moto;
pub use proxy::{Faults, Proxy};
