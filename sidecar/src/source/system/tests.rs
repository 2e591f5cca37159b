//! Tests of the samples from files of the host.

mod hangs;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use rstest::rstest;
use rustix::{fs::StatVfs, io::Errno};

use super::{
    SystemReader, cgroup, disks,
    filesystems::{self, Mount},
    kernel, memory, network, pressure, processors, protocols,
    sink::{Sink, Text},
};
use crate::{
    sample::Samples,
    source::{NameFilter, Phase, Roots, SourceError},
};

/// Formats samples as `name{label=text,…} number`.
fn show(samples: &Samples) -> Vec<String> {
    let line = |sample: crate::sample::Sample<'_>| {
        let labels: Vec<_> = sample.labels.iter().map(|(label, text)| format!("{label}={text}")).collect();
        let number = sample.value.as_integer().map_or_else(|| sample.value.as_f64().to_string(), |n| n.to_string());
        format!("{}{{{}}} {number}", sample.name, labels.join(","))
    };
    samples.iter().map(line).collect()
}

/// Returns the samples, or the error, of `collect` for a file `f` with this text.
fn read(
    text: &str,
    collect: impl FnOnce(&Text, &mut Sink<'_>) -> Result<(), SourceError>,
) -> Result<Vec<String>, String> {
    let wanted = NameFilter::all();
    let mut sink = Sink::new(&wanted);
    collect(&Text::of("f", text), &mut sink).map_err(|error| error.to_string())?;
    Ok(show(&sink.into_samples()))
}

const STAT: &str = "cpu  30 2 20 100 8 1 3 4 5 6\ncpu0 10 1 10 60 4 1 2 2 5 6\ncpu1 20 1 10 40 4 0 1 2 0 0\n\
    intr 77 1 2 3\nctxt 88\nbtime 1700000000\nprocesses 99\nprocs_running 3\nprocs_blocked 1\nsoftirq 5 1\n";

#[test]
fn processors_count_seconds_by_mode() {
    let mut before = processors::Previous::default();
    let shown = read(STAT, |text, sink| processors::read(text, sink, &mut before)).unwrap();
    assert_eq!(shown.len(), 20, "eight modes and two guest modes for each of two processors: {shown:#?}");
    for expected in [
        "node_cpu_seconds_total{cpu=0,mode=user} 0.1",
        "node_cpu_seconds_total{cpu=1,mode=idle} 0.4",
        "node_cpu_guest_seconds_total{cpu=0,mode=nice} 0.06",
    ] {
        assert!(shown.contains(&expected.to_owned()), "{expected} is not among {shown:#?}");
    }
}

#[test]
fn percentages_of_processors_need_two_collections() {
    let mut before = processors::Previous::default();
    let mut percentages = |text: &str| {
        let shown = read(text, |text, sink| processors::read(text, sink, &mut before)).unwrap();
        shown.into_iter().filter(|line| line.starts_with("system_")).collect::<Vec<_>>()
    };
    let none = Vec::<String>::new();
    assert_eq!(percentages("cpu 1000 0 0 9000\ncpu0 1000 0 0 9000\n"), none);
    assert_eq!(
        percentages("cpu 1030 0 0 9020 50 0\ncpu0 1030 0 0 9020\n"),
        ["system_cpu_percent{} 60", "system_processor_percent{cpu=0} 60"]
    );
    assert_eq!(percentages("cpu 1030 0 0 9020 50 0\n"), none, "no time has passed");
    assert_eq!(percentages("cpu 1040 0 0 9040 60 0\n"), ["system_cpu_percent{} 25"], "iowait counts as idle");
    assert_eq!(percentages("cpu 4 0 0 11 5 0\n"), none, "it counts again from zero");
    assert_eq!(percentages("cpu 5 0 0 11 5 0\n"), ["system_cpu_percent{} 100"]);
}

#[test]
fn a_correction_of_idle_time_is_not_a_restart() {
    let mut before = processors::Previous::default();
    let mut shown = |text: &str| {
        let shown = read(text, |text, sink| processors::read(text, sink, &mut before)).unwrap();
        let of = |line: &String| line.contains("idle") || line.contains("iowait") || line.contains("percent");
        shown.into_iter().filter(of).collect::<Vec<_>>()
    };
    let idle = |idle: &str, iowait: &str| {
        ["idle", "iowait"]
            .iter()
            .zip([idle, iowait])
            .map(|(mode, n)| format!("node_cpu_seconds_total{{cpu=0,mode={mode}}} {n}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown("cpu0 10 0 0 10000 500 0\n"), idle("100", "5"));
    let mut expected = vec!["system_processor_percent{cpu=0} 100".to_owned()];
    expected.extend(idle("100", "5"));
    assert_eq!(shown("cpu0 20 0 0 9701 400 0\n"), expected, "a small decrease is ignored");
    assert_eq!(shown("cpu0 30 0 0 9700 400 0\n"), idle("97", "4"), "three seconds less: the processor was offline");
}

#[test]
fn kernel_counters_and_load_are_read() {
    let expected = [
        "node_intr_total{} 77",
        "node_context_switches_total{} 88",
        "node_boot_time_seconds{} 1700000000",
        "node_forks_total{} 99",
        "node_procs_running{} 3",
        "node_procs_blocked{} 1",
    ];
    assert_eq!(read(STAT, kernel::stat).unwrap(), expected);
    let load = read("0.50 1.25 12 1/200 4711\n", kernel::load).unwrap();
    assert_eq!(load, ["node_load1{} 0.5", "node_load5{} 1.25", "node_load15{} 12"]);
}

#[test]
fn memory_is_in_bytes_and_percent() {
    let text = "MemTotal:  1000 kB\nMemAvailable: 250 kB\nActive(anon): 7 kB\nHugePages_Total: 3\nSwapTotal: 10 kB\nSwapFree: 9 kB\n";
    let expected = [
        "node_memory_MemTotal_bytes{} 1024000",
        "node_memory_MemAvailable_bytes{} 256000",
        "node_memory_Active_anon_bytes{} 7168",
        "node_memory_HugePages_Total{} 3",
        "node_memory_SwapTotal_bytes{} 10240",
        "node_memory_SwapFree_bytes{} 9216",
        "system_memory_percent{} 75",
        "system_swap_percent{} 10",
    ];
    assert_eq!(read(text, memory::read).unwrap(), expected);
    let without = read("MemTotal: 1000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n", memory::read).unwrap();
    assert!(!without.iter().any(|line| line.starts_with("system_")), "{without:?}");
}

#[test]
fn disks_have_as_many_columns_as_the_kernel_has() {
    let text = " 254 0 vda 1 2 3 4000 5 6 7 8000 9 10000 11000\n 254 1 vda1 1 2 3 4 5 6 7 8 9 10 11\n 7 0 loop0 1 1 1 1 1 1 1 1 1 1 1\n";
    let shown = read(text, disks::read).unwrap();
    assert_eq!(shown.len(), 11);
    assert_eq!(shown[2], "node_disk_read_bytes_total{device=vda} 1536");
    assert_eq!(shown[3], "node_disk_read_time_seconds_total{device=vda} 4");
    assert_eq!(shown[10], "node_disk_io_time_weighted_seconds_total{device=vda} 11");
    let all = read("259 0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17000\n", disks::read).unwrap();
    assert_eq!(all[16], "node_disk_flush_requests_time_seconds_total{device=nvme0n1} 17");
}

#[rstest]
#[case("sda", true)]
#[case("sda1", false)]
#[case("sdaa1", true)]
#[case("xvda3", false)]
#[case("nvme0n1", true)]
#[case("nvme0n1p2", false)]
#[case("dm-0", true)]
#[case("md127", true)]
#[case("zram0", true)]
#[case("ram0", false)]
#[case("mmcblk0p1", true)]
fn partitions_and_loop_devices_are_ignored(#[case] device: &str, #[case] shown: bool) {
    let text = format!("8 0 {device} 1 2 3 4 5 6 7 8 9 10 11\n");
    assert_eq!(read(&text, disks::read).unwrap().is_empty(), !shown);
}

#[test]
fn a_network_device_counts_both_directions() {
    let text = "Inter-|   Receive\n face |bytes\n  eth0:0: 18446744073709551615 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
    let shown = read(text, network::read).unwrap();
    assert_eq!(shown.len(), 16);
    assert_eq!(shown[0], "node_network_receive_bytes_total{device=eth0:0} 18446744073709551615");
    assert_eq!(shown[15], "node_network_transmit_compressed_total{device=eth0:0} 16");
}

#[test]
fn protocols_and_sockets_are_named_after_their_files() {
    let pairs = read("Tcp: MaxConn CurrEstab\nTcp: -1 5\nIp: A\nIp: 18446744073709551615\n", protocols::pairs).unwrap();
    let expected =
        ["node_netstat_Tcp_MaxConn{} -1", "node_netstat_Tcp_CurrEstab{} 5", "node_netstat_Ip_A{} 18446744073709551615"];
    assert_eq!(pairs, expected);
    assert_eq!(read("Ip6InOctets \t 7\n", protocols::version_6).unwrap(), ["node_netstat_Ip6_InOctets{} 7"]);
    let below = read("TCP: mem -1\n", protocols::sockets).unwrap();
    assert_eq!(below[0], "node_sockstat_TCP_mem{} -1");
    let sockets = read("sockets: used 14\nTCP: inuse 1 mem 2\n", protocols::sockets).unwrap();
    assert_eq!(
        sockets[..3],
        ["node_sockstat_sockets_used{} 14", "node_sockstat_TCP_inuse{} 1", "node_sockstat_TCP_mem{} 2"]
    );
    assert!(sockets[3].starts_with("node_sockstat_TCP_mem_bytes{} "));
}

#[test]
fn pressure_is_in_seconds() {
    let text =
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n";
    let shown = |waiting, stalled| read(text, |text, sink| pressure::read(text, waiting, stalled, sink)).unwrap();
    assert_eq!(shown(Some("w"), Some("s")), ["w{} 1.5", "s{} 0.5"]);
    assert_eq!(shown(Some("w"), None), ["w{} 1.5"]);
    assert_eq!(shown(None, Some("s")), ["s{} 0.5"]);
}

#[rstest]
#[case::stat("cpu 1 2 x 4\n", "f: line 1: \"x\" is not an integer")]
#[case::too_few("cpu0 1 2 3\n", "f: line 1: too few words")]
fn an_invalid_processor_line_is_an_error(#[case] text: &str, #[case] expected: &str) {
    let read = read(text, |text, sink| processors::read(text, sink, &mut processors::Previous::default()));
    assert_eq!(read, Err(expected.to_owned()));
}

#[rstest]
#[case::memory_without_a_colon(memory::read as fn(&Text, &mut Sink<'_>) -> _, "MemTotal: 1 kB\nX 1 kB\n", "line 2: no colon after the name")]
#[case::memory_in_another_unit(memory::read as fn(&Text, &mut Sink<'_>) -> _, "MemTotal: 1 MB\n", "line 1: the unit is not kB")]
#[case::memory_beyond_64_bits(memory::read as fn(&Text, &mut Sink<'_>) -> _, "MemTotal: 18446744073709551615 kB\n", "line 1: the number of bytes exceeds 64 bits")]
#[case::disks(disks::read as fn(&Text, &mut Sink<'_>) -> _, "8 0 sda 1 -2\n", "line 1: \"-2\" is not an integer")]
#[case::a_device_without_numbers(network::read as fn(&Text, &mut Sink<'_>) -> _, "\n\neth0: 1 2\n", "line 3: too few words")]
#[case::names_without_numbers(protocols::pairs as fn(&Text, &mut Sink<'_>) -> _, "Tcp: A B\nTcp: 1\n", "line 2: fewer numbers than names")]
#[case::another_protocol(protocols::pairs as fn(&Text, &mut Sink<'_>) -> _, "Tcp: A\nUdp: 1\n", "line 2: the protocol differs from that of the line before")]
#[case::load(kernel::load as fn(&Text, &mut Sink<'_>) -> _, "0.1 high\n", "line 1: \"high\" is not a number")]
fn an_invalid_line_is_an_error_with_its_number(
    #[case] collect: fn(&Text, &mut Sink<'_>) -> Result<(), SourceError>,
    #[case] text: &str,
    #[case] expected: &str,
) {
    assert_eq!(read(text, collect), Err(format!("f: {expected}")));
}

fn mount(device: &str, point: &str, kind: &str, read_only: bool) -> Mount {
    Mount { device: device.to_owned(), point: point.to_owned(), kind: kind.to_owned(), read_only }
}

#[test]
fn only_real_file_systems_are_shown() {
    let text = "/dev/vda / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\noverlay /o overlay rw 0 0\n\
        tmpfs /run tmpfs rw 0 0\nserver:/a\\040b /mnt/a\\040b\\134c nfs4 ro,relatime 0 0\n/dev/x /var/lib/docker ext4 rw 0 0\n\
        /dev/y /var/lib/docker/z ext4 rw 0 0\n/dev/vdb /run ext4 ro 0 0\n";
    let expected = [
        mount("/dev/vda", "/", "ext4", false),
        mount("server:/a b", "/mnt/a b\\c", "nfs4", true),
        mount("/dev/x", "/var/lib/docker", "ext4", false),
        mount("/dev/vdb", "/run", "ext4", true),
    ];
    assert_eq!(filesystems::mounts(&Text::of("mounts", text), "/").unwrap(), expected);
}

#[test]
fn mount_points_are_relative_to_another_root() {
    let text =
        "/dev/a / ext4 rw 0 0\n/dev/b /host ext4 rw 0 0\n/dev/c /host/data xfs rw 0 0\n/dev/d /hostess xfs rw 0 0\n";
    let expected = [mount("/dev/b", "/", "ext4", false), mount("/dev/c", "/data", "xfs", false)];
    assert_eq!(filesystems::mounts(&Text::of("mounts", text), "/host").unwrap(), expected);
}

#[test]
fn the_list_of_the_host_is_used_unchanged() {
    let text = "/dev/b / ext4 rw 0 0\n/dev/c /data xfs rw 0 0\n/dev/d /hostess xfs rw 0 0\n";
    let expected = [
        mount("/dev/b", "/", "ext4", false),
        mount("/dev/c", "/data", "xfs", false),
        mount("/dev/d", "/hostess", "xfs", false),
    ];
    assert_eq!(filesystems::mounts(&Text::of("mounts", text), "/host").unwrap(), expected);
}

#[test]
fn a_mount_hidden_by_another_is_not_shown() {
    let text = "/dev/b / ext4 rw 0 0\n/dev/c /data xfs rw 0 0\noverlay /data overlay rw 0 0\n";
    let expected = [mount("/dev/b", "/", "ext4", false)];
    assert_eq!(filesystems::mounts(&Text::of("mounts", text), "/").unwrap(), expected);
}

#[test]
fn the_number_of_mounts_is_limited() {
    use std::fmt::Write as _;
    let text = (0..4097).fold(String::new(), |mut text, n| {
        writeln!(text, "tmpfs /run/{n} tmpfs rw 0 0").unwrap();
        text
    });
    let error = filesystems::mounts(&Text::of("mounts", &text), "/").unwrap_err().to_string();
    assert_eq!(error, "mounts: has more than 4096 mounts");
    let (fewer, _) = text.rsplit_once("tmpfs /run/4096").unwrap();
    assert_eq!(filesystems::mounts(&Text::of("mounts", fewer), "/").unwrap().len(), 4096);
}

#[rstest]
#[case::hangs(None, "mountpoint timeout")]
#[case::is_broken(Some(Err(Errno::ACCESS)), "permission denied")]
fn a_mount_without_sizes_has_only_a_device_error(#[case] answer: Option<Result<StatVfs, Errno>>, #[case] error: &str) {
    let wanted = NameFilter::all();
    let mut sink = Sink::new(&wanted);
    filesystems::emit(&mount("d", "/m", "nfs", false), answer.as_ref(), &mut sink).unwrap();
    let expected = format!("node_filesystem_device_error{{device=d,device_error={error},fstype=nfs,mountpoint=/m}} 1");
    assert_eq!(show(&sink.into_samples()), [expected]);
}

#[test]
fn the_number_of_samples_is_limited() {
    let wanted = NameFilter::all();
    let mut sink = Sink::new(&wanted);
    let error = (0..=200_000).find_map(|n| sink.integer("n", &[], n).err()).unwrap().to_string();
    assert_eq!(error, "there are more than 200000 samples");
    assert_eq!(sink.into_samples().len(), 200_000);
}

#[test]
fn a_control_group_without_limits_has_no_percentages_of_limits() {
    let wanted = NameFilter::all();
    let (mut before, then) = (cgroup::Previous::default(), Instant::now());
    let mut shown = |usage: &cgroup::Usage, at: Instant| {
        let mut sink = Sink::new(&wanted);
        cgroup::emit(usage, 2, at, &mut before, &mut sink).unwrap();
        show(&sink.into_samples())
    };
    let usage = cgroup::Usage { cpu_ns: Some(1_000_000_000), memory: Some(100), ..cgroup::Usage::default() };
    let expected = [
        "system_cgroup_cpu_seconds_total{} 1",
        "system_cgroup_memory_bytes{} 100",
        "system_cgroup_memory_working_set_bytes{} 100",
    ];
    assert_eq!(shown(&usage, then), expected);
    let usage = cgroup::Usage { cpu_ns: Some(2_000_000_000), ..cgroup::Usage::default() };
    let expected = ["system_cgroup_cpu_seconds_total{} 2", "system_cgroup_cpu_percent{} 5"];
    assert_eq!(shown(&usage, then + Duration::from_secs(10)), expected, "a tenth of one processor out of two");
    let usage = cgroup::Usage {
        cpu_ns: Some(2_500_000_000),
        cpu_limit: Some(0.5),
        memory: Some(100),
        inactive_file: Some(20),
        memory_limit: Some(160),
        pids: Some(3),
    };
    let expected = [
        "system_cgroup_cpu_seconds_total{} 2.5",
        "system_cgroup_cpu_percent{} 10",
        "system_cgroup_cpu_limit{} 0.5",
        "system_cgroup_memory_bytes{} 100",
        "system_cgroup_memory_working_set_bytes{} 80",
        "system_cgroup_memory_percent{} 50",
        "system_cgroup_memory_limit_bytes{} 160",
        "system_cgroup_pids{} 3",
    ];
    assert_eq!(shown(&usage, then + Duration::from_secs(20)), expected);
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns a reader of a host whose files are in a temporary directory.
fn reader(files: &[(&str, &str)], wanted: &[&str]) -> (tempfile::TempDir, SystemReader) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let at = |name: &str| directory.path().join(name);
    let roots = Roots { proc: at("proc"), sys: at("sys"), root: "/".into() };
    let wanted = NameFilter::new(wanted.iter().map(|name| (*name).to_owned()));
    (directory, SystemReader::new(wanted, roots))
}

#[tokio::test]
async fn network_devices_have_attributes() {
    let files = [
        ("sys/class/net/eth0/mtu", "1400\n"),
        ("sys/class/net/eth0/flags", "0x1003\n"),
        ("sys/class/net/eth0/statistics/rx_nohandler", "7\n"),
        ("sys/class/net/eth0/speed", "-1\n"),
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth0/address", "02:fc:00:00:00:01\n"),
        ("sys/class/net/lo/operstate", "unknown\n"),
        ("sys/class/net/bonding_masters", "bond0\n"),
    ];
    let names = [
        "node_network_mtu_bytes",
        "node_network_receive_nohandler_total",
        "node_network_flags",
        "node_network_speed_bytes",
        "node_network_up",
        "node_network_info",
    ];
    let (_folder, mut reader) = reader(&files, &names);
    let expected = [
        "node_network_flags{device=eth0} 4099",
        "node_network_mtu_bytes{device=eth0} 1400",
        "node_network_receive_nohandler_total{device=eth0} 7",
        "node_network_speed_bytes{device=eth0} -125000",
        "node_network_up{device=eth0} 1",
        "node_network_info{address=02:fc:00:00:00:01,adminstate=up,broadcast=,device=eth0,duplex=,ifalias=,operstate=up} 1",
        "node_network_up{device=lo} 0",
        "node_network_info{address=,adminstate=unknown,broadcast=,device=lo,duplex=,ifalias=,operstate=unknown} 1",
    ];
    assert_eq!(show(&reader.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples), expected);
}

#[rstest]
#[case::version_2(&[
    ("proc/self/cgroup", "0::/pod/c\n"),
    ("sys/fs/cgroup/pod/c/cgroup.controllers", "cpu memory"),
    ("sys/fs/cgroup/pod/c/cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
    ("sys/fs/cgroup/pod/c/cpu.max", "50000 100000\n"),
    ("sys/fs/cgroup/pod/c/memory.current", "100\n"),
    ("sys/fs/cgroup/pod/c/memory.max", "max\n"),
    ("sys/fs/cgroup/pod/c/memory.stat", "anon 1\ninactive_file 20\n"),
])]
#[case::version_2_with_its_own_namespace(&[
    ("proc/self/cgroup", "0::/../../outside\n"),
    ("sys/fs/cgroup/cgroup.controllers", "cpu memory"),
    ("sys/fs/cgroup/cpu.stat", "usage_usec 2500000\n"),
    ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
    ("sys/fs/cgroup/memory.current", "100\n"),
    ("sys/fs/cgroup/memory.stat", "inactive_file 20\n"),
])]
#[case::version_1(&[
    ("proc/self/cgroup", "5:memory:/k/c\n4:cpu,cpuacct:/k/c\n1:name=systemd:/\n"),
    ("sys/fs/cgroup/cpuacct/k/c/cpuacct.usage", "2500000000\n"),
    ("sys/fs/cgroup/cpu/k/c/cpu.cfs_quota_us", "50000\n"),
    ("sys/fs/cgroup/cpu/k/c/cpu.cfs_period_us", "100000\n"),
    ("sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
    ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 20\n"),
])]
#[tokio::test]
async fn a_control_group_is_found_in_all_layouts(#[case] files: &[(&str, &str)]) {
    let names = [
        "system_cgroup_cpu_seconds_total",
        "system_cgroup_cpu_limit",
        "system_cgroup_memory_working_set_bytes",
        "system_cgroup_memory_limit_bytes",
    ];
    let (_folder, mut reader) = reader(files, &names);
    let expected = [
        "system_cgroup_cpu_seconds_total{} 2.5",
        "system_cgroup_cpu_limit{} 0.5",
        "system_cgroup_memory_working_set_bytes{} 80",
    ];
    assert_eq!(show(&reader.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples), expected);
}

