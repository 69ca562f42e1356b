//! Health checks that Hades makes itself, and what it notices of containers
//! that end again and again. The results are laid over what was observed, so
//! that the planner sees one world.
//!
//! ```text
//! a pass ──▶ Monitor::lay ──▶ what to check, by host ──▶ a task per host
//!    ▲              └── verdicts into the snapshot          │ dial, ask
//!    └───────────── a wake when a verdict changes ◀─────────┘
//! ```
//!
//! All of it is memory that may be lost at any time: a check then begins anew,
//! from what the status last said.

mod monitor;
mod probe;
mod restarts;
mod tls;
mod verdict;

pub(crate) use monitor::{Known, Monitor, Watch};
