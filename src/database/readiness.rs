//! Readiness of the database for requests: it has its schema and accepts writes.

use sqlx::Executor;
use sqlx::postgres::PgConnection;

use super::error::{DATABASE_READ_ONLY, SCHEMA_MISSING, StoreError, refused};

/// Checks a database. `is_full`: an earlier write found its disk full, so this checks that there is room again.
///
/// A check costs one statement without a lock or a write, because monitors ask each second.
///
/// # Errors
/// 503 with the reason; database errors.
pub(super) async fn check(connection: &mut PgConnection, is_full: bool) -> Result<(), StoreError> {
    let (is_read_only, has_schema): (bool, bool) =
        sqlx::query_as("select current_setting('transaction_read_only')::bool, to_regclass('accounts') is not null")
            .fetch_one(&mut *connection)
            .await?;
    if !has_schema {
        return Err(refused(SCHEMA_MISSING).into());
    }
    if is_read_only {
        return Err(refused(DATABASE_READ_ONLY).into());
    }
    if is_full {
        // a new table of some pages needs room on the disk; its transaction leaves nothing
        let room = "begin; \
            create temporary table room on commit drop as select repeat(md5(n::text), 60) from generate_series(1, 100) n; \
            rollback";
        connection.execute(room).await?;
    }
    Ok(())
}
