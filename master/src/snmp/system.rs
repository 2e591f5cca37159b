//! The objects that the engine itself serves in every context: system and snmp (RFC 3418), snmpEngine (RFC 3411),
//! snmpMPDStats (RFC 3412), snmpUnavailableContexts and snmpUnknownContexts (RFC 3413), and usmStats (RFC 3414).

mod objects;

use std::{sync::Arc, time::Instant};

use agentx::{Oid, SubId, Value};
use arc_swap::ArcSwap;
use notification::oids::ALARM_MODULE;

use self::objects::{EngineState, Kind, OBJECTS};
use super::{access::Access, engine_identity::EngineIdentity, product::PRODUCT_OID};
use crate::{
    notify::table::AlarmTables,
    pdu::own_objects::{Environment, OwnObjects},
    snmp::statistics::Statistics,
};

/// The subtrees that subagents may not register: system, snmp, the product's own subtree, and snmpModules.
const SUBTREES: [&[SubId]; 4] = [&[1, 3, 6, 1, 2, 1, 1], &[1, 3, 6, 1, 2, 1, 11], PRODUCT_OID, &[1, 3, 6, 1, 6, 3]];

/// The objects that the engine serves.
#[derive(Debug)]
pub struct SystemObjects {
    engine: EngineState,
    alarms: AlarmTables,
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
        let engine = EngineState { identity, started, access, statistics };
        Self { engine, alarms: AlarmTables::default(), subtrees }
    }

    /// Adds the alarm table.
    #[must_use]
    pub fn with_alarms(self, alarms: AlarmTables) -> Self {
        Self { alarms, ..self }
    }

    /// Returns the next instance of the objects other than the alarm table.
    fn next_object(&self, env: &Environment<'_>, from: &[SubId], include: bool) -> Option<(Oid, Value)> {
        let first = OBJECTS.partition_point(|object| object.name < from && !from.starts_with(object.name));
        OBJECTS.get(first..)?.iter().find_map(|object| {
            let rest = from.strip_prefix(object.name);
            let follows = |arc: SubId| rest.is_none_or(|rest| rest < &[arc][..] || include && rest == [arc]);
            let (arc, value) = match object.kind {
                Kind::Scalar(read) => follows(0).then(|| (0, read(&self.engine, env)))?,
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
        })
    }
}

impl OwnObjects for SystemObjects {
    fn subtrees(&self) -> &[Oid] {
        &self.subtrees
    }

    fn next(&self, env: Environment<'_>, from: &[SubId], include: bool, end: &[SubId]) -> Option<(Oid, Value)> {
        let alarm = || self.alarms.next(env.context, from, include, self.engine.started);
        let object = || self.next_object(&env, from, include);
        // No other object lies between two of the alarm module.
        let next = if from.starts_with(&ALARM_MODULE) {
            alarm().or_else(object)
        } else {
            let is_first = |(name, _): &(Oid, Value)| name.as_slice() < ALARM_MODULE.as_slice();
            match object() {
                Some(found) if is_first(&found) => Some(found),
                found => alarm().or(found),
            }
        };
        next.filter(|(name, _)| end.is_empty() || **name < *end)
    }

    fn has_object(&self, name: &[SubId]) -> bool {
        AlarmTables::has_object(name) || OBJECTS.iter().any(|object| name.starts_with(object.name))
    }
}

#[cfg(test)]
mod tests;
