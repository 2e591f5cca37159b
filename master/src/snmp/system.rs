//! What the engine says of itself, in every context: system and snmp (RFC 3418), snmpEngine (RFC 3411), snmpMPDStats
//! (RFC 3412), snmpUnavailableContexts and snmpUnknownContexts (RFC 3413), usmStats (RFC 3414).

mod objects;

use std::{sync::Arc, time::Instant};

use agentx::{Oid, SubId, Value};
use arc_swap::ArcSwap;
use master_config::System;

use self::objects::{Kind, OBJECTS};
use super::{access::Access, engine::EngineIdentity, product::PRODUCT_OID};
use crate::{
    own_objects::{Asked, OwnObjects},
    statistics::Statistics,
};

/// What nobody else may register: system, snmp, snmpModules and the product's own place.
const SUBTREES: [&[SubId]; 4] = [&[1, 3, 6, 1, 2, 1, 1], &[1, 3, 6, 1, 2, 1, 11], PRODUCT_OID, &[1, 3, 6, 1, 6, 3]];

/// The engine's own objects.
#[derive(Debug)]
pub struct SystemObjects {
    identity: EngineIdentity,
    started: Instant,
    access: Arc<ArcSwap<Access>>,
    statistics: Arc<Statistics>,
    subtrees: Vec<Oid>,
}

impl SystemObjects {
    /// What the engine of this identity, which started at `started`, says of itself.
    pub fn new(
        identity: EngineIdentity,
        started: Instant,
        access: Arc<ArcSwap<Access>>,
        statistics: Arc<Statistics>,
    ) -> Self {
        let subtrees = SUBTREES.iter().filter_map(|subtree| Oid::try_from(*subtree).ok()).collect();
        Self { identity, started, access, statistics, subtrees }
    }

    fn system(&self, context: &[u8], field: fn(&System) -> Option<&String>) -> Value {
        let access = self.access.load();
        let text = access.system(context).and_then(field);
        Value::OctetString(text.map(|text| text.clone().into_bytes()).unwrap_or_default())
    }
}

impl OwnObjects for SystemObjects {
    fn subtrees(&self) -> &[Oid] {
        &self.subtrees
    }

    fn next(&self, asked: Asked<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)> {
        let first = OBJECTS.partition_point(|object| object.name < from && !from.starts_with(object.name));
        let (name, value) = OBJECTS.get(first..)?.iter().find_map(|object| {
            let rest = from.strip_prefix(object.name);
            let follows = |arc: SubId| rest.is_none_or(|rest| rest < &[arc][..] || include && rest == [arc]);
            let (arc, value) = match object.kind {
                Kind::Scalar(read) => follows(0).then(|| (0, read(self, &asked)))?,
                Kind::Counter(of) => follows(0).then(|| (0, Value::Counter32(of(&self.statistics).wrapped())))?,
                Kind::Column(read) => {
                    let row = asked.capabilities.partition_point(|row| !follows(row.index));
                    let row = asked.capabilities.get(row)?;
                    (row.index, read(self, row))
                }
            };
            Some((Oid::new([object.name, &[arc]].concat()).ok()?, value))
        })?;
        (end.is_empty() || *name < *end).then_some((name, value))
    }

    fn knows(&self, name: &[SubId]) -> bool {
        OBJECTS.iter().any(|object| name.starts_with(object.name))
    }
}

#[cfg(test)]
mod tests;
