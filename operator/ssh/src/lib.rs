//! SSH with pinned host keys: one connection, streams and commands over it.
