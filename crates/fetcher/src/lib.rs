//! The only room that speaks to Spark.
//!
//! One question goes in, one page or one error comes out. Between lie the token, the request budget
//! ([`Pacer`]), the process' byte allowance ([`Allowance`]), the retries of that one request, and the spelling
//! of the feed's dialect ([`Api`]). Nothing is decided here about listings, and nothing is remembered from one question to
//! the next but the token.
//!
//! Rules: the token goes to the feed's own origin and nowhere else, also not into a log line; every attempt
//! takes a slot of the budget; an error says what can be done about it ([`Error::recovery`]).

mod settings;
mod fetcher;
mod attempt;
mod send;
mod course;
mod headers;
mod body;
mod address;
mod question;
mod envelope;
mod dialect;
mod reso;
mod spark;
mod error;
mod pacer;
mod allowance;
mod token;
mod sign_in;
mod keeper;
pub mod grant;
mod quote;
mod recording;
mod tls;
#[doc(hidden)]
pub mod bytes;

pub use allowance::Allowance;
pub use attempt::{Attempt, Observer, RETRY_REASONS};
pub use dialect::Api;
pub use error::{Error, Exchange};
pub use fetcher::{Fetcher, PageRequest};
pub use keeper::{Issued, KeeperError, Keeping, TokenKeeper};
pub use pacer::{Pacer, PacerControl, Slot};
pub use recording::{Recorder, RecorderError, Values};
pub use reso::metadata::{EntityType, Metadata, Property};
pub use settings::{Authorization, RetrySettings, Settings, SettingsError, Timeouts, TokenSource};
pub use sign_in::{ReloadError, TokenStanding};
pub use tls::check_ca;
