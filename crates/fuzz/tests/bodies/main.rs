//! The bodies of the fuzz targets, over bytes that are worth it: the corpus, anything, near-JSON, near-XML, real
//! pages that were spoilt, and shapes that are made to hurt.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod corpus;
mod anything;
mod nearly;
mod spoilt;
mod hurting;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use spark_fuzz::Target;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Reading may take this long, and so much for each byte; a reader that loops takes for ever.
const LONGEST: Duration = Duration::from_secs(5);
const PER_BYTE: Duration = Duration::from_micros(10);

/// The turn of a test: the memory of the whole process is measured, so they run one after the other.
struct Alone(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Alone {
    fn wait() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        Self(TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the input, measured, and then holds what must be true of the result.
    fn holds(&self, target: &Target, input: &[u8]) {
        let _ = self;
        let (name, length) = (target.name, input.len());
        MEMORY.reset_peak_usage();
        let (before, begun) = (MEMORY.current_usage(), Instant::now());
        (target.reads)(input);
        let (took, peak) = (begun.elapsed(), MEMORY.peak_usage() - before);
        let most = target.memory * length + Target::CONSTANT;
        assert!(peak <= most, "{name} took {peak} bytes of memory for {length} of input, not {most}");
        let longest = LONGEST + PER_BYTE * u32::try_from(length).unwrap();
        assert!(took <= longest, "{name} took {took:?} for {length} bytes");
        (target.holds)(input);
    }
}

fn target(name: &str) -> &'static Target {
    Target::ALL.iter().find(|target| target.name == name).unwrap()
}
