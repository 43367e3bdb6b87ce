//! The HTTP client: whom it trusts, and what it must not do on its own.
//!
//! It follows no redirect, because the token would go along; it retries nothing, because every attempt takes
//! a slot of the budget; it unpacks nothing, because bodies are counted and capped while they are read.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Proxy, redirect, retry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::settings::{Settings, SettingsError};

pub(crate) fn client(settings: &Settings) -> Result<Client, SettingsError> {
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls(settings.extra_ca.as_deref())?)
        .https_only(!settings.is_local())
        .user_agent(user_agent())
        .http1_only()
        .no_gzip()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(settings.timeouts.connect)
        .read_timeout(settings.timeouts.read)
        .timeout(settings.timeouts.total)
        // Shorter than the 60 to 75 seconds after which load balancers drop idle connections.
        .pool_idle_timeout(Duration::from_secs(50))
        .tcp_keepalive(Duration::from_secs(30));
    if let Some(url) = &settings.proxy {
        let host = url.host_str().unwrap_or("?").to_owned();
        let proxy = Proxy::all(url.as_str()).map_err(|source| SettingsError::Proxy { host, source })?;
        builder = builder.proxy(proxy);
    } else if settings.is_local() {
        // A proxy from the environment would see the token, since nothing is encrypted here.
        builder = builder.no_proxy();
    }
    builder.build().map_err(SettingsError::Client)
}

/// Spark may bind a key to a User-Agent (1019), so it says the truth and keeps its form.
fn user_agent() -> String {
    let program = concat!("spark-replicator/", env!("CARGO_PKG_VERSION"));
    match env!("CARGO_PKG_REPOSITORY") {
        "" => format!("{program} (MLS data replication)"),
        address => format!("{program} (+{address})"),
    }
}

/// The system's roots, Mozilla's where there are none (a bare container), and the private ones of `extra_ca`.
fn tls(extra_ca: Option<&Path>) -> Result<ClientConfig, SettingsError> {
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if usable == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    if let Some(path) = extra_ca {
        add_own(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Whether a file holds certificates, without a client to trust them.
pub fn check_ca(path: &Path) -> Result<(), SettingsError> {
    add_own(&mut RootCertStore::empty(), path)
}

fn add_own(roots: &mut RootCertStore, path: &Path) -> Result<(), SettingsError> {
    let pem = fs::read(path).map_err(|source| SettingsError::CaFile { path: path.to_owned(), source })?;
    let (usable, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    if usable == 0 {
        return Err(SettingsError::NoCertificate(path.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_file_without_certificates_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(matches!(tls(Some(&path)), Err(SettingsError::CaFile { .. })));
        fs::write(&path, "no certificate").unwrap();
        assert!(matches!(tls(Some(&path)), Err(SettingsError::NoCertificate(named)) if named == path));
    }

    #[test]
    fn there_are_roots_on_every_machine() {
        assert!(tls(None).is_ok());
        assert!(user_agent().starts_with("spark-replicator/0."));
    }
}
