//! Users through HTTP: how they log in, what they log in with, and who decides it.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod bed;
mod directory;
mod first_start;
mod logins;
mod others;
mod rules;
mod second_factor;
mod sessions;
mod tokens;
mod vault;
