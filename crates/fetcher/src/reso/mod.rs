//! The RESO Web API dialect: how questions are spelled, and how answers are read.
//!
//! Nothing here sends anything or waits for anything: text goes in, text or ranges come out. The native dialect
//! stands beside this folder, with the same functions.

pub(crate) mod url;
pub(crate) mod wire;
pub(crate) mod metadata;
