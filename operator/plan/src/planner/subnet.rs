//! A subnet that nobody has yet.

use ipnet::{IpNet, Ipv4Net};

use crate::desired::HostSettings;
use crate::observed::HostSnapshot;

/// The first subnet of the host's pool that overlaps with no network there.
pub(super) fn free(settings: &HostSettings, snapshot: &HostSnapshot) -> Option<Ipv4Net> {
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
    let mut subnets = settings.subnet_pool.subnets(settings.subnet_prefix).ok()?;
    subnets.find(|subnet| !taken.iter().any(|taken| overlap(subnet, taken)))
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

#[cfg(test)]
mod tests {
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
        free(&settings, &snapshot).map(|subnet| subnet.to_string())
    }

    #[test]
    fn the_first_that_overlaps_with_nothing() {
        let first = |taken: &[&str]| first_free("10.213.0.0/16", 24, taken);
        assert_eq!(first(&[]).unwrap(), "10.213.0.0/24");
        assert_eq!(first(&["172.17.0.0/16", "fd00::/64"]).unwrap(), "10.213.0.0/24");
        assert_eq!(first(&["10.213.0.0/24", "10.213.1.128/25"]).unwrap(), "10.213.2.0/24");
        assert_eq!(first(&["10.213.0.0/20"]).unwrap(), "10.213.16.0/24");
        assert_eq!(first(&["10.0.0.0/8"]), None);
        assert_eq!(first_free("10.0.0.0/29", 29, &["10.0.0.0/29"]), None);
    }
}
