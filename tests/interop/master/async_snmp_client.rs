//! An NMS built on the client of the crate `async-snmp`.

use std::time::Duration;

use agentx::Value;
use anyhow::{Context as _, Result, bail};
use async_snmp::{Auth, Client, Oid, Retry, UdpHandle, UdpTransport, VarBind};
use harness::{Row, SnmpAgent};
use tokio::runtime::{Builder, Runtime};

/// An NMS that sends requests to one agent.
pub(super) struct Nms {
    runtime: Runtime,
    client: Client<UdpHandle>,
    // Receives the responses.
    _transport: UdpTransport,
}

impl Nms {
    /// Creates an NMS with these credentials, which accepts responses of up to `capacity` octets.
    pub(super) fn new(agent: &dyn SnmpAgent, auth: impl Into<Auth>, capacity: usize) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let target = ("127.0.0.1", agent.port());
        let (client, transport) = runtime.block_on(async {
            let transport = UdpTransport::builder().bind("127.0.0.1:0").max_message_size(capacity).build().await?;
            let client = Client::builder(target, auth)
                .request_timeout(Duration::from_secs(30))
                .retry(Retry::none())
                .build_with(&transport)
                .await?;
            anyhow::Ok((client, transport))
        })?;
        Ok(Self { runtime, client, _transport: transport })
    }

    pub(super) fn get(&self, oids: &[&str]) -> Result<Vec<Row>> {
        let response = self.runtime.block_on(self.client.get_many(&names(oids)?))?;
        rows(response.varbinds)
    }

    pub(super) fn get_next(&self, oids: &[&str]) -> Result<Vec<Row>> {
        let response = self.runtime.block_on(self.client.get_next_many(&names(oids)?))?;
        rows(response.varbinds)
    }

    pub(super) fn get_bulk(&self, non_repeaters: u32, max_repetitions: u32, oids: &[&str]) -> Result<Vec<Row>> {
        let response = self.runtime.block_on(self.client.get_bulk(&names(oids)?, non_repeaters, max_repetitions))?;
        rows(response)
    }

    /// Walks by GetNext.
    pub(super) fn walk(&self, oid: &str) -> Result<Vec<Row>> {
        let varbinds = self.runtime.block_on(async { self.client.walk_getnext(name(oid)?)?.collect().await })?;
        rows(varbinds)
    }

    pub(super) fn bulk_walk(&self, oid: &str, max_repetitions: u32) -> Result<Vec<Row>> {
        let walk = async { self.client.bulk_walk(name(oid)?, max_repetitions)?.collect().await };
        let varbinds = self.runtime.block_on(walk)?;
        rows(varbinds)
    }

    pub(super) fn set(&self, oid: &str, value: i32) -> Result<Vec<Row>> {
        let response = self.runtime.block_on(self.client.set(&name(oid)?, async_snmp::Value::Integer(value)))?;
        rows(response.varbinds)
    }
}

/// Parses an OID of `async-snmp`.
pub(super) fn name(oid: &str) -> async_snmp::Result<Oid> {
    Oid::parse(oid)
}

fn names(oids: &[&str]) -> Result<Vec<Oid>> {
    oids.iter().map(|oid| Ok(name(oid)?)).collect()
}

/// Converts varbinds of `async-snmp` to rows.
pub(super) fn rows(varbinds: Vec<VarBind>) -> Result<Vec<Row>> {
    use async_snmp::Value as Other;
    let own = |oid: &Oid| agentx::Oid::try_from(oid.arcs()).context("not an OID of AgentX");
    let row = |varbind: VarBind| {
        let value = match varbind.value {
            Other::Integer(v) => Value::Integer(v),
            Other::OctetString(v) => Value::OctetString(v.to_vec()),
            Other::Null => Value::Null,
            Other::ObjectIdentifier(v) => Value::ObjectIdentifier(own(&v)?),
            Other::IpAddress(v) => Value::IpAddress(v),
            Other::Counter32(v) => Value::Counter32(v),
            Other::Gauge32(v) => Value::Gauge32(v),
            Other::TimeTicks(v) => Value::TimeTicks(v),
            Other::Opaque(v) => Value::Opaque(v.to_vec()),
            Other::Counter64(v) => Value::Counter64(v),
            Other::NoSuchObject => Value::NoSuchObject,
            Other::NoSuchInstance => Value::NoSuchInstance,
            Other::EndOfMibView => Value::EndOfMibView,
            other => bail!("{other:?} has no syntax of SMIv2"),
        };
        Ok(Row { oid: own(&varbind.oid)?, value })
    };
    varbinds.into_iter().map(row).collect()
}
