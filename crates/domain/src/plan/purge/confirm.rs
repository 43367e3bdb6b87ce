//! What an answer to a list of keys proves.

use std::collections::HashSet;

use crate::RecordKey;

/// What the answer to "which of these keys do you have" means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmation {
    /// The feed understood the question: these keys answered, the other asked ones did not.
    Understood {
        /// Asked keys that are not in the answer.
        gone: Vec<RecordKey>,
    },
    /// The feed did not understand it: the control key is missing, or a key came that nobody asked for.
    Misread,
}

/// Reads an answer. `control` is a key that the sweep has just listed; it was asked for along with the others.
pub fn read_confirmation(
    asked: &[RecordKey],
    control: Option<&RecordKey>,
    answered: &[RecordKey],
) -> Confirmation {
    let answered: HashSet<&RecordKey> = answered.iter().collect();
    let known: HashSet<&RecordKey> = asked.iter().chain(control).collect();
    let understood = answered.is_subset(&known) && control.is_none_or(|key| answered.contains(key));
    if understood {
        Confirmation::Understood {
            gone: asked.iter().filter(|key| !answered.contains(key)).cloned().collect(),
        }
    } else {
        Confirmation::Misread
    }
}
