//! `snmp-master probe` with snmp-master and snmpd, as `helm test` runs it.

use std::process::Command;

use anyhow::{Result, ensure};
use harness::{COMMUNITY, MasterKind, Sandbox, built, run};
use rstest::rstest;

#[rstest]
fn a_probe_succeeds_only_with_the_right_community(
    #[values(MasterKind::Ours, MasterKind::NetSnmp)] kind: MasterKind,
) -> Result<()> {
    let sandbox = Sandbox::new()?;
    let agent = kind.start(&sandbox)?;
    let probe = |community: &str, timeout: &str| -> Result<String> {
        let file = sandbox.write("community", format!("{community}\n"))?;
        let address = format!("127.0.0.1:{}", agent.port());
        let mut command = Command::new(built("snmp-master")?);
        command.arg("probe").arg("--community-file").arg(file).args(["--timeout", timeout, &address]);
        Ok(String::from_utf8(run(&mut command)?.stdout)?)
    };
    let said = probe(COMMUNITY, "60")?;
    ensure!(said.contains(", up for "), "{said}");
    let refused = probe("a-stranger", "1").expect_err("the community is wrong").to_string();
    ensure!(refused.contains("did not respond within 1 s") && !refused.contains("a-stranger"), "{refused}");
    Ok(())
}
