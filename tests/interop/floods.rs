//! Sources that send too much, beside one that does not: what they cost is bounded, and the other's to pay is nothing.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
};

use anyhow::{Result, ensure};
use flate2::{Compression, write::GzEncoder};
use harness::{
    Exporter,
    MasterKind::{self, NetSnmp, Ours},
    Random, Reply, Sandbox, Sidecar, SidecarOptions, SourceFault,
};
use rstest::rstest;
use rustix::fs::{CWD, Mode, mkfifoat};

use crate::world::{
    BASE, Manifest, NAMESPACE, OTHER, PAGE, WALK, context, render_in, rows_under, under_a_constant_walk, wait_for_value,
};

const MIB: usize = 1 << 20;

/// What a scrape may take beyond what the sidecar has anyway, however much is sent: a line of 1 MiB while it grows, and
/// the buffers of HTTP and gzip.
const ROOM: u64 = 3 << 20;

const OBJECTS: &str = "
  scalars:
  - {name: requests, oid: '1', syntax: Gauge32, value: {source: app, metric: requests}}
  - {name: up, oid: '2', syntax: Integer32, value: {source: app, metric: up}}
";

/// What a reading of JSON may take: the tree of a document has 16 MiB at most, beside the body that it is read from.
const JSON_ROOM: u64 = 20 << 20;

/// A kind of source that is flooded: what it is in a manifest, what it answers for a number, and what a reading may take.
struct Kind {
    source: &'static str,
    page: fn(u32) -> String,
    room: u64,
}

const PROMETHEUS: Kind = Kind { source: "prometheus: {", page: |number| format!("requests {number}\n"), room: ROOM };
const JSON: Kind = Kind {
    source: "json: {path: /, metrics: [{name: requests, path: $.requests}], ",
    page: |number| format!("{{\"requests\": {number}}}"),
    room: JSON_ROOM,
};

fn is_refused(master: MasterKind, limits: &str, flood: Reply, reasons: &[&str]) -> Result<()> {
    is_refused_by(&PROMETHEUS, master, limits, flood, reasons)
}

/// A source with these `limits` answers with a flood: it is refused for one of these reasons, the values before it
/// stand, memory stays within the kind's room, and all the while another subtree is walked and its source scraped.
fn is_refused_by(kind: &Kind, master: MasterKind, limits: &str, flood: Reply, reasons: &[&str]) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let (flooding, good) = (Exporter::with_page(&(kind.page)(7))?, Exporter::with_page(PAGE)?);
    let endpoint = format!("interval: 1s, {limits}");
    let flooded = Manifest {
        port: flooding.port(),
        objects: OBJECTS,
        endpoint: &endpoint,
        stale_after: "10m",
        ..Manifest::default()
    };
    let other = Manifest { name: "other", oid: OTHER, port: good.port(), ..Manifest::default() };
    let config = render_in(
        &sandbox,
        "config",
        &[context("acme"), flooded.yaml().replace("prometheus: {", kind.source), other.yaml()],
    )?;
    let agent = master.start(&sandbox)?;
    let sidecar =
        Sidecar::start(&sandbox, SidecarOptions { config, masters: vec![agent.unix_url()], ..Default::default() })?;
    let client = agent.v2c();
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 7")?;
    let before = sidecar.memory()?.peak;
    under_a_constant_walk(&client, &rows_under(OTHER, WALK), || {
        flooding.set(flood);
        sandbox.wait_for("the flood to be refused", || {
            let status = sidecar.status()?.to_string();
            ensure!(reasons.iter().any(|reason| status.contains(reason)), "{status}");
            Ok(())
        })?;
        let (floods, scrapes) = (flooding.scrapes() + 2, good.scrapes() + 2);
        sandbox.wait_for("further floods and scrapes", || {
            ensure!(flooding.scrapes() >= floods && good.scrapes() >= scrapes, "{flooding:?}, {good:?}");
            Ok(())
        })
    })?;
    let seen = client.get(&[&format!("{BASE}.1.0"), &format!("{BASE}.2.0")])?;
    ensure!(seen == rows_under(BASE, &["1.0 = Gauge32: 7", "2.0 = INTEGER: 0"]), "{seen:?}");
    let grown = sidecar.memory()?.peak.saturating_sub(before);
    ensure!(grown <= kind.room, "grown by {grown} bytes");
    flooding.set(Reply::Page((kind.page)(8)));
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 8")
}

