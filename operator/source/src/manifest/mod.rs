//! YAML and JSON manifests: parsing, positions and errors.
//!
//! A [`ManifestSet`] is built file by file; every file is cut into its
//! documents, every document becomes a [`Document`] or errors.

mod document;
mod error;
mod folder;
mod ignore;
mod node;
mod object;
mod position;
mod read_error;
mod sealed;
pub(crate) mod set;
pub(crate) mod stack;
mod syntax;
mod text;

pub use document::{Document, ObjectKey};
pub use error::{Fault, ManifestError};
pub use folder::{STDIN_NAME, read_bytes, read_dir, read_path};
pub use position::Position;
pub use read_error::ReadError;
pub use set::{Limits, ManifestSet};

/// Name of the file, in the folder that is read, which lists what is no manifest.
pub const IGNORE_FILE: &str = ".hadesignore";

/// Whether a file of this name is read as a manifest.
pub fn is_manifest_name(name: &str) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
