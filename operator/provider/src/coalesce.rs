//! One expensive look at the world shared by all that ask for it meanwhile.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Mutex;

/// Shares the answer of an expensive question among callers.
///
/// Callers that arrive while an answer is being worked out share the *next*
/// one: what a caller gets was always begun after it asked, so that it can't
/// miss what it has just done itself.
///
/// ```text
/// A asks ──▶ run 1 ─────────▶ A
///    B asks ·······┐
///      C asks ·····┴▶ run 2 ─────▶ B, C
/// ```
#[derive(Debug)]
pub struct Coalesced<T> {
    latest: Mutex<Latest<T>>,
    /// Runs begun so far.
    begun: AtomicUsize,
    /// Callers on their way; the answer is forgotten when there are no more.
    callers: AtomicUsize,
}

#[derive(Debug)]
struct Latest<T> {
    run: usize,
    answer: Option<T>,
}

impl<T> Default for Coalesced<T> {
    fn default() -> Self {
        Self {
            latest: Mutex::new(Latest { run: 0, answer: None }),
            begun: AtomicUsize::new(0),
            callers: AtomicUsize::new(0),
        }
    }
}

impl<T: Clone> Coalesced<T> {
    /// The answer of a run of `ask` that begins after this call. A caller that
    /// goes away in the middle leaves the question to the next one.
    pub async fn get<F>(&self, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T>,
    {
        let begun_before = self.begun.load(Ordering::Acquire);
        let _caller = Caller::new(&self.callers);
        let mut latest = self.latest.lock().await;
        if latest.run > begun_before
            && let Some(answer) = &latest.answer
        {
            let answer = answer.clone();
            self.forget_unless_awaited(&mut latest);
            return answer;
        }
        let run = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let answer = ask().await;
        *latest = Latest { run, answer: Some(answer.clone()) };
        self.forget_unless_awaited(&mut latest);
        answer
    }

    fn forget_unless_awaited(&self, latest: &mut Latest<T>) {
        if self.callers.load(Ordering::Acquire) <= 1 {
            latest.answer = None;
        }
    }
}

struct Caller<'a>(&'a AtomicUsize);

impl<'a> Caller<'a> {
    fn new(callers: &'a AtomicUsize) -> Self {
        callers.fetch_add(1, Ordering::AcqRel);
        Self(callers)
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_share_the_next_run() {
        let shared = Arc::new(Coalesced::<usize>::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(0));
        let spawn = || {
            let (shared, runs, gate) = (shared.clone(), runs.clone(), gate.clone());
            tokio::spawn(async move {
                shared
                    .get(|| async {
                        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
                        gate.acquire().await.unwrap().forget();
                        run
                    })
                    .await
            })
        };
        let first = spawn();
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..10).map(|_| spawn()).collect();
        while shared.callers.load(Ordering::SeqCst) < 11 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(100);
        assert_eq!(first.await.unwrap(), 1);
        for other in others {
            assert_eq!(other.await.unwrap(), 2, "begun after it was asked for, and only once");
        }
        assert_eq!(shared.get(|| async { 7 }).await, 7, "nothing is kept for later");
        assert!(shared.latest.lock().await.answer.is_none());
    }

    #[tokio::test]
    async fn an_abandoned_run_is_taken_over() {
        let shared = Arc::new(Coalesced::<usize>::default());
        let hanging = tokio::spawn({
            let shared = shared.clone();
            async move { shared.get(std::future::pending).await }
        });
        while shared.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let next = tokio::spawn({
            let shared = shared.clone();
            async move { shared.get(|| async { 2 }).await }
        });
        hanging.abort();
        assert_eq!(next.await.unwrap(), 2);
    }
}
