//! `snmp-master probe` asks our master and snmpd, as `helm test` does.

use std::process::Command;

use anyhow::{Result, ensure};
use harness::{COMMUNITY, MasterKind, Sandbox, built, run};
use rstest::rstest;

#[rstest]
fn an_agent_is_seen_to_answer_and_strangers_are_not_answered(
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
    let refused = probe("a-stranger", "1").expect_err("no answer").to_string();
    ensure!(refused.contains("did not answer within 1 s") && !refused.contains("a-stranger"), "{refused}");
    Ok(())
}
