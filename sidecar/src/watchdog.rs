//! Ends the process when one of its threads hangs.
//!
//! A subagent that no longer reads freezes all of snmpd; one that is gone does not, and the kubelet starts another.

use std::{thread, time::Duration};

/// How often the signs of life are looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// How many looks in a row must find a thread overdue. More than one, because a process that was stopped as a whole,
/// as with a frozen machine, is overdue everywhere for a moment.
const LOOKS: u32 = 4;
/// The exit status: EX_SOFTWARE of sysexits.h.
const EXIT_STATUS: i32 = 70;

/// A thread that must show signs of life.
pub struct Watched {
    /// What it is called in the log.
    pub name: &'static str,
    /// How old its last sign of life may be.
    pub limit: Duration,
    /// How old its last sign of life is.
    pub age: Box<dyn Fn() -> Duration + Send>,
}

/// How often in a row each thread was found overdue.
#[derive(Debug, Default)]
struct Looks(Vec<u32>);

impl Looks {
    /// Takes the ages that one look found; the answer is the first thread that hangs, by number.
    fn look(&mut self, overdue: impl IntoIterator<Item = bool>) -> Option<usize> {
        for (i, overdue) in overdue.into_iter().enumerate() {
            self.0.resize(self.0.len().max(i + 1), 0);
            if let Some(count) = self.0.get_mut(i) {
                *count = if overdue { *count + 1 } else { 0 };
            }
        }
        self.0.iter().position(|count| *count >= LOOKS)
    }
}

/// Watches for as long as the process lives, on a thread of its own.
///
/// # Errors
/// The system's, when the thread cannot be started.
pub fn start(watched: Vec<Watched>) -> std::io::Result<()> {
    let watch = move || {
        let mut looks = Looks::default();
        loop {
            thread::sleep(PERIOD);
            let hangs = looks.look(watched.iter().map(|thread| (thread.age)() > thread.limit));
            if let Some(thread) = hangs.and_then(|i| watched.get(i)) {
                let silent_for = (thread.age)();
                tracing::error!(thread = thread.name, ?silent_for, "a thread hangs: the process ends itself");
                std::process::exit(EXIT_STATUS);
            }
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).stack_size(256 << 10).spawn(watch).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        env,
        net::IpAddr,
        process::{Child, Command},
        time::Instant,
    };

    use tokio::sync::watch;

    use super::*;
    use crate::{
        session::Exports,
        subagent::{Resolve, Subagent},
    };

    /// Names the thread that hangs, in a process that is started to be ended.
    const HANGS: &str = "SNMP_SIDECAR_TEST_HANGS";
    const DEADLINE: Duration = Duration::from_mins(1);

    /// Does not give its thread back.
    struct Stuck;

    impl Resolve for Stuck {
        async fn resolve(&mut self, _: &str) -> Result<BTreeSet<IpAddr>, String> {
            thread::sleep(2 * DEADLINE);
            Err("the process has not ended".to_owned())
        }
    }

    /// A sidecar's session thread under the watchdog, for a little while; it hangs if it is to.
    fn serve(hangs: bool) {
        let (_exports, watched) = watch::channel(Exports::default());
        let subagent = Subagent::new("tcp://master.test".parse().unwrap(), watched, "test");
        let heartbeat = subagent.heartbeat();
        let age = Box::new(move || heartbeat.age());
        start(vec![Watched { name: "session", limit: Duration::from_secs(1), age }]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Longer than the watchdog takes to find a thread that hangs.
        let stop = async { tokio::time::sleep(Duration::from_secs(1) + PERIOD * 2 * LOOKS).await };
        if hangs {
            runtime.block_on(async { subagent.run_with(Stuck, stop).await });
        } else {
            runtime.block_on(async { subagent.run(stop).await });
        }
    }

    /// Ends with this, also when the test fails.
    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            _ = self.0.kill();
            _ = self.0.wait();
        }
    }

    #[test]
    fn a_process_whose_session_thread_hangs_ends_itself_and_no_other_does() {
        if let Ok(hangs) = env::var(HANGS) {
            return serve(hangs == "yes");
        }
        let this = "watchdog::tests::a_process_whose_session_thread_hangs_ends_itself_and_no_other_does";
        for (hangs, status) in [("yes", EXIT_STATUS), ("no", 0)] {
            let mut command = Command::new(env::current_exe().unwrap());
            let mut process = Killed(command.args(["--exact", this]).env(HANGS, hangs).spawn().unwrap());
            let deadline = Instant::now() + DEADLINE;
            let ended = loop {
                if let Some(ended) = process.0.try_wait().unwrap() {
                    break ended;
                }
                assert!(Instant::now() < deadline, "hangs: {hangs}, and it runs");
                thread::sleep(Duration::from_millis(20));
            };
            assert_eq!(ended.code(), Some(status), "hangs: {hangs}");
        }
    }

    #[test]
    fn a_thread_that_stays_silent_hangs() {
        let mut looks = Looks::default();
        let found: Vec<_> = (0..LOOKS).map(|_| looks.look([false, true])).collect();
        assert_eq!(found, [None, None, None, Some(1)]);
    }

    #[test]
    fn a_process_that_was_stopped_as_a_whole_does_not_hang() {
        let mut looks = Looks::default();
        for _ in 0..10 {
            assert_eq!(looks.look([true, true]), None);
            assert_eq!(looks.look([true, false]), None);
            assert_eq!(looks.look([false, true]), None);
        }
    }
}
