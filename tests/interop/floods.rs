//! Sources that send too much. The sidecar refuses them, uses bounded memory, and serves other sources as before.

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

use crate::sidecar_setup::{
    BASE, Manifest, NAMESPACE, OTHER, PAGE, WALK, context, render_in, rows_under, under_a_constant_walk, wait_for_value,
};

const MIB: usize = 1 << 20;

/// The most additional memory for a scrape, in bytes: a growing line of up to 1 MiB, and the buffers of HTTP and gzip.
const ROOM: u64 = 3 << 20;

const OBJECTS: &str = "
  scalars:
  - {name: requests, oid: '1', syntax: Gauge32, value: {source: app, metric: requests}}
  - {name: up, oid: '2', syntax: Integer32, value: {source: app, metric: up}}
";

/// The most additional memory to collect from a JSON source, in bytes: the body, and a tree of up to 16 MiB.
const JSON_ROOM: u64 = 20 << 20;

/// A kind of source.
struct Kind {
    /// The beginning of the source in a manifest.
    source: &'static str,
    /// Returns the reply with this value.
    page: fn(u32) -> String,
    /// The most additional memory for a collection, in bytes.
    room: u64,
}

const PROMETHEUS: Kind = Kind { source: "prometheus: {", page: |number| format!("requests {number}\n"), room: ROOM };
const JSON: Kind = Kind {
    source: "json: {path: /, metrics: [{name: requests, path: $.requests}], ",
    page: |number| format!("{{\"requests\": {number}}}"),
    room: JSON_ROOM,
};

fn expect_refusal(master: MasterKind, limits: &str, flood: Reply, reasons: &[&str]) -> Result<()> {
    expect_refusal_of(&PROMETHEUS, master, limits, flood, reasons)
}

/// Checks that a source with these `limits` is refused for one of `reasons` when it replies with a flood. Its last values
/// must stay published, the memory must stay within bounds, and another subtree must be served meanwhile.
fn expect_refusal_of(kind: &Kind, master: MasterKind, limits: &str, flood: Reply, reasons: &[&str]) -> Result<()> {
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
    ensure!(grown <= kind.room, "the memory grew by {grown} bytes");
    flooding.set(Reply::Page((kind.page)(8)));
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 8")
}

