//! Wakes: the repositories that are to be fetched now. However often one is
//! asked for, it is in here once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use hades_api::ConfigRepository;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::driver::Meta;

/// The least time between two fetches of a repository that hooks ask for. The
/// first comes at once; what is asked for meanwhile is one fetch at its end, or a
/// flood of pushes would be a flood of fetches wherever those are quick.
const SPACING: Duration = Duration::from_millis(500);

/// Namespace and name of a ConfigRepository.
pub(crate) type Place = (String, String);

#[derive(Default)]
struct State {
    /// Asked for, and no pass has begun since.
    asked: HashSet<Place>,
    /// Of those, the ones that the queue of passes doesn't know yet.
    unsent: HashSet<Place>,
    /// When the queue was last told of each, within [`SPACING`].
    sent: HashMap<Place, Instant>,
    /// A pass that was asked for came to no end; the next one goes on with it.
    unfinished: HashSet<Place>,
}

impl State {
    /// What the queue is to be told now, and when there may be more.
    fn due(&mut self, now: Instant) -> (Vec<Place>, Option<Instant>) {
        self.sent.retain(|_, at| now.duration_since(*at) < SPACING);
        let rests = |place: &Place| self.sent.get(place).map(|at| *at + SPACING);
        let next = self.unsent.iter().filter_map(rests).min();
        let due: Vec<Place> =
            self.unsent.iter().filter(|place| rests(place).is_none()).cloned().collect();
        for place in &due {
            self.unsent.remove(place);
            self.sent.insert(place.clone(), now);
        }
        (due, next)
    }
}

/// The repositories that are to be fetched now; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Wakes {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

impl Wakes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a fetch. Says whether none was asked for already.
    pub(crate) fn wake(&self, place: Place) -> bool {
        let mut state = self.state();
        if !state.asked.insert(place.clone()) {
            return false;
        }
        state.unsent.insert(place);
        drop(state);
        self.news.notify_one();
        true
    }

    /// A pass begins: whether a fetch was asked for. What is asked for from now on
    /// is for the pass after this one.
    pub(crate) fn take(&self, namespace: &str, name: &str) -> bool {
        let place = (namespace.to_owned(), name.to_owned());
        let mut state = self.state();
        state.unsent.remove(&place);
        // Both, whatever the first one says.
        state.asked.remove(&place) | state.unfinished.remove(&place)
    }

    /// The pass that a fetch was asked of came to no end.
    pub(crate) fn keep(&self, namespace: &str, name: &str) {
        self.state().unfinished.insert((namespace.to_owned(), name.to_owned()));
    }

    /// What to wake, as it comes.
    pub(crate) fn stream(
        &self,
    ) -> impl Stream<Item = ObjectRef<Meta<ConfigRepository>>> + Send + use<> {
        stream::unfold(self.clone(), |wakes| async move {
            loop {
                let (due, next) = wakes.state().due(Instant::now());
                if !due.is_empty() {
                    return Some((stream::iter(due), wakes));
                }
                let news = wakes.news.notified();
                match next {
                    // Running out of time is as good as news.
                    Some(next) => drop(tokio::time::timeout_at(next, news).await),
                    None => news.await,
                }
            }
        })
        .flatten()
        .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;

    fn shop() -> Place {
        ("shop".to_owned(), "config".to_owned())
    }

    #[test]
    fn fetches_of_one_repository_keep_their_distance_and_others_do_not_wait() {
        let (mut state, start) = (State::default(), Instant::now());
        let other = || ("blog".to_owned(), "other".to_owned());
        state.unsent.insert(shop());
        assert_eq!(state.due(start), (vec![shop()], None), "the first one at once");
        state.unsent.extend([shop(), other()]);
        assert_eq!(state.due(start), (vec![other()], Some(start + SPACING)));
        assert_eq!(state.due(start), (vec![], Some(start + SPACING)));
        assert_eq!(state.due(start + SPACING), (vec![shop()], None));
        assert_eq!(state.due(start + SPACING), (vec![], None));
    }

    #[tokio::test]
    async fn any_number_of_asks_is_one_fetch_and_one_more_while_it_runs() {
        let wakes = Wakes::default();
        let mut stream = std::pin::pin!(wakes.stream());
        let news = (0..10_000).filter(|_| wakes.wake(shop())).count();
        assert_eq!(news, 1);
        assert_eq!(stream.next().await.unwrap().name, "config");
        assert!(poll!(stream.next()).is_pending());
        assert!(wakes.take("shop", "config"));
        assert!(!wakes.take("shop", "config"));
        let news = (0..10_000).filter(|_| wakes.wake(shop())).count();
        assert_eq!(news, 1, "the fetch that runs may be too early to see it");
        assert!(stream.next().await.is_some());
        assert!(wakes.take("shop", "config"));
    }

    #[tokio::test]
    async fn a_pass_that_failed_leaves_the_ask_to_the_next_one_and_hides_no_new_one() {
        let wakes = Wakes::default();
        wakes.wake(shop());
        assert!(wakes.take("shop", "config"));
        wakes.keep("shop", "config");
        assert!(wakes.wake(shop()), "a new push doesn't wait until the failed pass is tried again");
        assert!(wakes.take("shop", "config") && !wakes.take("shop", "config"));
    }
}
