//! The formats, and telling a sealed file from a plain one.

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML: one or more documents.
    Yaml,
    /// JSON: one object.
    Json,
    /// `KEY=value` lines.
    Dotenv,
    /// Anything: once sealed, a JSON object with one value.
    Binary,
}

/// The entry that makes a file a sealed one.
pub(crate) const METADATA_KEY: &str = "sops";
/// What stands before each entry of the metadata in dotenv files.
pub(crate) const METADATA_PREFIX: &str = "sops_";

impl Format {
    /// The format that sops takes a file for, by its name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
        if ends(&[".yaml", ".yml"]) {
            Self::Yaml
        } else if ends(&[".json"]) {
            Self::Json
        } else if ends(&[".env"]) {
            Self::Dotenv
        } else {
            Self::Binary
        }
    }
}

/// Whether text looks like a sealed file. Quick, and rather right about too many:
/// [`crate::open`] then says what is wrong with one that isn't.
#[must_use]
pub fn is_sealed(text: &str, format: Format) -> bool {
    match format {
        Format::Dotenv => text.lines().any(|line| line.starts_with("sops_mac=")),
        Format::Yaml | Format::Json | Format::Binary => has_metadata(text),
    }
}

/// Whether a key `sops` stands in a place where the root's keys may, and a `mac`
/// somewhere.
fn has_metadata(text: &str) -> bool {
    if !text.contains("mac") {
        return false;
    }
    text.match_indices(METADATA_KEY).any(|(start, _)| {
        let before = text[..start].trim_end_matches([' ', '\t']);
        let after = &text[start + METADATA_KEY.len()..];
        let (opened, after) = match (before.chars().next_back(), after.chars().next()) {
            (Some(quote @ ('"' | '\'')), Some(end)) if quote == end => {
                let before = before[..before.len() - 1].trim_end_matches([' ', '\t']);
                (before, &after[1..])
            }
            _ => (before, after),
        };
        let begins = opened.is_empty() || opened.ends_with(['\n', '\r', '{', ',', '\u{feff}']);
        begins && after.trim_start_matches([' ', '\t']).starts_with(':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_is_told_by_its_metadata() {
        for text in [
            "a: 1\nsops:\n  mac: x\n",
            "sops:\n  mac: x\n",
            "{\"a\": 1,\n\t\"sops\": {\"mac\": 1}}",
            "{a: 1, sops: {mac: 1}}",
            "'sops' : {mac: 1}",
        ] {
            assert!(is_sealed(text, Format::Yaml), "{text}");
        }
        for text in [
            "",
            "sops",
            "a: sops: mac",
            "name: devops: mac",
            "devsops:\n mac: 1",
            "# sops mac\na: 1",
        ] {
            assert!(!is_sealed(text, Format::Yaml), "{text}");
        }
        assert!(is_sealed("A=1\nsops_mac=x\n", Format::Dotenv));
        assert!(!is_sealed("A=sops_mac=x\n", Format::Dotenv));
    }
}
