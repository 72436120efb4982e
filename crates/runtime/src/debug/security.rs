//! TLS on the port, where it is configured.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::wire::{Reader, Writer};

/// Whether connections are encrypted.
#[derive(Clone)]
pub struct Security(Option<TlsAcceptor>);

/// Certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// The text of the certificates.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The text of the key.
    #[error("the private key cannot be read: {0}")]
    Key(String),
    /// They do not belong together, or are of a kind that is not supported.
    #[error("certificate and private key cannot be used: {0}")]
    Pair(#[from] tokio_rustls::rustls::Error),
}

impl Security {
    /// As the reference has it: everything is readable on the way.
    pub fn none() -> Self {
        Self(None)
    }

    /// TLS with a chain of certificates and its private key, both in PEM.
    pub fn tls(certificates: &[u8], key: &[u8]) -> Result<Self, SecurityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| SecurityError::Certificate(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| SecurityError::Key(error.to_string()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self(Some(TlsAcceptor::from(Arc::new(config)))))
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<(Reader, Writer)> {
        match &self.0 {
            None => {
                let (reader, writer) = stream.into_split();
                Ok((Box::new(reader), Box::new(writer)))
            }
            Some(acceptor) => {
                let (reader, writer) = tokio::io::split(acceptor.accept(stream).await?);
                Ok((Box::new(reader), Box::new(writer)))
            }
        }
    }
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Security(TLS)" } else { "Security(none)" })
    }
}
