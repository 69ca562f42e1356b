//! Watches: the ring of recent changes and the streams that read it.

mod ring;
mod stream;

pub use ring::{Event, EventKind, Ring};
pub(crate) use stream::{Options, stream};
