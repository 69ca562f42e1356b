//! What the crate promises, seen from outside.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod cases;
mod cleanup;
mod fixture;
mod images;
mod properties;
mod purity;
mod rendering;
mod resolving;
mod secrecy;
mod simulator;
