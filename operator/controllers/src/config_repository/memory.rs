//! Memory: what each repository was last found at, so that what didn't change is
//! neither read nor tried again. It lasts until Hades ends: every first pass is a full
//! one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hades_api::InventoryEntry;

use super::record::Problem;

/// Intervals from one full pass to the next: it puts back what was edited by hand.
const FULL_EVERY: u32 = 10;
/// A full pass comes at least this often, where the interval is not longer.
const LONGEST_UNTIL_FULL: Duration = Duration::from_secs(600);
/// Part of an interval by which passes of different repositories are spread (percent,
/// to either side), so that they don't all fetch at once.
const JITTER_PERCENT: u32 = 10;

/// Pause before another look for the namespaces of new projects, which as a rule are
/// there at once. Each look fetches, so later ones double it, up to the interval.
const FIRST_NAMESPACE_PAUSE: Duration = Duration::from_millis(100);
/// Looks for namespaces before the pause doubles.
const QUICK_NAMESPACE_LOOKS: u32 = 10;
/// First pause before another look whether what is pruned has gone; it doubles with each
/// look, up to the interval.
const FIRST_PRUNE_PAUSE: Duration = Duration::from_secs(1);
/// How long a binding may take to be known to every API server of a cluster.
const BINDING_SETTLES: Duration = Duration::from_secs(2);

/// What a repository's credentials come from. A change of it means to fetch now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Credential {
    /// A Secret by namespace and name.
    Secret(String, String),
    /// A GitAccount.
    Account(String),
}

/// How much of a commit a pass has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Extent {
    /// Everything.
    Full,
    /// What differs from a commit that is applied whole. `leaving` was part of the
    /// inventory then and is still being deleted.
    Since {
        /// That commit.
        commit: String,
        leaving: Vec<InventoryEntry>,
    },
    /// Nothing changed; objects that left are still being deleted.
    Prune(Vec<InventoryEntry>),
    /// Nothing changed, and this is what was found.
    Nothing(Option<Problem>),
}

/// What is known of one repository.
#[derive(Default)]
struct Known {
    namespace: String,
    name: String,
    /// When it was last looked at, and how long until the next time.
    looked: Option<(Instant, Duration)>,
    /// How often it was looked at.
    times: u64,
    /// How often something asked for a look, and how often had when this one began:
    /// what was asked for meanwhile must not be forgotten.
    woken: u64,
    woken_before: u64,
    /// What was asked for then: spec and annotations.
    request: String,
    /// When everything was last read and applied.
    full: Option<Instant>,
    /// The commit that is applied whole, so that the inventory is that of the commit
    /// and of `leaving`.
    applied: Option<String>,
    leaving: Vec<InventoryEntry>,
    /// Looks in a row that found `leaving` as it was.
    still_leaving: u32,
    /// Passes in a row that waited for namespaces.
    waits: u32,
    /// The last commit that was worked on to its end, and what is wrong with it.
    settled: Option<(String, Option<Problem>)>,
    credentials: Vec<Credential>,
    /// When its account got its rights.
    bound: Option<Instant>,
}

/// By the UID of the repository.
#[derive(Default)]
pub(super) struct Memory {
    known: Mutex<HashMap<String, Known>>,
}

impl Memory {
    fn with<T>(&self, uid: &str, work: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        work(known.entry(uid.to_owned()).or_default())
    }

    /// Notes that the repository's account got its rights.
    pub(super) fn bound(&self, uid: &str) {
        self.with(uid, |known| known.bound = Some(Instant::now()));
    }

    /// Whether that is so short a time ago that not every API server may know it.
    pub(super) fn bound_lately(&self, uid: &str) -> bool {
        self.with(uid, |known| known.bound.is_some_and(|at| at.elapsed() < BINDING_SETTLES))
    }

    /// Time until the next look, unless something asks for one now.
    pub(super) fn rest(&self, uid: &str, request: &str, interval: Duration) -> Option<Duration> {
        self.with(uid, |known| {
            let (at, pause) = known.looked?;
            if known.request != request {
                return None;
            }
            // An interval that was made shorter counts at once.
            let pause = pause.min(interval.saturating_mul(100 + JITTER_PERCENT) / 100);
            pause.checked_sub(at.elapsed()).filter(|rest| !rest.is_zero())
        })
    }

