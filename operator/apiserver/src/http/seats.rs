//! How much that lasts goes on at once: watches and long lists. Whoever finds no
//! seat is told to come back. The controllers of this process need none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wire::status::StatusError;

/// Watches of one user. A dashboard opens one for each kind that it shows, some
/// forty; this is a dozen dashboards under one name.
const WATCHES_EACH: usize = 500;

/// Watches of all users. A quiet one costs some ten kilobytes, buffers of its
/// connection included: twenty megabytes.
const WATCHES: usize = 2000;

/// Lists of more than one part that are read and sent at once. Each has up to a
/// megabyte in buffers, and more of them than processors are no faster.
const LISTS: usize = 16;

/// Long lists that wait for a seat, each with its first part in memory.
const QUEUE: usize = 64;

/// How long a list waits. Kubernetes waits as long.
const QUEUE_TIME: Duration = Duration::from_secs(15);

/// When to come back: watches go on for long, lists end soon.
const AFTER_WATCHES_SECONDS: u32 = 10;
const AFTER_LISTS_SECONDS: u32 = 2;

/// The seats of one server.
#[derive(Debug)]
pub(crate) struct Seats {
    lists: Arc<Semaphore>,
    queue: Semaphore,
    queue_time: Duration,
    watches: Arc<Watches>,
}

impl Default for Seats {
    fn default() -> Self {
        Self {
            lists: Arc::new(Semaphore::new(LISTS)),
            queue: Semaphore::new(QUEUE),
            queue_time: QUEUE_TIME,
            watches: Arc::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Watches(Mutex<HashMap<String, usize>>);

impl Watches {
    fn by_caller(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The seat of one watch, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct WatchSeat {
    watches: Arc<Watches>,
    caller: String,
}

impl Drop for WatchSeat {
    fn drop(&mut self) {
        let mut watches = self.watches.by_caller();
        if let Some(count) = watches.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                watches.remove(&self.caller);
            }
        }
    }
}

impl Seats {
    /// A seat for a watch of this user.
    ///
    /// # Errors
    /// 429 when this user, or all together, have too many.
    pub fn watch(&self, caller: &str) -> Result<WatchSeat, StatusError> {
        let mut watches = self.watches.by_caller();
        let mine = watches.get(caller).copied().unwrap_or(0);
        if mine >= WATCHES_EACH {
            return Err(StatusError::too_many_requests(
                format!("{caller:?} has {mine} watches open, which is the most; end some of them"),
                AFTER_WATCHES_SECONDS,
            ));
        }
        if watches.values().sum::<usize>() >= WATCHES {
            return Err(StatusError::too_many_requests(
                format!("{WATCHES} watches are open, which is the most; try again later"),
                AFTER_WATCHES_SECONDS,
            ));
        }
        watches.insert(caller.to_owned(), mine + 1);
        Ok(WatchSeat { watches: Arc::clone(&self.watches), caller: caller.to_owned() })
    }

    /// A seat for a long list, as soon as one is free.
    ///
    /// # Errors
    /// 429 when none gets free in time.
    pub async fn list(&self) -> Result<OwnedSemaphorePermit, StatusError> {
        if let Ok(seat) = Arc::clone(&self.lists).try_acquire_owned() {
            return Ok(seat);
        }
        let crowded = || {
            StatusError::too_many_requests(
                "too many long lists are read at once; try again later, or ask for pages with \
                 the parameter limit",
                AFTER_LISTS_SECONDS,
            )
        };
        let _queued = self.queue.try_acquire().map_err(|_| crowded())?;
        let seat = Arc::clone(&self.lists).acquire_owned();
        match tokio::time::timeout(self.queue_time, seat).await {
            Ok(Ok(seat)) => Ok(seat),
            _ => Err(crowded()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_too_many_watches_is_sent_away_and_others_are_not() {
        let seats = Seats::default();
        let mut mine: Vec<_> = (0..WATCHES_EACH).map(|_| seats.watch("ann").unwrap()).collect();
        let error = seats.watch("ann").unwrap_err();
        assert_eq!((error.code(), error.reason()), (429, "TooManyRequests"));
        assert_eq!(error.to_value()["details"]["retryAfterSeconds"], AFTER_WATCHES_SECONDS);
        let other = seats.watch("bob").unwrap();
        mine.pop();
        let again = seats.watch("ann").unwrap();
        drop((mine, again, other));
        assert!(seats.watches.by_caller().is_empty(), "nothing is kept of those who left");
    }

    #[test]
    fn all_users_together_have_a_limit_too() {
        let seats = Seats::default();
        let all: Vec<_> = (0..WATCHES)
            .map(|index| seats.watch(&format!("user-{}", index / WATCHES_EACH)).unwrap())
            .collect();
        assert_eq!(seats.watch("late").unwrap_err().code(), 429);
        drop(all);
        assert!(seats.watch("late").is_ok());
    }

    #[tokio::test]
    async fn a_long_list_waits_for_its_turn_and_is_sent_away_where_it_takes_too_long() {
        let seats = Seats { queue_time: Duration::from_millis(1), ..Seats::default() };
        let mut taken = Vec::new();
        for _ in 0..LISTS {
            taken.push(seats.list().await.unwrap());
        }
        let error = seats.list().await.unwrap_err();
        assert_eq!(error.code(), 429);
        let patient = Seats { queue_time: Duration::from_secs(60), ..seats };
        let waiting = patient.list();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        taken.pop();
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn over_a_socket_one_watch_too_many_is_told_when_to_come_back() {
        use crate::{ApiServer, Identity, ServerConfig};
        let directory = tempfile::tempdir().unwrap();
        let config = ServerConfig::new(directory.path(), Vec::new());
        let server = ApiServer::open(config).await.unwrap();
        let watch = |remote: bool| {
            let router = server.router();
            let mut request = axum::http::Request::builder()
                .uri("/api/v1/configmaps?watch=true")
                .body(axum::body::Body::empty())
                .unwrap();
            request.extensions_mut().insert(Identity::administrator("ann"));
            if remote {
                let connection =
                    crate::http::Connection::new(server.state().shutdown.clone(), Arc::default());
                request.extensions_mut().insert(connection);
            }
            async move { tower::ServiceExt::oneshot(router, request).await.unwrap() }
        };
        let mut open = Vec::new();
        for _ in 0..WATCHES_EACH {
            open.push(watch(true).await);
        }
        assert!(open.iter().all(|response| response.status() == 200));
        let refused = watch(true).await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], AFTER_WATCHES_SECONDS.to_string());
        assert_eq!(watch(false).await.status(), 200, "a controller of this process");
        open.pop();
        assert_eq!(watch(true).await.status(), 200);
    }
}
