//! Grants: the device logins that are under way, in memory and bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hades_apiserver::Clock;
use jiff::Timestamp;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use crate::origin::Origin;
use crate::random;

/// How long somebody has to confirm, in seconds.
pub(crate) const LIFETIME: i64 = 10 * 60;

/// How long a client waits between two questions, in seconds. RFC 8628, 3.5.
pub(crate) const INTERVAL: i64 = 5;

/// The longest that a client which asks too often is told to wait.
const LONGEST_INTERVAL: i64 = 60;

/// Clocks and networks don't keep to the millisecond.
const TOLERANCE: i64 = 1_000;

/// As many are under way at once, and as many of one network. An entry takes less
/// than a kilobyte.
const MOST: usize = 1_000;
const MOST_OF_NETWORK: usize = 20;

/// Letters that can't be taken for one another and spell no words (RFC 8628, 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// 34 bits, which last for ten minutes and a few guesses.
const CODE: usize = 8;

/// Length of what the client keeps: more than 256 bits.
const DEVICE_CODE: usize = 43;

/// Why no login begins.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum BeginError {
    #[error("too many logins from this network are under way")]
    Full,
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
}

/// Who asks to be let in, as the one who confirms is shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// As people read it: `BCDF-GHJK`.
    pub user_code: String,
    /// Where the question came from.
    pub from: Origin,
    /// The machine's name, as the client says.
    pub host: Option<String>,
    /// When, in seconds since 1970.
    pub asked: i64,
}

/// As whom the client is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    pub user: String,
    pub uid: String,
    /// Groups that the confirming session has beyond those of the user.
    pub groups: Vec<String>,
    /// The confirming session, which must last until the client is let in.
    pub session: String,
    /// When that one ends at the latest.
    pub until: Timestamp,
}

/// What a client hears that asks whether it was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    Pending,
    SlowDown,
    Refused,
    Expired,
    /// The code was used, or never was one.
    Invalid,
    Approved(Approval),
}

#[derive(Clone, Debug)]
enum State {
    Pending,
    Refused,
    Approved(Approval),
    Used,
}

struct Grant {
    /// SHA-256 of the device code.
    digest: [u8; 32],
    asked: Asked,
    expires: i64,
    interval: i64,
    /// When the client last asked, in milliseconds since 1970.
    polled: i64,
    state: State,
}

impl Grant {
    fn is_used(&self) -> bool {
        matches!(self.state, State::Used)
    }
}

/// What a client is given.
pub(crate) struct Codes {
    pub device_code: SecretString,
    pub user_code: String,
}

#[derive(Default)]
struct Table {
    /// By user code, without the hyphen.
    by_code: HashMap<String, Grant>,
    /// User codes by the digests of device codes.
    by_digest: HashMap<[u8; 32], String>,
}

/// The device logins that are under way.
pub(crate) struct Grants {
    clock: Clock,
    table: Mutex<Table>,
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Grants")
    }
}

impl Table {
    fn remove(&mut self, code: &str) {
        if let Some(grant) = self.by_code.remove(code) {
            self.by_digest.remove(&grant.digest);
        }
    }

    fn forget_expired(&mut self, now: i64) {
        self.by_code.retain(|_, grant| grant.expires > now);
        let codes = &self.by_code;
        self.by_digest.retain(|_, code| codes.contains_key(code));
    }

