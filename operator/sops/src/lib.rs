//! Files in the formats of [sops](https://getsops.io), with age keys.
//!
//! ```text
//!   text ─▶ yaml · json · dotenv ─▶ Tree ──┐ rule: which values are sealed
//!                                          ▼
//!   Keys ─▶ metadata: data key ─▶ cipher: each value, bound to its path; MAC
//!                                          │
//!   text with other values  ◀── splice ◀───┘
//! ```
//!
//! [`open`] and [`seal`] put other values into the text as it stands: comments,
//! order and lines stay, so that an error found in what was opened points at the
//! right line of the file.
//!
//! Invariants:
//! - Nothing is read or written but memory. Random numbers come from the system.
//! - Everything is bounded: bytes, nesting, values, keys, patterns.
//! - No error, no `Debug` and no log line holds a value or a key. Paths, lines and
//!   public keys show up in errors.
//! - Nothing of a file comes out before all of it was checked (MAC).

mod cipher;
mod dotenv;
mod error;
mod format;
mod go_time;
mod json;
mod keys;
mod mac;
mod metadata;
mod open;
mod rule;
mod scalar;
mod seal;
mod shamir;
mod splice;
mod tree;
mod yaml;

pub use error::{FormatProblem, SopsError};
pub use format::{Format, is_sealed};
pub use keys::{Keys, MAX_IDENTITIES, Recipient, new_identity};
pub use open::{Opened, open};
pub use seal::{SealOptions, seal};

/// Bytes that a file may have.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;
