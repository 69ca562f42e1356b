//! Throttle: how often somebody may try to log in.
//!
//! Every try counts as a failure until it succeeds, so that many at once gain
//! nothing. Failures are counted by user, by network, and by both together. A
//! user's own networks, from which he logged in before, have only their own count:
//! a crowd elsewhere that guesses his password doesn't lock him out there. Names
//! that no user has are counted like any other, so that nobody learns which exist:
//! who fails in a network of his while others must wait there is told to wait, too.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hades_apiserver::Clock;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::origin::Origin;

/// As many users, networks and pairs are remembered, each. An entry takes about
/// fifty bytes.
const MEMORY: usize = 10_000;

/// How many failures cost nothing, and what the next cost.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    free: u32,
    /// The longest wait, in seconds.
    longest: i64,
    /// After so many seconds one failure is forgiven.
    forgiven: i64,
}

/// Of one user in one network.
const OF_PAIR: Allowance = Allowance { free: 5, longest: 15 * 60, forgiven: 15 * 60 };
/// Of one user in all networks that aren't his. The wait is shorter: whoever comes
/// from a new place must find a gap.
const OF_USER: Allowance = Allowance { free: 20, longest: 60, forgiven: 60 };
/// Of one network: a whole office may sit behind one address.
const OF_NETWORK: Allowance = Allowance { free: 50, longest: 5 * 60, forgiven: 60 };

/// When the log tells of failures of one kind: at these counts.
const TOLD: [u32; 5] = [10, 100, 1_000, 10_000, 100_000];

/// A name as short as any other, however long somebody made it.
type Name = [u8; 16];

