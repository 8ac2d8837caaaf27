//! The schema's history, embedded in the program.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A file of `migrations/`: number, description and statements.
type File = (i64, &'static str, &'static str);

/// Includes a file of `migrations/` by number and description. `sqlx::migrate!` would read the folder, but its crate
/// builds the database driver a second time: a fifth of the first build.
macro_rules! file {
    ($number:literal, $description:literal) => {
        ($number, $description, include_str!(concat!("../../migrations/000", $number, "_", $description, ".sql")))
    };
}

/// Every migration, in order.
pub const FILES: [File; 8] = [
    file!(1, "accounts_and_payouts"),
    file!(2, "prices_money_and_deadlines"),
    file!(3, "webhooks"),
    file!(4, "accounts_of_their_own"),
    file!(5, "faults"),
    file!(6, "causes"),
    file!(7, "snapshots"),
    file!(8, "walks"),
];

/// Returns a migrator that applies [`FILES`].
pub fn migrator() -> Migrator {
    let migration = |(number, description, sql): File| {
        let description = description.replace('_', " ").into();
        Migration::new(number, description, MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(FILES.map(migration).into())
}
