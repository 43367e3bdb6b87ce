//! The native Spark API's dialect: how questions are spelled, and how answers are read.
//!
//! What comes in is turned into the one form that the rest of the house knows: a flat record under the names
//! as served, its key under RESO's name, hidden fields as `@Core.Permissions`, expansions as relations.
//! Nothing here sends anything or waits for anything.

pub(crate) mod url;
pub(crate) mod wire;
pub(crate) mod flat;
