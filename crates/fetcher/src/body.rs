//! Reads an answer's body: counted as it comes off the wire, unpacked, capped, covered by its share.
//!
//! The cap holds for what comes out of the decompressor and is checked piece by piece, so a few kilobytes that
//! unpack to gigabytes are cut at the cap.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderValue};

use crate::allowance::Share;
use crate::quote::one_line;

/// No page may be larger than this, whatever the settings say.
const HARD_CAP: usize = 256_000_000;

/// Why a body could not be read to its end.
#[derive(Debug)]
pub(crate) enum Cut {
    /// It is larger than allowed.
    TooBig { limit: usize },
    /// The connection broke or was too slow.
    Broken(reqwest::Error),
    /// It is not packed as its header says.
    Unreadable(String),
}

/// A body that is larger than this is cut.
pub(crate) fn limit(page_bytes: usize) -> usize {
    page_bytes.saturating_mul(8).min(HARD_CAP)
}

/// Reads to the end. `wire` counts the bytes as they were sent, also of a body that breaks.
pub(crate) async fn read(
    mut response: Response,
    limit: usize,
    share: &mut Share,
    wire: &mut u64,
) -> Result<Vec<u8>, Cut> {
    let encoding = response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    let mut unpacker = Unpacker::new(encoding, limit)?;
    while let Some(chunk) = response.chunk().await.map_err(Cut::Broken)? {
        *wire += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let covered = unpacker.take(&chunk)?;
        share.cover(covered).await;
    }
    unpacker.end()
}

/// Takes the cover off a body, piece by piece.
pub(crate) enum Unpacker {
    Plain(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
}

pub(crate) struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl Unpacker {
    /// For a body of this `Content-Encoding`.
    pub(crate) fn new(encoding: Option<&[u8]>, limit: usize) -> Result<Self, Cut> {
        let sink = Sink { bytes: Vec::new(), limit, overflowed: false };
        match encoding.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Ok(Self::Plain(sink)),
            Some(b"gzip" | b"x-gzip") => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(sink)))),
            Some(other) => {
                let other = one_line(&String::from_utf8_lossy(other));
                Err(Cut::Unreadable(format!("it is encoded as {other}, which was not asked for")))
            }
        }
    }

    /// Takes in a piece as it was sent; how many bytes have come out so far.
    pub(crate) fn take(&mut self, chunk: &[u8]) -> Result<usize, Cut> {
        let written = self.write(chunk);
        let sink = self.sink();
        if sink.overflowed {
            return Err(Cut::TooBig { limit: sink.limit });
        }
        written.map_err(|error| Cut::Unreadable(error.to_string()))?;
        Ok(sink.bytes.len())
    }

    /// The bytes, if the packed stream has its proper end.
    pub(crate) fn end(self) -> Result<Vec<u8>, Cut> {
        let sink = match self {
            Self::Plain(sink) => Ok(sink),
            Self::Gzip(decoder) => decoder.finish(),
        };
        let sink = sink.map_err(|error| Cut::Unreadable(error.to_string()))?;
        if sink.overflowed { Err(Cut::TooBig { limit: sink.limit }) } else { Ok(sink.bytes) }
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(chunk),
            Self::Gzip(decoder) => {
                decoder.write_all(chunk)?;
                decoder.flush()
            }
        }
    }

    fn sink(&self) -> &Sink {
        match self {
            Self::Plain(sink) => sink,
            Self::Gzip(decoder) => decoder.get_ref(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.limit {
            self.overflowed = true;
            return Err(io::Error::other("larger than allowed"));
        }
        if needed > self.bytes.capacity() {
            // Doubling would let a page occupy twice its share.
            let step = (self.bytes.len() / 4).max(64 * 1024).max(piece.len());
            self.bytes.reserve_exact(step);
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
