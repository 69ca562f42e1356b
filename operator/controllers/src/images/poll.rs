//! Asks registries, each politely, and wakes whom an answer concerns.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hades_api::name::EnvironmentName;
use hades_registry::{Credentials, ImageName, Registries, RegistryError};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

/// Questions to one registry at once.
const AT_ONCE: usize = 2;
/// Pause between two questions to one registry: at most five a second.
const GAP: Duration = Duration::from_millis(200);
/// First pause after a failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(15);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How long a registry is left alone that takes no more requests and doesn't say
/// for how long.
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(60);
/// How long the poller sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);
/// Wakes kept for a slow listener; one that lost some hears of all.
const WAKES_KEPT: usize = 1024;

/// What a registry is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Query {
    /// All tags of the repository.
    Tags,
    /// What a tag stands for.
    Digest(String),
}

/// Tells questions apart. Answers to one who may read a repository are no answers
/// for another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    repository: String,
    query: Query,
    who: Option<String>,
}

/// A question, and how often it is to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    image: ImageName,
    query: Query,
    credentials: Option<Credentials>,
    interval: Duration,
}

impl Want {
    pub(crate) fn new(
        image: &ImageName,
        query: Query,
        credentials: Option<&Credentials>,
        interval: Duration,
    ) -> Self {
        Self { image: image.clone(), query, credentials: credentials.cloned(), interval }
    }

    fn key(&self) -> Key {
        Key {
            repository: self.image.full_repository(),
            query: self.query.clone(),
            who: self.credentials.as_ref().map(Credentials::identity),
        }
    }
}

/// What a registry said: tags, or the one digest.
pub(crate) type Answer = Result<Arc<Vec<String>>, RegistryError>;

struct Poll {
    want: Want,
    interested: BTreeMap<EnvironmentName, Duration>,
    answer: Option<Answer>,
    due: Instant,
    failures: u32,
    is_running: bool,
}

#[derive(Default)]
struct Registry {
    running: usize,
    not_before: Option<Instant>,
}

#[derive(Default)]
struct State {
    polls: HashMap<Key, Poll>,
    registries: HashMap<String, Registry>,
}

/// Asks registries.
pub(crate) struct Poller {
    state: Mutex<State>,
    changed: Notify,
    wakes: broadcast::Sender<EnvironmentName>,
}

impl Default for Poller {
    fn default() -> Self {
        let (wakes, _) = broadcast::channel(WAKES_KEPT);
        Self { state: Mutex::default(), changed: Notify::new(), wakes }
    }
}

impl Poller {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Environments that an answer concerns, from now on.
    pub(crate) fn wakes(&self) -> broadcast::Receiver<EnvironmentName> {
        self.wakes.subscribe()
    }

    /// The latest answer to a question, if there is one yet.
    pub(crate) fn answer(&self, want: &Want) -> Option<Answer> {
        self.state().polls.get(&want.key())?.answer.clone()
    }

    /// What an environment wants to know from now on, instead of what it wanted.
    pub(crate) fn register(&self, environment: &EnvironmentName, wants: Vec<Want>) {
        let now = Instant::now();
        let wanted: HashMap<Key, Want> = wants.into_iter().map(|want| (want.key(), want)).collect();
        let mut state = self.state();
        state.polls.retain(|key, poll| {
            if !wanted.contains_key(key) {
                poll.interested.remove(environment);
            }
            !poll.interested.is_empty()
        });
        let mut is_news = false;
        for (key, want) in wanted {
            let poll = state.polls.entry(key).or_insert_with(|| {
                is_news = true;
                Poll {
                    want: want.clone(),
                    interested: BTreeMap::new(),
                    answer: None,
                    due: now,
                    failures: 0,
                    is_running: false,
                }
            });
            poll.interested.insert(environment.clone(), want.interval);
            let interval = poll.interested.values().copied().min().unwrap_or(want.interval);
            // An interval that was made shorter counts at once, a pause after failures as
            // it did.
            if interval < poll.want.interval && poll.failures == 0 && now + interval < poll.due {
                poll.due = now + interval;
                is_news = true;
            }
            poll.want.interval = interval;
        }
        drop(state);
        if is_news {
            self.changed.notify_one();
        }
    }

    /// Asks anew, now, what an environment wants to know.
    pub(crate) fn refresh(&self, environment: &EnvironmentName) {
        let now = Instant::now();
        for poll in self.state().polls.values_mut() {
            if poll.interested.contains_key(environment) {
                poll.due = now;
            }
        }
        self.changed.notify_one();
    }

