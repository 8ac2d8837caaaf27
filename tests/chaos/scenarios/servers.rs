//! Servers killed under load.

use std::time::{Duration, Instant};

use crate::stage::Stage;

/// Time between two kills.
const BETWEEN_KILLS: Duration = Duration::from_secs(3);

/// Kills the only server, and starts it again.
pub async fn killed(stage: &mut Stage) {
    for _ in 0..=stage.scale.rounds {
        stage.writes(stage.scale.writes).await;
        stage.kill_server(0).await;
        let killed = Instant::now();
        stage.start_server(0).await;
        stage.recovered(killed).await;
    }
}

/// Kills one server after the other, at fixed times. Meanwhile the other two serve its clients.
pub async fn one_of_three_killed(stage: &mut Stage) {
    let mut time = tokio::time::interval(BETWEEN_KILLS);
    time.tick().await;
    for kill in 0..stage.scale.kills {
        time.tick().await;
        stage.kill_server(kill % 3).await;
        stage.recovered(Instant::now()).await;
        stage.start_server(kill % 3).await;
    }
}
