//! Configuration changes of a running master: they take effect, and do not disturb anything else.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::{COMMUNITY, Client, Sandbox, SnmpAgent as _, Walk};
use serde_json::{Value, json};

use super::{SYS_UP_TIME, Served};
use crate::sidecar_setup::{OTHER, under_a_constant_walk};

/// Waits until the agent responds to this client, or no longer does.
fn wait_for(sandbox: &Sandbox, what: &str, client: &Client, answered: bool) -> Result<()> {
    let client = client.clone().with_timeout(Duration::from_millis(200), 0);
    sandbox.wait_for(what, || {
        let response = client.get(&[SYS_UP_TIME]);
        ensure!(response.is_ok() == answered, "{response:?}");
        Ok(())
    })
}

#[test]
fn communities_users_and_contexts_change_while_a_walk_goes_on() -> Result<()> {
    let Served { subagent, mut master, rows, sandbox } = Served::start()?;
    let walker = master.v2c();
    let clients = |master: &harness::MasterProgram| {
        let v3 = |pass: &str, context: &str| {
            master.client(&["-v3", "-l", "authNoPriv", "-u", "late", "-a", "SHA", "-A", pass, "-n", context])
        };
        let community = |community: &str| master.client(&["-v2c", "-c", community]);
        (
            community("late"),
            community("other"),
            v3("the first pass", ""),
            v3("the second pass", ""),
            v3("the second pass", "late"),
        )
    };
    let (late, other, first_pass, second_pass, in_late) = clients(&master);
    under_a_constant_walk(&walker, &rows, || {
        master.configure(|document| {
            let communities = document["contexts"][0]["communities"].as_array_mut().expect("communities");
            communities.push(json!({"community": "late"}));
        })?;
        wait_for(&sandbox, "a new community", &late, true)?;

        let user = |pass: &str| json!({"name": "late", "auth": {"protocol": "SHA-1", "passphrase": pass}});
        let access = json!({"name": "late", "securityLevel": "AuthNoPriv"});
        master.configure(|document| {
            document["users"].as_array_mut().expect("users").push(user("the first pass"));
            document["contexts"][0]["users"].as_array_mut().expect("users").push(access.clone());
        })?;
        wait_for(&sandbox, "a new user", &first_pass, true)?;

        master.configure(|document| document["users"][1] = user("the second pass"))?;
        wait_for(&sandbox, "another passphrase", &second_pass, true)?;
        wait_for(&sandbox, "the first passphrase to be wrong", &first_pass, false)?;

        master.configure(|document| {
            let context = json!({"name": "late", "users": [access], "communities": [{"community": "other"}]});
            document["contexts"].as_array_mut().expect("contexts").push(context);
        })?;
        wait_for(&sandbox, "a new context's user", &in_late, true)?;
        wait_for(&sandbox, "a new context's community", &other, true)?;

        master.configure(|document| {
            document["contexts"].as_array_mut().expect("contexts").pop();
            document["contexts"][0]["communities"] = json!([{"community": COMMUNITY, "access": "ReadWrite"}]);
        })?;
        wait_for(&sandbox, "the community to be removed", &late, false)?;
        wait_for(&sandbox, "the context's community to be removed", &other, false)?;
        wait_for(&sandbox, "the user's access to the context to be removed", &in_late, false)?;
        wait_for(&sandbox, "the user's access to the default context", &second_pass, true)
    })?;
    ensure!(subagent.is_running(), "the subagent's session was lost");
    Ok(())
}

#[test]
fn a_new_context_has_the_earlier_registrations_in_it() -> Result<()> {
    let Served { mut master, sandbox, .. } = Served::start()?;
    let base: agentx::Oid = OTHER.parse()?;
    let mib = harness::Mib::column(&base, 5)?;
    let context = agentx::Context::from("late");
    let _subagent = harness::BackgroundSubagent::healthy(&master.agentx_socket(), &context, &base, mib.clone())?;
    master.configure(|document| {
        let context = json!({"name": "late", "communities": [{"community": "late"}]});
        document["contexts"].as_array_mut().expect("contexts").push(context);
    })?;
    let late = master.client(&["-v2c", "-c", "late"]);
    wait_for(&sandbox, "the new context", &late, true)?;
    assert_eq!(late.walk(Walk::Bulk(10), OTHER)?, mib.rows());
    Ok(())
}

#[test]
fn an_invalid_document_changes_nothing_and_its_error_is_in_the_status() -> Result<()> {
    let Served { subagent, mut master, rows, sandbox } = Served::start()?;
    let client = master.v2c();
    let shown = |master: &harness::MasterProgram, what: &str| {
        sandbox.wait_for(what, || {
            let status = master.status()?;
            ensure!(!status["configuration"]["error"].is_null(), "{status}");
            Ok(())
        })
    };
    for broken in
        [&b""[..], b"{", b"[]", b"null", b"{\"version\": 99}", b"{\"version\": 1, \"contexts\": 5}", b"\xFF\xFE"]
    {
        master.write_configuration(broken)?;
        shown(&master, &String::from_utf8_lossy(broken))?;
        assert_eq!(client.walk(Walk::Bulk(10), OTHER)?, rows);
        // A valid document takes effect again and clears the error.
        master.configure(|_| {})?;
        sandbox.wait_for("the error to be cleared", || {
            let status = master.status()?;
            ensure!(status["configuration"]["error"].is_null(), "{status}");
            Ok(())
        })?;
    }
    master.configure(|document| document["contexts"][0]["users"][0]["name"] = Value::from("nobody at all"))?;
    shown(&master, "the error about a context's unknown user")?;
    assert_eq!(client.walk(Walk::Bulk(10), OTHER)?, rows);
    ensure!(subagent.is_running(), "the subagent's session was lost");
    Ok(())
}
