//! The named ports of a pod's containers, by which the sidecar resolves port names.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::Value as Json;

use super::pod;

/// The maximum number of ports that are passed to the sidecar.
pub(super) const PORTS: usize = 256;
/// The maximum length of a port name (`IANA_SVC_NAME`, RFC 6335).
const NAME_LENGTH: usize = 15;

/// Returns the named TCP ports of all containers that run beside the sidecar, as `name=port,…`. If several ports have the
/// same name, the first counts. The flag is true if there are more than [`PORTS`].
pub(super) fn named(spec: &Json) -> (String, bool) {
    let sidecars = pod::list(spec, "initContainers").iter().filter(|container| pod::is_sidecar(container));
    let containers = pod::list(spec, "containers").iter().chain(sidecars);
    let (mut names, mut list) = (BTreeSet::new(), String::new());
    for port in containers.flat_map(|container| pod::list(container, "ports")) {
        let is_tcp = matches!(port.get("protocol").and_then(Json::as_str), None | Some("TCP"));
        let number = port.get("containerPort").and_then(Json::as_u64).filter(|port| (1..=65535).contains(port));
        let name = port.get("name").and_then(Json::as_str).filter(|name| is_name(name));
        let (true, Some(number), Some(name)) = (is_tcp, number, name) else { continue };
        if !names.insert(name) {
            continue;
        }
        if names.len() > PORTS {
            return (list, true);
        }
        let comma = if list.is_empty() { "" } else { "," };
        // Writing to a String never fails.
        let _ = write!(list, "{comma}{name}={number}");
    }
    (list, false)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_tcp_port_of_each_name_counts() {
        let spec = json!({
            "initContainers": [
                {"name": "migrate", "ports": [{"name": "gone", "containerPort": 1}]},
                {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "admin", "containerPort": 15000}]},
            ],
            "containers": [
                {"ports": [{"name": "metrics", "containerPort": 9100}, {"containerPort": 80}]},
                {"ports": [{"name": "metrics", "containerPort": 9200}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
                {"ports": [{"name": "dns", "containerPort": 53, "protocol": "TCP"}, {"name": "a,b=1", "containerPort": 5}]},
                {"ports": [{"name": "zero", "containerPort": 0}, {"name": "big", "containerPort": 65536}, 7, null]},
                {"ports": "none"}, 5,
            ],
        });
        assert_eq!(named(&spec), ("metrics=9100,dns=53,admin=15000".to_owned(), false));
        assert_eq!(named(&json!({})), (String::new(), false));
    }

    #[test]
    fn the_number_of_ports_is_bounded() {
        let ports: Vec<_> = (1..400).map(|i| json!({"name": format!("p{i}"), "containerPort": i})).collect();
        let (list, more) = named(&json!({"containers": [{"ports": ports}]}));
        assert_eq!((list.split(',').count(), more), (PORTS, true));
    }
}
