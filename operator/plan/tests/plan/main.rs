//! What the crate promises, seen from outside.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod cases;
mod cleanup;
mod fields;
mod fixture;
mod images;
mod placement;
mod policy;
mod properties;
mod purity;
mod rendering;
mod resolving;
mod rollouts;
mod secrecy;
mod simulator;
