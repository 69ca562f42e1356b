//! Manifests out of git repositories.
//!
//! ```text
//!   file:// https://                    a folder, a file, standard input
//!        │ git::Repository::fetch              │ manifest::read_dir, read_bytes
//!        ▼                                     │ (the CLI's offline checks)
//!   bare cache ── read(commit, path) ──┐       │
//!   (objects only, no work tree)       ▼       ▼
//!                         manifest::ManifestSet
//!                     documents · errors · digest
//! ```
//!
//! Invariants:
//! - What is read comes out of a commit's tree, never out of a work tree, and
//!   symbolic links are never followed: no path leaves the folder it was given.
//! - Everything is bounded: bytes fetched, files, bytes per file, documents,
//!   nesting and the growth by YAML aliases.
//! - All errors of all files come at once, each with its file, line and column.
//! - Contents of a `Secret` show up in no error, no `Debug` and no log line. What sops
//!   sealed is opened in memory only, and only into Secrets.
//!
//! The crate knows no Hades kind: it yields untyped documents, and
//! [`manifest::Document::error_at`] turns what validation finds later into an
//! error that points at the line.

pub mod git;
pub mod manifest;
mod nearest;
