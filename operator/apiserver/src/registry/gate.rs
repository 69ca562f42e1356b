//! The gate that new objects of a definition pass.

use tokio::sync::{RwLock, RwLockReadGuard};

/// Open as long as objects may be created. Who passes holds a [`Pass`] until the
/// object is committed, so that a closed gate means that nothing more comes.
#[derive(Debug)]
pub(crate) struct Gate(RwLock<bool>);

/// Keeps the gate from closing.
pub(crate) struct Pass<'a>(
    #[expect(dead_code, reason = "held, not read")] RwLockReadGuard<'a, bool>,
);

impl Gate {
    /// An open gate.
    pub fn open() -> Self {
        Self(RwLock::new(true))
    }

    /// Lets a creation through; `None` where the gate is closed.
    pub async fn pass(&self) -> Option<Pass<'_>> {
        let open = self.0.read().await;
        open.then_some(()).map(|()| Pass(open))
    }

    /// Closes the gate behind the last creation that is under way.
    pub async fn close(&self) {
        *self.0.write().await = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closing_gate_waits_for_those_inside_and_lets_nobody_else_in() {
        let gate = Gate::open();
        let pass = gate.pass().await;
        assert!(pass.is_some());
        let mut closing = std::pin::pin!(gate.close());
        assert!(futures::poll!(closing.as_mut()).is_pending());
        drop(pass);
        closing.await;
        assert!(gate.pass().await.is_none());
    }
}
