//! The door of the room: questions in, pages out.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, RwLock};

use spark_domain::job::Priority;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Filter, Page, PageHead, Query, RecordKey, Resource};

use crate::allowance::Allowance;
use crate::attempt::{Ask, Line, Observer, Size};
use crate::dialect::Dialect;
use crate::envelope::Envelope;
use crate::error::{Error, Kind};
use crate::pacer::Pacer;
use crate::quote::Forms;
use crate::reso::metadata::{self, Metadata};
use crate::settings::{Settings, SettingsError};
use crate::sign_in::{ReloadError, TokenStanding};
use crate::spark;
use crate::tls;
use crate::token::Token;

/// A page this small is not made smaller because it came late.
const SMALL_PAGE: u32 = 25;

/// Speaks to one feed; clones share everything.
#[derive(Clone)]
pub struct Fetcher {
    line: Arc<Line>,
    dialect: Arc<Dialect>,
}

/// One page of a question.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// What is asked.
    pub query: &'a Query,
    /// Which page of it.
    pub position: &'a Position,
    /// How this feed is paged.
    pub paging: Paging,
    /// How many records the page should have at most; not above the settings' `page_size`.
    pub top: u32,
}

impl Fetcher {
    /// Reads the token and the certificates; sends nothing yet.
    pub fn new(
        settings: Settings,
        pacer: Pacer,
        allowance: Allowance,
        observer: Observer,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let token = RwLock::new(Token::load(&settings.token, settings.authorization)?.map(Arc::new));
        let client = tls::client(&settings)?;
        let dialect = Arc::new(Dialect::new(settings.api, &settings.base_url, &settings.filter));
        let in_flight = AtomicI64::new(0);
        let proxy_forms = Arc::new(settings.proxy.as_ref().map(Forms::of_password).unwrap_or_default());
        let (refused, out_of_sync) = (Mutex::default(), Mutex::default());
        let line = Line {
            settings,
            client,
            token,
            refused,
            proxy_forms,
            pacer,
            allowance,
            observer,
            in_flight,
            out_of_sync,
        };
        Ok(Self { line: Arc::new(line), dialect })
    }

    /// Fetches one page. The page holds its share of the allowance until it is dropped.
    ///
    /// A question for one record by its key ([`spark_domain::KeyListForm::Single`]) is answered by a page of
    /// one record, or by an empty page if there is none.
    pub async fn page(&self, request: &PageRequest<'_>, priority: Priority) -> Result<Page, Error> {
        let top = request.top.clamp(1, self.line.settings.page_size);
        let ask = self.spell(request, top, priority)?;
        let (total, unsynced) = self.count(request, &ask).await?;
        let read = |body: Option<Vec<u8>>| match body {
            None => Ok(Envelope::empty()),
            Some(body) => self.dialect.read(request.query, request.paging, &ask.url, body),
        };
        let mut answered = Box::pin(self.line.ask(&ask, read)).await?;
        let Envelope { text, records, next, count, scrubbed } = answered.value;
        let head = PageHead {
            next,
            count: total.or(count),
            as_of: answered.as_of,
            top,
            bytes: text.len(),
            took: answered.took,
            scrubbed,
            unsynced: answered.unsynced || unsynced,
        };
        answered.share.trim(text.capacity());
        Ok(Page::new(head, text, records, Some(Box::new(answered.share))))
    }

    /// Fetches and reads `$metadata`, which only the RESO dialect has.
    pub async fn metadata(&self, priority: Priority) -> Result<Metadata, Error> {
        let Dialect::Reso(service) = &*self.dialect else {
            let exchange = Box::new(self.line.exchange("metadata"));
            return Err(Error::Misasked { exchange, problem: "the native API has no $metadata" });
        };
        let ask = Ask {
            url: service.metadata(),
            verbatim: None,
            endpoint: "metadata",
            accept: "application/xml",
            kind: Kind::Plain,
            size: Size::Whole,
            priority,
        };
        let read = |body: Option<Vec<u8>>| metadata::read(body.unwrap_or_default());
        Ok(Box::pin(self.line.ask(&ask, read)).await?.value)
    }

