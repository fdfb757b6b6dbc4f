//! TLS of connections to PostgreSQL and tarn, as libpq's `sslmode` means it.
//!
//! | `sslmode` | encrypted | the server's certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer`, `allow` | if the server can | any |
//! | `require` | yes | any; with `sslrootcert` as `verify-ca` |
//! | `verify-ca` | yes | signed by an authority in the file `sslrootcert` |
//! | `verify-full` | yes | and for the name of the host |

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How far the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Not at all.
    Any,
    /// Signed by an authority in a file.
    Authority {
        /// The PEM file.
        file: String,
        /// Whether it has to hold the host's name.
        name: bool,
    },
}

/// Takes out of a URL's query part what `tokio-postgres` does not know.
///
/// # Errors
/// Says why the options make no sense.
pub fn take_options(url: &str) -> Result<(String, Trust), String> {
    let Some((base, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), Trust::Any));
    };
    let mut kept = Vec::new();
    let (mut root_file, mut verify_name) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "verify-full")) => verify_name = Some(true),
            Some(("sslmode", "verify-ca")) => verify_name = Some(false),
            Some(("sslmode", "allow")) => kept.push("sslmode=prefer"),
            Some(("sslrootcert", file)) => {
                root_file = Some(
                    percent_encoding::percent_decode_str(file).decode_utf8_lossy().into_owned(),
                );
            }
            _ => kept.push(pair),
        }
    }
    let trust = match (verify_name, root_file) {
        (Some(name), Some(file)) => Trust::Authority { file, name },
        (Some(_), None) => {
            return Err("sslmode=verify-full and verify-ca need sslrootcert=FILE".to_owned());
        }
        (None, Some(file)) => Trust::Authority { file, name: false },
        (None, None) => Trust::Any,
    };
    if verify_name.is_some() {
        kept.push("sslmode=require");
    }
    let url = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    Ok((url, trust))
}

/// Makes the connector.
///
/// # Errors
/// Says why the file of authorities cannot be used.
pub fn connector(trust: &Trust) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let lenient = |chain| Arc::new(Lenient { chain, provider: Arc::clone(&provider) });
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Any => lenient(None),
        Trust::Authority { file, name } => {
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| format!("sslrootcert {file}: {error}"))?;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates);
            let inner =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()
                    .map_err(|error| format!("sslrootcert {file}: {error}"))?;
            if *name { inner } else { lenient(Some(inner)) }
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Checks less than the name and the chain: the chain alone where there is one to check against, as
/// libpq does for `verify-ca`, and nothing below that.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        // The name is checked last, so this error says that the rest is good.
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_options_leave_the_url() {
        for (url, left, trust) in [
            ("postgres://h/d", "postgres://h/d", Trust::Any),
            ("postgres://h/d?sslmode=allow", "postgres://h/d?sslmode=prefer", Trust::Any),
            (
                "postgres://h/d?sslmode=verify-ca&sslrootcert=a%20b&x=1",
                "postgres://h/d?x=1&sslmode=require",
                Trust::Authority { file: "a b".to_owned(), name: false },
            ),
            (
                "postgres://h/d?sslrootcert=f&sslmode=require",
                "postgres://h/d?sslmode=require",
                Trust::Authority { file: "f".to_owned(), name: false },
            ),
            (
                "postgres://h/d?sslmode=verify-full&sslrootcert=f",
                "postgres://h/d?sslmode=require",
                Trust::Authority { file: "f".to_owned(), name: true },
            ),
        ] {
            assert_eq!(take_options(url), Ok((left.to_owned(), trust)));
        }
        take_options("postgres://h/d?sslmode=verify-full").unwrap_err();
        let missing = Trust::Authority { file: "/nowhere/root.crt".to_owned(), name: true };
        assert!(connector(&missing).is_err_and(|reason| reason.contains("/nowhere/root.crt")));
    }
}