/// A response of `headers`, and `piece` behind them up to `most` octets.
fn response(headers: &str, piece: Vec<u8>, most: usize) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{headers}\r\n");
    Reply::acted(move |stream| {
        stream.write_all(head.as_bytes())?;
        (0..most.div_ceil(piece.len())).try_for_each(|_| stream.write_all(&piece))
    })
}

fn lines() -> Vec<u8> {
    b"requests 9\n".repeat(MIB / 11)
}

#[rstest]
fn a_body_of_1_gib_is_refused_by_its_length(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response("Content-Length: 1073741824\r\n", lines(), 1024 * MIB);
    is_refused(master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn a_body_of_1_gib_is_read_up_to_the_limit(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response("", lines(), 1024 * MIB);
    is_refused(master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn a_body_without_end_is_read_up_to_1_gib_without_being_held(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let reasons = ["the body is longer than 1073741824 bytes", "not done within 1s, while reading the body"];
    is_refused(master, "bodySizeLimit: 1Gi", response("", lines(), usize::MAX), &reasons)
}

#[rstest]
fn a_gzip_bomb_of_1_gib_is_unpacked_up_to_the_limit(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let mut member = GzEncoder::new(Vec::new(), Compression::best());
    member.write_all(&lines())?;
    let member = member.finish()?;
    ensure!(member.len() < MIB / 100, "{} octets", member.len());
    let size = 1024 * member.len();
    let flood = response("Content-Encoding: gzip\r\n", member, size);
    is_refused(master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn a_million_series_are_refused_at_the_limit(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = Reply::acted(|stream| {
        let mut stream = io::BufWriter::new(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
        (0..1_000_000).try_for_each(|n| writeln!(stream, "requests{{n=\"{n}\"}} 1"))?;
        stream.flush()
    });
    is_refused(master, "bodySizeLimit: 1Gi, sampleLimit: 1000", flood, &["more than 1000 samples"])
}

#[rstest]
fn a_line_of_100_mib_is_refused_at_its_limit(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response("", vec![b'r'; MIB], 100 * MIB);
    is_refused(master, "bodySizeLimit: 1Gi", flood, &["the line is longer than 1048576 bytes"])
}

#[rstest]
fn a_header_of_1_mib_is_refused(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response(&format!("X: {}\r\n", "x".repeat(MIB)), b"requests 9\n".to_vec(), 11);
    is_refused(master, "bodySizeLimit: 1Gi", flood, &["message head is too large"])
}

#[rstest]
#[case::by_its_length("Content-Length: 1073741824\r\n")]
#[case::as_it_comes("")]
fn json_of_1_gib_is_refused(#[case] headers: &str, #[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response(headers, b"[1, 2, 3, ".repeat(MIB / 10), 1024 * MIB);
    is_refused_by(&JSON, master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn json_that_drips_is_given_up(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let page = (JSON.page)(9) + &" ".repeat(10_000);
    let flood = SourceFault::Drip.reply(page, "requests", &mut Random::new(1));
    is_refused_by(&JSON, master, "scrapeTimeout: 1s", flood, &["not done within 1s, while reading the body"])
}

#[rstest]
fn json_that_redirects_for_ever_is_not_followed(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = SourceFault::Redirect.reply((JSON.page)(9), "requests", &mut Random::new(1));
    is_refused_by(&JSON, master, "scrapeTimeout: 1s", flood, &["redirects are not followed"])
}

#[rstest]
fn json_of_many_nodes_is_refused(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    // A million nodes from two octets each.
    let flood = response("Content-Length: 2097153\r\n", [b"[0", b",0".repeat(MIB - 1).as_slice(), b"]"].concat(), 1);
    let reasons = ["the document takes more than 16 MiB of memory"];
    is_refused_by(&JSON, master, "bodySizeLimit: 16Mi", flood, &reasons)
}

#[rstest]
fn json_that_changes_its_type_is_refused(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = Reply::Page("{\"requests\": {\"total\": 9}}".to_owned());
    is_refused_by(&JSON, master, "scrapeTimeout: 1s", flood, &["the metric requests: "])
}

/// A file of the machine's takes as much as this at most, twice while it is made text.
const FILE_ROOM: u64 = 10 << 20;

#[rstest]
fn files_of_the_machine_that_hang_or_are_no_such_files_harm_no_other(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let procfs = sandbox.folder("proc")?;
    let file = procfs.join("loadavg");
    fs::write(&file, "7.00 1 1 1/2 3\n")?;
    let good = Exporter::with_page(PAGE)?;
    let machine = format!(
        "apiVersion: snmp-operator.dev/v1alpha1
kind: SnmpSubtree
metadata: {{name: machine, namespace: {NAMESPACE}}}
spec:
  oid: {BASE}
  selector: {{matchLabels: {{app: machine}}}}
  sources:
  - {{name: app, staleAfter: 10m, system: {{interval: 1s}}}}
{}",
        OBJECTS.replace("metric: requests", "metric: node_load1")
    );
    let other = Manifest { name: "other", oid: OTHER, port: good.port(), ..Manifest::default() };
    let config = render_in(&sandbox, "config", &[context("acme"), machine, other.yaml()])?;
    let agent = master.start(&sandbox)?;
    let options =
        SidecarOptions { config, masters: vec![agent.unix_url()], procfs: Some(procfs), ..Default::default() };
    let sidecar = Sidecar::start(&sandbox, options)?;
    let client = agent.v2c();
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 7")?;
    let before = sidecar.memory()?.peak;
    under_a_constant_walk(&client, &rows_under(OTHER, WALK), || {
        let is_told = |reason: &str| {
            sandbox.wait_for(reason, || {
                let status = sidecar.status()?.to_string();
                ensure!(status.contains(reason), "{status}");
                Ok(())
            })?;
            let scrapes = good.scrapes() + 2;
            sandbox.wait_for("further scrapes", || {
                ensure!(good.scrapes() >= scrapes, "{good:?}");
                Ok(())
            })?;
            let seen = client.get(&[&format!("{BASE}.1.0"), &format!("{BASE}.2.0")])?;
            ensure!(seen == rows_under(BASE, &["1.0 = Gauge32: 7", "2.0 = INTEGER: 0"]), "{seen:?}");
            Ok(())
        };
        // As what is mounted there may: nobody writes.
        fs::remove_file(&file)?;
        mkfifoat(CWD, &file, Mode::RWXU)?;
        is_told("not done within 1s, while reading the machine's files")?;
        // Longer than it says to be, and than anything that a kernel writes; without an end.
        let writer = OpenOptions::new().write(true).open(&file)?;
        fs::remove_file(&file)?;
        fs::File::create(&file)?.set_len(1 << 30)?;
        drop(writer);
        is_told("is longer than 4 MiB")?;
        fs::remove_file(&file)?;
        std::os::unix::fs::symlink("/dev/zero", &file)?;
        is_told("is longer than 4 MiB")?;
        fs::remove_file(&file)?;
        fs::write(&file, "seven of nine\n")?;
        is_told("line 1: \\\"seven\\\" is not a number")
    })?;
    let grown = sidecar.memory()?.peak.saturating_sub(before);
    ensure!(grown <= FILE_ROOM, "grown by {grown} bytes");
    fs::remove_file(&file)?;
    fs::write(&file, "8.00 1 1 1/2 3\n")?;
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 8")
}
