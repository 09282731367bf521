//! Servers that speak TLS and nothing else: with a certificate for 127.0.0.1, and authorities to trust or not.

use std::{fs, net::TcpStream, path::Path};

use anyhow::Result;

use super::Kind;

/// The authority that signed the servers' certificate, as PEM.
pub const AUTHORITY: &str = include_str!("../../testdata/authority.crt");
/// One that signed nothing.
pub const STRANGER: &str = include_str!("../../testdata/stranger.crt");
const CERTIFICATE: &str = include_str!("../../testdata/server.crt");
const KEY: &str = include_str!("../../testdata/server.key");

/// What a server speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wire {
    Plain,
    Tls,
}

/// Further arguments of a server of this kind; its certificate and key are put below `owner`.
pub(crate) fn arguments(kind: Kind, owner: &Path, port: u16) -> Result<Vec<String>> {
    let put = |name: &str, text: &str| -> Result<String> {
        let path = owner.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let (certificate, key) = (put("server.crt", CERTIFICATE)?, put("server.key", KEY)?);
    Ok(match kind {
        Kind::Redis => {
            let port = port.to_string();
            let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
            // Of two plain ports the last counts: none.
            let ports = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"];
            ports.iter().chain(&files).map(ToString::to_string).collect()
        }
        Kind::Nats => ["--tls", "--tlscert", &certificate, "--tlskey", &key].map(ToOwned::to_owned).into(),
        Kind::Postgres => anyhow::bail!("no TLS for PostgreSQL here"),
    })
}

/// Redis says nothing before the handshake; it listens when all else is done.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