    /// How many leading keys fit into one question of this form: its address stays under 6 KB, its condition
    /// within `SparkQL`'s limits (Spark 1041). At least 1; 1 for [`spark_domain::KeyListForm::Single`].
    pub fn keys_that_fit(&self, query: &Query, keys: &[RecordKey]) -> usize {
        self.dialect.keys_that_fit(query, keys)
    }

    /// Whether the last answer about a resource was that the feed is not in sync with its source.
    pub fn is_out_of_sync(&self, resource: Resource) -> bool {
        self.line.out_of_sync().contains(resource.as_str())
    }

    /// The most records of a resource that the feed puts on one page.
    pub fn most_per_page(&self, resource: Resource) -> u32 {
        let page_size = self.line.settings.page_size;
        self.line.settings.api.most_per_page(resource).map_or(page_size, |most| most.min(page_size))
    }

    /// Reads the token from its source again; whether it is another one now.
    pub async fn reload_token(&self) -> Result<bool, ReloadError> {
        self.line.reload_token().await
    }

    /// How the token that is held now stands with the feed, as far as this process has asked.
    pub fn token_standing(&self) -> TokenStanding {
        self.line.token_standing()
    }

    /// Equal for equal tokens, so that feeds and instances which share a key share its budget, and for all tokens
    /// that one keeper issues. It cannot be turned back into the token.
    pub fn budget_key(&self) -> [u8; 32] {
        self.line.budget_key()
    }

    fn spell(&self, request: &PageRequest<'_>, top: u32, priority: Priority) -> Result<Ask, Error> {
        let PageRequest { query, position, paging, .. } = *request;
        let endpoint = query.resource.as_str();
        let exchange = || Box::new(self.line.exchange(endpoint));
        let (url, verbatim) = if let Position::Link(link) = position {
            let foreign = |origin| Error::ForeignLink { exchange: exchange(), origin };
            let url = self.dialect.link(query.resource, link, Some(top)).map_err(foreign)?;
            (url, Some(self.dialect.link(query.resource, link, None).map_err(foreign)?))
        } else {
            let misasked = |problem| Error::Misasked { exchange: exchange(), problem };
            (self.dialect.page(query, position, paging, top).map_err(misasked)?, None)
        };
        let kind = match (position, &query.filter) {
            (Position::Link(_), _) => Kind::Link,
            _ if self.dialect.single(query).is_some() => Kind::Entity,
            (_, Filter::Keys(..)) => Kind::Keys,
            (Position::Start, _) => Kind::First,
            (Position::After(_) | Position::End, _) => Kind::Plain,
        };
        let divisible = match &query.filter {
            Filter::Keys(keys, _) => keys.len() > 1,
            Filter::All | Filter::Modified { .. } => top > SMALL_PAGE,
        };
        let size = if divisible { Size::Divisible } else { Size::Least };
        Ok(Ask { url, verbatim, endpoint, accept: "application/json", kind, size, priority })
    }

    /// How many records a question has, where its first page does not say it: one more request.
    async fn count(&self, request: &PageRequest<'_>, page: &Ask) -> Result<(Option<u64>, bool), Error> {
        let Some(url) = self.dialect.count(request.query, request.position) else { return Ok((None, false)) };
        let exchange = || Box::new(self.line.exchange(page.endpoint));
        let url = url.map_err(|problem| Error::Misasked { exchange: exchange(), problem })?;
        let ask = Ask { url, verbatim: None, size: Size::Whole, ..page.clone() };
        let read = |body: Option<Vec<u8>>| body.map_or(Ok(None), spark::wire::count);
        match Box::pin(self.line.ask(&ask, read)).await {
            Ok(answered) => Ok((answered.value, answered.unsynced)),
            // It would be as slow for a smaller page; what is not counted is not believed to be.
            Err(error @ (Error::TooMuch(_) | Error::TimedOut { .. })) => {
                tracing::warn!(error = %error, "the feed cannot count these records; they are asked for uncounted");
                Ok((None, error.exchange().unsynced))
            }
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("settings", &self.line.settings).finish_non_exhaustive()
    }
}
