//! The readers behind the door, without a network: for tests that hand them arbitrary bytes, and nobody else.

use std::io;
use std::time::Duration;

use spark_domain::{Page, PageHead, Query, Relation, Resource, Timestamp};
use url::Url;

use crate::body::{Cut, Unpacker};
use crate::dialect::Api;
use crate::envelope::{Envelope, Unread};
use crate::error::body;
use crate::grant::{Pair, Reading, read_answer};
use crate::headers;
use crate::quote::one_line;
use crate::reso::metadata::{self, Metadata};
use crate::reso::url::Service;
use crate::reso::wire;
use crate::spark;

/// No wait that a feed asks for is longer.
pub const LONGEST_WAIT: Duration = headers::LONGEST_WAIT;

/// The body of an answer of success, of a list or of one record; or what is wrong with it.
pub fn page(bytes: Vec<u8>, one: bool) -> Result<Page, String> {
    let read = if one { wire::entity(bytes) } else { wire::list(bytes) };
    let Envelope { text, records, next, count, scrubbed } = read.map_err(problem)?;
    let head = PageHead { next, count, bytes: text.len(), scrubbed, ..PageHead::default() };
    Ok(Page::new(head, text, records, None))
}

/// The body of an answer of success from the native API: listings with every expansion that it has.
pub fn native_page(bytes: Vec<u8>) -> Result<Page, String> {
    let expand =
        Relation::ALL.into_iter().filter(|relation| Api::Spark.expands(Resource::Property, *relation));
    let query = Query { expand: expand.collect(), ..Query::collection(Resource::Property) };
    let Envelope { text, records, next, count, scrubbed } =
        spark::wire::list(bytes, &query).map_err(problem)?;
    let head = PageHead { next, count, bytes: text.len(), scrubbed, ..PageHead::default() };
    Ok(Page::new(head, text, records, None))
}

/// The code and the message of an error's body as they are repeated, if it names any failure.
pub fn refusal(bytes: &[u8]) -> Option<(Option<i64>, Option<String>)> {
    let quoted = |words: String| Some(one_line(&words)).filter(|line| !line.is_empty());
    body::read(bytes).map(|said| (said.code, said.message.and_then(quoted)))
}

/// The pair in an answer of the token endpoint, or its words as they are repeated.
pub fn grant(status: u16, bytes: &[u8]) -> Result<Pair, String> {
    match read_answer(status, bytes) {
        Reading::Granted(pair) => Ok(pair),
        Reading::Void(words)
        | Reading::Misconfigured(words)
        | Reading::Throttled(words)
        | Reading::Refused(words)
        | Reading::Unclear(words) => Err(one_line(&words)),
    }
}

/// A `$metadata` document.
pub fn metadata(bytes: Vec<u8>) -> Result<Metadata, String> {
    metadata::read(bytes).map_err(problem)
}

/// A body in pieces, as it came off the wire; `None` is one beyond the limit.
pub fn unpack<'a>(
    encoding: Option<&[u8]>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let unpacked = Unpacker::new(encoding, limit).and_then(|mut unpacker| {
        pieces.into_iter().try_for_each(|piece| unpacker.take(piece).map(drop))?;
        unpacker.end()
    });
    match unpacked {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Cut::TooBig { .. }) => Ok(None),
        Err(Cut::Unreadable(problem)) => Err(io::Error::other(problem)),
        Err(Cut::Broken(error)) => Err(io::Error::other(error)),
    }
}

/// A `Date` header.
pub fn date(text: &str) -> Option<Timestamp> {
    headers::moment(text)
}

/// A `Retry-After` header of an answer of that date.
pub fn retry_after(text: &str, date: Timestamp) -> Option<Duration> {
    headers::wait(text, || date)
}

/// A page's link as it is kept, or the foreign origin that it leads to.
pub fn keep_link(base: &Url, asked: &Url, link: &str) -> Result<String, String> {
    Service::new(base, "").next(asked, link)
}

/// Where a kept link leads, with this page size, or the foreign origin.
pub fn follow_link(base: &Url, link: &str, top: Option<u32>) -> Result<Url, String> {
    Service::new(base, "").link(link, top)
}

fn problem(unread: Unread) -> String {
    match unread {
        Unread::Malformed(problem) | Unread::ForeignLink(problem) => problem,
        Unread::Refusal(said) => said.message.as_deref().map(one_line).unwrap_or_default(),
    }
}
