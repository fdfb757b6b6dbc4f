//! A web server for the files of a folder.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use super::bucket::Bucket;
use super::http::{Listening, Response, send, serve};

/// The server; it ends when dropped.
#[derive(Debug)]
pub struct FileServer {
    listening: Listening,
}

impl FileServer {
    /// Starts a server for the files below `folder`.
    pub async fn start(folder: PathBuf) -> Result<Self> {
        let listening = serve(move |request, stream| {
            let file = folder.join(request.path().trim_start_matches('/'));
            let answer = match (request.method.as_str(), std::fs::read(file)) {
                ("GET" | "HEAD", Ok(bytes)) => {
                    // A bucket of one object knows about ranges.
                    let one = Bucket::default();
                    one.put("file", &bytes, |_| true);
                    one.get("file", &request)
                }
                ("GET" | "HEAD", Err(_)) => Response::new(404, ""),
                _ => Response::new(405, ""),
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
