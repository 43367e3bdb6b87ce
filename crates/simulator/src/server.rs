//! The simulator as a server: who may ask, how often, and what becomes of the answer on its way.

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    clock::Clock,
    dialect::Dialect,
    faults::{ErrorShape, Faults, Trouble},
    http::{self, Delivery, Request, Response},
    journal::{Entry, Journal},
    manners::Manners,
    market::{Market, MarketSettings},
    oauth::{self, OAuth, Standing},
    odata::{self, Answer, Context, PATH},
    spark::{self, ListEnd},
    world::{Census, Resource, Shape, World},
};

/// Longer request lines are refused with 414.
const LONGEST_URL: usize = 8 * 1_024;

/// How a simulator is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The one token that is right.
    pub token: String,
    /// What the whole market is drawn from.
    pub seed: u64,
    /// Listings at first.
    pub listings: usize,
    /// Members at first; in proportion to the listings if not said. Offices and teams follow.
    pub members: Option<usize>,
    /// Open houses at first; in proportion to the listings if not said.
    pub open_houses: Option<usize>,
    /// What a listing looks like.
    pub shape: Shape,
    /// How long answers may show the version before an edit, by the simulator's clock.
    pub cache_window: Duration,
    /// Requests answered within a window; beyond them 429 with code 1550.
    pub rate_limit: Option<(usize, Duration)>,
    /// Whether a plus in a query is a space, as in a form. Not everybody's servers say so, and a client that does
    /// without is right with all of them: tests of ours are strict, `simulate` is there for any client.
    pub form_encoded: bool,
    /// How lists of the native surface end.
    pub list_end: ListEnd,
    /// In what the server differs from Spark.
    pub manners: Manners,
    /// A market that moves by itself.
    pub market: Option<MarketSettings>,
    /// The clock, if it is to be shared or set before the market is made.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: "simulator-token".to_owned(),
            seed: 1,
            listings: 100,
            members: None,
            open_houses: None,
            shape: Shape::default(),
            cache_window: Duration::ZERO,
            rate_limit: None,
            form_encoded: false,
            list_end: ListEnd::default(),
            manners: Manners::default(),
            market: None,
            clock: Clock::default(),
        }
    }
}

/// A running simulator; stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    market: Market,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    origin: Mutex<String>,
    token: Mutex<String>,
    oauth: OAuth,
    world: World,
    journal: Journal,
    faults: Faults,
    rate_limit: Option<(usize, Duration)>,
    form_encoded: bool,
    list_end: ListEnd,
    manners: Manners,
    recent: Mutex<VecDeque<Instant>>,
}

