//! The longest time without a response while the master applies a new configuration.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::{DEADLINE, Exporter, Sandbox, SnmpAgent as _};
use serde_json::{Value, json};

use super::Group;
use crate::{
    peers::contestants::{Bench, ONCE},
    peers::objects::Objects,
    report::row::{Row, Target, Unit},
    report::statistics::quantile,
    requests::questions::each_scalar,
    requests::snmp::Client,
    requests::v3::is_known,
};

pub(super) const GROUP: Group = Group {
    name: "reload",
    title: "Reload with 500 users of SNMPv3",
    about: "A client asks our master for one scalar at a time, which our sidecar serves. Meanwhile the master is given 500 \
            users, each with passphrases of its own for SHA-256 and AES-128, and then 500 others. The number is the \
            longest time that a GET took from then until the last of them is known. All of the master shares one processor with the sidecar.",
    measure,
};

const USERS: u32 = 500;
const SMALL: Objects = Objects { rows: 10, columns: 10, scalars: 100 };

fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let folder = Sandbox::new()?;
    let exporter = Exporter::with_page(&SMALL.page(0))?;
    let mut master = bench.cores.on_server(|| bench.master(&folder, |_| {}))?;
    let _sidecar = bench.cores.on_server(|| bench.sidecar(&folder, master.unix_url(), SMALL, exporter.port(), ONCE))?;
    let (address, questions) = (master.v2c().address().to_owned(), each_scalar()?);
    let mut client = folder.wait_for("the scalars", || Client::check(&address, &questions))?;
    let still = client.delays(Duration::from_secs(2))?;
    let mut delays = Vec::new();
    let start = Instant::now();
    for generation in 1..=2 {
        master.configure(|document| put_users(document, generation))?;
        let newest = format!("user-{generation}-{USERS}");
        while !is_known(&address, &newest)? {
            ensure!(start.elapsed() < 4 * DEADLINE, "the master did not apply {USERS} users");
            delays.extend(client.delays(Duration::from_millis(500))?);
        }
    }
    let longest = quantile(&delays, 1.0)? * 1e3;
    let note = format!(
        "{} GETs in the meantime; before, the longest of {} took {:.3} ms.",
        delays.len(),
        still.len(),
        quantile(&still, 1.0)? * 1e3
    );
    Ok(vec![Row {
        name: format!("longest unanswered time while {USERS} users of SNMPv3 are reloaded"),
        unit: Unit::Milliseconds,
        ours: longest,
        peers: Vec::new(),
        target: Target::AtMost(50.0),
        notes: vec![note],
    }])
}

/// Replaces all users but the first by users of this generation.
fn put_users(document: &mut Value, generation: u32) {
    let name = |number: u32| format!("user-{generation}-{number}");
    if let Some(users) = document["users"].as_array_mut() {
        users.truncate(1);
        users.extend((1..=USERS).map(|number| {
            json!({
                "name": name(number),
                "auth": {"protocol": "SHA-256", "passphrase": format!("auth-pass-{generation}-{number}")},
                "priv": {"protocol": "AES-128", "passphrase": format!("priv-pass-{generation}-{number}")},
            })
        }));
    }
    if let Some(access) = document.pointer_mut("/contexts/0/users").and_then(Value::as_array_mut) {
        access.truncate(1);
        access.extend((1..=USERS).map(|number| json!({"name": name(number)})));
    }
}
