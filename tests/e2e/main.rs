//! The whole of Hades: the real binaries, a real Docker engine, a real git.
//!
//! Needs root and what `hack/test.sh` installs. Each test has a server and a
//! project of its own, so that they can run side by side on one engine.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod access;
mod backups;
mod bed;
mod commands;
mod crash;
mod engine;
mod faults;
mod gate;
mod hades;
mod hosts;
mod install;
mod journey;
mod planted;
mod redaction;
mod restored;
mod rollouts;
mod sealed;
mod secrets;
#[path = "../../operator/ssh/tests/support/mod.rs"]
mod sshd;
mod sweep;
mod terminal;
mod trouble;
mod two_hosts;
