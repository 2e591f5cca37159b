//! A process whose session thread hangs.

use std::{
    collections::BTreeSet,
    env,
    net::IpAddr,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use daemon::watchdog::{self, EXIT_STATUS, Watched};
use tokio::sync::watch;

use super::peer::no_files;
use crate::{
    subagent::{Resolve, Subagent},
    view::exports::Exports,
};

/// The environment variable that tells the child process whether to hang.
const HANGS: &str = "SNMP_SIDECAR_TEST_HANGS";
const DEADLINE: Duration = Duration::from_mins(1);

/// A resolver that blocks its thread.
struct Stuck;

impl Resolve for Stuck {
    async fn resolve(&mut self, _: &str) -> Result<BTreeSet<IpAddr>, String> {
        thread::sleep(2 * DEADLINE);
        Err("the process still runs".to_owned())
    }
}

/// Runs the session thread of a sidecar under the watchdog for a short time.
fn serve(hangs: bool) {
    let (_exports, watched) = watch::channel(Exports::default());
    let subagent = Subagent::new(
        "tcp://master.test".parse().unwrap(),
        no_files(),
        watched,
        crate::set::SetCoordinator::inactive(),
        "test",
    );
    let heartbeat = subagent.heartbeat();
    watchdog::start(vec![Watched { name: "session", limit: Duration::from_secs(1), heartbeat }]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Longer than the watchdog needs to detect a hanging thread.
    let stop = async { tokio::time::sleep(Duration::from_secs(5)).await };
    if hangs {
        runtime.block_on(async { subagent.run_with(Stuck, stop).await });
    } else {
        runtime.block_on(async { subagent.run(stop).await });
    }
}

/// A child process that is killed when the test ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn only_a_process_with_a_hanging_session_thread_exits() {
    if let Ok(hangs) = env::var(HANGS) {
        return serve(hangs == "yes");
    }
    let this = "subagent::tests::hang::only_a_process_with_a_hanging_session_thread_exits";
    for (hangs, status) in [("yes", EXIT_STATUS), ("no", 0)] {
        let mut command = Command::new(env::current_exe().unwrap());
        let mut process = Killed(command.args(["--exact", this]).env(HANGS, hangs).spawn().unwrap());
        let deadline = Instant::now() + DEADLINE;
        let ended = loop {
            if let Some(ended) = process.0.try_wait().unwrap() {
                break ended;
            }
            assert!(Instant::now() < deadline, "hangs: {hangs}, but the process still runs");
            thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(ended.code(), Some(status), "hangs: {hangs}");
    }
}
