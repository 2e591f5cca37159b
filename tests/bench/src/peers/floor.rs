//! The lower bound of an SNMP agent's work: async-snmp's engine with a sorted array, without AgentX.

use std::{
    convert::Infallible,
    io::{Write as _, stdout},
    sync::Arc,
};

use agentx::{SubId, Value};
use anyhow::Result;
use async_snmp::{
    AuthProtocol, Oid, PrivProtocol, VarBind,
    agent::Agent,
    handler::{BoxFuture, GetNextResult, GetResult, HandlerResult, MibHandler, RequestContext},
    v3::AuthoritativeEngine,
};
use harness::{AUTH_PASSPHRASE, COMMUNITY, PRIV_PASSPHRASE, USER_NAME};

use crate::peers::objects::{BASE, Objects};

/// Serves all objects over SNMPv2c, and over SNMPv3 for one user. Prints its port when it listens.
///
/// # Errors
/// Returns an error if it cannot listen.
pub fn serve() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let agent = Agent::builder()
            .bind("127.0.0.1:0")
            .community(COMMUNITY.as_bytes())
            .usm_user(USER_NAME, |user| {
                user.auth_priv(AuthProtocol::Sha256, AUTH_PASSPHRASE, PrivProtocol::Aes128, PRIV_PASSPHRASE)
            })?
            .authoritative_engine(AuthoritativeEngine::install(b"bench-engine".to_vec(), |_| Ok::<_, Infallible>(()))?)
            .max_message_size(65_507)
            .without_builtin_handlers()
            .handler(Oid::from_slice(&BASE), Arc::new(Sorted::new(Objects::BIG)))
            .allow_all_access()
            .build()
            .await?;
        writeln!(stdout(), "port {}", agent.local_addr().port())?;
        Ok(agent.run().await?)
    })
}

/// OIDs and values, sorted by OID.
struct Sorted(Vec<(Oid, async_snmp::Value)>);

impl Sorted {
    fn new(objects: Objects) -> Self {
        let value = |value| match value {
            Value::Counter64(number) => async_snmp::Value::Counter64(number),
            Value::Gauge32(number) => async_snmp::Value::Gauge32(number),
            _ => async_snmp::Value::Null,
        };
        let entry = |name: Vec<SubId>, shown: Value| (Oid::from_slice(&name), value(shown));
        let cells = (0..objects.columns).flat_map(|column| {
            (1..=objects.rows).map(move |row| entry(Objects::cell(column, row), objects.cell_value(column, row)))
        });
        let scalars = (1..=objects.scalars).map(|number| entry(Objects::scalar(number), Objects::scalar_value(number)));
        let mut all: Vec<_> = cells.chain(scalars).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self(all)
    }

    fn found(&self, name: &Oid) -> Option<&async_snmp::Value> {
        let at = self.0.binary_search_by(|(other, _)| other.cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    fn following(&self, name: &Oid) -> Option<VarBind> {
        let (name, value) = self.0.get(self.0.partition_point(|(other, _)| other <= name))?;
        Some(VarBind::new(name.clone(), value.clone()))
    }
}

impl MibHandler for Sorted {
    fn get<'a>(&'a self, _: &'a RequestContext, name: &'a Oid) -> BoxFuture<'a, HandlerResult<GetResult>> {
        Box::pin(async move { Ok(self.found(name).cloned().map_or(GetResult::NoSuchObject, GetResult::Value)) })
    }

    fn get_next<'a>(&'a self, _: &'a RequestContext, name: &'a Oid) -> BoxFuture<'a, HandlerResult<GetNextResult>> {
        Box::pin(async move { Ok(self.following(name).map_or(GetNextResult::EndOfMibView, GetNextResult::Value)) })
    }
}
