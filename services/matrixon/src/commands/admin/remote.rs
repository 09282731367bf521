//! A gateway somewhere else, over HTTP/2 with or without TLS.

use std::{io, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use http::{HeaderValue, Request, Uri, header::AUTHORIZATION};
use hyper_util::rt::TokioIo;
use matrixon_runtime::config::read_authorities;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{body::Body, transport::Endpoint};
use tower::{BoxError, ServiceExt as _, util::BoxCloneSyncService};

use crate::{cli::AdminArgs, failure::Failure, files};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// What generated clients sit on.
pub(crate) type Transport = BoxCloneSyncService<Request<Body>, http::Response<Body>, BoxError>;

pub(super) fn read_token(args: &AdminArgs) -> Result<String> {
    let token = match (&args.token, &args.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => files::read_secret(file, "the file of `--token-file`")?,
        (None, None) => String::new(),
    };
    if token.trim().is_empty() {
        let advice =
            "`--server` needs an administrator's access token: give it with `--token-file` or in MATRIXON_ADMIN_TOKEN";
        return Err(Failure::usage(advice).into());
    }
    Ok(token.trim().to_owned())
}

/// Connects when the first call is made.
pub(super) fn connect(url: &str, token: &str, ca_file: Option<&Path>) -> Result<Transport> {
    let unusable = || Failure::usage(format!("`{url}` is not a URL like https://matrix.example.org"));
    let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| unusable())?;
    if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(unusable().into());
    }
    let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Failure::usage("the token holds characters that no token has"))?;
    bearer.set_sensitive(true);
    let secure = uri.scheme_str() == Some("https");
    let endpoint = Endpoint::from(uri).connect_timeout(CONNECT_WITHIN).tcp_nodelay(true);
    let endpoint = endpoint.user_agent(concat!("matrixon/", env!("CARGO_PKG_VERSION")))?;
    let channel = if secure {
        let tls = TlsConnector::from(Arc::new(tls_config(ca_file)?));
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| open_tls(tls.clone(), uri)))
    } else {
        endpoint.connect_lazy()
    };
    let authorized = channel.map_err(|error: tonic::transport::Error| BoxError::from(error)).map_request(
        move |mut request: Request<Body>| {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
            request
        },
    );
    Ok(BoxCloneSyncService::new(authorized))
}

/// Trusts the certificate authorities of this machine (`SSL_CERT_FILE` names others) and those of `--ca-file`.
fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        let pem = read_authorities("--ca-file", file).map_err(|error| Failure::usage(error.to_string()))?;
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn open_tls(tls: TlsConnector, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream =
        tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))));
    let stream = stream.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    Ok(TokioIo::new(tls.connect(name, stream).await?))
}
