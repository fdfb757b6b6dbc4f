//! Certificates for the Postgres wire and Flight SQL.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// The protocol name of direct TLS connections to PostgreSQL.
const POSTGRES_ALPN: &[u8] = b"postgresql";

/// A server's certificate and key, read once.
pub(crate) struct Identity {
    pub(crate) certificate_pem: Vec<u8>,
    pub(crate) key_pem: Vec<u8>,
}

impl Identity {
    /// Reads both files.
    pub(crate) fn load(files: &TlsFiles) -> io::Result<Self> {
        Ok(Self {
            certificate_pem: std::fs::read(&files.cert)?,
            key_pem: std::fs::read(&files.key)?,
        })
    }

    /// An acceptor for the Postgres wire.
    pub(crate) fn acceptor(&self) -> io::Result<tokio_rustls::TlsAcceptor> {
        let invalid = |error: rustls::pki_types::pem::Error| {
            io::Error::new(io::ErrorKind::InvalidData, error.to_string())
        };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&self.certificate_pem).collect();
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(invalid)?;
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.map_err(invalid)?, key)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        config.alpn_protocols = vec![POSTGRES_ALPN.to_vec()];
        Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
    }
}

/// Makes ring the one provider of cryptography; later calls change nothing.
pub(crate) fn install_provider() {
    // An error says that a provider is installed already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}
