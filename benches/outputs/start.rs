//! The program's size, and its start-up time on a database with a current schema.

use crate::Scale;
use crate::report::{Target, figure, figure_with_target, heading, median, percentile};
use crate::world::{Outcome, PROGRAM, World};

const DATABASE: &str = "start";

/// Measures and prints.
pub async fn run(world: &World, scale: &Scale) -> Outcome<()> {
    heading("Size and start-up");
    #[expect(clippy::cast_precision_loss, reason = "millions of bytes")]
    let size = std::fs::metadata(PROGRAM)?.len() as f64 / 1e6;
    figure_with_target("size of the program", Some(size), "MB", Target::AtMost(15.0));
    world.create(DATABASE).await?;
    let first = world.serve(DATABASE, &[])?.start_up.as_secs_f64() * 1000.0;
    let mut times = Vec::new();
    for _ in 0..scale.starts {
        times.push(world.serve(DATABASE, &[])?.start_up.as_secs_f64() * 1000.0);
    }
    figure("start-up on an empty database, one run", Some(first), "ms");
    let name = format!("start-up on a database with a current schema, median of {}", times.len());
    figure_with_target(&name, median(times.iter().copied()), "ms", Target::AtMost(60.0));
    figure("the slowest start-up of these", percentile(times, 1.0), "ms");
    Ok(())
}
