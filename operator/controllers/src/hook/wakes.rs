//! Wakes: the repositories that are to be fetched now. However often one is
//! asked for, it is in here once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt, stream};
use hades_api::ConfigRepository;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use crate::driver::Meta;

/// Namespace and name of a ConfigRepository.
pub(crate) type Place = (String, String);

#[derive(Default)]
struct State {
    /// Asked for, and no pass has begun since.
    asked: HashSet<Place>,
    /// Of those, the ones that the queue of passes doesn't know yet.
    unsent: HashSet<Place>,
    /// A pass that was asked for came to no end; the next one goes on with it.
    unfinished: HashSet<Place>,
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
                let woken = std::mem::take(&mut wakes.state().unsent);
                if !woken.is_empty() {
                    return Some((stream::iter(woken), wakes));
                }
                wakes.news.notified().await;
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
