//! `[webhooks]`: where feeds deliver their events. Absent, nobody listens.

use std::net::SocketAddr;

use super::section::Section;
use super::server::address;

/// The listener's settings.
#[derive(Debug)]
pub(crate) struct Webhooks {
    /// Address and port of `POST /webhooks/FEED`.
    pub(crate) listen: Option<SocketAddr>,
}

impl Webhooks {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let listen = section.optional("listen", address);
        section.finish(&["listen"]);
        Self { listen }
    }
}
