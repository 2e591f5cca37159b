//! Signs of life.

use std::time::Duration;

use tokio::sync::watch;

use super::peer::no_files;
use crate::{session::Exports, subagent::Subagent};

#[tokio::test(start_paused = true)]
async fn the_thread_of_a_subagent_beats_while_it_runs() {
    let (_exports, watched) = watch::channel(Exports::default());
    let subagent = Subagent::new(
        "unix:/nowhere/master".parse().unwrap(),
        no_files(),
        watched,
        crate::write::Desk::closed(),
        "test",
    );
    let heartbeat = subagent.heartbeat();
    while heartbeat.age() < Duration::from_millis(20) {
        std::thread::yield_now();
    }
    let before = heartbeat.age();
    subagent.run(tokio::time::sleep(Duration::from_secs(2))).await;
    assert!(heartbeat.age() < before + Duration::from_secs(2), "{:?}", heartbeat.age());
}
