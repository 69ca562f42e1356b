//! Many short lives of what stands on the server: kube-rs controllers with
//! finalizers, reflectors, leader leases, server-side apply by several managers,
//! deletion of namespaces under load, and restarts in the middle of it.
//!
//! Every run is named by a number from which its random choices follow. A run
//! that takes too long fails and says what each of its parts was waiting for.
//!
//! `HADES_STRESS_RUNS=1000` runs every scenario so often, and
//! `HADES_STRESS_FIRST=17` begins with that run.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod apply;
mod controllers;
mod leases;
mod namespaces;
mod restarts;
mod run;
#[path = "../support/mod.rs"]
mod support;
