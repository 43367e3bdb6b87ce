//! Arbitrary bytes, and what must hold whatever they are.
//!
//! A feed's answers are the only input that nobody here wrote. Every reader of them has a body in a module of
//! its own: `reads` is the reading alone, whose memory and time are measured; `holds` is what must be true of
//! its result. The tests of this crate run each body over the corpus, over arbitrary bytes and over real pages
//! that were spoilt; libFuzzer runs the same bodies for as long as one likes:
//!
//! ```text
//! cargo +nightly fuzz run page --fuzz-dir crates/fuzz --features libfuzzer /tmp/page crates/fuzz/corpus/page
//! ```
//!
//! New inputs land in the first folder. One that found a bug is made small (`cargo fuzz tmin`), given a name
//! and committed to the corpus: from then on it is a test.
#![expect(clippy::missing_panics_doc, reason = "to panic is how a body says that its promise is broken")]

pub mod page;
pub mod native;
pub mod refusal;
pub mod grant;
pub mod metadata;
pub mod moment;
pub mod record;
pub mod gzip;
pub mod link;

/// A reader of bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its module, its folder in the corpus and its binary.
    pub name: &'static str,
    /// Reads, and forgets what it read.
    pub reads: fn(&[u8]),
    /// Reads, and checks what must hold.
    pub holds: fn(&[u8]),
    /// The most memory that reading takes, in bytes per byte of input, beside [`Target::CONSTANT`]. It is that of
    /// the worst input, made for it; a real page takes little more than its own size.
    pub memory: usize,
}

impl Target {
    /// What any reading may take, however short its input.
    pub const CONSTANT: usize = 1024 * 1024;

    /// All of them.
    pub const ALL: [Self; 9] = [
        // A list of `1,1,1`: a slice and a range, of 16 bytes each, for two of input.
        Self { name: "page", reads: page::reads, holds: page::holds, memory: 24 },
        // The same list, and each element once more in the flat page.
        Self { name: "native", reads: native::reads, holds: native::holds, memory: 32 },
        // The value tree of the same list. No error's body is longer than 64 KiB.
        Self { name: "refusal", reads: refusal::reads, holds: refusal::holds, memory: 40 },
        // Two such trees.
        Self { name: "grant", reads: grant::reads, holds: grant::holds, memory: 80 },
        Self { name: "metadata", reads: metadata::reads, holds: metadata::holds, memory: 16 },
        Self { name: "moment", reads: moment::reads, holds: moment::holds, memory: 16 },
        // A relation of `{},{}`: a member with its key and its hash for three.
        Self { name: "record", reads: record::reads, holds: record::holds, memory: 48 },
        // What comes out is bounded by the limit, not by what goes in.
        Self { name: "gzip", reads: gzip::reads, holds: gzip::holds, memory: 1 },
        Self { name: "link", reads: link::reads, holds: link::holds, memory: 16 },
    ];
}

/// The text of a problem goes into log lines and rows: it must be one line that a person can read.
fn is_a_line(problem: &str) {
    assert!(problem.chars().count() <= 300, "{} characters: {problem:.200}", problem.chars().count());
    assert!(!problem.contains(char::is_control), "{problem:?}");
}

/// What one of our own readers or writers made must be readable.
#[expect(clippy::panic, reason = "the promise is broken")]
fn unreadable<T>(what: &str, problem: &dyn std::fmt::Display) -> T {
    panic!("unreadable: {problem}: {what}")
}
