//! Trouble of the database under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::stage::Stage;

/// Ends every connection of clients to a database.
const TERMINATE: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = $1 and backend_type = 'client backend'";

/// Stops PostgreSQL at once, without a checkpoint, and starts it again.
pub async fn stopped(stage: &mut Stage) {
    for _ in 0..stage.scale.rounds {
        stage.writes(stage.scale.writes).await;
        stage.postgres.stop_immediately().await;
        stage.postgres.start_again().await;
        stage.recovered(Instant::now()).await;
    }
}

/// Kills every process of PostgreSQL, and starts it again.
pub async fn killed(stage: &mut Stage) {
    for _ in 0..stage.scale.rounds {
        stage.writes(stage.scale.writes).await;
        stage.postgres.kill().await;
        stage.postgres.start_again().await;
        stage.recovered(Instant::now()).await;
    }
}

/// Halts every process of PostgreSQL for some time.
pub async fn frozen(stage: &mut Stage) {
    for _ in 0..stage.scale.rounds {
        stage.writes(stage.scale.writes).await;
        stage.postgres.freeze();
        tokio::time::sleep(stage.scale.halt).await;
        stage.postgres.thaw();
        stage.recovered(Instant::now()).await;
    }
}

/// Ends every connection again and again for some time.
pub async fn terminated(stage: &mut Stage) {
    let database = stage.database.get_database().unwrap().to_owned();
    let mut connection = stage.postgres.connect().await;
    for _ in 0..stage.scale.rounds {
        stage.writes(stage.scale.writes).await;
        let (mut time, end) = (tokio::time::interval(Duration::from_millis(100)), Instant::now() + stage.scale.halt);
        while Instant::now() < end {
            time.tick().await;
            sqlx::query(TERMINATE).bind(&database).execute(&mut connection).await.unwrap();
        }
        stage.recovered(Instant::now()).await;
    }
}

/// Takes all space on the disk of PostgreSQL until clients have been told so several times.
pub async fn without_space(stage: &mut Stage) {
    let postgres = Arc::clone(&stage.postgres);
    let disk = postgres.disk.as_ref().unwrap();
    for _ in 0..stage.scale.rounds {
        stage.writes(stage.scale.writes).await;
        disk.fill();
        stage.answers("database_full", 20).await;
        disk.empty();
        stage.recovered(Instant::now()).await;
    }
}

/// Withholds the answers of PostgreSQL for some time, then ends the connections.
pub async fn answers_withheld(stage: &mut Stage) {
    let proxy = stage.put_behind_proxy().await;
    for _ in 0..=stage.scale.rounds {
        stage.writes(stage.scale.writes).await;
        proxy.lose_answers();
        let time = 150 + stage.random.below(1000);
        tokio::time::sleep(Duration::from_millis(time)).await;
        proxy.carry_answers();
        stage.recovered(Instant::now()).await;
    }
}
