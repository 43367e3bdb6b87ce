//! Downloads a resource whole again: upserts everything, deletes nothing. Ordered by hand, or by a change of
//! base URL, filter, exclusions or relations.

use super::{Ended, Run, initial_download};
use crate::error::JobError;

pub(crate) async fn run(run: &mut Run<'_>) -> Result<Ended, JobError> {
    initial_download::download(run, false).await
}
