//! A packed body, cut into pieces as a network would.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use spark_fetcher::bytes;

const LIMIT: usize = 256 * 1024;

/// Unpacks it. The first byte says how long the pieces are.
pub fn reads(input: &[u8]) {
    let (length, packed) = split(input);
    let _ = bytes::unpack(Some(b"gzip"), packed.chunks(length), LIMIT);
}

/// Nothing beyond the limit comes out, the pieces do not matter, and what is cut short is never taken for whole.
pub fn holds(input: &[u8]) {
    let (length, packed) = split(input);
    let whole = bytes::unpack(Some(b"gzip"), [packed], LIMIT);
    let pieces = bytes::unpack(Some(b"GZIP"), packed.chunks(length), LIMIT);
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces);
            if let Some(bytes) = whole {
                assert!(bytes.len() <= LIMIT);
                assert!(bytes.capacity() <= LIMIT + LIMIT / 4 + 64 * 1024, "{} bytes held", bytes.capacity());
            }
        }
        // Rubbish behind a member that is already beyond the limit is not looked at in larger pieces.
        (Ok(None), Err(_)) | (Err(_), Ok(None)) => {}
        (whole, pieces) => assert_eq!(whole.is_err(), pieces.is_err(), "{whole:?} but {pieces:?}"),
    }

    let again = pack(packed);
    let unpacked = bytes::unpack(Some(b"gzip"), again.chunks(length), LIMIT);
    assert!(unpacked.is_ok_and(|bytes| bytes.is_none_or(|bytes| bytes == packed)), "packed and lost");
    let cut = &again[..=usize::from(packed.first().copied().unwrap_or_default()) % (again.len() - 1)];
    let short = bytes::unpack(Some(b"gzip"), [cut], usize::MAX);
    assert!(short.is_err(), "{} of {} bytes were taken for whole", cut.len(), again.len());
    assert!(
        bytes::unpack(None, packed.chunks(length), LIMIT)
            .is_ok_and(|plain| plain.is_none_or(|p| p == packed))
    );
}

fn split(input: &[u8]) -> (usize, &[u8]) {
    input.split_first().map_or((1, input), |(first, rest)| (usize::from(*first).max(1), rest))
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).and_then(|()| packer.finish()).unwrap_or_default()
}
