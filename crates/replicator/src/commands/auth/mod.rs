//! `auth login`: a person agrees in a browser, and the code that comes back is exchanged for tokens.
//!
//! It may run beside a daemon: what it keeps is a row, and the daemon takes it up by itself.

mod code;
mod catch;

use std::io::Read;

use anyhow::Context;
use secrecy::SecretString;
use spark_scheduler::oauth::{SignIn, SignInError};
use spark_store::Store;
use url::Url;

use super::{once, print};
use crate::cli::Login;
use crate::config::Loaded;
use crate::exit::{Exit, refuse};

/// Nobody pastes more.
const LONGEST_LINE: u64 = 8 * 1024;

pub(super) async fn login(store: &Store, loaded: &Loaded, arguments: &Login) -> anyhow::Result<Exit> {
    let Login { feed, code, listen } = arguments;
    let settings = once::chosen(&loaded.config, Some(feed))?.remove(0);
    once::migrate(store).await?;
    let sign_in = SignIn::begin(&settings, store).map_err(|error| match error {
        SignInError::NotNeeded(_) => refuse(Exit::Configuration, error.to_string()),
        error => error.into(),
    })?;
    let code = match code {
        // It belongs to an address that was shown before, whose state nobody remembers.
        Some(given) => code::read(given, None).map_err(|problem| refuse(Exit::Usage, problem))?,
        None if *listen => {
            let redirect_uri = settings.oauth.as_ref().map_or("", |oauth| &oauth.client.redirect_uri);
            let here: Url = redirect_uri.parse().context("redirect_uri is no address")?;
            let listener = catch::listen(&here).await?;
            ask_person(&sign_in, "and stay: the browser comes back here by itself.");
            catch::code(listener, &here, sign_in.state()).await?
        }
        None => {
            ask_person(&sign_in, "then paste the address that the browser ends at, or the code in it:");
            pasted(sign_in.state()).await?
        }
    };
    let expires_at = sign_in.finish(&code).await?;
    print(&format!(
        "feed {feed} is signed in; its access token lasts until {} and is refreshed by itself",
        expires_at.format("%Y-%m-%d %H:%M:%S UTC")
    ));
    Ok(Exit::Done)
}

fn ask_person(sign_in: &SignIn, then: &str) {
    print(&format!(
        "Open this address in a browser, sign in and agree,\n{then}\n\n  {}\n",
        sign_in.address()
    ));
}

/// The first line that somebody writes.
async fn pasted(state: &str) -> anyhow::Result<SecretString> {
    let line = tokio::task::spawn_blocking(|| {
        let mut line = Vec::new();
        for byte in std::io::stdin().lock().take(LONGEST_LINE).bytes() {
            match byte? {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&line).into_owned())
    });
    let line = line.await.context("the reading was cut off")?.context("nothing can be read from stdin")?;
    code::read(&line, Some(state)).map_err(|problem| refuse(Exit::Failed, problem))
}
