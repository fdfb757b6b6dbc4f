//! The service that tells a machine of Amazon's its credentials.

use std::net::SocketAddr;

use anyhow::Result;

use super::http::{Listening, Response, send, serve};

/// The server; it ends when dropped.
#[derive(Debug)]
pub struct MetadataService {
    listening: Listening,
}

impl MetadataService {
    /// Starts a service that gives this access key.
    pub async fn start(access_key_id: &str) -> Result<Self> {
        let key = serde_json::json!({
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": access_key_id,
            "SecretAccessKey": "secret", "Token": "session",
            "LastUpdated": "2026-11-21T10:00:00Z", "Expiration": "2099-01-01T00:00:00Z",
        })
        .to_string();
        let listening = serve(move |request, stream| {
            let knows_token = request.header("x-aws-ec2-metadata-token") == Some("ticket");
            let answer = match (request.method.as_str(), request.path().as_str()) {
                ("PUT", "/latest/api/token") => Response::new(200, "ticket"),
                _ if !knows_token => Response::new(401, ""),
                ("GET", "/latest/meta-data/iam/security-credentials/") => {
                    Response::new(200, "role")
                }
                ("GET", "/latest/meta-data/iam/security-credentials/role") => {
                    Response::new(200, key.clone())
                }
                _ => Response::new(404, ""),
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