/// Returns a reply with `headers` and a body that repeats `piece` up to `most` octets.
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
fn a_body_with_a_content_length_of_1_gib_is_refused(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response("Content-Length: 1073741824\r\n", lines(), 1024 * MIB);
    expect_refusal(master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn a_body_of_1_gib_without_content_length_is_read_up_to_the_limit(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let flood = response("", lines(), 1024 * MIB);
    expect_refusal(master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn an_endless_body_is_read_up_to_1_gib_without_keeping_it_in_memory(
    #[values(NetSnmp, Ours)] master: MasterKind,
) -> Result<()> {
    let reasons = ["the body is longer than 1073741824 bytes", "timed out after 1s while reading the body"];
    expect_refusal(master, "bodySizeLimit: 1Gi", response("", lines(), usize::MAX), &reasons)
}

#[rstest]
fn a_gzip_bomb_of_1_gib_is_decompressed_up_to_the_limit(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let mut member = GzEncoder::new(Vec::new(), Compression::best());
    member.write_all(&lines())?;
    let member = member.finish()?;
    ensure!(member.len() < MIB / 100, "{} octets", member.len());
    let size = 1024 * member.len();
    let flood = response("Content-Encoding: gzip\r\n", member, size);
    expect_refusal(master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn a_million_series_are_refused_at_the_limit(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = Reply::acted(|stream| {
        let mut stream = io::BufWriter::new(stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")?;
        (0..1_000_000).try_for_each(|n| writeln!(stream, "requests{{n=\"{n}\"}} 1"))?;
        stream.flush()
    });
    expect_refusal(master, "bodySizeLimit: 1Gi, sampleLimit: 1000", flood, &["more than 1000 samples"])
}

#[rstest]
fn a_line_of_100_mib_is_refused_at_the_limit(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response("", vec![b'r'; MIB], 100 * MIB);
    expect_refusal(master, "bodySizeLimit: 1Gi", flood, &["the line is longer than 1048576 bytes"])
}

#[rstest]
fn a_header_of_1_mib_is_refused(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response(&format!("X: {}\r\n", "x".repeat(MIB)), b"requests 9\n".to_vec(), 11);
    expect_refusal(master, "bodySizeLimit: 1Gi", flood, &["message head is too large"])
}

#[rstest]
#[case::with_content_length("Content-Length: 1073741824\r\n")]
#[case::without_content_length("")]
fn json_of_1_gib_is_refused(#[case] headers: &str, #[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = response(headers, b"[1, 2, 3, ".repeat(MIB / 10), 1024 * MIB);
    expect_refusal_of(&JSON, master, "bodySizeLimit: 1Mi", flood, &["the body is longer than 1048576 bytes"])
}

#[rstest]
fn json_that_arrives_too_slowly_times_out(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let page = (JSON.page)(9) + &" ".repeat(10_000);
    let flood = SourceFault::Drip.reply(page, "requests", &mut Random::new(1));
    expect_refusal_of(&JSON, master, "scrapeTimeout: 1s", flood, &["timed out after 1s while reading the body"])
}

#[rstest]
fn redirects_of_a_json_source_are_not_followed(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = SourceFault::Redirect.reply((JSON.page)(9), "requests", &mut Random::new(1));
    expect_refusal_of(&JSON, master, "scrapeTimeout: 1s", flood, &["redirects are not followed"])
}

#[rstest]
fn json_of_a_million_nodes_is_refused(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    // A million nodes from two octets each.
    let flood = response("Content-Length: 2097153\r\n", [b"[0", b",0".repeat(MIB - 1).as_slice(), b"]"].concat(), 1);
    let reasons = ["the document takes more than 16 MiB of memory"];
    expect_refusal_of(&JSON, master, "bodySizeLimit: 16Mi", flood, &reasons)
}

#[rstest]
fn json_with_another_type_is_refused(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
    let flood = Reply::Page("{\"requests\": {\"total\": 9}}".to_owned());
    expect_refusal_of(&JSON, master, "scrapeTimeout: 1s", flood, &["the metric requests: "])
}

/// The most additional memory to read a file of the machine, in bytes: the file, once more as text.
const FILE_ROOM: u64 = 10 << 20;

#[rstest]
fn unusual_files_in_proc_do_not_affect_other_sources(#[values(NetSnmp, Ours)] master: MasterKind) -> Result<()> {
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
        let expect_error = |reason: &str| {
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
        // A FIFO without a writer blocks its reader.
        fs::remove_file(&file)?;
        mkfifoat(CWD, &file, Mode::RWXU)?;
        expect_error("timed out after 1s while reading the files of the host")?;
        // A file that is longer than any file in /proc, and a file without an end.
        let writer = OpenOptions::new().write(true).open(&file)?;
        fs::remove_file(&file)?;
        fs::File::create(&file)?.set_len(1 << 30)?;
        drop(writer);
        expect_error("is longer than 4 MiB")?;
        fs::remove_file(&file)?;
        std::os::unix::fs::symlink("/dev/zero", &file)?;
        expect_error("is longer than 4 MiB")?;
        fs::remove_file(&file)?;
        fs::write(&file, "seven of nine\n")?;
        expect_error("line 1: \\\"seven\\\" is not a number")
    })?;
    let grown = sidecar.memory()?.peak.saturating_sub(before);
    ensure!(grown <= FILE_ROOM, "the memory grew by {grown} bytes");
    fs::remove_file(&file)?;
    fs::write(&file, "8.00 1 1 1/2 3\n")?;
    wait_for_value(&sandbox, &client, "1.0 = Gauge32: 8")
}
