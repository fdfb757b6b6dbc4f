//! Google Cloud Storage as its XML interface: objects, multipart uploads, lists, generations.
//!
//! No package has an emulator whose conditional puts hold (`gcp-storage-emulator` ignores them), so
//! this one is ours.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;

use super::bucket::{Bucket, error};
use super::http::{Listening, Request, Response, send, serve};

/// The server; it has one bucket and ends when dropped.
#[derive(Debug)]
pub struct FakeGcs {
    listening: Listening,
}

impl FakeGcs {
    /// Starts a server with one empty bucket that wants no token.
    pub async fn start(bucket: &str) -> Result<Self> {
        Self::start_with_token(bucket, None).await
    }

    /// Starts a server that answers 401 to any other token than this.
    pub async fn start_with_token(bucket: &str, token: Option<String>) -> Result<Self> {
        let name = bucket.to_owned();
        let objects = Arc::new(Bucket::default());
        let listening = serve(move |request, stream| {
            let answer = match &token {
                Some(token) if request.header("authorization") != Some(token) => {
                    Response::new(401, error("AuthenticationRequired"))
                }
                _ => answer(&name, &objects, &request),
            };
            async move { send(stream, &answer.to_bytes()).await }
        })
        .await?;
        Ok(Self { listening })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listening.addr
    }

    /// The options of a storage that uses it, or a proxy in front of it.
    pub fn options(addr: SocketAddr) -> Vec<(String, String)> {
        let account = serde_json::json!({
            "gcs_base_url": format!("http://{addr}"),
            "disable_oauth": true,
            "client_email": "tests",
            "private_key": "none",
            "private_key_id": "none",
        });
        vec![("service_account_key".to_owned(), account.to_string())]
    }
}

fn answer(name: &str, bucket: &Bucket, request: &Request) -> Response {
    let path = request.path();
    let (found, key) = path.trim_start_matches('/').split_once('/').unwrap_or((&path[1..], ""));
    if found != name {
        return Response::new(404, error("NoSuchBucket"));
    }
    let upload = request.parameter("uploadId");
    match (request.method.as_str(), upload) {
        ("GET", _) if key.is_empty() => bucket.list(request),
        ("GET" | "HEAD", _) => bucket.get(key, request),
        ("DELETE", Some(_)) => Response::new(204, ""),
        ("DELETE", None) => bucket.delete(key),
        ("PUT", Some(id)) => {
            let number = request.parameter("partNumber").and_then(|n| n.parse().ok());
            bucket.put_part(&id, number.unwrap_or_default(), &request.body)
        }
        ("PUT", None) => put(name, bucket, key, request),
        ("POST", Some(id)) => bucket.finish_upload(&id, key),
        ("POST", None) if request.parameter("uploads").is_some() => bucket.start_upload(key),
        _ => Response::new(405, error("MethodNotAllowed")),
    }
}

fn put(name: &str, bucket: &Bucket, key: &str, request: &Request) -> Response {
    let wanted = request.header("x-goog-if-generation-match").and_then(|n| n.parse::<u64>().ok());
    if let Some(from) = request.header("x-goog-copy-source") {
        let source = Request { target: format!("/{from}"), ..request.clone() }.path();
        let from = source.trim_start_matches('/').strip_prefix(name).unwrap_or_default();
        return bucket.copy(from.trim_start_matches('/'), key, wanted == Some(0));
    }
    bucket.put(key, &request.body, |there| match wanted {
        None => true,
        Some(0) => there.is_none(),
        Some(generation) => there == Some(generation),
    })
}
