//! The Docker provider on a real engine: the laws that every provider keeps,
//! and what only Docker can show.
//!
//! The engine is the one at `HADES_TEST_DOCKER`, or what
//! `hack/testbed/dockerd.sh` gives. Each test makes things under an
//! installation id of its own and removes those, whatever its outcome.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test gives up where it must")]

mod bed;
mod calls;
mod engine;
mod fields;
mod proxy;
mod pulls;
mod registry;
mod secrets;

use bed::DockerBed;

async fn docker() -> DockerBed {
    DockerBed::shared()
}

hades_provider::conformance_tests!(docker);
