//! Room for connections: so many in all, and so many from one network, that one client
//! doesn't take it all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::network;
use crate::rates::Rates;

/// Refusals are told once a minute.
const TOLD_PER_SECOND: f64 = 1.0 / 60.0;

/// The places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    of_network: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
    told: Rates,
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _any: OwnedSemaphorePermit,
    network: Option<IpAddr>,
    places: Arc<Places>,
}

impl Places {
    /// So many places in all, and for each network. This machine is exempt from the
    /// latter: a reverse proxy or a tunnel has many behind one address.
    pub fn new(all: usize, of_network: usize) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(all)),
            of_network,
            taken: Mutex::default(),
            told: Rates::new(TOLD_PER_SECOND, 1.0),
        })
    }

    /// A place for a connection from an address; `None` where there is none left.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let Ok(any) = Arc::clone(&self.all).try_acquire_owned() else {
            self.tell("too many are open", address);
            return None;
        };
        let network = (!address.is_loopback()).then(|| network(address));
        if let Some(network) = network
            && !self.count(network)
        {
            self.tell("too many are open from this network", address);
            return None;
        }
        Some(Place { _any: any, network, places: Arc::clone(self) })
    }

    fn count(&self, network: IpAddr) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        let is_free = *count < self.of_network;
        *count += usize::from(is_free);
        is_free
    }

    fn tell(&self, why: &'static str, address: IpAddr) {
        if let Ok(untold) = self.told.take(why, Instant::now()) {
            tracing::warn!(%address, untold, "a connection was refused: {why}");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = taken.entry(network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_takes_its_share_and_gives_it_back() {
        let places = Places::new(7, 2);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("192.0.2.7").unwrap();
        let second = take("::ffff:192.0.2.7").unwrap();
        assert!(take("192.0.2.7").is_none());
        let six = [take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert!(take("2001:db8::3").is_none(), "a host has all of its /64");
        drop(first);
        let again = take("192.0.2.7").unwrap();
        // This machine may take what is there, and no more.
        let here: Vec<Place> = (0..3).map_while(|_| take("127.0.0.1")).collect();
        assert_eq!(here.len(), 3);
        assert!(take("::1").is_none() && take("198.51.100.1").is_none());
        drop((second, again, six, here));
        assert!(places.taken.lock().unwrap().is_empty(), "nothing is kept of who left");
        assert_eq!(places.all.available_permits(), 7);
    }
}