    /// Questions to be asked now, and how long until the next ones are.
    fn take_due(&self, now: Instant) -> (Vec<(Key, Want)>, Duration) {
        let mut state = self.state();
        let State { polls, registries } = &mut *state;
        let mut waiting: Vec<(&Key, &mut Poll)> =
            polls.iter_mut().filter(|(_, poll)| !poll.is_running).collect();
        waiting.sort_by_key(|(_, poll)| poll.due);
        let (mut due, mut sleep) = (Vec::new(), IDLE);
        for (key, poll) in waiting {
            let registry = registries.entry(poll.want.image.registry.clone()).or_default();
            let ready = poll.due.max(registry.not_before.unwrap_or(now));
            if ready > now {
                sleep = sleep.min(ready - now);
            } else if registry.running < AT_ONCE {
                registry.running += 1;
                registry.not_before = Some(now + GAP);
                poll.is_running = true;
                due.push((key.clone(), poll.want.clone()));
            }
            // Else the end of one that runs wakes the poller.
        }
        (due, sleep)
    }

    fn finish(&self, key: &Key, want: &Want, answer: Answer, now: Instant) {
        let mut state = self.state();
        let State { polls, registries } = &mut *state;
        if let Some(registry) = registries.get_mut(&want.image.registry) {
            registry.running = registry.running.saturating_sub(1);
            let told = answer.as_ref().err().and_then(RegistryError::retry_after);
            let limited = matches!(answer, Err(RegistryError::RateLimited { .. }));
            if let Some(pause) = told.or(limited.then_some(RATE_LIMIT_PAUSE)) {
                registry.not_before = Some(now + pause);
            }
        }
        let mut woken = Vec::new();
        if let Some(poll) = polls.get_mut(key) {
            poll.is_running = false;
            poll.failures = if answer.is_ok() { 0 } else { poll.failures.saturating_add(1) };
            poll.due = now + pause(key, poll.want.interval, poll.failures);
            if is_news(poll.answer.as_ref(), &answer) {
                woken.extend(poll.interested.keys().cloned());
            }
            // A failure doesn't make what is known unknown.
            if answer.is_ok() || !matches!(poll.answer, Some(Ok(_))) {
                poll.answer = Some(answer);
            }
        }
        drop(state);
        for environment in woken {
            // No listener is no error: a pass looks for itself.
            let _ = self.wakes.send(environment);
        }
        self.changed.notify_one();
    }
}

fn is_news(known: Option<&Answer>, answer: &Answer) -> bool {
    match (known, answer) {
        (Some(Ok(known)), Ok(answer)) => known != answer,
        (Some(Ok(_)), Err(_)) => false,
        (known, answer) => known != Some(answer),
    }
}

/// Time until a question is asked again: spread by a tenth, so that questions that
/// were first asked together don't stay so.
fn pause(key: &Key, interval: Duration, failures: u32) -> Duration {
    let pause = match failures.checked_sub(1) {
        None => interval,
        Some(further) => FIRST_PAUSE.saturating_mul(1 << further.min(10)).min(LONGEST_PAUSE),
    };
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let spread = u32::try_from(hasher.finish() % 100).unwrap_or_default();
    pause + pause / 1000 * spread
}

/// Asks until `shutdown`.
pub(crate) async fn run(poller: &Poller, shutdown: CancellationToken) {
    let registries = match Registries::new() {
        Ok(registries) => registries,
        Err(error) => {
            tracing::error!(%error, "image policies are not followed");
            return;
        }
    };
    let mut running = futures::stream::FuturesUnordered::new();
    loop {
        let (due, sleep) = poller.take_due(Instant::now());
        for (key, want) in due {
            running.push(ask(poller, &registries, key, want));
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = poller.changed.notified() => {}
            () = tokio::time::sleep(sleep) => {}
            Some(()) = futures::StreamExt::next(&mut running), if !running.is_empty() => {}
        }
    }
}

