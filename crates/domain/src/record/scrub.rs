//! Makes legal JSON acceptable to Postgres, which refuses a whole record for one `\u0000` or lone surrogate.

use memchr::memmem;

const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// Overwrites `\u0000` and lone surrogates in JSON text by `\ufffd`, the same length, and says how many.
/// Text that has no `\u` is only searched through.
pub fn scrub_in_place(json: &mut [u8]) -> usize {
    let Some(first) = memmem::find(json, b"\\u") else { return 0 };
    // The backslash may itself be escaped: begin where the run of backslashes begins, so that pairs are seen.
    let mut at = first;
    while at > 0 && json[at - 1] == b'\\' {
        at -= 1;
    }
    let mut replaced = 0;
    while at < json.len() {
        if json[at] != b'\\' {
            at += memchr::memchr(b'\\', &json[at..]).unwrap_or(json.len() - at);
            continue;
        }
        let Some(unit) = code_unit(json, at) else {
            at += 2;
            continue;
        };
        let follower = code_unit(json, at + 6);
        match unit {
            0xD800..=0xDBFF if follower.is_some_and(|low| (0xDC00..=0xDFFF).contains(&low)) => at += 12,
            0 | 0xD800..=0xDFFF => {
                json[at..at + 6].copy_from_slice(REPLACEMENT);
                replaced += 1;
                at += 6;
            }
            _ => at += 6,
        }
    }
    replaced
}

/// The code unit of the `\uXXXX` that starts here; none if something else does.
fn code_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
    // `from_str_radix` would take a sign.
    let text = std::str::from_utf8(digits).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(text, 16).ok()
}
