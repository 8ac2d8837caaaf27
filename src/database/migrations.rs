//! The schema's history, embedded in the program.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A file of `migrations/`: its number, its name and its statements.
type File = (i64, &'static str, &'static str);

/// Includes a file of `migrations/` by number and name. `sqlx::migrate!` would read the folder, but its crate
/// builds the database driver a second time: a fifth of the first build.
macro_rules! file {
    ($number:literal, $name:literal) => {
        ($number, $name, include_str!(concat!("../../migrations/", $name, ".sql")))
    };
}

/// Every migration, in order.
pub const FILES: [File; 11] = [
    file!(1, "0001_accounts_and_payouts"),
    file!(2, "0002_prices_money_and_deadlines"),
    file!(3, "0003_webhooks"),
    file!(4, "0004_accounts_of_their_own"),
    file!(5, "0005_faults"),
    file!(6, "0006_causes"),
    file!(7, "0007_snapshots"),
    file!(8, "0008_walks"),
    file!(9, "0009_origins"),
    file!(10, "0010_calls_of_attempts"),
    file!(11, "0011_receipt_secrets"),
];

/// Returns a migrator that applies [`FILES`].
pub fn migrator() -> Migrator {
    let migration = |(number, name, sql): File| {
        let description = name.split_once('_').map_or(name, |(_, description)| description).replace('_', " ");
        Migration::new(number, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(FILES.map(migration).into())
}
