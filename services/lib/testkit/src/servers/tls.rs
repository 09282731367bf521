//! Servers that speak TLS and nothing else: with a certificate for 127.0.0.1, and authorities to trust or not.

use std::{
    fs,
    net::TcpStream,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Kind, postgres};

/// The authority that signed the servers' certificate, as PEM.
pub const AUTHORITY: &str = include_str!("../../testdata/authority.crt");
/// One that signed nothing.
pub const STRANGER: &str = include_str!("../../testdata/stranger.crt");
const CERTIFICATE: &str = include_str!("../../testdata/server.crt");
const KEY: &str = include_str!("../../testdata/server.key");

/// What a server speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    #[default]
    Plain,
    Tls,
}

/// [`AUTHORITY`] as a file below `owner`.
pub(crate) fn write_authority(owner: &Path) -> Result<PathBuf> {
    let path = owner.join("authority.crt");
    fs::write(&path, AUTHORITY)?;
    Ok(path)
}

/// Further arguments of a server of this kind; its certificate and key are put below `owner`.
pub(crate) fn arguments(kind: Kind, owner: &Path, port: u16) -> Result<Vec<String>> {
    let put = |what: &str, text: &str| -> Result<String> {
        let path = owner.join(format!("{}.{what}", kind.as_str()));
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        if let (Kind::Postgres, Some((uid, gid))) = (kind, postgres::user()?) {
            chown(&path, Some(uid), Some(gid))?;
        }
        Ok(path.display().to_string())
    };
    let (certificate, key) = (put("crt", CERTIFICATE)?, put("key", KEY)?);
    Ok(match kind {
        Kind::Redis => {
            let port = port.to_string();
            let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
            // Of two plain ports the last counts: none.
            let ports = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"];
            ports.iter().chain(&files).map(ToString::to_string).collect()
        }
        Kind::Nats => ["--tls", "--tlscert", &certificate, "--tlskey", &key].map(ToOwned::to_owned).into(),
        Kind::Postgres => {
            let access = put("hba", "hostssl all all 127.0.0.1/32 trust\n")?;
            let settings =
                [("ssl", "on"), ("ssl_cert_file", &certificate), ("ssl_key_file", &key), ("hba_file", &access)];
            settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
        }
    })
}

/// Redis says nothing before the handshake; it listens when all else is done.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
