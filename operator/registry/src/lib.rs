//! What image registries are asked, over the OCI distribution protocol: the
//! digest of a tag, the tags of a repository, and whether they take credentials.
//!
//! ```text
//! ImageName ─┐
//! Keyring ───┴─▶ Registries ──▶ HEAD manifest │ GET tags │ GET /v2/
//!                    └─ 401 ──▶ token of the realm that the registry names
//! ```
//!
//! Invariants:
//! - every request ends within [`REQUEST_LIMIT`], and no answer is read past a
//!   bound;
//! - credentials go to the registry they are for and to the realm that it names
//!   over TLS; plain HTTP is spoken with this machine alone;
//! - no credentials are in an error or a Debug output.
//!
//! A client of its own on the workspace's HTTP library: the ready-made one hides
//! `Retry-After`, takes a failing token service for wrong credentials, and reads
//! answers of any length.

mod challenge;
mod client;
mod credentials;
mod error;
mod name;

pub use client::{LoginAnswer, REQUEST_LIMIT, Registries};
pub use credentials::{Credentials, DockerConfigError, Keyring, Login, docker_config};
pub use error::RegistryError;
pub use name::{ImageName, NotAnImage, Prefix};
