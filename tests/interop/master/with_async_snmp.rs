//! The client of the crate `async-snmp` with snmp-master.

use anyhow::{Result, ensure};
use async_snmp::{Auth, AuthProtocol, PrivProtocol, UsmConfig};
use harness::{CONTEXT_COMMUNITY, MasterProgram, Sandbox, SnmpAgent as _, Walk, start_c_subagent};
use rstest::rstest;
use serde_json::json;

use super::async_snmp_client::Nms;

const C: &str = "1.3.6.1.4.1.8072.9999.9999.70";
const USERS: [(&str, &str, &str); 4] = [
    ("sha-1-aes", "SHA-1", "AES-128"),
    ("sha-256-aes", "SHA-256", "AES-128"),
    ("sha-1-aes-256", "SHA-1", "AES-256"),
    ("sha-512-aes-256", "SHA-512", "AES-256"),
];

fn user(name: &str, auth: AuthProtocol, privacy: PrivProtocol) -> Result<UsmConfig> {
    Ok(UsmConfig::new(name.to_owned()).auth_priv(auth, "authentication", privacy, "privacy-too")?.context_name("acme"))
}

/// The capacities are the largest datagrams of an Ethernet frame and of UDP.
#[rstest]
fn async_snmp_reads_walks_and_writes_a_subagent(#[values(1_472, 65_507)] capacity: usize) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let master = MasterProgram::start_with(&sandbox, |document| {
        for (name, auth, privacy) in USERS {
            document["users"].as_array_mut().expect("users").push(json!({
                "name": name,
                "auth": {"protocol": auth, "passphrase": "authentication"},
                "priv": {"protocol": privacy, "passphrase": "privacy-too"},
            }));
            let access = json!({"name": name, "securityLevel": "AuthPriv", "access": "ReadWrite"});
            document["contexts"][1]["users"].as_array_mut().expect("users").push(access);
        }
    })?;
    let mut subagent = start_c_subagent(&sandbox, &master, "acme", "acme")?;
    let tool = master.client(&["-v2c", "-c", CONTEXT_COMMUNITY]);
    let whole = sandbox.wait_for("the subagent to be served", || {
        subagent.running()?;
        let walk = tool.walk(Walk::Next, C)?;
        ensure!(walk.len() >= 12, "{walk:?}");
        Ok(walk)
    })?;
    let credentials = [
        Auth::v2c(CONTEXT_COMMUNITY),
        user("sha-1-aes", AuthProtocol::Sha1, PrivProtocol::Aes128)?.into(),
        user("sha-256-aes", AuthProtocol::Sha256, PrivProtocol::Aes128)?.into(),
        user("sha-1-aes-256", AuthProtocol::Sha1, PrivProtocol::Aes256Blumenthal)?.into(),
        user("sha-512-aes-256", AuthProtocol::Sha512, PrivProtocol::Aes256Blumenthal)?.into(),
    ];
    let level = format!("{C}.2.0");
    for (number, auth) in (60..).zip(credentials) {
        let nms = Nms::new(&master, auth, capacity)?;
        let written = nms.set(&level, number)?;
        assert_eq!(nms.get(&[&level])?, written);
        let refused = nms.set(&level, 101).expect_err("the value is out of range").to_string();
        ensure!(refused.to_lowercase().contains("wrong"), "{refused}");
        let mut whole = whole.clone();
        whole[1] = written[0].clone();
        assert_eq!(nms.walk(C)?, whole);
        for repetitions in [1, 5, 50] {
            assert_eq!(nms.bulk_walk(C, repetitions)?, whole, "{repetitions}");
        }
        assert_eq!(nms.get_next(&[C, &level])?, [whole[0].clone(), whole[2].clone()]);
        assert_eq!(nms.get_bulk(1, 2, &[C, &level])?, [0, 2, 3].map(|at| whole[at].clone()));
    }
    let v1 = Nms::new(&master, Auth::v1(CONTEXT_COMMUNITY), capacity)?;
    // SNMPv1 has no Counter64.
    let mut rest = whole.clone();
    rest.remove(3);
    rest[1] = v1.get(&[&level])?.remove(0);
    assert_eq!(v1.walk(C)?, rest);
    Ok(())
}
