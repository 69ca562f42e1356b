//! All manifests of a folder, built file by file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use hades_sops::Keys;
use sha2::{Digest, Sha256};

use super::ignore::Ignore;
use super::object::{self, Objects, Origin};
use super::sealed::{self, Encrypted, Unsealed};
use super::{
    Document, Fault, IGNORE_FILE, ManifestError, ObjectKey, Position, ReadError, is_manifest_name,
    node, text,
};

/// What a set of manifests may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes per file. A larger file is an error of that file.
    pub file_bytes: u64,
    /// Manifests.
    pub files: usize,
    /// Bytes of all manifests together.
    pub total_bytes: u64,
    /// Documents of all manifests together.
    pub documents: usize,
    /// Nesting of mappings and lists within a document, and of folders.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            file_bytes: 1024 * 1024,
            files: 5_000,
            total_bytes: 64 * 1024 * 1024,
            documents: 10_000,
            depth: 64,
        }
    }
}

/// The documents and errors of a folder of manifests.
#[derive(Clone, Debug)]
pub struct ManifestSet {
    /// The objects, by file and by their order in it. Where there are errors these
    /// are only the sound ones: not to be applied, but good to check further.
    pub documents: Vec<Document>,
    /// Everything that is wrong, by file and line.
    pub errors: Vec<ManifestError>,
    /// What was left out and may surprise, such as submodules.
    pub notes: Vec<String>,
    /// How many manifests were read.
    pub files: usize,
    /// SHA-256 in hex over paths and contents: the same as long as they are.
    pub digest: String,
}

impl ManifestSet {
    /// Takes in another set, as for several `-f` of a command line. An object that
    /// is in both is an error.
    pub fn extend(&mut self, other: ManifestSet) {
        self.documents.extend(other.documents);
        self.errors.extend(other.errors);
        self.notes.extend(other.notes);
        self.files += other.files;
        self.digest = hex(Sha256::new().chain_update(&self.digest).chain_update(&other.digest));
        self.settle();
    }

    /// Reports objects that are there twice and puts everything in order.
    fn settle(&mut self) {
        // Stable: documents of one file keep their order.
        self.documents
            .sort_by(|left, right| (&left.file, left.index).cmp(&(&right.file, right.index)));
        let mut first_of: BTreeMap<ObjectKey, usize> = BTreeMap::new();
        let mut again = Vec::new();
        for (index, document) in self.documents.iter().enumerate() {
            let first = *first_of.entry(document.key()).or_insert(index);
            if first != index {
                again.push(index);
                self.errors.push(twice(document, &self.documents[first]));
            }
        }
        for index in again.into_iter().rev() {
            self.documents.remove(index);
        }
        self.errors.sort();
        self.errors.dedup();
    }
}

fn twice(document: &Document, first: &Document) -> ManifestError {
    let at = document.locate_nearest("metadata.name");
    let first_at = first.locate_nearest("metadata.name");
    let message = if document.file == first.file {
        format!("{document} is in this file twice: it is already on line {}", first_at.line)
    } else {
        format!(
            "{document} is in two files: it is already in {} on line {}",
            first.file, first_at.line
        )
    };
    document.error(at, message)
}

/// Builds a [`ManifestSet`]. Files may come in any order.
pub(crate) struct SetBuilder {
    limits: Limits,
    /// Put before the paths of files in documents and errors, with its `/`.
    shown_below: String,
    ignore: Ignore,
    /// Where there are any, only files that fit one are read.
    include: Ignore,
    /// What sealed files are opened with. Without, they stay sealed.
    keys: Option<Keys>,
    documents: Vec<Document>,
    errors: Vec<ManifestError>,
    notes: Vec<String>,
    /// Path → identity of its content.
    contents: BTreeMap<String, String>,
    total_bytes: u64,
    total_documents: usize,
}

