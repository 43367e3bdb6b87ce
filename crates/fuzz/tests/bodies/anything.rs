//! Bytes and texts of no kind at all.

use proptest::collection::vec;
use proptest::prelude::*;
use spark_fuzz::Target;

use crate::Alone;

#[test]
fn what_must_hold_holds_for_arbitrary_bytes() {
    let alone = Alone::wait();
    proptest!(|(input in vec(any::<u8>(), 0..600))| {
        for target in &Target::ALL {
            alone.holds(target, &input);
        }
    });
}

#[test]
fn what_must_hold_holds_for_arbitrary_texts() {
    let alone = Alone::wait();
    proptest!(|(input in any::<String>())| {
        for target in &Target::ALL {
            alone.holds(target, input.as_bytes());
        }
    });
}
