//! Certificates for the Postgres wire and Flight SQL.

mod common_name;

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::config::TlsFiles;

pub(crate) use common_name::common_name;

/// The protocol name of direct TLS connections to PostgreSQL.
pub(crate) const POSTGRES_ALPN: &[u8] = b"postgresql";

/// A server's certificate and key, read once.
pub(crate) struct Identity {
    pub(crate) certificate_pem: Vec<u8>,
    pub(crate) key_pem: Vec<u8>,
    client_ca_pem: Option<Vec<u8>>,
}

impl Identity {
    /// Reads both files.
    pub(crate) fn load(files: &TlsFiles) -> io::Result<Self> {
        Ok(Self {
            certificate_pem: std::fs::read(&files.cert)?,
            key_pem: std::fs::read(&files.key)?,
            client_ca_pem: files.client_ca.as_ref().map(std::fs::read).transpose()?,
        })
    }

    /// An acceptor for the Postgres wire.
    pub(crate) fn acceptor(&self) -> io::Result<tokio_rustls::TlsAcceptor> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&self.certificate_pem).collect();
        let key = PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(invalid)?;
        let builder = match &self.client_ca_pem {
            Some(pem) => ServerConfig::builder().with_client_cert_verifier(client_verifier(pem)?),
            None => ServerConfig::builder().with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain.map_err(invalid)?, key)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        config.alpn_protocols = vec![POSTGRES_ALPN.to_vec()];
        Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
    }
}

/// Checks certificates of clients that show one; others prove who they are by a password.
fn client_verifier(pem: &[u8]) -> io::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(invalid)?).map_err(invalid)?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated();
    verifier.build().map_err(invalid)
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// Makes ring the one provider of cryptography; later calls change nothing.
pub(crate) fn install_provider() {
    // An error says that a provider is installed already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}
