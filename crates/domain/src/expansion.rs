//! What a question asks to come along, as the feed counts it.
//!
//! RESO's navigation properties are one expansion each. The native API has no `Media` but five expansions that
//! make it up, each with a stamp and a licence of its own: an MLS without floor plans refuses, or leaves out,
//! that part alone.

use std::fmt;
use std::str::FromStr;

use crate::Relation;

/// One of the native API's expansions that make up [`Relation::Media`], by the name that `_expand` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is Spark's name itself")]
pub enum MediaPart {
    Photos,
    Videos,
    VirtualTours,
    Documents,
    FloPlans,
}

impl MediaPart {
    /// Every part, in the order in which the members of a set follow each other.
    pub const ALL: [Self; 5] =
        [Self::Photos, Self::Videos, Self::VirtualTours, Self::Documents, Self::FloPlans];

    /// Spark's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Photos => "Photos",
            Self::Videos => "Videos",
            Self::VirtualTours => "VirtualTours",
            Self::Documents => "Documents",
            Self::FloPlans => "FloPlans",
        }
    }

    /// RESO's `MediaCategory` of a member of this part; a tour's depends on whether it is branded.
    pub const fn category(self, is_branded: bool) -> &'static str {
        match self {
            Self::Photos => "Photo",
            Self::Videos => "Video",
            Self::VirtualTours if is_branded => "Branded Virtual Tour",
            Self::VirtualTours => "Unbranded Virtual Tour",
            Self::Documents => "Document",
            Self::FloPlans => "Floor Plan",
        }
    }

    /// The part that members of a `MediaCategory` belong to.
    pub fn of_category(category: &str) -> Option<Self> {
        let is = |part: &Self| part.category(false) == category || part.category(true) == category;
        Self::ALL.into_iter().find(is)
    }
}

impl FromStr for MediaPart {
    type Err = UnknownExpansion;

    fn from_str(text: &str) -> Result<Self, UnknownExpansion> {
        let named = Self::ALL.into_iter().find(|part| part.as_str() == text);
        named.ok_or_else(|| UnknownExpansion(text.to_owned()))
    }
}

/// What a feed can refuse on its own: a relation, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expansion {
    /// The whole of it.
    Whole(Relation),
    /// One of the native API's expansions of `Media`.
    Part(MediaPart),
}

/// The text names neither a relation nor a part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown expansion {0:?}")]
pub struct UnknownExpansion(String);

impl Expansion {
    /// The feed's name of it: no part is named as a relation is.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole(relation) => relation.as_str(),
            Self::Part(part) => part.as_str(),
        }
    }
}

impl FromStr for Expansion {
    type Err = UnknownExpansion;

    fn from_str(text: &str) -> Result<Self, UnknownExpansion> {
        text.parse().map(Self::Whole).or_else(|_| text.parse().map(Self::Part))
    }
}

impl fmt::Display for Expansion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expansion_is_known_by_its_word() {
        let wholes = Relation::ALL.into_iter().map(Expansion::Whole);
        for expansion in wholes.chain(MediaPart::ALL.into_iter().map(Expansion::Part)) {
            assert_eq!(expansion.as_str().parse(), Ok(expansion));
        }
        assert!("Foto".parse::<Expansion>().is_err());
    }

    #[test]
    fn a_category_belongs_to_the_part_that_has_it() {
        for part in MediaPart::ALL {
            for is_branded in [false, true] {
                assert_eq!(MediaPart::of_category(part.category(is_branded)), Some(part));
            }
        }
        assert_eq!(MediaPart::of_category("Hologram"), None);
    }
}
