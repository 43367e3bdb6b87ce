//! Sends one attempt and takes its answer apart.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION};
use spark_domain::Timestamp;
use tokio::time::Instant;
use url::Url;

use crate::allowance::Share;
use crate::attempt::{Ask, Line};
use crate::body::{self, Cut};
use crate::course::Why;
use crate::envelope::{Unread, is_html};
use crate::error::body::Said;
use crate::error::table::{Class, classify};
use crate::error::{self, Exchange, Kind};
use crate::headers;
use crate::quote::{Forms, quote};
use crate::recording::{Asked, Heard};
use crate::token::Token;

/// An error's body is read no further.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// An attempt that failed, with what is known of it.
pub(crate) struct Failed {
    pub(crate) why: Why,
    pub(crate) exchange: Box<Exchange>,
    pub(crate) hint: Option<Duration>,
}

/// What is measured of an attempt while it is under way.
pub(crate) struct Measured {
    pub(crate) token: Arc<Token>,
    pub(crate) sent: Instant,
    pub(crate) waited: Duration,
    pub(crate) wire: u64,
    pub(crate) status: Option<u16>,
}

/// One attempt: the value and what the `Date` header said, or why not.
pub(crate) async fn once<T>(
    line: &Line,
    ask: &Ask,
    url: &Url,
    mut share: Share,
    measured: &mut Measured,
    understand: impl Fn(Option<Vec<u8>>) -> Result<T, Unread>,
) -> Result<(T, Share, Option<(Timestamp, Instant)>), Failed> {
    let request = line
        .client
        .get(url.clone())
        .header(AUTHORIZATION, measured.token.header())
        .header(ACCEPT, ask.accept)
        .header(ACCEPT_ENCODING, "gzip")
        .header("OData-Version", "4.0");
    let mut exchange = Box::new(line.exchange(ask.endpoint));
    let mut heard = line.listen(url, &measured.token);
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            let why = Why::transport(error);
            if let Some(heard) = heard {
                heard.keep_failure(why.ending()).await;
            }
            return Err(Failed { why, exchange, hint: None });
        }
    };
    if let Some(heard) = &mut heard {
        heard.head(&response);
    }
    let status = response.status();
    let (date, hint) = (headers::date(&response), headers::retry_after(&response));
    let origin = headers::redirect_origin(&response);
    measured.status = Some(status.as_u16());
    exchange.status = measured.status;
    let secrets: [&Forms; 2] = [measured.token.forms(), &line.proxy_forms];
    let unread = |problem: &str| Why::Unread(quote(problem, secrets));
    exchange.request_id = headers::request_id(&response).map(|id| quote(id, secrets));
    let fail = |why, exchange| Err(Failed { why, exchange, hint });

    if !status.is_success() {
        // What an error says is welcome, but the status alone decides if it cannot be read.
        let body = body::read(response, ERROR_BODY_LIMIT, &mut share, &mut measured.wire).await;
        let body = recorded(heard, body).await.unwrap_or_default();
        let said = error::body::read(&body).unwrap_or_default();
        let class = exchange.hear(&said, ask.kind, secrets);
        let absent = class == Class::NotFound && ask.kind == Kind::Entity;
        return match (absent, is_html(&body), origin) {
            (_, _, Some(origin)) if class == Class::Redirected => {
                fail(Why::Redirected(quote(&origin, secrets)), exchange)
            }
            (true, true, _) => fail(unread("its 404 is HTML and comes from a proxy"), exchange),
            (true, false, _) => match understand(None) {
                Ok(value) => Ok((value, share, date)),
                Err(_) => fail(Why::Refused(class), exchange),
            },
            _ => fail(Why::Refused(class), exchange),
        };
    }
    let limit = body::limit(line.settings.page_bytes);
    let body = body::read(response, limit, &mut share, &mut measured.wire).await;
    match recorded(heard, body).await {
        Ok(body) => match understand(Some(body)) {
            Ok(value) => Ok((value, share, date)),
            Err(Unread::Malformed(problem)) => fail(unread(&problem), exchange),
            Err(Unread::ForeignLink(origin)) => fail(Why::ForeignLink(quote(&origin, secrets)), exchange),
            Err(Unread::Refusal(said)) => {
                let class = exchange.hear(&said, ask.kind, secrets);
                let unnamed = said.code.is_none();
                let problem = "it is an error without a code, under a status of success";
                fail(if unnamed { unread(problem) } else { Why::Refused(class) }, exchange)
            }
        },
        Err(Cut::TooBig { limit }) => fail(Why::TooBig(limit), exchange),
        Err(Cut::Unreadable(problem)) => fail(unread(&problem), exchange),
        Err(Cut::Broken(error)) if error.is_timeout() => fail(Why::Slow(error.without_url()), exchange),
        Err(Cut::Broken(_)) => fail(unread("the connection ended within it"), exchange),
    }
}

impl Line {
    /// Has whoever records listen to a question.
    fn listen(&self, url: &Url, token: &Token) -> Option<Heard> {
        let settings = &self.settings;
        let recorder = settings.recorder.as_ref()?;
        let asked = Asked { feed: &settings.feed, api: settings.api, base_url: &settings.base_url, url };
        let secrets = [Arc::clone(token.forms()), Arc::clone(&self.proxy_forms)];
        Some(recorder.listen(&asked, secrets))
    }
}

/// A body that went by whoever records.
async fn recorded(heard: Option<Heard>, body: Result<Vec<u8>, Cut>) -> Result<Vec<u8>, Cut> {
    match (heard, body) {
        (None, body) => body,
        (Some(heard), Ok(body)) => Ok(heard.keep(body).await),
        (Some(heard), Err(cut)) => {
            let failure = match &cut {
                Cut::TooBig { .. } => "too_big",
                Cut::Broken(error) if error.is_timeout() => "timeout",
                Cut::Broken(_) | Cut::Unreadable(_) => "broken",
            };
            heard.keep_failure(failure).await;
            Err(cut)
        }
    }
}

impl Exchange {
    /// Takes in what the body said; how the answer is to be taken.
    fn hear(&mut self, said: &Said, kind: Kind, secrets: [&Forms; 2]) -> Class {
        self.code = said.own_code();
        self.message = said.message.as_deref().map(|message| quote(message, secrets));
        let status = said.status().or(self.status).unwrap_or_default();
        let class = classify(self.code, status);
        if kind == Kind::Link { error::behind_link(class, status) } else { class }
    }
}

impl Why {
    fn transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_timeout() && !error.is_connect() { Self::Slow(error) } else { Self::Broken(error) }
    }

    /// How an exchange ended that had no answer.
    fn ending(&self) -> &'static str {
        if matches!(self, Self::Slow(_)) { "timeout" } else { "broken" }
    }

    pub(crate) fn source(&self) -> Option<&reqwest::Error> {
        match self {
            Self::Slow(error) | Self::Broken(error) => Some(error),
            _ => None,
        }
    }
}

impl Measured {
    pub(crate) fn begin(token: Arc<Token>, waited: Duration) -> Self {
        Self { token, sent: Instant::now(), waited, wire: 0, status: None }
    }
}