    /// Notes a look that came to an end; returns the time until the next one.
    pub(super) fn looked(&self, uid: &str, interval: Duration) -> Duration {
        self.with(uid, |known| {
            known.times += 1;
            known.waits = 0;
            if known.woken != known.woken_before {
                return Duration::ZERO;
            }
            let pause = spread(interval, uid, known.times);
            known.looked = Some((Instant::now(), pause));
            pause
        })
    }

    /// Begins a look: notes what is asked for and where the credentials come from.
    pub(super) fn begin(
        &self,
        uid: &str,
        (namespace, name): (&str, &str),
        request: &str,
        credentials: Vec<Credential>,
    ) {
        self.with(uid, |known| {
            if known.request != request {
                // Another path or filter, or a person who wants to be sure. It is asked
                // for until a pass comes to its end, however many that takes.
                known.looked = None;
                known.full = None;
                known.applied = None;
                known.credentials.clear();
            }
            known.woken_before = known.woken;
            request.clone_into(&mut known.request);
            namespace.clone_into(&mut known.namespace);
            name.clone_into(&mut known.name);
            for credential in credentials {
                if !known.credentials.contains(&credential) {
                    known.credentials.push(credential);
                }
            }
        });
    }

    /// Notes what credentials come from besides.
    pub(super) fn comes_from(&self, uid: &str, credential: Credential) {
        self.with(uid, |known| {
            if !known.credentials.contains(&credential) {
                known.credentials.push(credential);
            }
        });
    }

    /// How much of `commit` has to be looked at.
    pub(super) fn extent(&self, uid: &str, commit: &str, interval: Duration) -> Extent {
        let longest = LONGEST_UNTIL_FULL.max(interval);
        let full_every = interval.saturating_mul(FULL_EVERY).min(longest);
        self.with(uid, |known| {
            if known.full.is_none_or(|full| full.elapsed() >= full_every) {
                return Extent::Full;
            }
            match (&known.settled, &known.applied) {
                (Some((settled, None)), Some(applied))
                    if settled == commit && applied == commit && !known.leaving.is_empty() =>
                {
                    Extent::Prune(known.leaving.clone())
                }
                (Some((settled, problem)), _) if settled == commit => {
                    Extent::Nothing(problem.clone())
                }
                (_, Some(applied)) => {
                    Extent::Since { commit: applied.clone(), leaving: known.leaving.clone() }
                }
                _ => Extent::Full,
            }
        })
    }

    /// The next pass looks at everything.
    pub(super) fn look_at_all(&self, uid: &str) {
        self.with(uid, |known| known.full = None);
    }

    /// From here on the inventory is not that of the commit that was applied.
    pub(super) fn begin_writes(&self, uid: &str) {
        self.with(uid, |known| {
            known.applied = None;
            known.settled = None;
        });
    }

    /// A commit is applied whole; `leaving` is still being deleted.
    pub(super) fn applied(&self, uid: &str, commit: &str, leaving: &[InventoryEntry], full: bool) {
        self.with(uid, |known| {
            known.applied = Some(commit.to_owned());
            known.set_leaving(leaving);
            known.settled = Some((commit.to_owned(), None));
            if full {
                known.full = Some(Instant::now());
            }
        });
    }

    /// What is still being deleted, as the commit that is applied whole lacks it. None
    /// when nothing is, or when a later commit or another spec may want it.
    pub(super) fn leaving(&self, uid: &str) -> Option<Vec<InventoryEntry>> {
        self.with(uid, |known| {
            let settled = matches!((&known.settled, &known.applied),
                (Some((settled, None)), Some(applied)) if settled == applied);
            (settled && !known.leaving.is_empty()).then(|| known.leaving.clone())
        })
    }

    /// Notes what is still being deleted now.
    pub(super) fn still_leaving(&self, uid: &str, leaving: &[InventoryEntry]) {
        self.with(uid, |known| known.set_leaving(leaving));
    }

    /// Time until the next look whether what is pruned has gone; none when nothing is.
    pub(super) fn prune_pause(&self, uid: &str, interval: Duration) -> Option<Duration> {
        self.leaving(uid)?;
        let looks = self.with(uid, |known| known.still_leaving);
        Some(doubled(FIRST_PRUNE_PAUSE, looks, interval))
    }

