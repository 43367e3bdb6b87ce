//! `[server]`: where operators and Prometheus find us.

use std::net::SocketAddr;

use super::section::Section;
use super::units;

const KNOWN: &[&str] = &["listen"];

/// The listener's settings.
#[derive(Debug)]
pub(crate) struct Server {
    /// Address and port of the status page, the metrics and the health checks.
    pub(crate) listen: SocketAddr,
}

impl Server {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = section.value("listen", "127.0.0.1:9464", address);
        section.finish(KNOWN);
        Some(Self { listen: listen? })
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let text = units::text(text)?.replace("localhost:", "127.0.0.1:");
    text.parse().map_err(|_| "write an address and a port, like 127.0.0.1:9464 or [::]:9464".to_owned())
}
