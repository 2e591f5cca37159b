//! The heartbeat of the session thread.

use std::time::Duration;

use tokio::sync::watch;

use super::peer::no_files;
use crate::{subagent::Subagent, view::exports::Exports};

#[tokio::test(start_paused = true)]
async fn heartbeat_continues_while_the_subagent_runs() {
    let (_exports, watched) = watch::channel(Exports::default());
    let subagent = Subagent::new(
        "unix:/nowhere/master".parse().unwrap(),
        no_files(),
        watched,
        crate::set::SetCoordinator::inactive(),
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