    /// Notes a pass that waits for namespaces; returns the time until the next one.
    pub(super) fn namespace_pause(&self, uid: &str, interval: Duration) -> Duration {
        self.with(uid, |known| {
            known.waits = known.waits.saturating_add(1);
            let times = known.waits.saturating_sub(QUICK_NAMESPACE_LOOKS);
            doubled(FIRST_NAMESPACE_PAUSE, times, interval)
        })
    }

    /// Nothing but another commit mends what is wrong with this one.
    pub(super) fn broken(&self, uid: &str, commit: &str, problem: &Problem) {
        self.with(uid, |known| {
            known.settled = Some((commit.to_owned(), Some(problem.clone())));
            known.full.get_or_insert_with(Instant::now);
        });
    }

    /// Has all repositories looked at now that use a credential; returns their
    /// namespaces and names.
    pub(super) fn wake_users(&self, credential: &Credential) -> Vec<(String, String)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .values_mut()
            .filter(|known| known.credentials.contains(credential))
            .map(|known| {
                known.looked = None;
                known.woken += 1;
                (known.namespace.clone(), known.name.clone())
            })
            .collect()
    }

    /// Forgets a repository that is gone; returns its UIDs.
    pub(super) fn forget(&self, namespace: &str, name: &str) -> Vec<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .extract_if(|_, known| known.namespace == namespace && known.name == name)
            .map(|(uid, _)| uid)
            .collect()
    }
}

impl Known {
    fn set_leaving(&mut self, leaving: &[InventoryEntry]) {
        let same = !leaving.is_empty() && self.leaving == leaving;
        self.still_leaving = if same { self.still_leaving.saturating_add(1) } else { 0 };
        self.leaving = leaving.to_vec();
    }
}

/// A pause after it was doubled so many times, at most `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(longest.max(first))
}

