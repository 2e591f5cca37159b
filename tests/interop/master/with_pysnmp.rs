//! The Python library pysnmp with snmp-master.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use harness::{MasterProgram, Sandbox, SnmpAgent as _, Walk, debian, repository, run, start_c_subagent};
use serde_json::{Value, json};

const C: &str = "1.3.6.1.4.1.8072.9999.9999.70";
/// The credentials that the script uses, in its order.
const CREDENTIALS: [&str; 6] = ["v1", "v2c", "sha-1-aes", "sha-256-aes", "sha-1", "nobody"];

fn users(document: &mut Value) {
    let auth = |protocol: &str| json!({"protocol": protocol, "passphrase": "authentication"});
    let privacy = json!({"protocol": "AES-128", "passphrase": "privacy-too"});
    let users = [
        (json!({"name": "sha-1-aes", "auth": auth("SHA-1"), "priv": privacy}), "AuthPriv"),
        (json!({"name": "sha-256-aes", "auth": auth("SHA-256"), "priv": privacy}), "AuthPriv"),
        (json!({"name": "sha-1", "auth": auth("SHA-1")}), "AuthNoPriv"),
        (json!({"name": "nobody"}), "NoAuthNoPriv"),
    ];
    for (user, level) in users {
        let access = json!({"name": user["name"], "securityLevel": level, "access": "ReadWrite"});
        document["contexts"][0]["users"].as_array_mut().expect("users").push(access);
        document["users"].as_array_mut().expect("users").push(user);
    }
}

#[test]
fn pysnmp_reads_walks_and_writes_a_subagent() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let master = MasterProgram::start_with(&sandbox, users)?;
    let mut subagent = start_c_subagent(&sandbox, &master, "", "hello")?;
    let whole = sandbox.wait_for("the subagent to be served", || {
        subagent.running()?;
        let walk = master.v2c().walk(Walk::Next, C)?;
        ensure!(walk.len() >= 12, "{walk:?}");
        Ok(walk)
    })?;
    // Debian's interpreter, because Debian's package of pysnmp is installed for it.
    let mut command = Command::new(debian("python3", "python3-pysnmp4")?);
    command.arg(repository().join("tests/python/pysnmp_nms.py")).args([
        &master.port().to_string(),
        C,
        &format!("{C}.2.0"),
    ]);
    let output = String::from_utf8(run(&mut command)?.stdout)?;
    let answers: Vec<Value> = output.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let credentials: Vec<&str> = answers.iter().filter_map(|answer| answer["credentials"].as_str()).collect();
    assert_eq!(credentials, CREDENTIALS);
    let names = |answer: &Value, of: &str| -> Result<Vec<String>> {
        let rows = answer[of].as_array().with_context(|| format!("no {of}: {answer}"))?;
        Ok(rows.iter().filter_map(|row| Some(row[0].as_str()?.to_owned())).collect())
    };
    for (number, answer) in (1..).zip(&answers) {
        let version_1 = answer["credentials"] == "v1";
        let counter64 = |row: &&harness::Row| !version_1 || !matches!(row.value, agentx::Value::Counter64(_));
        let expected: Vec<String> = whole.iter().filter(counter64).map(|row| row.oid.to_string()).collect();
        for of in ["next", "bulk"] {
            assert_eq!(names(answer, of)?, expected, "{of} of {answer}");
            assert_eq!(answer[of][0][2], "hello");
            assert_eq!(answer[of][1][2], number.to_string());
        }
        assert_eq!(
            (&answer["get"][0][0], &answer["get"][0][2]),
            (&json!(format!("{C}.2.0")), &json!(number.to_string()))
        );
        let refused = if version_1 { "badValue" } else { "wrongValue" };
        assert_eq!(answer["refused"], refused, "{answer}");
    }
    Ok(())
}
