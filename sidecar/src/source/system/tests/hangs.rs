//! File systems and files that hang.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use rustix::{fs::StatVfs, io::Errno};

use super::{TIMEOUT, reader, show};
use crate::{
    sample::Samples,
    source::{Phase, system::filesystems::Mounts},
};

/// Test file systems. Paths that begin with `/stuck` hang until they are freed.
#[derive(Default)]
struct TestFileSystems(Arc<State>);

#[derive(Default)]
struct State {
    free: Mutex<bool>,
    freed: Condvar,
    paths: Mutex<Vec<PathBuf>>,
}

impl State {
    fn statvfs(&self, path: &Path) -> Result<StatVfs, Errno> {
        self.paths.lock().unwrap().push(path.to_owned());
        if path.starts_with("/stuck") {
            let free = self.free.lock().unwrap();
            drop(self.freed.wait_while(free, |free| !*free).unwrap());
        }
        if path == Path::new("/broken") { Err(Errno::IO) } else { rustix::fs::statvfs("/") }
    }
}

impl TestFileSystems {
    fn free(&self) {
        *self.0.free.lock().unwrap() = true;
        self.0.freed.notify_all();
    }

    /// Returns how often the path was queried.
    fn times(&self, path: &str) -> usize {
        self.0.paths.lock().unwrap().iter().filter(|queried| *queried == Path::new(path)).count()
    }

    /// Queries these mount points. Returns those that answered.
    async fn query(&self, mounts: &mut Mounts, points: &[String]) -> Vec<String> {
        let file_systems = Arc::clone(&self.0);
        let points = points.iter().map(|point| (point.clone(), PathBuf::from(point)));
        // A query takes this long if a file system hangs.
        let answers = mounts.query(points, Duration::from_secs(1), move |path| file_systems.statvfs(path)).await;
        answers.into_keys().collect()
    }

    /// Queries until exactly the expected mount points answer. On a loaded machine others may be late.
    async fn query_until(&self, mounts: &mut Mounts, points: &[String], expected: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answered = self.query(mounts, points).await;
            if answered == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{answered:?} answered instead of {expected:?}");
        }
    }
}

impl Drop for TestFileSystems {
    fn drop(&mut self) {
        // The runtime waits for the threads.
        self.free();
    }
}

fn points(points: &[&str]) -> Vec<String> {
    points.iter().map(|point| (*point).to_owned()).collect()
}

#[tokio::test]
async fn a_file_system_that_hangs_does_not_block_others_and_is_queried_once() {
    let (mut mounts, file_systems) = (Mounts::default(), TestFileSystems::default());
    let all = points(&["/a", "/stuck", "/z"]);
    for _ in 0..2 {
        file_systems.query_until(&mut mounts, &all, &["/a", "/z"]).await;
    }
    assert_eq!(file_systems.times("/stuck"), 1);
    file_systems.free();
    file_systems.query_until(&mut mounts, &all, &["/a", "/stuck", "/z"]).await;
}

#[tokio::test]
async fn responsive_file_systems_are_queried_even_if_many_others_hang() {
    let (mut mounts, file_systems) = (Mounts::default(), TestFileSystems::default());
    let stuck: Vec<_> = (0..40).map(|n| format!("/stuck/{n}")).collect();
    file_systems.query_until(&mut mounts, &points(&["/a"]), &["/a"]).await;
    let all = [&*stuck, &points(&["/a", "/b"])].concat();
    for _ in 0..2 {
        assert_eq!(file_systems.query(&mut mounts, &all).await, ["/a"]);
        let queries = stuck.iter().map(|point| file_systems.times(point));
        assert_eq!(queries.sum::<usize>(), 16, "each is queried at most once, up to the limit");
        assert_eq!(file_systems.times("/b"), 0, "it has not answered before, and many others hang");
    }
}

#[tokio::test]
async fn a_cancelled_collection_keeps_its_threads() {
    let (mut mounts, file_systems) = (Mounts::default(), TestFileSystems::default());
    let all = points(&["/stuck", "/a"]);
    for _ in 0..3 {
        // Cancelled while it waits.
        let _ = tokio::time::timeout(Duration::from_millis(1), file_systems.query(&mut mounts, &all)).await;
    }
    file_systems.query_until(&mut mounts, &all, &["/a"]).await;
    assert_eq!(file_systems.times("/stuck"), 1);
}

#[tokio::test]
async fn a_file_system_that_returns_an_error_does_not_count_as_hanging() {
    let (mut mounts, file_systems) = (Mounts::default(), TestFileSystems::default());
    for _ in 0..2 {
        file_systems.query_until(&mut mounts, &points(&["/broken"]), &["/broken"]).await;
    }
    assert!(file_systems.times("/broken") >= 2);
}

#[tokio::test]
async fn a_file_that_hangs_is_read_by_one_thread() {
    let (directory, mut reader) = reader(&[("proc/loadavg", "1.5 1 1 1/2 3\n")], &["node_load1"]);
    let shown = |samples: &Samples| assert_eq!(show(samples), ["node_load1{} 1.5"]);
    shown(&reader.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples);
    let file = directory.path().join("proc/loadavg");
    fs::remove_file(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RWXU).unwrap();
    let mut before = None;
    for _ in 0..5 {
        let mut phase = Phase::default();
        let read = reader.read(TIMEOUT, &mut phase);
        assert!(tokio::time::timeout(Duration::from_millis(50), read).await.is_err(), "the file hangs");
        assert_eq!(phase, Phase::ReadingFiles);
        let thread = reader.thread.as_ref().map(tokio::task::JoinHandle::id);
        assert_eq!(*before.get_or_insert(thread), thread, "another thread was started");
    }
    // Opening the pipe for writing ends the read, which returns nothing.
    let released = fs::OpenOptions::new().write(true).open(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "1.5 1 1 1/2 3\n").unwrap();
    drop(released);
    shown(&reader.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples);
}
