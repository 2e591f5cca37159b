//! The objects that the engine itself serves in every context: system and snmp (RFC 3418), snmpEngine (RFC 3411),
//! snmpMPDStats (RFC 3412), snmpUnavailableContexts and snmpUnknownContexts (RFC 3413), and usmStats (RFC 3414).

mod objects;

use std::{sync::Arc, time::Instant};

use agentx::{Oid, SubId, Value};
use arc_swap::ArcSwap;

use self::objects::{EngineState, Kind, OBJECTS};
use super::{access::Access, engine_identity::EngineIdentity, product::PRODUCT_OID};
use crate::{
    pdu::own_objects::{Environment, OwnObjects},
    snmp::statistics::Statistics,
};

/// The subtrees that subagents may not register: system, snmp, the product's own subtree, and snmpModules.
const SUBTREES: [&[SubId]; 4] = [&[1, 3, 6, 1, 2, 1, 1], &[1, 3, 6, 1, 2, 1, 11], PRODUCT_OID, &[1, 3, 6, 1, 6, 3]];

/// The objects that the engine serves.
#[derive(Debug)]
pub struct SystemObjects {
    engine: EngineState,
    subtrees: Vec<Oid>,
}

impl SystemObjects {
    /// Creates the objects of an engine with this identity that started at `started`.
    pub fn new(
        identity: EngineIdentity,
        started: Instant,
        access: Arc<ArcSwap<Access>>,
        statistics: Arc<Statistics>,
    ) -> Self {
        let subtrees = SUBTREES.iter().filter_map(|subtree| Oid::try_from(*subtree).ok()).collect();
        Self { engine: EngineState { identity, started, access, statistics }, subtrees }
    }
}

impl OwnObjects for SystemObjects {
    fn subtrees(&self) -> &[Oid] {
        &self.subtrees
    }

    fn next(&self, env: Environment<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)> {
        let first = OBJECTS.partition_point(|object| object.name < from && !from.starts_with(object.name));
        let (name, value) = OBJECTS.get(first..)?.iter().find_map(|object| {
            let rest = from.strip_prefix(object.name);
            let follows = |arc: SubId| rest.is_none_or(|rest| rest < &[arc][..] || include && rest == [arc]);
            let (arc, value) = match object.kind {
                Kind::Scalar(read) => follows(0).then(|| (0, read(&self.engine, &env)))?,
                Kind::Counter(counter) => {
                    follows(0).then(|| (0, Value::Counter32(counter(&self.engine.statistics).wrapped())))?
                }
                Kind::Column(read) => {
                    let row = env.capabilities.partition_point(|row| !follows(row.index));
                    let row = env.capabilities.get(row)?;
                    (row.index, read(&self.engine, row))
                }
            };
            Some((Oid::new([object.name, &[arc]].concat()).ok()?, value))
        })?;
        (end.is_empty() || *name < *end).then_some((name, value))
    }

    fn has_object(&self, name: &[SubId]) -> bool {
        OBJECTS.iter().any(|object| name.starts_with(object.name))
    }
}

#[cfg(test)]
mod tests;
