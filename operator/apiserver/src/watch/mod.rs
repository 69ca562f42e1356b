//! Watches: the ring of recent changes and the streams that read it.

mod event;
mod initial;
mod line;
mod options;
mod ring;
mod stream;

pub use event::{Appearance, Event, EventKind};
pub(crate) use options::Options;
pub use ring::Ring;
pub(crate) use stream::{Watcher, stream};