    /// Makes room for one more of a network.
    fn make_room(&mut self, network: Option<IpAddr>) -> Result<(), BeginError> {
        let mut crowds: HashMap<Option<IpAddr>, usize> = HashMap::new();
        // One that was used waits for nothing: whoever logs in often isn't kept waiting.
        for grant in self.by_code.values().filter(|grant| !grant.is_used()) {
            *crowds.entry(grant.asked.from.network()).or_default() += 1;
        }
        if crowds.get(&network).is_some_and(|&count| count >= MOST_OF_NETWORK) {
            return Err(BeginError::Full);
        }
        if self.by_code.len() >= MOST {
            // The oldest that was used, or else of the network that has the most: a flood
            // from few networks pushes out itself.
            let crowd = |grant: &Grant| crowds.get(&grant.asked.from.network()).copied();
            let surplus = self.by_code.iter().max_by_key(|(_, grant)| {
                let crowd = crowd(grant).unwrap_or_default();
                (grant.is_used(), crowd, std::cmp::Reverse(grant.asked.asked))
            });
            if let Some(code) = surplus.map(|(code, _)| code.clone()) {
                self.remove(&code);
            }
        }
        Ok(())
    }
}

impl Grants {
    /// None is under way yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, table: Mutex::default() }
    }

    fn now(&self) -> i64 {
        (self.clock)().as_second()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a login.
    ///
    /// # Errors
    /// When too many of this network are under way, or the system has no randomness.
    pub fn begin(&self, from: Origin, host: Option<String>) -> Result<Codes, BeginError> {
        let now = self.now();
        let device_code = random::text::<DEVICE_CODE>()?;
        let mut table = self.table();
        table.forget_expired(now);
        table.make_room(from.network())?;
        let mut code = random_code()?;
        while table.by_code.contains_key(&code) {
            code = random_code()?;
        }
        let user_code = written(&code);
        let digest = digest(&device_code);
        let asked = Asked { user_code: user_code.clone(), from, host, asked: now };
        table.by_digest.insert(digest, code.clone());
        let grant = Grant {
            digest,
            asked,
            expires: now + LIFETIME,
            interval: INTERVAL,
            polled: i64::MIN,
            state: State::Pending,
        };
        table.by_code.insert(code, grant);
        Ok(Codes { device_code: SecretString::from(device_code), user_code })
    }

    /// The login of a code that somebody typed, if it waits for him.
    pub fn find(&self, typed: &str) -> Option<Asked> {
        let (now, code) = (self.now(), read(typed)?);
        let table = self.table();
        let grant = table.by_code.get(&code).filter(|grant| grant.expires > now)?;
        matches!(grant.state, State::Pending).then(|| grant.asked.clone())
    }

    /// Lets a login go on, or refuses it (`None`). What was asked, if it still
    /// waited for that.
    pub fn decide(&self, typed: &str, approval: Option<Approval>) -> Option<Asked> {
        let (now, code) = (self.now(), read(typed)?);
        let mut table = self.table();
        let grant = table.by_code.get_mut(&code).filter(|grant| grant.expires > now)?;
        if !matches!(grant.state, State::Pending) {
            return None;
        }
        grant.state = approval.map_or(State::Refused, State::Approved);
        Some(grant.asked.clone())
    }

    /// What a client hears that shows a device code. One that was approved is used
    /// up by it.
    pub fn poll(&self, device_code: &str) -> Poll {
        if device_code.len() != DEVICE_CODE {
            return Poll::Invalid;
        }
        let (now, millis) = (self.now(), (self.clock)().as_millisecond());
        let mut table = self.table();
        // Those that expired are forgotten some time.
        let Some(code) = table.by_digest.get(&digest(device_code)).cloned() else {
            return Poll::Expired;
        };
        let Some(grant) = table.by_code.get_mut(&code) else { return Poll::Expired };
        if grant.expires <= now {
            table.remove(&code);
            return Poll::Expired;
        }
        let early = millis < grant.polled.saturating_add(grant.interval * 1_000 - TOLERANCE);
        grant.polled = millis;
        match &grant.state {
            State::Used => Poll::Invalid,
            State::Refused => {
                table.remove(&code);
                Poll::Refused
            }
            State::Pending | State::Approved(_) if early => {
                grant.interval = LONGEST_INTERVAL.min(grant.interval + INTERVAL);
                Poll::SlowDown
            }
            State::Pending => Poll::Pending,
            State::Approved(approval) => {
                let approval = approval.clone();
                grant.state = State::Used;
                Poll::Approved(approval)
            }
        }
    }
}

