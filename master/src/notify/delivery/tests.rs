//! Tests of the delivery with sockets of this machine.

use std::net::{IpAddr, SocketAddr};

use serde_json::json;
use tokio::{net::UdpSocket, task::LocalSet, time::timeout};

use super::{address::Lookup, *};
use crate::notify::status::{Readiness, TargetStatus};

const DEADLINE: Duration = Duration::from_mins(1);

fn target(scope: &str, address: &str, contexts: &[&str]) -> Target {
    serde_json::from_value(json!({
        "namespace": "acme", "name": "noc", "address": address, "contexts": contexts, "kind": "Trap", "scope": scope,
        "security": {"v2c": {"community": "public"}}, "timeoutMs": 1000, "retries": 2, "maxAgeMs": 86_400_000_u64,
        "rateLimit": 10_000, "maxMessageOctets": 1472, "agentEvents": true, "alarmObjects": true,
    }))
    .unwrap()
}

fn networks(of: &[(&str, &str)]) -> AllowedTargets {
    of.iter().map(|(context, network)| ((*context).to_owned(), vec![network.parse().unwrap()])).collect()
}

#[test]
fn an_address_must_be_in_a_network_of_each_context() {
    let now = Instant::now();
    let choose = |scope: &str, address: &str, contexts: &[&str], allowed: &AllowedTargets| {
        Lookup::new(address, now).choose(&target(scope, address, contexts), allowed).unwrap().ok()
    };
    let allowed = networks(&[("a", "10.0.0.0/8"), ("b", "10.1.0.0/16")]);
    let at = |text: &str| Some(text.parse::<SocketAddr>().unwrap());
    assert_eq!(choose("Namespace", "10.2.3.4:162", &["a"], &allowed), at("10.2.3.4:162"));
    assert_eq!(choose("Namespace", "10.2.3.4:162", &["a", "b"], &allowed), None);
    assert_eq!(choose("Namespace", "10.1.3.4:162", &["a", "b"], &allowed), at("10.1.3.4:162"));
    assert_eq!(choose("Namespace", "10.1.3.4:162", &["a", "unknown"], &allowed), None);
    assert_eq!(choose("Namespace", "10.1.3.4:162", &[], &allowed), None);
    assert_eq!(choose("Namespace", "[2001:db8::1]:162", &["a"], &allowed), None);
    assert_eq!(choose("Cluster", "[2001:db8::1]:162", &[], &allowed), at("[2001:db8::1]:162"));
}

#[test]
fn a_name_that_moves_outside_of_the_networks_is_not_used() {
    let (now, allowed) = (Instant::now(), networks(&[("a", "10.0.0.0/8")]));
    let target = target("Namespace", "noc.example:162", &["a"]);
    let mut lookup = Lookup::new("noc.example:162", now);
    assert!(lookup.choose(&target, &allowed).is_none());
    let mut resolve = |resolved: Result<Vec<IpAddr>, String>| {
        assert_eq!(lookup.start(), Some("noc.example"));
        lookup.resolved(resolved, now);
        lookup.choose(&target, &allowed).unwrap()
    };
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let failed = resolve(Err("no such name".to_owned()));
    assert_eq!(failed, Err((Readiness::NameNotResolved, "no such name".to_owned())));
    assert_eq!(resolve(Ok(vec![ip("192.0.2.1"), ip("10.0.0.1")])), Ok(SocketAddr::new(ip("10.0.0.1"), 162)));
    // A failed lookup keeps what is known.
    assert_eq!(resolve(Err("timeout".to_owned())), Ok(SocketAddr::new(ip("10.0.0.1"), 162)));
    assert!(matches!(resolve(Ok(vec![ip("192.0.2.1")])), Err((Readiness::AddressNotAllowed, _))));
}

/// Runs the delivery to one target until its status is as wanted.
async fn until(delivery: &mut Delivery, statuses: &TargetStatuses, is_wanted: impl Fn(&TargetStatus) -> bool) {
    let wanted = async {
        while !statuses.get().first().is_some_and(&is_wanted) {
            // It waits for good if there is nothing to do.
            _ = timeout(Duration::from_millis(20), delivery.run()).await;
        }
    };
    timeout(DEADLINE, wanted).await.unwrap_or_else(|_| panic!("{:?}", statuses.get()));
}

#[tokio::test]
async fn a_closed_port_shows_in_the_status_and_a_standby_sends_nothing() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = receiver.local_addr().unwrap();
            let statuses = TargetStatuses::default();
            let mut delivery = Delivery::new(statuses.clone());
            let engine = EngineIdentity { engine_id: b"\x80\0\0\0\x05engine".to_vec(), boots: 2 };
            delivery.apply(&[target("Cluster", &address.to_string(), &[])], &[], &engine);
            until(&mut delivery, &statuses, |status| status.readiness == Readiness::Unknown).await;
            let mut buffer = [0; 1500];
            assert!(receiver.try_recv(&mut buffer).is_err(), "a standby has sent something");
            // The first message is the agent's own warmStart.
            delivery.set_active(true, Instant::now());
            until(&mut delivery, &statuses, |status| status.delivered == 1).await;
            assert!(timeout(DEADLINE, receiver.recv(&mut buffer)).await.unwrap().unwrap() > 0);
            drop(receiver);
            let event = crate::notify::queue::tests::event("acme", 1, 1);
            delivery.offer(&event);
            until(&mut delivery, &statuses, |status| status.readiness == Readiness::PortUnreachable).await;
            delivery.set_active(false, Instant::now());
            until(&mut delivery, &statuses, |status| status.address.is_none() && status.queued == 0).await;
        })
        .await;
}
