//! Reads an answer's body: counted as it comes off the wire, unpacked, capped, covered by its share.
//!
//! The cap holds for what comes out of the decompressor and is checked piece by piece, so a few kilobytes that
//! unpack to gigabytes are cut at the cap.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderValue};

use crate::allowance::Share;

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
    let mut unpacker = Unpacker::for_encoding(&response, limit)?;
    while let Some(chunk) = response.chunk().await.map_err(Cut::Broken)? {
        *wire += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let written = unpacker.write(&chunk);
        let sink = unpacker.sink();
        if sink.overflowed {
            return Err(Cut::TooBig { limit });
        }
        let covered = sink.bytes.len();
        written.map_err(|error| Cut::Unreadable(error.to_string()))?;
        share.cover(covered).await;
    }
    let sink = unpacker.finish().map_err(|error| Cut::Unreadable(error.to_string()))?;
    if sink.overflowed { Err(Cut::TooBig { limit }) } else { Ok(sink.bytes) }
}

enum Unpacker {
    Plain(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
}

struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    overflowed: bool,
}

impl Unpacker {
    fn for_encoding(response: &Response, limit: usize) -> Result<Self, Cut> {
        let sink = Sink { bytes: Vec::new(), limit, overflowed: false };
        let encoding = response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        match encoding.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Ok(Self::Plain(sink)),
            Some(b"gzip" | b"x-gzip") => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(sink)))),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                Err(Cut::Unreadable(format!("it is encoded as {other}, which was not asked for")))
            }
        }
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

    /// The bytes, if the packed stream has its proper end.
    fn finish(self) -> io::Result<Sink> {
        match self {
            Self::Plain(sink) => Ok(sink),
            Self::Gzip(decoder) => decoder.finish(),
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