async fn ask(poller: &Poller, registries: &Registries, key: Key, want: Want) {
    let credentials = want.credentials.as_ref();
    let answer = match &want.query {
        Query::Tags => registries.tags(&want.image, credentials).await,
        Query::Digest(tag) => {
            let image = want.image.with_tag(tag);
            registries.digest(&image, credentials).await.map(|digest| vec![digest])
        }
    };
    if let Err(error) = &answer {
        tracing::debug!(repository = key.repository, %error, "a registry gives no answer");
    }
    poller.finish(&key, &want, answer.map(Arc::new), Instant::now());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(image: &str, query: Query, who: Option<&str>) -> Want {
        let credentials = who.map(|who| Credentials::basic(who, "p"));
        let image = ImageName::parse(image).unwrap();
        Want::new(&image, query, credentials.as_ref(), Duration::from_secs(300))
    }

    fn environment(name: &str) -> EnvironmentName {
        EnvironmentName::new("shop", name)
    }

    fn answer(words: &[&str]) -> Answer {
        Ok(Arc::new(words.iter().map(|word| (*word).to_owned()).collect()))
    }

    #[test]
    fn one_question_for_many_and_none_for_nobody() {
        let poller = Poller::default();
        let digest = || want("r.example/a:1", Query::Digest("1".into()), None);
        for name in ["a", "b", "c"] {
            poller.register(&environment(name), vec![digest()]);
        }
        let now = Instant::now();
        assert_eq!(poller.take_due(now).0.len(), 1);
        poller.finish(&digest().key(), &digest(), answer(&["sha256:1"]), now);
        assert_eq!(poller.answer(&digest()), Some(answer(&["sha256:1"])));
        let other = want("r.example/a:1", Query::Digest("1".into()), Some("me"));
        assert_eq!(poller.answer(&other), None, "answers are for who asked");
        for name in ["a", "b", "c"] {
            poller.register(&environment(name), Vec::new());
        }
        assert!(poller.state().polls.is_empty());
    }

    #[test]
    fn a_registry_is_asked_little_at_a_time() {
        let poller = Poller::default();
        let wants = (0..20).map(|n| want(&format!("r.example/a{n}"), Query::Tags, None)).collect();
        poller.register(&environment("a"), wants);
        poller.register(&environment("b"), vec![want("s.example/b", Query::Tags, None)]);
        let now = Instant::now();
        let (due, sleep) = poller.take_due(now);
        assert_eq!(due.len(), 2, "one for each registry");
        assert!(sleep <= GAP);
        assert_eq!(poller.take_due(now + GAP).0.len(), 1);
        assert_eq!(poller.take_due(now + GAP * 2).0.len(), 0, "two are under way");
    }

    #[test]
    fn a_registry_that_wants_to_be_left_alone_is() {
        let poller = Poller::default();
        let wants =
            [want("r.example/a", Query::Tags, None), want("r.example/b", Query::Tags, None)];
        poller.register(&environment("a"), wants.to_vec());
        let now = Instant::now();
        let (due, _) = poller.take_due(now);
        let retry_after = Some(Duration::from_secs(120));
        let limited = RegistryError::RateLimited { registry: "r.example".into(), retry_after };
        poller.finish(&due[0].0, &due[0].1, Err(limited), now);
        let (due, sleep) = poller.take_due(now + Duration::from_secs(100));
        assert!(due.is_empty() && sleep <= Duration::from_secs(20), "{sleep:?}");
        assert_eq!(poller.take_due(now + Duration::from_secs(121)).0.len(), 1);
    }

    #[test]
    fn who_waits_is_woken_by_what_is_new_alone() {
        let poller = Poller::default();
        let tags = || want("r.example/a", Query::Tags, None);
        poller.register(&environment("a"), vec![tags()]);
        let mut wakes = poller.wakes();
        let now = Instant::now();
        let down = || RegistryError::Unreachable {
            registry: "r.example".into(),
            words: "no route".into(),
            retry_after: None,
        };
        let say = |answer: Answer| poller.finish(&tags().key(), &tags(), answer, now);
        say(answer(&["1"]));
        assert_eq!(wakes.try_recv().unwrap(), environment("a"));
        say(answer(&["1"]));
        say(Err(down()));
        assert!(wakes.try_recv().is_err());
        assert_eq!(poller.answer(&tags()), Some(answer(&["1"])), "a failure makes nothing unknown");
        say(answer(&["1", "2"]));
        assert!(wakes.try_recv().is_ok());
    }

    #[test]
    fn a_shorter_interval_counts_at_once() {
        let poller = Poller::default();
        let every = |seconds| {
            let want = want("r.example/a", Query::Tags, None);
            Want { interval: Duration::from_secs(seconds), ..want }
        };
        poller.register(&environment("a"), vec![every(86_400)]);
        let now = Instant::now();
        assert_eq!(poller.take_due(now).0.len(), 1);
        poller.finish(&every(86_400).key(), &every(86_400), answer(&["1"]), now);
        let after = |seconds| poller.take_due(now + Duration::from_secs(seconds)).0.len();
        assert_eq!(after(75), 0);
        poller.register(&environment("b"), vec![every(60)]);
        assert_eq!(after(75), 1);
        // One that was refused isn't asked the sooner.
        let down = RegistryError::Unreachable {
            registry: "r.example".into(),
            words: "no route".into(),
            retry_after: None,
        };
        poller.finish(&every(60).key(), &every(60), Err(down), now);
        poller.register(&environment("c"), vec![every(1)]);
        assert_eq!(after(2), 0);
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let key = want("r.example/a", Query::Tags, None).key();
        let interval = Duration::from_secs(300);
        let pauses: Vec<_> = (0..12).map(|failures| pause(&key, interval, failures)).collect();
        assert!(pauses[0] >= interval && pauses[0] <= interval * 11 / 10);
        assert!(pauses[1..].windows(2).all(|pair| pair[0] <= pair[1]));
        assert!(pauses[11] <= LONGEST_PAUSE * 11 / 10);
    }
}
