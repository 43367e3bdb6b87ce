//! Catches the browser that comes back to this machine with a code.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, html};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::code;
use crate::exit::{Exit, refuse};
use crate::http::{self, Bounded};

/// How long a person may take to sign in and to agree.
const PATIENCE: Duration = Duration::from_mins(10);

/// How long the page may take to reach the browser.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the browser brought: a code, or the words of a refusal.
type Caught = Result<SecretString, String>;

/// Whom a browser meets that comes to this machine.
struct Door {
    here: Url,
    state: String,
    caught: Sender<Caught>,
}

/// Listens where the browser will be sent to. Only on this machine itself: a code is worth a sign-in.
pub(super) async fn listen(here: &Url) -> anyhow::Result<TcpListener> {
    let host = match here.host() {
        Some(Host::Ipv4(ip)) if ip.is_loopback() => Some(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) if ip.is_loopback() => Some(IpAddr::from(ip)),
        Some(Host::Domain("localhost")) => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        _ => None,
    };
    let Some(host) = host.filter(|_| here.scheme() == "http") else {
        let message = format!(
            "--listen needs a redirect_uri on this machine, like http://127.0.0.1:8910/back, and it is {here}; \
             without --listen the code is pasted"
        );
        return Err(refuse(Exit::Configuration, message));
    };
    let address = SocketAddr::new(host, here.port_or_known_default().unwrap_or(80));
    let listening = http::bind(address).await;
    listening.map_err(|error| {
        refuse(Exit::Temporary, format!("cannot listen on {address} (redirect_uri): {error}"))
    })
}

/// Waits for the code of this sign-in; whoever comes with anything else is told so and changes nothing.
pub(super) async fn code(listener: TcpListener, here: &Url, state: &str) -> anyhow::Result<SecretString> {
    let (caught, mut coming): (_, Receiver<Caught>) = channel(1);
    let door = Arc::new(Door { here: here.clone(), state: state.to_owned(), caught });
    let app = Router::new().fallback(get(move |uri: Uri| {
        let door = Arc::clone(&door);
        async move { door.open(&uri) }
    }));
    let done = CancellationToken::new();
    let serving =
        axum::serve(Bounded::new(listener), app).with_graceful_shutdown(done.clone().cancelled_owned());
    let server = tokio::spawn(serving.into_future());
    let code = timeout(PATIENCE, coming.recv()).await;
    done.cancel();
    tokio::select! {
        _ = server => {}
        () = sleep(FAREWELL) => {}
    }
    let Ok(code) = code else {
        let minutes = PATIENCE.as_secs() / 60;
        return Err(refuse(
            Exit::Temporary,
            format!("no browser came back within {minutes} minutes; begin anew"),
        ));
    };
    code.context("the listener ended early")?.map_err(|problem| refuse(Exit::Denied, problem))
}

impl Door {
    fn open(&self, uri: &Uri) -> Response {
        let mut address = self.here.clone();
        address.set_query(uri.query());
        let ours = uri.path() == self.here.path()
            && address.query_pairs().any(|(name, value)| name == "state" && value == self.state);
        if !ours {
            return page(StatusCode::NOT_FOUND, "This is not the sign-in that is waited for.");
        }
        let code = code::of_address(&address, Some(&self.state));
        let (status, said) = match &code {
            Ok(_) => (StatusCode::OK, "Agreed. The terminal says how it ended; this window may be closed."),
            Err(_) => (StatusCode::FORBIDDEN, "The sign-in was refused. The terminal says why."),
        };
        // A browser that comes twice brings nothing new.
        let _ = self.caught.try_send(code);
        page(status, said)
    }
}

fn page(status: StatusCode, said: &str) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" { head { title { "spark-replicator" } } body { p { (said) } } }
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONNECTION, "close"),
    ];
    (status, headers, page).into_response()
}
