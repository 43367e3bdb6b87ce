//! Brings the tables to this program's version.
//!
//! The migrations are part of the program. They run in one transaction on a connection of their own, which a
//! statement timeout must not cut short, under a lock that ends with the transaction: a lock of the session
//! would be left behind on PgBouncer. A database that is ahead of this program is fine: migrations only add.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlSafeStr, raw_sql};

use crate::boundary::{Boundary, durable};
use crate::connection::Store;
use crate::error::{Cause, Error, PostgresSaid};

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "engine", include_str!("../../../migrations/0001_engine.sql")),
    (2, "data", include_str!("../../../migrations/0002_data.sql")),
    (3, "freshness", include_str!("../../../migrations/0003_freshness.sql")),
    (4, "reread_held", include_str!("../../../migrations/0004_reread_held.sql")),
    (5, "oauth_token", include_str!("../../../migrations/0005_oauth_token.sql")),
    (6, "event", include_str!("../../../migrations/0006_event.sql")),
    (7, "answers", include_str!("../../../migrations/0007_answers.sql")),
];

/// The number is `spark` in ASCII; whoever migrates holds it until the transaction ends.
const LOCK: &str = "set local statement_timeout = 0; set local lock_timeout = 0; \
                    set local idle_in_transaction_session_timeout = 0; \
                    select pg_advisory_xact_lock(495790256747)";

sql! {
    BOOK = "select to_regclass('replicator.migration') is not null";
}

/// Its table comes with the first migration, so it is not among the statements that are declared.
const APPLIED: &str = "select version from replicator.migration where success";

impl Store {
    /// Applies what is missing, all of it or nothing, and answers the names of what was applied. Waits for
    /// another instance that migrates. There is no limit of time.
    #[expect(clippy::disallowed_methods, reason = "nobody borrows this connection after us")]
    pub async fn migrate(&self) -> Result<Vec<String>, Error> {
        let mut connection = self.own_connection().await?;
        let mut transaction = connection.begin().await?;
        raw_sql(LOCK).execute(&mut *transaction).await?;
        let pending = pending(&mut transaction).await?;
        if !pending.is_empty() {
            migrator().run_direct(None, &mut *transaction, false).await?;
        }
        durable(Boundary::Migrate, transaction.commit()).await?;
        connection.close().await?;
        Ok(pending)
    }

    /// The names of the migrations that the database lacks.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, Error> {
        self.observed("state", async {
            let mut unit = self.unit().await?;
            let pending = pending(unit.conn()).await?;
            unit.done();
            Ok(pending)
        })
        .await
    }
}

async fn pending(conn: &mut sqlx::PgConnection) -> Result<Vec<String>, Error> {
    let has_book: bool = sqlx::query_scalar(BOOK).fetch_one(&mut *conn).await?;
    let applied: Vec<i64> =
        if has_book { sqlx::query_scalar(APPLIED).fetch_all(conn).await? } else { Vec::new() };
    let missing = MIGRATIONS.iter().filter(|(version, ..)| !applied.contains(version));
    Ok(missing.map(|(version, name, _)| format!("{version:04}_{name}")).collect())
}

fn migrator() -> Migrator {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect());
    migrator.create_schema("replicator");
    // Not "dangerous": it was this name from the first migration on.
    migrator.dangerous_set_table_name("replicator.migration");
    migrator.set_ignore_missing(true).set_locking(false);
    migrator
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => error.into(),
            MigrateError::ExecuteMigration(error, version) => match Self::from(error) {
                // Whatever a migration stumbles over, it is the tables that are not as expected.
                Self::Refused(cause) | Self::Schema(cause) => Self::Schema(in_migration(version, cause)),
                other => other,
            },
            other => Self::Schema(Cause::Migration(other)),
        }
    }
}

fn in_migration(version: i64, cause: Cause) -> Cause {
    match cause {
        Cause::Postgres(mut said) => {
            said.more.insert(0, ("migration", version.to_string()));
            Cause::Postgres(PostgresSaid { ..said })
        }
        other => other,
    }
}