fn short(name: &str) -> Name {
    let digest = Sha256::digest(name.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

/// Failures of one key.
#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    /// Seconds since 1970.
    last: i64,
}

impl Count {
    /// Less what was forgiven since.
    fn now(self, now: i64, allowance: Allowance) -> Self {
        let forgiven = (now - self.last).max(0) / allowance.forgiven;
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        Self { failures: self.failures.saturating_sub(forgiven), last: self.last }
    }

    /// Seconds until the next try.
    fn wait(self, now: i64, allowance: Allowance) -> i64 {
        let over = (self.failures + 1).saturating_sub(allowance.free);
        if over == 0 {
            return 0;
        }
        let pause = allowance.longest.min(1 << (over - 1).min(30));
        // A clock that was put back must not make anybody wait for longer.
        (self.last + pause - now).clamp(0, pause)
    }
}

/// Counts of many keys, of which the least important are forgotten first.
#[derive(Debug)]
struct Counts<K> {
    allowance: Allowance,
    of: HashMap<K, Count>,
}

impl<K: Eq + Hash + Copy> Counts<K> {
    fn new(allowance: Allowance) -> Self {
        Self { allowance, of: HashMap::new() }
    }

    fn wait(&self, key: &K, now: i64) -> i64 {
        let count = self.of.get(key);
        count.map_or(0, |count| count.now(now, self.allowance).wait(now, self.allowance))
    }

    /// Counts a try; how many there are.
    fn add(&mut self, key: K, now: i64) -> u32 {
        if self.of.len() >= MEMORY && !self.of.contains_key(&key) {
            self.forget(now);
        }
        let count = self.of.entry(key).or_insert(Count { failures: 0, last: now });
        let failures = count.now(now, self.allowance).failures.saturating_add(1);
        *count = Count { failures, last: now };
        failures
    }

    fn take_back(&mut self, key: &K) {
        if let Some(count) = self.of.get_mut(key) {
            count.failures = count.failures.saturating_sub(1);
        }
    }

    /// Forgets a tenth: first those with the fewest failures, of these the oldest.
    fn forget(&mut self, now: i64) {
        let allowance = self.allowance;
        self.of.retain(|_, count| count.now(now, allowance).failures > 0);
        if self.of.len() < MEMORY {
            return;
        }
        let rank = |count: &Count| (count.now(now, allowance).failures, count.last);
        let mut ranks: Vec<_> = self.of.values().map(rank).collect();
        let (_, &mut limit, _) = ranks.select_nth_unstable(MEMORY / 10);
        let mut left = MEMORY / 10;
        self.of.retain(|_, count| {
            let goes = left > 0 && rank(count) <= limit;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[derive(Debug)]
struct Tally {
    pairs: Counts<(Name, Option<IpAddr>)>,
    users: Counts<Name>,
    networks: Counts<Option<IpAddr>>,
    /// When a user last logged in from a network, in seconds since 1970.
    known: HashMap<(Name, Option<IpAddr>), i64>,
}

/// Too many tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many failed logins; try again in {seconds} s")]
pub struct Throttled {
    /// How long to wait, in seconds.
    pub seconds: u32,
}

/// Counts tries.
pub struct Throttle {
    clock: Clock,
    tally: Mutex<Tally>,
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}

/// A try under way. It was counted as a failure; say when it is none.
#[derive(Debug)]
#[must_use]
pub struct Try<'a> {
    throttle: &'a Throttle,
    name: Name,
    network: Option<IpAddr>,
    /// Which counts it is in besides that of the pair.
    of_user: bool,
    of_network: bool,
    /// Seconds that anybody else would have to wait, whose try isn't looked at.
    others_wait: i64,
}

fn throttled(seconds: i64) -> Throttled {
    Throttled { seconds: u32::try_from(seconds).unwrap_or(u32::MAX) }
}

impl Throttle {
    /// Nothing was tried yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let tally = Tally {
            pairs: Counts::new(OF_PAIR),
            users: Counts::new(OF_USER),
            networks: Counts::new(OF_NETWORK),
            known: HashMap::new(),
        };
        Self { clock, tally: Mutex::new(tally) }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a try begin, and counts it.
    ///
    /// # Errors
    /// When it is too early.
    pub fn begin(&self, user: &str, from: &Origin) -> Result<Try<'_>, Throttled> {
        let now = (self.clock)().as_second();
        let (name, network) = (short(user), from.network());
        let pair = (name, network);
        let mut tally = self.tally();
        let known = tally.known.contains_key(&pair);
        let others_wait = tally.users.wait(&name, now).max(tally.networks.wait(&network, now));
        let mut wait = tally.pairs.wait(&pair, now);
        if !known {
            wait = wait.max(others_wait);
        }
        if wait > 0 {
            return Err(throttled(wait));
        }
        tally.pairs.add(pair, now);
        if !known {
            let of_user = tally.users.add(name, now);
            let of_network = tally.networks.add(network, now);
            drop(tally);
            tell(of_user, of_network, network);
        }
        Ok(Try { throttle: self, name, network, of_user: !known, of_network: !known, others_wait })
    }

    /// Lets somebody guess something else than a password, such as a code, and counts
    /// it: for whoever guesses, who is no user's name, here and everywhere. The network
    /// is left out, so that wrong passwords and wrong codes of one person keep nobody
    /// else there from the other way to log in.
    ///
    /// # Errors
    /// When it is too early.
    pub fn begin_guess(&self, who: &str, from: &Origin) -> Result<Try<'_>, Throttled> {
        let now = (self.clock)().as_second();
        let (name, network) = (short(who), from.network());
        let pair = (name, network);
        let mut tally = self.tally();
        let wait = tally.pairs.wait(&pair, now).max(tally.users.wait(&name, now));
        if wait > 0 {
            return Err(throttled(wait));
        }
        tally.pairs.add(pair, now);
        let of_user = tally.users.add(name, now);
        drop(tally);
        tell(of_user, 0, network);
        Ok(Try { throttle: self, name, network, of_user: true, of_network: false, others_wait: 0 })
    }

    /// Notes that a user logged in from here before.
    pub fn know(&self, user: &str, network: Option<IpAddr>, when: Timestamp) {
        let mut tally = self.tally();
        if tally.known.len() >= MEMORY {
            let oldest = tally.known.values().min().copied().unwrap_or_default();
            tally.known.retain(|_, when| *when > oldest);
        }
        tally.known.insert((short(user), network), when.as_second());
    }
}

/// Says so in the log when there are many. Names stay out of it: somebody may have
/// typed his password there.
fn tell(of_user: u32, of_network: u32, network: Option<IpAddr>) {
    let network = network.map(|network| network.to_string()).unwrap_or_default();
    if TOLD.contains(&of_network) {
        tracing::warn!(network, failures = of_network, "many failed logins from one network");
    }
    if TOLD.contains(&of_user) {
        tracing::warn!(network, failures = of_user, "many failed logins of one user");
    }
}

impl Try<'_> {
    /// It succeeded, or was none: it is not counted.
    pub fn take_back(self) {
        let mut tally = self.throttle.tally();
        tally.pairs.take_back(&(self.name, self.network));
        if self.of_user {
            tally.users.take_back(&self.name);
        }
        if self.of_network {
            tally.networks.take_back(&self.network);
        }
    }

    /// It failed. What to say then: in a network where others must wait, nothing else
    /// than what they are told, or it would show that this user is known there.
    ///
    /// # Errors
    /// When others must wait.
    pub fn failed(self) -> Result<(), Throttled> {
        match self.others_wait {
            0 => Ok(()),
            seconds => Err(throttled(seconds)),
        }
    }

    /// It succeeded: what this user did wrong here before is forgotten.
    pub fn succeeded(self) {
        let pair = (self.name, self.network);
        let throttle = self.throttle;
        self.take_back();
        throttle.tally().pairs.of.remove(&pair);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    struct Bed {
        throttle: Throttle,
        now: Arc<AtomicI64>,
    }

    impl Bed {
        fn new() -> Self {
            let now = Arc::new(AtomicI64::new(1_000_000));
            let clock = Arc::clone(&now);
            let clock: Clock =
                Arc::new(move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap());
            Self { throttle: Throttle::new(clock), now }
        }

        /// A wrong password; the seconds to wait where it wasn't even looked at.
        fn fail(&self, user: &str, address: &str) -> u32 {
            match self.throttle.begin(user, &origin(address)) {
                Ok(_) => 0,
                Err(Throttled { seconds }) => seconds,
            }
        }

        fn pass(&self, seconds: i64) {
            self.now.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    fn origin(address: &str) -> Origin {
        Origin { address: Some(address.parse().unwrap()), agent: String::new() }
    }

    #[test]
    fn waits_double_and_are_forgiven() {
        let bed = Bed::new();
        for _ in 0..5 {
            assert_eq!(bed.fail("jane", "192.0.2.1"), 0);
        }
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512] {
            assert_eq!(bed.fail("jane", "192.0.2.1"), expected);
            assert_eq!(bed.fail("jane", "192.0.2.1"), expected, "asking again changes nothing");
            bed.pass(i64::from(expected));
            assert_eq!(bed.fail("jane", "192.0.2.1"), 0);
        }
        assert_eq!(bed.fail("jane", "192.0.2.1"), 900, "that is the most");
        assert_eq!(bed.fail("joe", "192.0.2.2"), 0, "others are let in");
        bed.pass(16 * 900);
        for _ in 0..5 {
            assert_eq!(bed.fail("jane", "192.0.2.1"), 0);
        }
    }

    #[test]
    fn a_crowd_does_not_lock_a_user_out_of_his_own_place() {
        let bed = Bed::new();
        bed.throttle.know("jane", origin("198.51.100.7").network(), Timestamp::UNIX_EPOCH);
        let mut looked_at = 0;
        for number in 0..10_000_u32 {
            let address = format!("10.{}.{}.1", number / 256, number % 256);
            looked_at += u32::from(bed.fail("jane", &address) == 0);
        }
        assert_eq!(looked_at, 20, "the rest isn't even hashed");
        assert!(bed.fail("jane", "203.0.113.1") > 0);
        let own = bed.throttle.begin("jane", &origin("198.51.100.7")).unwrap();
        own.succeeded();
        bed.pass(60);
        assert_eq!(bed.fail("jane", "203.0.113.2"), 0, "from a new place there are gaps");
    }

    #[test]
    fn a_network_that_tries_many_names_is_slowed_down() {
        let bed = Bed::new();
        let looked_at =
            (0..10_000).filter(|number| bed.fail(&format!("u{number}"), "192.0.2.1") == 0);
        assert_eq!(looked_at.count(), 50);
        let other = "2001:db8:0:1::1";
        for number in 0..100 {
            bed.fail(&format!("u{number}"), &format!("2001:db8::{number:x}"));
        }
        assert!(bed.fail("jane", "2001:db8::ffff") > 0, "a /64 is one network");
        assert_eq!(bed.fail("jane", other), 0);
    }

    #[test]
    fn who_is_known_in_a_crowded_network_is_told_what_all_are_told() {
        let bed = Bed::new();
        let nat = origin("192.0.2.1");
        bed.throttle.know("jane", nat.network(), Timestamp::UNIX_EPOCH);
        let attempt = bed.throttle.begin("jane", &nat).unwrap();
        assert_eq!(attempt.failed(), Ok(()), "nobody waits yet");
        for number in 0..60 {
            bed.fail(&format!("u{number}"), "192.0.2.1");
        }
        let stranger = bed.throttle.begin("nobody", &nat).map(|_| ()).unwrap_err();
        let attempt = bed.throttle.begin("jane", &nat).unwrap();
        assert_eq!(attempt.failed(), Err(stranger));
        bed.throttle.begin("jane", &nat).unwrap().succeeded();
        bed.pass(10 * 60);
        assert_eq!(bed.throttle.begin("jane", &nat).unwrap().failed(), Ok(()));
    }

    #[test]
    fn codes_and_passwords_of_a_network_have_counts_of_their_own() {
        let bed = Bed::new();
        let nat = origin("192.0.2.1");
        let guess = |who: &str| bed.throttle.begin_guess(who, &nat).map(|_| ());
        for number in 0..60 {
            let _ = guess(&format!("codes of {number}"));
        }
        assert_eq!(bed.fail("jane", "192.0.2.1"), 0, "codes don't keep passwords out");
        for number in 0..60 {
            bed.fail(&format!("u{number}"), "192.0.2.1");
        }
        assert!(bed.fail("joe", "192.0.2.1") > 0);
        for _ in 0..5 {
            assert_eq!(guess("codes"), Ok(()), "passwords don't keep codes out");
        }
        assert!(guess("codes").is_err());
        let elsewhere = (0..60).filter(|number| {
            let from = origin(&format!("198.51.100.{number}"));
            bed.throttle.begin_guess("codes", &from).is_ok()
        });
        assert_eq!(elsewhere.count(), 15, "twenty in all");
    }

    #[test]
    fn tries_at_once_are_counted_before_they_end() {
        let bed = Bed::new();
        let from = origin("192.0.2.1");
        let tries: Vec<_> =
            (0..10).filter_map(|_| bed.throttle.begin("jane", &from).ok()).collect();
        assert_eq!(tries.len(), 5);
        for one in tries {
            one.take_back();
        }
        assert_eq!(bed.fail("jane", "192.0.2.1"), 0);
    }

    #[test]
    fn memory_is_bounded_and_keeps_what_matters() {
        let bed = Bed::new();
        for _ in 0..5 {
            bed.fail("jane", "192.0.2.1");
        }
        for number in 0..30_000_u32 {
            bed.fail(&format!("u{number}"), &format!("10.{}.{}.1", number / 256, number % 256));
        }
        let tally = bed.throttle.tally();
        assert!(tally.pairs.of.len() <= MEMORY && tally.users.of.len() <= MEMORY);
        assert!(tally.networks.of.len() <= MEMORY);
        drop(tally);
        assert!(bed.fail("jane", "192.0.2.1") > 0, "jane's failures weren't pushed out");
        for number in 0..=MEMORY {
            let when = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
            bed.throttle.know(&number.to_string(), None, when);
        }
        assert!(bed.throttle.tally().known.len() <= MEMORY);
    }

    #[test]
    fn a_clock_that_is_put_back_makes_nobody_wait_for_long() {
        let bed = Bed::new();
        for _ in 0..5 {
            bed.fail("jane", "192.0.2.1");
        }
        bed.pass(-100_000);
        assert_eq!(bed.fail("jane", "192.0.2.1"), 1);
    }
}
