//! TLS of the public listeners. The certificate can be replaced while running.

mod expiry;

use std::{io, path::Path, sync::Arc};

use matrixon_runtime::{config::ListenConfig, metrics, serve::Accept};
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("`listen.tls_certificate` and `listen.tls_key` belong together; set both or none")]
    Half,
    #[error("`listen.{field}` is `{path}`, which cannot be read as PEM: {reason}")]
    Pem { field: &'static str, path: String, reason: String },
    #[error("the certificate and the key do not fit together: {0}")]
    Pair(#[from] rustls::Error),
}

/// An acceptor for `runtime::serve`; clones share the certificate.
#[derive(Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// `None` when TLS is not configured.
    pub fn load(listen: &ListenConfig) -> Result<Option<Self>, TlsError> {
        Ok(read(listen)?.map(|config| Self(Arc::new(RwLock::new(config)))))
    }

    /// For SIGHUP: new connections get the certificate that the files hold now.
    pub fn reload(&self, listen: &ListenConfig) -> Result<(), TlsError> {
        let config = read(listen)?.ok_or(TlsError::Half)?;
        *self.0.write() = config;
        Ok(())
    }
}

impl Accept for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self, stream: TcpStream) -> io::Result<Self::Stream> {
        let config = self.0.read().clone();
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn read(listen: &ListenConfig) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let (certificate, key) = match (&listen.tls_certificate, &listen.tls_key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        _ => return Err(TlsError::Half),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem_error("tls_certificate", certificate, &error))?;
    publish_end(&chain);
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| pem_error("tls_key", key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// Tells monitoring when the first certificate of the chain to end does so.
fn publish_end(chain: &[CertificateDer<'_>]) {
    if let Some(end) = chain.iter().filter_map(|certificate| expiry::not_after(certificate)).min() {
        let none: &[&str] = &[];
        let help = "When the certificate of the public ports ends, in seconds since 1970.";
        metrics::gauge("tls_certificate_expiry_seconds", help, none).with_label_values(none).set(end);
    }
}

fn pem_error(field: &'static str, path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Pem { field, path: path.display().to_string(), reason: error.to_string() }
}
