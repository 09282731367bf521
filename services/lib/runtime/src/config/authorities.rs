//! Whose signatures on a server's certificate count: the authorities in a section's `ca_certificate`, or the system's.

use std::{error::Error, fs, io, path::Path, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::{
    CertificateError, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

#[derive(Debug, thiserror::Error)]
#[error(
    "`{key}` is `{path}`, which cannot be used: {reason}; it must be a file with certificates of authorities (PEM)"
)]
pub struct BadAuthorities {
    key: &'static str,
    path: String,
    reason: String,
}

/// The PEM in the file that `key`, such as `cache.ca_certificate`, names: certificates, one at least.
pub fn read_authorities(key: &'static str, path: &Path) -> Result<Vec<u8>, BadAuthorities> {
    let bad = |reason: &dyn std::fmt::Display| BadAuthorities {
        key,
        path: path.display().to_string(),
        reason: reason.to_string(),
    };
    let pem = fs::read(path).map_err(|error| bad(&error))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        store.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
    }
    if store.is_empty() { Err(bad(&"there is no certificate in it")) } else { Ok(pem) }
}

/// PEM of the authorities that this system trusts (`SSL_CERT_FILE` names others), without what cannot be read.
pub fn system_authorities() -> Vec<u8> {
    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        let text = BASE64_STANDARD.encode(&certificate);
        if RootCertStore::empty().add(certificate).is_ok() {
            pem.extend(["-----BEGIN CERTIFICATE-----\n", &text, "\n-----END CERTIFICATE-----\n"]);
        }
    }
    pem.into_bytes()
}

/// What is wrong with the server's certificate, when that is why a connection failed.
pub fn find_bad_certificate<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(wrong)) = innermost(error).downcast_ref() {
            return Some(wrong);
        }
        cause = error.source();
    }
    None
}

/// The same, but not what time mends: certificates are renewed and clocks are set while we go on.
pub fn find_distrust(error: &(dyn Error + 'static)) -> Option<String> {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    match find_bad_certificate(error)? {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => None,
        wrong => Some(wrong.to_string()),
    }
}

/// What an `Arc` and an `io::Error` hold is not their source: that would be the source of what they hold.
fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return innermost(&**shared);
    }
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => innermost(held),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: CertificateError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(reason))
    }

    /// What has something inside.
    #[derive(Debug, thiserror::Error)]
    #[error("outside")]
    struct Outer(#[source] Arc<dyn Error + Send + Sync>);

    #[test]
    fn distrust_is_found_in_whatever_wraps_it() {
        let unknown = failed(CertificateError::UnknownIssuer);
        assert_eq!(find_distrust(&unknown).as_deref(), Some("UnknownIssuer"));
        assert_eq!(find_distrust(&Outer(Arc::new(unknown))).as_deref(), Some("UnknownIssuer"));
        assert_eq!(find_distrust(&failed(CertificateError::Expired)), None);
        assert_eq!(find_bad_certificate(&failed(CertificateError::Expired)), Some(&CertificateError::Expired));
        assert_eq!(find_distrust(&io::Error::other(rustls::Error::DecryptError)), None);
        assert_eq!(find_distrust(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }

    #[test]
    fn authorities_are_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authorities.pem");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_authorities("cache.ca_certificate", &path)
        };
        for text in [
            "",
            "what",
            "-----BEGIN CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\naGk=\n-----END CERTIFICATE-----\n",
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("`cache.ca_certificate` is `{}`, which", path.display())),
                "{message}"
            );
        }
        let system = system_authorities();
        if !system.is_empty() {
            assert_eq!(read(std::str::from_utf8(&system).unwrap()).unwrap(), system);
        }
        fs::remove_file(&path).unwrap();
        assert!(read_authorities("bus.ca_certificate", &path).unwrap_err().to_string().contains("No such file"));
    }
}
