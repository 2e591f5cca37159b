//! An NMS that stands on the client of the crate async-snmp.

use std::time::Duration;

use agentx::Value;
use anyhow::{Context as _, Result, bail};
use async_snmp::{Auth, Client, Oid, Retry, UdpHandle, UdpTransport, VarBind};
use harness::{Agent, Row};
use tokio::runtime::{Builder, Runtime};

/// A client of one agent.
pub(super) struct Nms {
    runtime: Runtime,
    client: Client<UdpHandle>,
    // Receives for the client.
    _transport: UdpTransport,
}

impl Nms {
    /// As who asks, and with room for answers of so many octets.
    pub(super) fn new(agent: &dyn Agent, auth: impl Into<Auth>, capacity: usize) -> Result<Self> {
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
        let answer = self.runtime.block_on(self.client.get_many(&names(oids)?))?;
        rows(answer.varbinds)
    }

    pub(super) fn get_next(&self, oids: &[&str]) -> Result<Vec<Row>> {
        let answer = self.runtime.block_on(self.client.get_next_many(&names(oids)?))?;
        rows(answer.varbinds)
    }

    pub(super) fn get_bulk(&self, non_repeaters: u32, max_repetitions: u32, oids: &[&str]) -> Result<Vec<Row>> {
        let answer = self.runtime.block_on(self.client.get_bulk(&names(oids)?, non_repeaters, max_repetitions))?;
        rows(answer)
    }

    /// A walk by GetNext.
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
        let answer = self.runtime.block_on(self.client.set(&name(oid)?, async_snmp::Value::Integer(value)))?;
        rows(answer.varbinds)
    }
}

/// A name as async-snmp has it.
pub(super) fn name(oid: &str) -> async_snmp::Result<Oid> {
    Oid::parse(oid)
}

fn names(oids: &[&str]) -> Result<Vec<Oid>> {
    oids.iter().map(|oid| Ok(name(oid)?)).collect()
}

/// Variables as the tests have them.
pub(super) fn rows(varbinds: Vec<VarBind>) -> Result<Vec<Row>> {
    use async_snmp::Value as Theirs;
    let own = |oid: &Oid| agentx::Oid::try_from(oid.arcs()).context("an OID");
    let row = |varbind: VarBind| {
        let value = match varbind.value {
            Theirs::Integer(v) => Value::Integer(v),
            Theirs::OctetString(v) => Value::OctetString(v.to_vec()),
            Theirs::Null => Value::Null,
            Theirs::ObjectIdentifier(v) => Value::ObjectIdentifier(own(&v)?),
            Theirs::IpAddress(v) => Value::IpAddress(v),
            Theirs::Counter32(v) => Value::Counter32(v),
            Theirs::Gauge32(v) => Value::Gauge32(v),
            Theirs::TimeTicks(v) => Value::TimeTicks(v),
            Theirs::Opaque(v) => Value::Opaque(v.to_vec()),
            Theirs::Counter64(v) => Value::Counter64(v),
            Theirs::NoSuchObject => Value::NoSuchObject,
            Theirs::NoSuchInstance => Value::NoSuchInstance,
            Theirs::EndOfMibView => Value::EndOfMibView,
            other => bail!("{other:?} is no value of SMIv2"),
        };
        Ok(Row { oid: own(&varbind.oid)?, value })
    };
    varbinds.into_iter().map(row).collect()
}