impl SetBuilder {
    pub(crate) fn new(limits: Limits, shown_below: String) -> Self {
        SetBuilder {
            limits,
            shown_below,
            ignore: Ignore::default(),
            include: Ignore::default(),
            keys: None,
            documents: Vec::new(),
            errors: Vec::new(),
            notes: Vec::new(),
            contents: BTreeMap::new(),
            total_bytes: 0,
            total_documents: 0,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes the folder's `.hadesignore`, before any file.
    pub(crate) fn ignore(&mut self, bytes: &[u8]) {
        let file = format!("{}{IGNORE_FILE}", self.shown_below);
        let Ok(text) = std::str::from_utf8(bytes) else {
            return self.errors.push(ManifestError::of_file(file, "not UTF-8 text"));
        };
        let (ignore, bad) = Ignore::parse(text);
        self.ignore = ignore;
        for pattern in bad {
            let error = ManifestError {
                file: file.clone(),
                position: Some(Position { line: pattern.line, column: 1 }),
                document: None,
                message: pattern.message.to_owned(),
                fault: Fault::Manifest,
                excerpt: None,
            };
            self.errors.push(error.with_excerpt(text));
        }
    }

    /// Leaves out more, and what doesn't fit a pattern of `include` if there are any.
    pub(crate) fn filter(&mut self, include: &[String], ignore: &[String]) {
        self.include = Ignore::of(include);
        self.ignore.extend(Ignore::of(ignore));
    }

    /// Opens sealed files with these keys.
    pub(crate) fn open_with(&mut self, keys: Option<&Keys>) {
        self.keys = keys.cloned();
    }

    /// Whether a file or folder is left out, by its relative path.
    pub(crate) fn is_ignored(&self, path: &str) -> bool {
        self.ignore.covers(path)
    }

    /// Whether a file is to be read, by its relative path.
    pub(crate) fn wants(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        is_manifest_name(name)
            && !self.is_ignored(path)
            && (self.include.is_empty() || self.include.covers(path))
    }

    /// Notes what was left out.
    pub(crate) fn note(&mut self, path: &str, text: &str) {
        self.notes.push(format!("{}{path}: {text}", self.shown_below));
    }

    /// Refuses a file as a whole.
    pub(crate) fn refuse(&mut self, path: &str, message: impl Into<String>) {
        let file = format!("{}{path}", self.shown_below);
        self.errors.push(ManifestError::of_file(file, message));
    }

    /// Whether a file of this size may be read; if not, it is refused.
    pub(crate) fn admits(&mut self, path: &str, bytes: u64) -> Result<bool, ReadError> {
        if self.contents.len() >= self.limits.files {
            return Err(ReadError::TooManyFiles { limit: self.limits.files });
        }
        if bytes > self.limits.file_bytes {
            let message = format!(
                "the file is larger than {} bytes; split it, or name it in {IGNORE_FILE} if it \
                 is no manifest",
                self.limits.file_bytes
            );
            self.refuse(path, message);
            return Ok(false);
        }
        if self.total_bytes.saturating_add(bytes) > self.limits.total_bytes {
            return Err(ReadError::TooManyBytes { limit: self.limits.total_bytes });
        }
        Ok(true)
    }

    /// Reads a file. `id` is the identity of its content (git's blob id).
    pub(crate) fn add(&mut self, path: &str, id: &str, bytes: &[u8]) -> Result<(), ReadError> {
        if !self.admits(path, bytes.len() as u64)? {
            return Ok(());
        }
        self.total_bytes += bytes.len() as u64;
        self.contents.insert(path.to_owned(), id.to_owned());
        let file = format!("{}{path}", self.shown_below);
        if is_kustomization(path) {
            let message = format!(
                "Hades doesn't run kustomize: commit the objects themselves, or name the file in \
                 {IGNORE_FILE}"
            );
            self.errors.push(ManifestError::of_file(file, message));
            return Ok(());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => self.add_opened(&file, text),
            Err(error) => {
                let line =
                    bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
                let message = format!("not UTF-8 text (line {line})");
                self.errors.push(ManifestError::of_file(file, message));
                Ok(())
            }
        }
    }

    /// Adds a file, opened first if it is sealed and there are keys.
    fn add_opened(&mut self, file: &str, content: &str) -> Result<(), ReadError> {
        let Some(keys) = &self.keys else {
            if sealed::is_whole(file, content) {
                let message =
                    "it is sealed as a whole: commit it, and the ConfigRepository opens it";
                let error = ManifestError::of_file(file, message);
                self.errors.push(ManifestError { fault: Fault::Sealed, ..error });
                return Ok(());
            }
            return self.add_text(file, content, &Encrypted::Nothing);
        };
        let Unsealed { bytes, encrypted } = match sealed::open(file, content, keys) {
            Ok(Some(opened)) => opened,
            Ok(None) => {
                let before = self.documents.len();
                self.add_text(file, content, &Encrypted::Nothing)?;
                let still = self.documents[before..].iter().filter(|document| document.sealed);
                let message = "it is sealed, but not in a way that can be read";
                let errors: Vec<_> = still
                    .map(|document| ManifestError {
                        fault: Fault::Sealed,
                        ..document.error_at("sops", message)
                    })
                    .collect();
                self.errors.extend(errors);
                return Ok(());
            }
            Err(error) => {
                self.errors.push(error);
                return Ok(());
            }
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => self.add_text(file, text, &encrypted),
            Err(_) => {
                let message = "what was sealed is no UTF-8 text";
                self.errors.push(ManifestError::of_file(file, message));
                Ok(())
            }
        }
    }

    fn add_text(
        &mut self,
        file: &str,
        content: &str,
        encrypted: &Encrypted,
    ) -> Result<(), ReadError> {
        // Lines of an opened file are shown nowhere.
        let is_opened = !matches!(encrypted, Encrypted::Nothing);
        let whole: Arc<str> = Arc::from(content);
        if file.to_ascii_lowercase().ends_with(".json")
            && let Err(problem) = text::check_json(content)
        {
            let error = ManifestError {
                file: file.to_owned(),
                position: problem.at,
                document: Some(0),
                message: problem.message,
                fault: Fault::Manifest,
                excerpt: None,
            };
            self.errors.push(if is_opened || object::may_hold_secret(content) {
                error
            } else {
                error.with_excerpt(content)
            });
            return Ok(());
        }
        for (index, part) in text::parts(content).iter().enumerate() {
            self.total_documents += 1;
            if self.total_documents > self.limits.documents {
                return Err(ReadError::TooManyDocuments { limit: self.limits.documents });
            }
            let origin = Origin {
                file,
                index,
                part,
                text: &whole,
                shown: !is_opened && !object::may_hold_secret(part.text),
                encrypted: encrypted.within(part.start..part.start + part.text.len()),
            };
            match text::parse(part, self.limits.depth) {
                Ok(node) => {
                    let Objects { documents, errors, .. } =
                        origin.objects(node::split(node, part.lines_above));
                    self.documents.extend(documents);
                    self.errors.extend(errors);
                }
                Err(problem) => self.errors.push(origin.error(problem.at, problem.message)),
            }
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> ManifestSet {
        let mut hasher = Sha256::new();
        for (path, id) in &self.contents {
            // Lengths first, so that no path can pass for another one's end.
            hasher.update((path.len() as u64).to_be_bytes());
            hasher.update(path);
            hasher.update((id.len() as u64).to_be_bytes());
            hasher.update(id);
        }
        let mut set = ManifestSet {
            documents: self.documents,
            errors: self.errors,
            notes: self.notes,
            files: self.contents.len(),
            digest: hex(hasher),
        };
        set.notes.sort();
        set.settle();
        set
    }
}

fn is_kustomization(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    ["kustomization.yaml", "kustomization.yml"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