fn digest(device_code: &str) -> [u8; 32] {
    Sha256::digest(device_code.as_bytes()).into()
}

/// Eight letters, each as likely as the others.
fn random_code() -> Result<String, getrandom::Error> {
    let mut code = String::with_capacity(CODE);
    while code.len() < CODE {
        // 240 is the largest multiple of 20 in a byte.
        let fair = random::bytes::<16>()?.into_iter().filter(|&byte| byte < 240);
        let letters = fair.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        code.extend(letters.take(CODE - code.len()));
    }
    Ok(code)
}

/// A code as it is shown.
fn written(code: &str) -> String {
    let (front, back) = code.split_at(CODE / 2);
    format!("{front}-{back}")
}

/// A code as somebody typed it. Small letters, blanks and hyphens don't matter.
fn read(typed: &str) -> Option<String> {
    if typed.len() > 4 * CODE {
        return None;
    }
    let letters = typed.chars().filter(|letter| !matches!(letter, '-' | ' '));
    let code: String = letters.map(|letter| letter.to_ascii_uppercase()).collect();
    let is_code = code.len() == CODE && code.bytes().all(|letter| LETTERS.contains(&letter));
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use secrecy::ExposeSecret;

    use super::*;

    struct Bed {
        grants: Grants,
        now: Arc<AtomicI64>,
    }

    impl Bed {
        fn new() -> Self {
            let now = Arc::new(AtomicI64::new(1_000_000_000));
            let clock = Arc::clone(&now);
            let clock: Clock = Arc::new(move || {
                Timestamp::from_millisecond(clock.load(Ordering::Relaxed)).unwrap()
            });
            Self { grants: Grants::new(clock), now }
        }

        fn pass(&self, millis: i64) {
            self.now.fetch_add(millis, Ordering::Relaxed);
        }

        fn begin(&self, address: &str) -> Option<(String, String)> {
            let codes = self.grants.begin(origin(address), None).ok()?;
            Some((codes.device_code.expose_secret().to_owned(), codes.user_code))
        }
    }

    fn origin(address: &str) -> Origin {
        Origin { address: Some(address.parse().unwrap()), agent: String::new() }
    }

    fn approval() -> Approval {
        Approval {
            user: "jane".into(),
            uid: "1".into(),
            groups: vec!["oidc:dev".into()],
            session: "s".into(),
            until: Timestamp::MAX,
        }
    }

    #[test]
    fn codes_are_read_as_people_type_them() {
        assert_eq!(read("bcdf-ghjk").as_deref(), Some("BCDFGHJK"));
        assert_eq!(read(" BCDF GHJK ").as_deref(), Some("BCDFGHJK"));
        for bad in ["", "BCDFGHJ", "BCDFGHJKL", "AEIOUAEI", "BCDF_GHJK", &"-".repeat(100)] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let (one, other) = (random_code().unwrap(), random_code().unwrap());
        assert_eq!(read(&written(&one)).as_deref(), Some(&*one));
        assert_ne!(one, other);
    }

    #[test]
    fn a_login_is_confirmed_and_used_once() {
        let bed = Bed::new();
        let (device, user) = bed.begin("192.0.2.1").unwrap();
        assert_eq!(bed.grants.poll(&device), Poll::Pending);
        bed.pass(5_000);
        assert_eq!(bed.grants.find(&user).unwrap().from, origin("192.0.2.1"));
        assert!(bed.grants.decide(&user, Some(approval())).is_some());
        assert_eq!(bed.grants.find(&user), None, "decided");
        assert_eq!(bed.grants.decide(&user, None), None, "once");
        assert_eq!(bed.grants.poll(&device), Poll::Approved(approval()));
        bed.pass(5_000);
        assert_eq!(bed.grants.poll(&device), Poll::Invalid);
        assert_eq!(bed.grants.poll("short"), Poll::Invalid);
        assert_eq!(bed.grants.poll(&"a".repeat(43)), Poll::Expired);
    }

    #[test]
    fn a_login_is_refused_or_expires() {
        let bed = Bed::new();
        let (device, user) = bed.begin("192.0.2.1").unwrap();
        bed.grants.decide(&user, None).unwrap();
        assert_eq!(bed.grants.poll(&device), Poll::Refused);
        let (device, user) = bed.begin("192.0.2.1").unwrap();
        bed.grants.decide(&user, Some(approval())).unwrap();
        bed.pass(LIFETIME * 1_000);
        assert_eq!(bed.grants.poll(&device), Poll::Expired, "even when it was confirmed");
        let (_, user) = bed.begin("192.0.2.1").unwrap();
        bed.pass(LIFETIME * 1_000);
        assert_eq!(bed.grants.find(&user), None);
        assert_eq!(bed.grants.decide(&user, Some(approval())), None);
    }

    #[test]
    fn who_asks_too_often_waits_longer() {
        let bed = Bed::new();
        let (device, user) = bed.begin("192.0.2.1").unwrap();
        assert_eq!(bed.grants.poll(&device), Poll::Pending);
        bed.pass(4_500);
        assert_eq!(bed.grants.poll(&device), Poll::Pending, "networks aren't exact");
        bed.pass(1_000);
        assert_eq!(bed.grants.poll(&device), Poll::SlowDown);
        bed.grants.decide(&user, Some(approval())).unwrap();
        bed.pass(5_000);
        assert_eq!(bed.grants.poll(&device), Poll::SlowDown, "ten seconds now");
        bed.pass(15_000);
        assert_eq!(bed.grants.poll(&device), Poll::Approved(approval()));
    }

    #[test]
    fn logins_that_are_done_keep_nobody_waiting() {
        let bed = Bed::new();
        let mut first = None;
        for _ in 0..3 * MOST_OF_NETWORK {
            let (device, user) = bed.begin("192.0.2.1").unwrap();
            bed.grants.decide(&user, Some(approval())).unwrap();
            assert_eq!(bed.grants.poll(&device), Poll::Approved(approval()));
            first.get_or_insert(device);
        }
        assert_eq!(bed.grants.poll(&first.unwrap()), Poll::Invalid, "it is remembered");
        for _ in 0..MOST_OF_NETWORK {
            bed.begin("192.0.2.1").unwrap();
        }
        assert!(bed.begin("192.0.2.1").is_none());
        // Where there is no room, they go first.
        for number in 0..MOST {
            let (device, user) =
                bed.begin(&format!("10.{}.{}.1", number / 256, number % 256)).unwrap();
            if number == 0 {
                bed.grants.decide(&user, Some(approval())).unwrap();
                bed.grants.poll(&device);
            }
        }
        let table = bed.grants.table();
        assert_eq!(table.by_code.len(), MOST);
        assert!(!table.by_code.values().any(Grant::is_used));
    }

    #[test]
    fn memory_is_bounded_and_a_flood_pushes_out_itself() {
        let bed = Bed::new();
        let (_, user) = bed.begin("198.51.100.1").unwrap();
        let made = (0..100).filter(|_| bed.begin("192.0.2.1").is_some()).count();
        assert_eq!(made, MOST_OF_NETWORK);
        for network in 0..200 {
            for _ in 0..MOST_OF_NETWORK {
                assert!(bed.begin(&format!("10.0.{network}.1")).is_some());
            }
        }
        let table = bed.grants.table();
        assert_eq!((table.by_code.len(), table.by_digest.len()), (MOST, MOST));
        drop(table);
        assert!(bed.grants.find(&user).is_some(), "the only one of its network");
        bed.pass(LIFETIME * 1_000);
        assert!(bed.begin("192.0.2.1").is_some());
        assert_eq!(bed.grants.table().by_code.len(), 1);
    }
}
