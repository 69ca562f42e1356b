//! Parts without which the server must not go on.

use tokio_util::sync::CancellationToken;

/// Held by a part without which the server only seems to work: the store's
/// writer, the collector of garbage. When it panics, the server is told to end,
/// so that whoever looks after the process starts it anew.
#[derive(Debug)]
pub(crate) struct Vital {
    part: &'static str,
    broken: CancellationToken,
}

impl Vital {
    /// For the part of that name, as the log tells it.
    pub fn new(part: &'static str, broken: CancellationToken) -> Self {
        Self { part, broken }
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(part = self.part, "a part of the server panicked; the server ends");
            self.broken.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_told_of_and_one_that_ends_is_not() {
        let broken = CancellationToken::new();
        drop(Vital::new("one", broken.clone()));
        assert!(!broken.is_cancelled());
        let vital = Vital::new("another", broken.clone());
        let task = tokio::spawn(async move {
            let _vital = vital;
            panic!("a bug");
        });
        assert!(task.await.is_err());
        assert!(broken.is_cancelled());
    }
}
