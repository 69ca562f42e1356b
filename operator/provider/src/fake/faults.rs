//! What goes wrong on a fake host, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ErrorClass;

/// A single call that reached the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which one, counted from 1 since the host was made.
    pub number: u64,
    /// What kind.
    pub kind: CallKind,
    /// Name or id of what it was about; empty for calls about the whole host.
    pub target: String,
}

/// Kinds of calls, as a container engine has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// Version and capacity.
    Describe,
    /// Everything on the host.
    List,
    /// One thing, by id or name.
    Inspect,
    /// Create a container.
    CreateContainer,
    /// Put files into a container.
    PutFiles,
    /// Start a container.
    StartContainer,
    /// Thaw a container.
    UnpauseContainer,
    /// Stop a container.
    StopContainer,
    /// Remove a container.
    RemoveContainer,
    /// Create a network.
    CreateNetwork,
    /// Attach a container to a network.
    ConnectNetwork,
    /// Remove a network.
    RemoveNetwork,
    /// Create a volume.
    CreateVolume,
    /// Remove a volume.
    RemoveVolume,
    /// Pull an image.
    PullImage,
    /// Remove an image.
    RemoveImage,
    /// Output of a container.
    Logs,
    /// A command in a container.
    Exec,
    /// What a container uses.
    Stats,
    /// A stream to an address of the host's network.
    Dial,
    /// Read a volume.
    ReadVolume,
    /// Make and fill a volume.
    FillVolume,
}

impl CallKind {
    /// Whether such a call changes anything.
    pub fn is_mutating(self) -> bool {
        !matches!(
            self,
            Self::Describe
                | Self::List
                | Self::Inspect
                | Self::Logs
                | Self::Exec
                | Self::Stats
                | Self::Dial
                | Self::ReadVolume
        )
    }
}

/// When something happens, seen from the effect of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The call has no effect.
    Before,
    /// The call has taken effect, and its answer is lost.
    After,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The call answers with an error of this class and has no effect.
    Fail(ErrorClass),
    /// The call takes effect, and its answer is lost: an error of this class.
    FailAfter(ErrorClass),
    /// Hades dies at this call: it and every later one are refused until
    /// [`super::FakeHost::revive`].
    Crash(Moment),
    /// The host doesn't answer this call and the ones after it, so many in all.
    Unreachable(u64),
    /// The call takes so long.
    Delay(Duration),
}

/// What will go wrong. Each entry strikes once.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    by_number: BTreeMap<u64, Fault>,
    /// By the count of calls from now on that change something.
    by_change: BTreeMap<u64, Fault>,
    changes: u64,
    by_kind: Vec<(CallKind, Fault)>,
    delay: Option<Duration>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// At the call of this number (see [`Call::number`]).
    #[must_use]
    pub fn at(mut self, number: u64, fault: Fault) -> Self {
        self.by_number.insert(number, fault);
        self
    }

    /// At the call of this number among those from now on that change something,
    /// counted from 1.
    #[must_use]
    pub fn at_change(mut self, number: u64, fault: Fault) -> Self {
        self.by_change.insert(number, fault);
        self
    }

    /// At the next call of this kind; several for one kind strike one after
    /// the other.
    #[must_use]
    pub fn next(mut self, kind: CallKind, fault: Fault) -> Self {
        self.by_kind.push((kind, fault));
        self
    }

    /// Every call takes at least so long.
    #[must_use]
    pub fn delay_all(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// How long every call takes.
    pub(super) fn delay(&self) -> Option<Duration> {
        self.delay
    }

    /// What strikes this call, if anything; it won't strike again.
    pub(super) fn strike(&mut self, number: u64, kind: CallKind) -> Option<Fault> {
        if let Some(fault) = self.by_number.remove(&number) {
            return Some(fault);
        }
        if kind.is_mutating() {
            self.changes += 1;
            if let Some(fault) = self.by_change.remove(&self.changes) {
                return Some(fault);
            }
        }
        let position = self.by_kind.iter().position(|(of, _)| *of == kind)?;
        Some(self.by_kind.remove(position).1)
    }
}
