//! File systems and files that do not answer.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use rustix::{fs::StatVfs, io::Errno};

use super::{TIMEOUT, machine, show};
use crate::{
    sample::Samples,
    source::{Phase, system::filesystems::Mounts},
};

/// File systems of which those whose path begins with `/stuck` answer only when they are freed.
#[derive(Default)]
struct Disks(Arc<Asked>);

#[derive(Default)]
struct Asked {
    free: Mutex<bool>,
    freed: Condvar,
    paths: Mutex<Vec<PathBuf>>,
}

impl Asked {
    fn statvfs(&self, path: &Path) -> Result<StatVfs, Errno> {
        self.paths.lock().unwrap().push(path.to_owned());
        if path.starts_with("/stuck") {
            let free = self.free.lock().unwrap();
            drop(self.freed.wait_while(free, |free| !*free).unwrap());
        }
        if path == Path::new("/broken") { Err(Errno::IO) } else { rustix::fs::statvfs("/") }
    }
}

impl Disks {
    fn free(&self) {
        *self.0.free.lock().unwrap() = true;
        self.0.freed.notify_all();
    }

    /// How often the path was asked.
    fn times(&self, path: &str) -> usize {
        self.0.paths.lock().unwrap().iter().filter(|asked| *asked == Path::new(path)).count()
    }

    /// Asks these, and gives those that answered.
    async fn ask(&self, mounts: &mut Mounts, points: &[String]) -> Vec<String> {
        let disks = Arc::clone(&self.0);
        let points = points.iter().map(|point| (point.clone(), PathBuf::from(point)));
        // Those that hang take this long.
        let answers = mounts.ask(points, Duration::from_secs(1), move |path| disks.statvfs(path)).await;
        answers.into_keys().collect()
    }

    /// The same, again as long as a machine that has much to do lets others than these answer in time.
    async fn ask_until(&self, mounts: &mut Mounts, points: &[String], expected: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answered = self.ask(mounts, points).await;
            if answered == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{answered:?} answer, not {expected:?}");
        }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        // Else the runtime would wait for the threads.
        self.free();
    }
}

fn points(points: &[&str]) -> Vec<String> {
    points.iter().map(|point| (*point).to_owned()).collect()
}

#[tokio::test]
async fn a_file_system_that_hangs_holds_up_no_other_and_is_asked_once() {
    let (mut mounts, disks) = (Mounts::default(), Disks::default());
    let all = points(&["/a", "/stuck", "/z"]);
    for _ in 0..2 {
        disks.ask_until(&mut mounts, &all, &["/a", "/z"]).await;
    }
    assert_eq!(disks.times("/stuck"), 1);
    disks.free();
    disks.ask_until(&mut mounts, &all, &["/a", "/stuck", "/z"]).await;
}

#[tokio::test]
async fn however_many_hang_those_that_answered_before_are_asked() {
    let (mut mounts, disks) = (Mounts::default(), Disks::default());
    let stuck: Vec<_> = (0..40).map(|n| format!("/stuck/{n}")).collect();
    disks.ask_until(&mut mounts, &points(&["/a"]), &["/a"]).await;
    let all = [&*stuck, &points(&["/a", "/b"])].concat();
    for _ in 0..2 {
        assert_eq!(disks.ask(&mut mounts, &all).await, ["/a"]);
        let asked = stuck.iter().map(|point| disks.times(point));
        assert_eq!(asked.sum::<usize>(), 16, "each is asked once, and no more than so many");
        assert_eq!(disks.times("/b"), 0, "it is not known, and so many hang");
    }
}

#[tokio::test]
async fn a_reading_that_is_given_up_forgets_no_thread() {
    let (mut mounts, disks) = (Mounts::default(), Disks::default());
    let all = points(&["/stuck", "/a"]);
    for _ in 0..3 {
        // Given up while it waits.
        let _ = tokio::time::timeout(Duration::from_millis(1), disks.ask(&mut mounts, &all)).await;
    }
    disks.ask_until(&mut mounts, &all, &["/a"]).await;
    assert_eq!(disks.times("/stuck"), 1);
}

#[tokio::test]
async fn one_that_answers_with_an_error_is_no_hanging_one() {
    let (mut mounts, disks) = (Mounts::default(), Disks::default());
    for _ in 0..2 {
        disks.ask_until(&mut mounts, &points(&["/broken"]), &["/broken"]).await;
    }
    assert!(disks.times("/broken") >= 2);
}

#[tokio::test]
async fn a_file_that_hangs_holds_up_nobody_and_is_read_by_one_thread() {
    let (folder, mut machine) = machine(&[("proc/loadavg", "1.5 1 1 1/2 3\n")], &["node_load1"]);
    let shown = |samples: &Samples| assert_eq!(show(samples), ["node_load1{} 1.5"]);
    shown(&machine.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples);
    let file = folder.path().join("proc/loadavg");
    fs::remove_file(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RWXU).unwrap();
    let mut before = None;
    for _ in 0..5 {
        let mut phase = Phase::default();
        let read = machine.read(TIMEOUT, &mut phase);
        assert!(tokio::time::timeout(Duration::from_millis(50), read).await.is_err(), "it hangs");
        assert_eq!(phase, Phase::ReadingFiles);
        let thread = machine.thread.as_ref().map(tokio::task::JoinHandle::id);
        assert_eq!(*before.get_or_insert(thread), thread, "another one");
    }
    // Whoever waits for a writer reads nothing of what this one did not write.
    let released = fs::OpenOptions::new().write(true).open(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "1.5 1 1 1/2 3\n").unwrap();
    drop(released);
    shown(&machine.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples);
}
