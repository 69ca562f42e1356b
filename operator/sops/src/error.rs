//! What can be wrong with a file. No variant holds a value or a secret key.

/// What keeps a file from being opened or sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SopsError {
    /// Larger than [`crate::MAX_BYTES`].
    #[error("the file has more than {limit} bytes; split it")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It can't be read as its format.
    #[error("{problem}")]
    Format {
        /// Line, from 1, where it is known.
        line: Option<u32>,
        /// What is wrong.
        problem: FormatProblem,
    },
    /// It has no `sops` entry.
    #[error("the file isn't sealed: its first document has no sops entry")]
    NotSealed,
    /// It has a `sops` entry already.
    #[error("the file is sealed already; `sops edit` changes one, or seal the plain file again")]
    AlreadySealed,
    /// The `sops` entry lacks something, or has what nobody knows.
    #[error("sops.{field}: {problem}")]
    Metadata {
        /// Field below `sops`.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Written by a version whose format isn't known.
    #[error("sops.version: {version:?} isn't known; files of sops 3 can be opened")]
    UnknownVersion {
        /// As the file says.
        version: String,
    },
    /// None of the keys fits.
    #[error("{}", no_key(.recipients, *.groups, *.needed))]
    NoKey {
        /// The age recipients that the file is sealed to.
        recipients: Vec<String>,
        /// Key groups that were opened.
        groups: usize,
        /// Key groups that have to be.
        needed: usize,
    },
    /// The parts of the data key don't make one.
    #[error("the key groups don't come to a data key: the file is damaged or was tampered with")]
    DataKey,
    /// A value that should be encrypted isn't, or not in a way that sops knows.
    #[error(
        "{path}: the value should be encrypted and isn't; was it edited by hand? `sops edit` does it"
    )]
    NotEncrypted {
        /// Keys from the root, joined by dots.
        path: String,
        /// Line, from 1.
        line: u32,
    },
    /// A value doesn't open under its key: it was changed, or stood elsewhere.
    #[error("{path}: the value doesn't belong here: it was changed or moved from another key")]
    Tampered {
        /// Keys from the root, joined by dots.
        path: String,
        /// Line, from 1.
        line: u32,
    },
    /// A value opened to something else than its type says.
    #[error("{path}: what was encrypted isn't {expected}")]
    WrongType {
        /// Keys from the root, joined by dots.
        path: String,
        /// Line, from 1.
        line: u32,
        /// What it should be.
        expected: &'static str,
    },
    /// The values are whole, but something around them was changed.
    #[error("the MAC is wrong: something was added, removed or changed after the file was sealed")]
    MacMismatch,
    /// More keys than are tried.
    #[error("it holds more than {limit} age identities; take out old ones")]
    TooManyIdentities {
        /// The limit.
        limit: usize,
    },
    /// A key file holds no key, or one of another kind.
    #[error("line {line} is no age identity (AGE-SECRET-KEY-1…)")]
    Identity {
        /// Line, from 1.
        line: usize,
    },
    /// A recipient that isn't an age public key.
    #[error("{text:?} is no age recipient (age1…)")]
    Recipient {
        /// As given: public keys are no secret.
        text: String,
    },
    /// Nothing to seal to.
    #[error("no recipient to seal to")]
    NoRecipient,
    /// Nothing in the file is to be sealed.
    #[error("nothing in the file is to be sealed")]
    NothingToSeal,
    /// The system gave no random numbers, or a library failed.
    #[error("the encryption failed: {0}")]
    Encrypt(&'static str),
}

/// Why text isn't a file of its format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatProblem {
    /// The parser's own words, which hold no values.
    #[error("not valid {format}: {message}")]
    Syntax {
        /// `YAML`, `JSON` or `dotenv`.
        format: &'static str,
        /// What the parser says.
        message: String,
    },
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    Encoding,
    /// The root of a document is no mapping.
    #[error("a document must be a mapping")]
    NoMapping,
    /// A key that is no text.
    #[error("a key must be text: quote it")]
    Key,
    /// A key that is too long.
    #[error("a key has more than {0} bytes")]
    LongKey(usize),
    /// A key that is there twice: its beginning.
    #[error("the key {0:?} is there twice")]
    Duplicate(String),
    /// Anchors and aliases.
    #[error("anchors and aliases are not possible in a sealed file: write the value out")]
    Alias,
    /// A tag that changes what a value is: its beginning.
    #[error("the tag {0:?} is not possible in a sealed file")]
    Tag(String),
    /// A number that sops can't hold.
    #[error("the number doesn't fit into 64 bits; quote it if it is meant as text")]
    Number,
    /// A date in a form that isn't RFC 3339.
    #[error("a date in this form is not possible in a sealed file: quote it")]
    Time,
    /// Mappings and lists in one another.
    #[error("nested deeper than {0}")]
    Depth(usize),
    /// More than fits into memory comfortably.
    #[error("more than {0} values")]
    Values(usize),
    /// Metadata that isn't in the first document: what is before it would escape the MAC.
    #[error("the sops entry is in the second document or later, but not in the first")]
    LateMetadata,
}

/// Characters of a key or tag that an error shows.
const WORD_SHOWN: usize = 40;
/// Characters of a path of keys that an error shows.
pub(crate) const PATH_SHOWN: usize = 300;

impl FormatProblem {
    pub(crate) fn duplicate(key: &str) -> Self {
        Self::Duplicate(beginning(key, WORD_SHOWN))
    }

    pub(crate) fn tag(tag: &str) -> Self {
        Self::Tag(beginning(tag, WORD_SHOWN))
    }
}

/// Text that isn't ours, cut to what an error may hold: errors are stored, where more
/// than so much isn't taken.
pub(crate) fn beginning(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl SopsError {
    /// Line of the file, from 1, where there is one.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::Format { line, .. } => *line,
            Self::NotEncrypted { line, .. }
            | Self::Tampered { line, .. }
            | Self::WrongType { line, .. } => Some(*line),
            _ => None,
        }
    }

    /// Whether somebody changed what was sealed, rather than sealed it to others or
    /// in another way.
    #[must_use]
    pub fn is_tampered(&self) -> bool {
        matches!(
            self,
            Self::DataKey
                | Self::NotEncrypted { .. }
                | Self::Tampered { .. }
                | Self::WrongType { .. }
                | Self::MacMismatch
        )
    }

    pub(crate) fn format(line: impl Into<Option<u32>>, problem: FormatProblem) -> Self {
        Self::Format { line: line.into(), problem }
    }
}

/// Recipients that an error lists.
const RECIPIENTS_SHOWN: usize = 5;

fn no_key(recipients: &[String], groups: usize, needed: usize) -> String {
    let shown: Vec<&str> = recipients.iter().take(RECIPIENTS_SHOWN).map(String::as_str).collect();
    let more = match recipients.len().saturating_sub(RECIPIENTS_SHOWN) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let to = match shown.is_empty() {
        true => "it is sealed to no age recipient at all".to_owned(),
        false => format!("it is sealed to {}{more}", shown.join(", ")),
    };
    match needed {
        0 | 1 => format!("none of the keys opens the file: {to}"),
        _ => format!("the keys open {groups} key groups of {needed} that are needed: {to}"),
    }
}
