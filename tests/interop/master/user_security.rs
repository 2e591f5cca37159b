//! SNMPv3 with net-snmp's tools: all security levels and protocols, and wrong passphrases.

use anyhow::{Result, ensure};
use harness::{SnmpAgent as _, Walk};
use rstest::rstest;
use serde_json::{Value, json};

use super::{SYS_UP_TIME, Served, USM_STATS_DECRYPTION_ERRORS, USM_STATS_WRONG_DIGESTS, count};
use crate::sidecar_setup::OTHER;

/// Adds a user who reads and writes the default context.
fn with_user(document: &mut Value, user: Value) {
    let level = match (user.get("auth"), user.get("priv")) {
        (_, Some(_)) => "AuthPriv",
        (Some(_), None) => "AuthNoPriv",
        (None, None) => "NoAuthNoPriv",
    };
    let access = json!({"name": user["name"], "securityLevel": level, "access": "ReadWrite"});
    document["contexts"][0]["users"].as_array_mut().expect("users").push(access);
    document["users"].as_array_mut().expect("users").push(user);
}

#[rstest]
#[case::without_authentication(None, None)]
#[case::md5(Some(("MD5", "MD5")), None)]
#[case::sha_1(Some(("SHA-1", "SHA")), None)]
#[case::sha_224(Some(("SHA-224", "SHA-224")), None)]
#[case::sha_256(Some(("SHA-256", "SHA-256")), None)]
#[case::sha_384(Some(("SHA-384", "SHA-384")), None)]
#[case::sha_512(Some(("SHA-512", "SHA-512")), None)]
#[case::sha_1_des(Some(("SHA-1", "SHA")), Some(("DES", "DES")))]
#[case::sha_1_aes(Some(("SHA-1", "SHA")), Some(("AES-128", "AES")))]
#[case::sha_256_aes(Some(("SHA-256", "SHA-256")), Some(("AES-128", "AES")))]
#[case::sha_1_aes_192(Some(("SHA-1", "SHA")), Some(("AES-192", "AES-192")))]
#[case::sha_1_aes_256(Some(("SHA-1", "SHA")), Some(("AES-256", "AES-256")))]
#[case::sha_256_aes_256(Some(("SHA-256", "SHA-256")), Some(("AES-256", "AES-256")))]
#[case::sha_512_aes_256(Some(("SHA-512", "SHA-512")), Some(("AES-256", "AES-256")))]
fn a_user_of_each_protocol_reads_and_walks(
    // The names of the protocols in the document and in net-snmp's tools.
    #[case] auth: Option<(&str, &str)>,
    #[case] privacy: Option<(&str, &str)>,
) -> Result<()> {
    let (auth_pass, priv_pass) = ("a pass for authentication", "a pass for privacy");
    let served = Served::start_with(|document| {
        let mut user = json!({"name": "someone"});
        if let Some((protocol, _)) = auth {
            user["auth"] = json!({"protocol": protocol, "passphrase": auth_pass});
        }
        if let Some((protocol, _)) = privacy {
            user["priv"] = json!({"protocol": protocol, "passphrase": priv_pass});
        }
        with_user(document, user);
    })?;
    let level = match (auth, privacy) {
        (_, Some(_)) => "authPriv",
        (Some(_), None) => "authNoPriv",
        (None, None) => "noAuthNoPriv",
    };
    let mut credentials = vec!["-v3", "-l", level, "-u", "someone"];
    if let Some((_, protocol)) = auth {
        credentials.extend(["-a", protocol, "-A", auth_pass]);
    }
    if let Some((_, protocol)) = privacy {
        credentials.extend(["-x", protocol, "-X", priv_pass]);
    }
    let client = served.master.client(&credentials);
    assert_eq!(client.get(&[&served.rows[3].oid.to_string()])?, served.rows[3..4]);
    for how in [Walk::Next, Walk::Bulk(7)] {
        assert_eq!(client.walk(how, OTHER)?, served.rows, "{how:?}");
    }
    let refused =
        client.set(&served.rows[0].oid.to_string(), "i", "1").expect_err("the object is read-only").to_string();
    ensure!(refused.contains("notWritable"), "{refused}");
    Ok(())
}

#[test]
fn wrong_passphrases_are_reported_and_counted() -> Result<()> {
    let served = Served::start()?;
    let request = |auth: &str, privacy: &str| {
        let credentials =
            ["-v3", "-l", "authPriv", "-u", "noc", "-a", "SHA-256", "-A", auth, "-x", "AES", "-X", privacy];
        let client = served.master.client(&credentials).with_timeout(std::time::Duration::from_secs(2), 0);
        client.get(&[SYS_UP_TIME]).map_err(|error| error.to_string())
    };
    let before = count(&served.master, USM_STATS_WRONG_DIGESTS)?;
    let error = request("a wrong pass", "noc-priv-pass").expect_err("a wrong passphrase");
    ensure!(error.contains("Authentication failure"), "{error}");
    assert_eq!(count(&served.master, USM_STATS_WRONG_DIGESTS)?, before + 1);
    let before = count(&served.master, USM_STATS_DECRYPTION_ERRORS)?;
    let error = request("noc-auth-pass", "a wrong pass").expect_err("a wrong passphrase");
    ensure!(error.contains("Decryption error"), "{error}");
    assert_eq!(count(&served.master, USM_STATS_DECRYPTION_ERRORS)?, before + 1);
    request("noc-auth-pass", "noc-priv-pass").expect("the right passphrases");
    Ok(())
}
