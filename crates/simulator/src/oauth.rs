//! OAuth2 as Spark has it: a page where a person agrees, and a grant endpoint whose refresh tokens rotate.
//!
//! Every refresh hands out a new pair and voids the refresh token that paid for it, at once and also if the answer
//! never arrives: whoever loses the answer has lost the pair. Access tokens live for a while, by the machine's
//! clock. Troubles of the wire (a reset after the rotation, 429, HTML) are pushed as [`crate::Fault`]s
//! that match [`GRANT`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    faults::ErrorShape,
    http::{Request, Response},
    odata::{self, Answer},
};

/// The path of the grant endpoint.
pub const GRANT: &str = "/v1/oauth2/grant";

/// The path of the page where a person agrees.
pub const AUTHORIZE: &str = "/oauth2";

/// The one client that is known.
pub const CLIENT_ID: &str = "simulator-client";

/// Its secret; with characters that are written differently in a URL, in JSON and in a form.
pub const CLIENT_SECRET: &str = r#"client+S3cret/of\the%simulator"&=~"#;

/// The side of Spark that issues tokens.
#[derive(Debug)]
pub struct OAuth(Mutex<Book>);

/// One request to the grant endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// `authorization_code` or `refresh_token`.
    pub kind: String,
    /// The code or the refresh token that it brought.
    pub brought: String,
    /// The error it was refused with; none if a pair was issued.
    pub refused: Option<&'static str>,
}

#[derive(Debug)]
struct Book {
    life: Duration,
    without_refresh: bool,
    issued: u32,
    secrets: Vec<String>,
    /// Codes, with the address they are to be exchanged for.
    codes: BTreeMap<String, String>,
    refresh: BTreeSet<String>,
    access: BTreeMap<String, Instant>,
    grants: Vec<Grant>,
}

/// What is known of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    Expired,
    Unknown,
}

impl Default for OAuth {
    fn default() -> Self {
        Self(Mutex::new(Book {
            life: Duration::from_hours(24),
            without_refresh: false,
            issued: 0,
            secrets: Vec::new(),
            codes: BTreeMap::new(),
            refresh: BTreeSet::new(),
            access: BTreeMap::new(),
            grants: Vec::new(),
        }))
    }
}

impl OAuth {
    /// How long access tokens live that are issued from now on.
    pub fn set_life(&self, life: Duration) {
        self.book().life = life;
    }

    /// Refreshes answer with an access token alone from now on, and the refresh token stays good.
    pub fn answer_without_refresh_token(&self) {
        self.book().without_refresh = true;
    }

    /// Voids every refresh token: the next refresh is an `invalid_grant`.
    pub fn revoke_refresh_tokens(&self) {
        self.book().refresh.clear();
    }

    /// Ends the life of every access token now.
    pub fn expire_access_tokens(&self) {
        let now = Instant::now();
        self.book().access.values_mut().for_each(|end| *end = now);
    }

    /// A code, as if a person had agreed at the page.
    pub fn code(&self, redirect_uri: &str) -> String {
        let mut book = self.book();
        let code = book.issue("code");
        book.codes.insert(code.clone(), redirect_uri.to_owned());
        code
    }

    /// What the grant endpoint was asked, oldest first.
    pub fn grants(&self) -> Vec<Grant> {
        self.book().grants.clone()
    }

    /// Every code and token that was ever issued.
    pub fn secrets(&self) -> Vec<String> {
        self.book().secrets.clone()
    }

    pub(crate) fn standing(&self, access_token: &str) -> Standing {
        match self.book().access.get(access_token) {
            Some(end) if Instant::now() < *end => Standing::Good,
            Some(_) => Standing::Expired,
            None => Standing::Unknown,
        }
    }

    /// The answer of the grant endpoint.
    pub(crate) fn grant(&self, request: &Request) -> Answer {
        if request.method != "POST" {
            return Answer::error(ErrorShape::D, 405, 405, "Method not allowed.");
        }
        let json = request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
        let Some(body) = json.then(|| serde_json::from_slice::<Value>(&request.body).ok()).flatten() else {
            return Answer::error(ErrorShape::D, 400, 1035, "The body is not JSON.");
        };
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let kind = field("grant_type");
        let brought = field(if kind == "refresh_token" { "refresh_token" } else { "code" });
        let mut book = self.book();
        let paid = if (field("client_id"), field("client_secret")) != (CLIENT_ID.into(), CLIENT_SECRET.into())
        {
            Err("invalid_client")
        } else if kind == "authorization_code" {
            let agreed = book.codes.remove(&brought);
            agreed.filter(|uri| *uri == field("redirect_uri")).map(drop).ok_or("invalid_grant")
        } else if kind == "refresh_token" {
            let good = book.refresh.contains(&brought);
            if good && !book.without_refresh {
                book.refresh.remove(&brought);
            }
            if good { Ok(()) } else { Err("invalid_grant") }
        } else {
            Err("invalid_request")
        };
        let again = kind == "refresh_token";
        book.grants.push(Grant { kind, brought, refused: paid.err() });
        match paid {
            Ok(()) => book.pair(again),
            Err(error) => {
                let body =
                    json!({ "error": error, "error_description": format!("{error}, says the simulator.") });
                Answer { status: 400, content_type: "application/json", body: body.to_string(), records: 0 }
            }
        }
    }

    /// The page where a person agrees: the simulator's people always do.
    pub(crate) fn authorize(&self, request: &Request) -> Response {
        let (_, query) = request.target.split_once('?').unwrap_or_default();
        let params: BTreeMap<String, String> = odata::params(query).into_iter().collect();
        let param = |name: &str| params.get(name).map_or("", String::as_str);
        let to = param("redirect_uri");
        if param("client_id") != CLIENT_ID || param("response_type") != "code" || to.is_empty() {
            return Response::new(400, "text/html", b"<h1>Unknown client</h1>".to_vec());
        }
        let mut location = format!("{to}?code={}", encode(&self.code(to)));
        if let Some(state) = params.get("state") {
            let _ = write!(location, "&state={}", encode(state));
        }
        let mut response = Response::new(302, "text/html", Vec::new());
        response.headers.push(("Location".to_owned(), location));
        response
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn issue(&mut self, kind: &str) -> String {
        self.issued += 1;
        let scattered = u64::from(self.issued).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let secret = format!("{kind}/{}+s3cr3t~{scattered:016x}", self.issued);
        self.secrets.push(secret.clone());
        secret
    }

    fn pair(&mut self, again: bool) -> Answer {
        let access = self.issue("access");
        self.access.insert(access.clone(), Instant::now() + self.life);
        let mut body = json!({ "access_token": access });
        if !(again && self.without_refresh) {
            let refresh = self.issue("refresh");
            self.refresh.insert(refresh.clone());
            body["refresh_token"] = refresh.into();
            // Spark names whole seconds. A shorter life is the simulator's own, and said as a fraction.
            body["expires_in"] = match self.life.subsec_nanos() {
                0 => self.life.as_secs().into(),
                _ => self.life.as_secs_f64().into(),
            };
        }
        Answer { status: 200, content_type: "application/json", body: body.to_string(), records: 0 }
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