/// An interval, a little shorter or longer for each repository and each time.
fn spread(interval: Duration, uid: &str, times: u64) -> Duration {
    let mut hasher = DefaultHasher::new();
    (uid, times).hash(&mut hasher);
    let percent = u32::try_from(hasher.finish() % u64::from(2 * JITTER_PERCENT + 1)).unwrap_or(0);
    interval.saturating_mul(100 - JITTER_PERCENT + percent) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn begun() -> Memory {
        let memory = Memory::default();
        memory.begin("u", ("shop", "config"), "1", Vec::new());
        memory
    }

    fn since(commit: &str) -> Extent {
        Extent::Since { commit: commit.to_owned(), leaving: Vec::new() }
    }

    #[test]
    fn the_first_pass_and_one_after_another_request_are_full() {
        let memory = begun();
        assert_eq!(memory.extent("u", "a", MINUTE), Extent::Full);
        memory.applied("u", "a", &[], true);
        assert_eq!(memory.extent("u", "a", MINUTE), Extent::Nothing(None));
        assert_eq!(memory.extent("u", "b", MINUTE), since("a"));
        assert_eq!(memory.extent("u", "b", Duration::ZERO), Extent::Full, "it is due");
        memory.begin("u", ("shop", "config"), "2", Vec::new());
        assert_eq!(memory.extent("u", "a", MINUTE), Extent::Full);
    }

    #[test]
    fn a_broken_commit_is_not_read_again_and_the_next_one_builds_on_the_last_good_one() {
        let memory = begun();
        memory.applied("u", "a", &[], true);
        let problem = Problem::new("InvalidManifests", "x");
        memory.broken("u", "b", &problem);
        assert_eq!(memory.extent("u", "b", MINUTE), Extent::Nothing(Some(problem)));
        assert_eq!(memory.extent("u", "c", MINUTE), since("a"));
        // Back to where it was: what was written since is none.
        assert_eq!(memory.extent("u", "a", MINUTE), since("a"));
    }

    #[test]
    fn writes_that_came_to_no_end_ask_for_a_full_pass() {
        let memory = begun();
        memory.applied("u", "a", &[], true);
        memory.begin_writes("u");
        assert_eq!(memory.extent("u", "a", MINUTE), Extent::Full);
        assert_eq!(memory.extent("u", "b", MINUTE), Extent::Full);
    }

    #[test]
    fn pruning_goes_on() {
        let memory = begun();
        let entry = InventoryEntry {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            namespace: None,
            name: "x".to_owned(),
        };
        memory.applied("u", "a", std::slice::from_ref(&entry), true);
        assert_eq!(memory.extent("u", "a", MINUTE), Extent::Prune(vec![entry.clone()]));
        // Looks get rarer while nothing goes, up to the interval.
        let look = |leaving: &[InventoryEntry]| {
            memory.still_leaving("u", leaving);
            memory.prune_pause("u", MINUTE).map(|pause| pause.as_secs())
        };
        let both = [entry.clone(), InventoryEntry { name: "y".to_owned(), ..entry.clone() }];
        let pauses: Vec<_> = (0..8).map(|_| look(&both).unwrap()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((look(&[entry]), look(&[])), (Some(1), None));
        assert_eq!(memory.leaving("u"), None);
    }

    #[test]
    fn what_no_pass_has_settled_is_not_pruned_further() {
        let memory = begun();
        let entry = InventoryEntry {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            namespace: None,
            name: "x".to_owned(),
        };
        let leaving = || {
            memory.applied("u", "a", std::slice::from_ref(&entry), true);
            assert_eq!(memory.leaving("u").as_deref(), Some(std::slice::from_ref(&entry)));
        };
        leaving();
        memory.broken("u", "b", &Problem::new("InvalidManifests", "x"));
        assert_eq!(memory.leaving("u"), None, "another commit may want it");
        leaving();
        memory.begin("u", ("shop", "config"), "2", Vec::new());
        assert_eq!(memory.leaving("u"), None, "another spec may");
    }

    #[test]
    fn what_was_asked_for_lasts_until_a_pass_comes_to_its_end() {
        let memory = begun();
        memory.looked("u", MINUTE);
        assert!(memory.rest("u", "1", MINUTE).is_some());
        memory.begin("u", ("shop", "config"), "2", Vec::new());
        // That pass was cut short: too much was under way, or a namespace isn't there.
        assert!(memory.rest("u", "2", MINUTE).is_none());
        memory.looked("u", MINUTE);
        assert!(memory.rest("u", "2", MINUTE).is_some());
    }

    #[test]
    fn namespaces_are_looked_for_more_and_more_rarely() {
        let memory = begun();
        let wait = || memory.namespace_pause("u", MINUTE).as_millis();
        let pauses: Vec<_> = (0..25).map(|_| wait()).collect();
        assert_eq!(pauses[8..13], [100, 100, 200, 400, 800]);
        assert_eq!(pauses[24], 60_000);
        memory.looked("u", MINUTE);
        assert_eq!(wait(), 100);
    }

    #[test]
    fn intervals_are_spread() {
        let pauses: Vec<u64> =
            (0..50).map(|index| spread(MINUTE, &format!("uid-{index}"), 1).as_secs()).collect();
        assert!(pauses.iter().all(|pause| (54..=66).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause < 58) && pauses.iter().any(|pause| *pause > 62));
    }

    #[test]
    fn a_changed_credential_wakes_those_who_use_it() {
        let memory = Memory::default();
        let secret = Credential::Secret("shop".to_owned(), "token".to_owned());
        memory.begin("u", ("shop", "config"), "1", vec![secret.clone()]);
        memory.looked("u", MINUTE);
        assert!(memory.rest("u", "1", MINUTE).is_some());
        assert!(memory.rest("u", "2", MINUTE).is_none(), "asked for something else");
        assert_eq!(memory.wake_users(&Credential::Account("token".to_owned())), []);
        assert_eq!(memory.wake_users(&secret), [("shop".to_owned(), "config".to_owned())]);
        assert!(memory.rest("u", "1", MINUTE).is_none());
        // What changes while a look is under way asks for another one.
        memory.begin("u", ("shop", "config"), "1", vec![secret.clone()]);
        memory.wake_users(&secret);
        assert_eq!(memory.looked("u", MINUTE), Duration::ZERO);
        assert!(memory.rest("u", "1", MINUTE).is_none());
        assert_eq!(memory.forget("shop", "config"), ["u"]);
    }
}
