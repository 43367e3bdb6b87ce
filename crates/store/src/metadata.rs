//! The feed's `$metadata`, kept so that drift can be shown.

use spark_domain::{FeedName, Hash, Timestamp};

use crate::boundary::Boundary;
use crate::connection::Store;
use crate::error::Error;
use crate::lease::Lease;

sql! {
    READ = "select hash, document, fetched_at from replicator.metadata where feed = $1 \
        order by fetched_at desc limit 1";
    SAVE = "insert into replicator.metadata (feed, hash, document) values ($1, $2, $3) \
        on conflict (feed, hash) do update set fetched_at = clock_timestamp()";
    FORGET = "delete from replicator.metadata where feed = $1 and hash in (select hash from replicator.metadata \
        where feed = $1 order by fetched_at desc offset 5)";
}

/// A `$metadata` document as it was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMetadata {
    /// Tells documents apart.
    pub hash: Hash,
    /// The document's text.
    pub document: String,
    /// When it was last served.
    pub fetched_at: Timestamp,
}

impl Store {
    /// The document in force.
    pub async fn metadata(&self, feed: &FeedName) -> Result<Option<StoredMetadata>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let row: Option<(Vec<u8>, String, Timestamp)> =
                sqlx::query_as(READ).bind(feed.as_str()).fetch_optional(unit.conn()).await?;
            unit.done();
            let Some((hash, document, fetched_at)) = row else { return Ok(None) };
            let hash = Hash(hash.try_into().map_err(|_| {
                Error::inconsistent(format!(
                    "replicator.metadata of feed {feed} holds a hash that has not 16 bytes"
                ))
            })?);
            Ok(Some(StoredMetadata { hash, document, fetched_at }))
        })
        .await
    }

    /// Keeps a document as the one in force, and the four before it.
    pub async fn save_metadata(&self, lease: &Lease, hash: Hash, document: &str) -> Result<(), Error> {
        self.observed("state", async {
            let mut writing = self.begin_write(lease).await?;
            let save = sqlx::query(SAVE).bind(lease.feed().as_str()).bind(hash.0.as_slice()).bind(document);
            save.execute(writing.conn()).await?;
            sqlx::query(FORGET).bind(lease.feed().as_str()).execute(writing.conn()).await?;
            writing.commit(Boundary::SaveMetadata).await
        })
        .await
    }
}
