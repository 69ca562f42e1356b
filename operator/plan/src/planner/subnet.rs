//! A subnet that nobody has yet.

use hades_api::name::EnvironmentName;
use ipnet::{IpNet, Ipv4Net};

use crate::desired::HostSettings;
use crate::digest;
use crate::observed::HostSnapshot;

/// A subnet of the host's pool that overlaps with no network there. Each
/// environment looks from a place of its own on, so that many that are planned at
/// the same moment don't all want the same one.
pub(super) fn free(
    settings: &HostSettings,
    snapshot: &HostSnapshot,
    environment: &EnvironmentName,
) -> Option<Ipv4Net> {
    let taken: Vec<Ipv4Net> = snapshot
        .networks
        .iter()
        .flat_map(|network| &network.subnets)
        .filter_map(|subnet| match subnet {
            IpNet::V4(subnet) => Some(*subnet),
            IpNet::V6(_) => None,
        })
        .filter(|subnet| overlap(subnet, &settings.subnet_pool))
        .collect();
    let subnets = || settings.subnet_pool.subnets(settings.subnet_prefix).ok();
    let bits = u32::from(settings.subnet_prefix.saturating_sub(settings.subnet_pool.prefix_len()));
    let count = 1usize.checked_shl(bits).unwrap_or(usize::MAX);
    let start = digest::place(environment) % count;
    let mut from_there = subnets()?.skip(start).chain(subnets()?.take(start));
    from_there.find(|subnet| !taken.iter().any(|taken| overlap(subnet, taken)))
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::observed::ObservedNetwork;

    fn first_free(pool: &str, prefix: u8, taken: &[&str]) -> Option<String> {
        let settings = HostSettings {
            subnet_pool: pool.parse().unwrap(),
            subnet_prefix: prefix,
            unschedulable: false,
        };
        let subnets = taken.iter().map(|text| text.parse().unwrap()).collect();
        let network = ObservedNetwork { subnets, ..ObservedNetwork::default() };
        let snapshot = HostSnapshot { networks: vec![network], ..HostSnapshot::default() };
        let environment = EnvironmentName::new("shop", "production");
        free(&settings, &snapshot, &environment).map(|subnet| subnet.to_string())
    }

    #[test]
    fn one_that_overlaps_with_nothing() {
        let first = |taken: &[&str]| first_free("10.213.0.0/16", 24, taken);
        let wanted = first(&[]).unwrap();
        assert_eq!(first(&["172.17.0.0/16", "fd00::/64"]).unwrap(), wanted);
        assert_ne!(first(&[&wanted]).unwrap(), wanted);
        // All but one.
        let net = |third: u8| format!("10.213.{third}.0/24");
        let taken: Vec<String> = (0..=255).filter(|third| *third != 77).map(net).collect();
        let taken: Vec<&str> = taken.iter().map(String::as_str).collect();
        assert_eq!(first(&taken).unwrap(), "10.213.77.0/24");
        let rest = first(&["10.213.0.0/17", "10.213.128.0/18", "10.213.224.0/19"]).unwrap();
        let room: Ipv4Net = "10.213.192.0/19".parse().unwrap();
        assert!(room.contains(&rest.parse::<Ipv4Net>().unwrap()), "{rest}");
        assert_eq!(first(&["10.0.0.0/8"]), None);
        assert_eq!(first_free("10.0.0.0/29", 29, &["10.0.0.0/29"]), None);
    }

    #[test]
    fn many_that_are_planned_at_once_seldom_want_the_same() {
        let settings = HostSettings {
            subnet_pool: "10.213.0.0/16".parse().unwrap(),
            subnet_prefix: 24,
            unschedulable: false,
        };
        let wanted: BTreeSet<Ipv4Net> = (0..100)
            .map(|n| EnvironmentName::new(format!("project-{n}"), "production"))
            .filter_map(|name| free(&settings, &HostSnapshot::default(), &name))
            .collect();
        assert!(wanted.len() > 75, "{}", wanted.len());
    }
}
