//! The Kubernetes wire format as pure functions over JSON.
//!
//! ```text
//!             bytes in                          bytes out
//!  accept ──▶ which form ──▶ protobuf, patch    table, status, event_view
//!                              apply (SSA)      discovery, openapi
//!                              selector
//! ```
//!
//! Invariants: nothing here reads a clock, a file or a socket (times are passed
//! in); no input panics; every error is a [`status::StatusError`] that says what is
//! wrong and what would be right.

pub mod accept;
pub mod apply;
pub mod discovery;
pub mod event_view;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod raw;
pub mod selector;
pub mod status;
pub mod table;
