//! The named ports of the pod's containers.

use std::{collections::BTreeMap, str::FromStr};

use sidecar_config::Port;

/// Container ports by name, parsed from a list such as `metrics=9100,api=8080`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedPorts(BTreeMap<String, u16>);

/// A list of named ports is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamedPortsError {
    /// An entry is not a name and a port.
    #[error("{0:?} is not of the form name=port, with a port of 1 to 65535")]
    Entry(String),
    /// A name has two different ports.
    #[error("the port name {0:?} appears twice with different ports")]
    Duplicate(String),
}

impl NamedPorts {
    /// Returns the number of the port, or `None` if no container port has this name.
    pub(crate) fn resolve(&self, port: &Port) -> Option<u16> {
        match port {
            Port::Number(number) => Some(*number),
            Port::Name(name) => self.0.get(name).copied(),
        }
    }
}

impl FromStr for NamedPorts {
    type Err = NamedPortsError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let mut ports = BTreeMap::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let named = entry.split_once('=').and_then(|(name, port)| Some((name, port.parse().ok()?)));
            let (name, port) = named
                .filter(|(name, port)| !name.is_empty() && *port != 0)
                .ok_or_else(|| NamedPortsError::Entry(entry.to_owned()))?;
            if ports.insert(name.to_owned(), port).is_some_and(|before| before != port) {
                return Err(NamedPortsError::Duplicate(name.to_owned()));
            }
        }
        Ok(Self(ports))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_named_port_is_resolved() {
        let ports: NamedPorts = "metrics=9100, api=8080,".parse().unwrap();
        assert_eq!(ports.resolve(&Port::Name("api".to_owned())), Some(8080));
        assert_eq!(ports.resolve(&Port::Name("metrics".to_owned())), Some(9100));
        assert_eq!(ports.resolve(&Port::Name("nope".to_owned())), None);
        assert_eq!(ports.resolve(&Port::Number(1)), Some(1));
        assert_eq!("".parse(), Ok(NamedPorts::default()));
    }

    #[rstest]
    fn an_invalid_list_is_an_error(
        #[values("a", "a=", "=1", "a=0", "a=65536", "a=-1", "a=b", "a=1;b=2", "a=1,a=2")] list: &str,
    ) {
        assert!(list.parse::<NamedPorts>().is_err());
    }
}
