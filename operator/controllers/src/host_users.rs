//! Which environments look at which hosts, so that what happens on a host wakes
//! only those that it may concern.
//!
//! When in doubt an environment is woken: one that hasn't been looked at yet or
//! can't be planned may wait for any host, and a host that nobody has looked at is
//! new.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

/// Project and name of an environment.
type Environment = (String, String);

/// Hosts by the environments that look at them.
#[derive(Default)]
pub(crate) struct HostUsers {
    hosts: Mutex<HashMap<Environment, BTreeSet<String>>>,
}

impl HostUsers {
    /// An environment is about to look at its hosts, whichever they are now: until
    /// it has, everything concerns it.
    pub(crate) fn looking(&self, project: &str, environment: &str) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.remove(&(project.to_owned(), environment.to_owned()));
    }

    /// An environment has looked at these.
    pub(crate) fn looked(&self, project: &str, environment: &str, at: BTreeSet<String>) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.insert((project.to_owned(), environment.to_owned()), at);
    }

    /// Says of an environment whether something on `host` may concern it.
    pub(crate) fn concerned(&self, host: &str) -> impl Fn(&str, &str) -> bool + use<> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !hosts.values().any(|at| at.contains(host));
        let unconcerned: BTreeSet<Environment> = match is_new {
            true => BTreeSet::new(),
            false => hosts
                .iter()
                .filter(|(_, at)| !at.contains(host))
                .map(|(environment, _)| environment.clone())
                .collect(),
        };
        move |project, environment| {
            !unconcerned.contains(&(project.to_owned(), environment.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_host_concerns() {
        let users = HostUsers::default();
        let at = |hosts: &[&str]| hosts.iter().map(|&host| host.to_owned()).collect();
        users.looked("shop", "one", at(&["a"]));
        users.looked("shop", "two", at(&["a", "b"]));
        let concerned = |host: &str| {
            let concerned = users.concerned(host);
            ["one", "two", "unknown"].map(|name| concerned("shop", name))
        };
        assert_eq!(concerned("a"), [true, true, true]);
        assert_eq!(concerned("b"), [false, true, true]);
        assert_eq!(concerned("new"), [true, true, true]);
        users.looking("shop", "one");
        assert_eq!(concerned("b"), [true, true, true]);
    }
}
