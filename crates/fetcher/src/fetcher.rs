//! The door of the room: questions in, pages out.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, RwLock};

use spark_domain::job::Priority;
use spark_domain::walk::{Paging, Position};
use spark_domain::{Filter, Page, PageHead, Query, RecordKey};

use crate::allowance::Allowance;
use crate::attempt::{Ask, Line, Observer};
use crate::error::{Error, Kind};
use crate::pacer::Pacer;
use crate::quote::Forms;
use crate::reso::Unread;
use crate::reso::metadata::{self, Metadata};
use crate::reso::url::Service;
use crate::reso::wire::{self, Envelope};
use crate::settings::{Settings, SettingsError};
use crate::tls;
use crate::token::Token;

/// A page this small is not made smaller because it came late.
const SMALL_PAGE: u32 = 25;

/// Speaks to one feed; clones share everything.
#[derive(Clone)]
pub struct Fetcher {
    line: Arc<Line>,
    service: Arc<Service>,
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
        let token = RwLock::new(Arc::new(Token::load(&settings.token, settings.authorization)?));
        let client = tls::client(&settings)?;
        let service = Arc::new(Service::new(&settings.base_url, &settings.filter));
        let in_flight = AtomicI64::new(0);
        let proxy_forms = settings.proxy.as_ref().map(Forms::of_password).unwrap_or_default();
        let line = Line { settings, client, token, proxy_forms, pacer, allowance, observer, in_flight };
        Ok(Self { line: Arc::new(line), service })
    }

    /// Fetches one page. The page holds its share of the allowance until it is dropped.
    ///
    /// A question for one record by its key ([`spark_domain::KeyListForm::Single`]) is answered by a page of
    /// one record, or by an empty page if there is none.
    pub async fn page(&self, request: &PageRequest<'_>, priority: Priority) -> Result<Page, Error> {
        let top = request.top.clamp(1, self.line.settings.page_size);
        let ask = self.spell(request, top, priority)?;
        let read = |body: Option<Vec<u8>>| self.read_page(&ask, request.paging, body);
        let mut answered = Box::pin(self.line.ask(&ask, read)).await?;
        let Envelope { text, records, next, count, scrubbed } = answered.value;
        let head = PageHead {
            next,
            count,
            as_of: answered.as_of,
            top,
            bytes: text.len(),
            took: answered.took,
            scrubbed,
            unsynced: answered.unsynced,
        };
        answered.share.trim(text.capacity());
        Ok(Page::new(head, text, records, Some(Box::new(answered.share))))
    }

    /// Fetches and reads `$metadata`.
    pub async fn metadata(&self, priority: Priority) -> Result<Metadata, Error> {
        let ask = Ask {
            url: self.service.metadata(),
            verbatim: None,
            endpoint: "metadata",
            accept: "application/xml",
            kind: Kind::Plain,
            can_shrink: false,
            priority,
        };
        let read = |body: Option<Vec<u8>>| metadata::read(body.unwrap_or_default());
        Ok(Box::pin(self.line.ask(&ask, read)).await?.value)
    }

    /// How many leading keys fit into one question of this form: its address stays under 6 KB, its condition
    /// within `SparkQL`'s limits (Spark 1041). At least 1; 1 for [`spark_domain::KeyListForm::Single`].
    pub fn keys_that_fit(&self, query: &Query, keys: &[RecordKey]) -> usize {
        self.service.keys_that_fit(query, keys)
    }

    /// Reads the token from its source again; whether it is another one now.
    pub fn reload_token(&self) -> Result<bool, SettingsError> {
        self.line.reload_token()
    }

    /// Equal for equal tokens, so that feeds and instances which share a key share its budget. It cannot be
    /// turned back into the token.
    pub fn budget_key(&self) -> [u8; 32] {
        self.line.token().budget_key()
    }

    fn spell(&self, request: &PageRequest<'_>, top: u32, priority: Priority) -> Result<Ask, Error> {
        let PageRequest { query, position, paging, .. } = *request;
        let endpoint = query.resource.as_str();
        let exchange = || Box::new(self.line.exchange(endpoint));
        let (url, verbatim) = if let Position::Link(link) = position {
            let foreign = |origin| Error::ForeignLink { exchange: exchange(), origin };
            let url = self.service.link(link, Some(top)).map_err(foreign)?;
            (url, Some(self.service.link(link, None).map_err(foreign)?))
        } else {
            let misasked = |problem| Error::Misasked { exchange: exchange(), problem };
            (self.service.page(query, position, paging, top).map_err(misasked)?, None)
        };
        let kind = match (position, &query.filter) {
            (Position::Link(_), _) => Kind::Link,
            _ if self.service.single(query).is_some() => Kind::Entity,
            (_, Filter::Keys(..)) => Kind::Keys,
            (Position::Start, _) => Kind::First,
            (Position::After(_) | Position::End, _) => Kind::Plain,
        };
        let can_shrink = top > SMALL_PAGE && kind != Kind::Entity;
        Ok(Ask { url, verbatim, endpoint, accept: "application/json", kind, can_shrink, priority })
    }

    fn read_page(&self, ask: &Ask, paging: Paging, body: Option<Vec<u8>>) -> Result<Envelope, Unread> {
        let mut page = match body {
            None => return Ok(Envelope::empty()),
            Some(body) if ask.kind == Kind::Entity => wire::entity(body)?,
            Some(body) => wire::list(body)?,
        };
        page.next = match page.next {
            Some(link) if paging == Paging::NextLink => {
                Some(self.service.next(&ask.url, &link).map_err(Unread::ForeignLink)?)
            }
            // Paging by key follows no link, and an unordered server's is not to be trusted; that there is one
            // still tells an empty page from the end.
            unfollowed => unfollowed,
        };
        Ok(page)
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("settings", &self.line.settings).finish_non_exhaustive()
    }
}