#[tokio::test]
async fn only_files_of_wanted_samples_are_read() {
    let files = [("proc/loadavg", "1 2 3\n"), ("proc/meminfo", "must not be read"), ("proc/stat", "cpu x\n")];
    let (_folder, mut reader) = reader(&files, &["node_load1", "node_time_seconds"]);
    let shown = show(&reader.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples);
    assert_eq!((shown.len(), shown[0].as_str()), (2, "node_load1{} 1"));
}

#[tokio::test]
async fn missing_files_give_no_samples_and_invalid_files_are_errors() {
    let (_folder, mut bare) = reader(&[], &["node_load1", "node_cpu_seconds_total", "node_filesystem_size_bytes"]);
    assert!(bare.read(TIMEOUT, &mut Phase::default()).await.unwrap().samples.is_empty());
    let (directory, mut broken) = reader(&[("proc/loadavg", "")], &["node_load1"]);
    let error = broken.read(TIMEOUT, &mut Phase::default()).await.unwrap_err().to_string();
    assert_eq!(error, format!("{}/proc/loadavg: line 1: too few words", Path::display(directory.path())));
    let (_folder, mut endless) = reader(&[("proc/loadavg", &"1".repeat((4 << 20) + 1))], &["node_load1"]);
    assert!(
        endless
            .read(TIMEOUT, &mut Phase::default())
            .await
            .unwrap_err()
            .to_string()
            .ends_with("/proc/loadavg: is longer than 4 MiB")
    );
}

proptest! {
    #[test]
    fn any_content_of_files_is_handled(text in "[a-z0-9():=. \\\\\n-]{0,80}") {
        let _ = read(&text, |text, sink| processors::read(text, sink, &mut processors::Previous::default()));
        for collect in [
            kernel::stat, kernel::load, memory::read, disks::read, network::read, protocols::pairs, protocols::version_6, protocols::sockets,
        ] {
            let _ = read(&text, collect);
        }
        for root in ["/", "/host"] {
            let _ = filesystems::mounts(&Text::of("mounts", &text), root);
        }
    }
}
