//! Every promise is broken once on purpose, in a process of its own, and the stories that hold it must fail, each
//! by the words in which it complains. A story that passes is no proof, and a breakage that breaks none is none.

use std::process::Command;

use spark_domain::Breakage;
use spark_domain::breakage::switch_on;

const VARIABLE: &str = "BREAKAGE";

/// The stories that hold a promise, and what they say when it is broken.
const fn stories(breakage: Breakage) -> &'static [(&'static str, &'static str)] {
    match breakage {
        Breakage::CursorMovedEarly => &[(
            "update::the_cursor_is_the_start_of_the_pass_and_moves_only_with_its_last_page",
            "the cursor moved although the pass did not end",
        )],
        Breakage::CheckpointApart => &[(
            "download::a_page_that_cannot_be_stored_is_not_behind_its_checkpoint",
            "Property: keys differ",
        )],
        Breakage::OlderOverNewer => &[(
            "update::a_stale_copy_does_not_replace_a_newer_one_and_the_true_one_arrives_within_the_cache_window",
            "left == right",
        )],
        Breakage::IncompleteSweep => &[
            (
                "purge_trouble::a_sweep_that_lacks_more_keys_than_may_have_moved_deletes_nothing",
                "purge of Property succeeded",
            ),
            ("purge_trouble::a_sweep_that_an_error_ends_deletes_nothing", "purge of Property succeeded"),
        ],
        Breakage::UnconfirmedPurge => &[(
            "purge_trouble::a_candidate_that_answers_when_asked_by_key_survives",
            "the candidate was not asked for by its key",
        )],
        Breakage::NoWriteMargin => &[
            ("purge::what_was_written_within_the_cache_window_is_not_purged", "within the margin"),
            (
                "purge_trouble::a_record_that_arrives_during_the_sweep_survives",
                "a job saw the record since the sweep began",
            ),
        ],
        Breakage::NoFence => &[(
            "lease::a_leader_whose_lease_was_taken_writes_nothing_more",
            "`Result::unwrap_err()` on an `Ok`",
        )],
        Breakage::MediaUnseenStamp => &[(
            "media::a_media_read_from_a_stale_cache_is_made_good_after_the_cache_window",
            "a stale set was taken for the new one",
        )],
        Breakage::RawHash => {
            &[("download::a_resync_writes_nothing_that_is_known_and_deletes_nothing", "left == right")]
        }
    }
}

/// In a process that tells one of the stories.
pub(crate) fn break_what_is_asked() {
    if let Ok(word) = std::env::var(VARIABLE) {
        switch_on(word.parse().unwrap());
    }
}

#[test]
fn every_broken_promise_fails_the_stories_that_hold_it() {
    for breakage in Breakage::ALL {
        for (story, words) in stories(breakage) {
            let told = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", story])
                .env(VARIABLE, breakage.as_str())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&told.stdout);
            assert!(said.contains("0 passed; 1 failed"), "{}: {story} was told:\n{said}", breakage.as_str());
            assert!(said.contains(words), "{}: {story} failed otherwise:\n{said}", breakage.as_str());
        }
    }
}
