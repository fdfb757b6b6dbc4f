//! An S3 server that overwrites whatever the conditions say, as some do.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;

use super::bucket::{Bucket, error};
use super::http::{Listening, Response, send, serve};

/// The server; every bucket's name is the same bucket, and it ends when dropped.
#[derive(Debug)]
pub struct CarelessS3 {
    listening: Listening,
}

impl CarelessS3 {
    /// Starts a server with an empty bucket that lets everyone in.
    pub async fn start() -> Result<Self> {
        Self::start_for(None).await
    }

    /// Starts a server that lets in who signs with this key; it does not check the signature.
    pub async fn start_for(access_key_id: Option<&str>) -> Result<Self> {
        let bucket = Arc::new(Bucket::default());
        let wanted = access_key_id.map(|key| format!("Credential={key}/"));
        let listening = serve(move |request, stream| {
            let signed = request.header("authorization").unwrap_or_default();
            let stranger = wanted.as_ref().is_some_and(|wanted| !signed.contains(wanted));
            let path = request.path();
            let (_, key) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
            let answer = match request.method.as_str() {
                _ if stranger => Response::new(403, error("InvalidAccessKeyId")),
                "GET" if key.is_empty() => bucket.list(&request),
                "GET" | "HEAD" => bucket.get(key, &request),
                "PUT" => bucket.put(key, &request.body, |_| true),
                "DELETE" => bucket.delete(key),
                _ => Response::new(405, error("MethodNotAllowed")),
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
}