impl Simulator {
    /// Makes the market and listens; must be called within a tokio runtime.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let listings = settings.listings as u64;
        let members = settings.members.map_or(listings / 10 + 3, |members| members as u64);
        let census = Census {
            listings,
            members,
            offices: members / 8 + 2,
            teams: members / 20 + 1,
            open_houses: settings.open_houses.map_or(listings / 50 + 1, |many| many as u64),
        };
        let (seed, shape, window) = (settings.seed, settings.shape, settings.cache_window);
        let clock = settings.clock;
        // A big market takes seconds to make.
        let made = tokio::task::spawn_blocking(move || World::new(seed, shape, census, window, clock));
        let world = made.await.map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            origin: Mutex::new(format!("http://{address}")),
            token: Mutex::new(settings.token),
            oauth: OAuth::default(),
            world: world.clone(),
            journal: Journal::default(),
            faults: Faults::default(),
            rate_limit: settings.rate_limit,
            form_encoded: settings.form_encoded,
            list_end: settings.list_end,
            manners: settings.manners,
            recent: Mutex::default(),
        });
        let state = Arc::clone(&shared);
        let task = tokio::spawn(http::serve(listener, move |request| respond(Arc::clone(&state), request)));
        Ok(Self { address, shared, market: Market::start(world, seed, settings.market), task })
    }

    /// The address of the surface, without a slash at its end: what `base_url` is set to.
    pub fn base_url(&self) -> String {
        format!("{}{PATH}", self.shared.origin())
    }

    /// The address of the native surface on the same port, without a slash at its end.
    pub fn spark_base_url(&self) -> String {
        format!("{}{}", self.shared.origin(), spark::PATH)
    }

    /// Either address.
    pub fn base_url_of(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Reso => self.base_url(),
            Dialect::Spark => self.spark_base_url(),
        }
    }

    /// Links name this origin from now on, as `http://127.0.0.1:PORT`: a relay stands before the simulator.
    pub fn set_origin(&self, origin: &str) {
        origin.clone_into(&mut self.shared.origin.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The right token.
    pub fn token(&self) -> String {
        self.shared.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes another token the only right one, as when a key is revoked and issued anew.
    pub fn set_token(&self, token: &str) {
        token.clone_into(&mut self.shared.token.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Who issues tokens that expire, beside the right one that does not.
    pub fn oauth(&self) -> &OAuth {
        &self.shared.oauth
    }

    /// An address of this simulator below its origin, as in `address_of(oauth::GRANT)`.
    pub fn address_of(&self, path: &str) -> String {
        format!("{}{path}", self.shared.origin())
    }

    /// The market, to look at and to edit.
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// What was asked.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// What is to go wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What moves the market.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// The clock of the whole simulator.
    pub fn clock(&self) -> &Clock {
        self.shared.world.clock()
    }

    /// Stops listening and closes all connections; the market stays to be looked at.
    pub async fn stop(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn origin(&self) -> String {
        self.origin.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers one request, from the journal's first line to the delivery.
async fn respond(shared: Arc<Shared>, mut request: Request) -> Response {
    if let Some((path, query)) = request.target.split_once('?').filter(|_| shared.form_encoded) {
        request.target = format!("{path}?{}", query.replace('+', "%20"));
    }
    let mut entry = Entry::of(&request, shared.world.clock().now());
    name_account(&shared, &mut entry);
    entry.translate();
    if entry.path == oauth::AUTHORIZE {
        return shared.oauth.authorize(&request);
    }
    let secret = entry.authorization.as_deref().and_then(|value| value.split_once(' '));
    entry.token_right = secret.is_some_and(|(scheme, token)| {
        (scheme.eq_ignore_ascii_case("Bearer") || scheme.eq_ignore_ascii_case("OAuth"))
            && (token == *shared.token.lock().unwrap_or_else(PoisonError::into_inner)
                || shared.oauth.standing(token) == Standing::Good)
    });
    let troubles = shared.faults.take(&entry);
    entry.faults = troubles.iter().map(Trouble::name).collect();
    let number = shared.journal.open(entry.clone());
    entry.number = number;
    for trouble in &troubles {
        if let Trouble::Stall(time) = trouble {
            tokio::time::sleep(*time).await;
        }
    }

    let (state, faults) = (Arc::clone(&shared), troubles.clone());
    // Big pages take long to write: other connections must not wait for them.
    let work = tokio::task::spawn_blocking(move || {
        let answer = answer(&state, &request, &entry, &faults);
        let records = answer.records;
        (dress(&state, &request, entry.dialect, answer, &faults), records)
    });
    let (response, records) = work
        .await
        .unwrap_or_else(|_| (Response::new(500, "text/plain", b"the simulator itself failed".to_vec()), 0));
    shared.journal.close(number, |entry| {
        entry.status = (!matches!(response.delivery, Delivery::Never)).then_some(response.status);
        entry.records = records;
        entry.bytes = response.body.len();
    });
    response
}

/// Only the market knows whether an account under a key is a member or an office.
fn name_account(shared: &Shared, entry: &mut Entry) {
    if entry.dialect == Dialect::Spark
        && spark::place(&entry.path).0 == "accounts"
        && entry.resource.is_none()
    {
        let key = entry.key.as_deref().unwrap_or_default();
        let inner = shared.world.lock();
        let holds = |resource: &Resource| inner.holds(*resource, key);
        let found = [Resource::Member, Resource::Office].into_iter().find(holds);
        entry.resource = found.map(|resource| resource.as_str().to_owned());
    }
}

fn answer(shared: &Shared, request: &Request, entry: &Entry, troubles: &[Trouble]) -> Answer {
    if entry.path == oauth::GRANT && troubles.iter().all(Trouble::lets_answer) {
        return shared.oauth.grant(request);
    }
    for trouble in troubles {
        match trouble {
            Trouble::Refuse { status, code, shape, .. } => {
                return refusal(entry.dialect, *shape, *status, *code, "Refused on demand.");
            }
            Trouble::Answer { status, content_type, body } => {
                return Answer { status: *status, content_type, body: body.clone(), records: 0 };
            }
            Trouble::NoRecords => {
                let body = match entry.dialect {
                    Dialect::Reso => r#"{"@odata.count":0,"value":[]}"#,
                    Dialect::Spark => r#"{"D":{"Success":true,"Results":[],"Pagination":{"TotalRows":0}}}"#,
                };
                let body = body.to_owned();
                return Answer { status: 200, content_type: "application/json", body, records: 0 };
            }
            Trouble::Redirect(_) => {
                return Answer { status: 302, content_type: "text/html", body: String::new(), records: 0 };
            }
            _ => {}
        }
    }
    let refuse = |status, code, message| refusal(entry.dialect, ErrorShape::Error, status, code, message);
    if request.target.len() > LONGEST_URL {
        return Answer {
            status: 414,
            content_type: "text/html",
            body: "URI Too Long".to_owned(),
            records: 0,
        };
    }
    if request.method != "GET" {
        return refuse(405, 405, "Method not allowed.");
    }
    if entry.user_agent.as_deref().is_none_or(str::is_empty) {
        return refuse(400, 1016, "User-Agent is missing.");
    }
    if !entry.token_right {
        let token =
            entry.authorization.as_deref().and_then(|value| value.split_once(' ')).unwrap_or_default().1;
        if shared.oauth.standing(token) == Standing::Expired {
            return Answer::error(ErrorShape::D, 401, 1020, "The session token has expired.");
        }
        return refuse(401, 401, "Invalid API key and/or request signed improperly");
    }
    if over_limit(shared) {
        return Answer::error(ErrorShape::D, 429, 1550, "Over rate limit");
    }
    if let Some(answer) = shared.manners.refuse(entry) {
        return answer;
    }
    let now = shared.world.clock().seconds();
    let origin = shared.origin();
    let context = Context { origin: &origin, number: entry.number, now, troubles };
    let inner = shared.world.lock();
    if entry.dialect == Dialect::Spark {
        return spark::answer(&inner, entry, &context, shared.list_end);
    }
    match entry.path.strip_prefix(PATH) {
        Some("/$metadata") => {
            Answer { status: 200, content_type: "application/xml", body: odata::edmx(&inner), records: 0 }
        }
        Some(_) => {
            let answer = odata::answer(&inner, entry, &context);
            let resource = entry.resource.as_deref().and_then(Resource::named);
            match resource {
                Some(resource) => shared.manners.apply(resource.key_field(), entry, answer),
                None => answer,
            }
        }
        None => refuse(404, 404, "No such path."),
    }
}

/// A refusal in the surface's own words: the native one knows no other envelope than its own, and says in it
/// what the other leaves to the status.
pub(crate) fn refusal(dialect: Dialect, shape: ErrorShape, status: u16, code: i64, message: &str) -> Answer {
    match (dialect, code) {
        (Dialect::Reso, _) => Answer::error(shape, status, code, message),
        (Dialect::Spark, 401) => spark::refuse(status, 1000, message, None),
        (Dialect::Spark, _) => spark::refuse(status, code, message, None),
    }
}

fn over_limit(shared: &Shared) -> bool {
    let Some((most, window)) = shared.rate_limit else {
        return false;
    };
    let mut recent = shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    while recent.front().is_some_and(|first| now.duration_since(*first) > window) {
        recent.pop_front();
    }
    // Refused requests count too: that is what "any 5 minutes" means.
    recent.push_back(now);
    recent.len() > most
}

/// Headers, compression, and the damage on the wire.
fn dress(
    shared: &Shared,
    request: &Request,
    dialect: Dialect,
    answer: Answer,
    troubles: &[Trouble],
) -> Response {
    let mut body = answer.body.into_bytes();
    let mut delivery = Delivery::Whole;
    let mut headers = Vec::new();
    for trouble in troubles {
        match trouble {
            Trouble::CutShort { after } => body.truncate(*after),
            Trouble::Truncate { after } => delivery = Delivery::Broken { after: *after, reset: false },
            Trouble::ResetWithin { after } => delivery = Delivery::Broken { after: *after, reset: true },
            Trouble::Reset => delivery = Delivery::Never,
            Trouble::Drip { bytes, every } => delivery = Delivery::Drip { bytes: *bytes, every: *every },
            Trouble::Redirect(to) => headers.push(("Location".to_owned(), to.clone())),
            Trouble::Refuse { retry_after: Some(hint), .. } => {
                headers.push(("Retry-After".to_owned(), hint.clone()));
            }
            _ => {}
        }
    }
    let accepts = request.header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip"));
    if accepts && body.len() > 1_024 {
        let mut gzip = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        if gzip.write_all(&body).is_ok()
            && let Ok(packed) = gzip.finish()
        {
            body = packed;
            headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
        }
    }
    let mut response = Response::new(answer.status, answer.content_type, body);
    headers.push(("Date".to_owned(), shared.world.clock().http_date()));
    if dialect == Dialect::Reso {
        headers.push(("OData-Version".to_owned(), "4.0".to_owned()));
    }
    response.headers.extend(headers);
    response.delivery = delivery;
    response
}
