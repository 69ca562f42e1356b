//! Ranges of versions, and which of many tags is the newest of one: for the tags of
//! images and those of git.

use semver::{Version, VersionReq};

/// Versions that are wanted: alternatives between `||`, each a list of conditions
/// that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRange {
    alternatives: Vec<VersionReq>,
}

/// Why a text is no range of versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a range of versions ({problem}): write it like >=1.2 <2, ^1.4, ~1.4.2 or 1.x"
)]
pub struct BadRange {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

impl VersionRange {
    /// From text such as `>=1.2 <2 || ^3`. A version alone means that very one:
    /// `1.2.3`; with parts left out all that begin so: `1.2`, `1.x`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(text: &str) -> Result<Self, BadRange> {
        let bad = |problem: String| BadRange { text: text.to_owned(), problem };
        let alternatives = text
            .split("||")
            .map(|part| {
                let conditions = conditions(part);
                if conditions.is_empty() {
                    return Err(bad("nothing is said".to_owned()));
                }
                VersionReq::parse(&conditions.join(", ")).map_err(|error| bad(error.to_string()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { alternatives })
    }

    /// Whether a version is wanted. A prerelease is only where a condition names
    /// one of the same version.
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|conditions| conditions.matches(version))
    }

    /// The newest version that is wanted among tags. Tags that are no full version
    /// (`latest`, `1.2`) are passed over, as those move.
    pub fn newest<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        tags.into_iter()
            .filter_map(|tag| Some((version(tag)?, tag)))
            .filter(|(version, _)| self.contains(version))
            // Of `1.2.3` and `v1.2.3` the shorter one, whatever the order.
            .max_by(|(a, a_tag), (b, b_tag)| {
                a.cmp_precedence(b).then(b_tag.len().cmp(&a_tag.len())).then(b_tag.cmp(a_tag))
            })
            .map(|(_, tag)| tag)
    }
}

/// Conditions of one alternative: an operator may stand apart from its version.
fn conditions(text: &str) -> Vec<String> {
    let mut conditions: Vec<String> = Vec::new();
    let mut operator = String::new();
    for word in text.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
        let is_operator = word.chars().all(|c| "<>=~^".contains(c));
        if is_operator {
            operator.push_str(word);
            continue;
        }
        let word = std::mem::take(&mut operator) + word;
        // Alone, the library takes a version for "compatible with it".
        let bare = word.starts_with(|c: char| c.is_ascii_digit());
        conditions.push(match bare && !has_wildcard(&word) {
            true => format!("={word}"),
            false => word,
        });
    }
    if !operator.is_empty() {
        conditions.push(operator);
    }
    conditions
}

/// Whether part of a version is left open. What follows `-` and `+` is free text.
fn has_wildcard(version: &str) -> bool {
    version.split(['-', '+']).next().is_some_and(|core| core.contains(['x', 'X', '*']))
}

/// The version that a tag names, if it is one in full.
fn version(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest<'a>(range: &str, tags: &[&'a str]) -> Option<&'a str> {
        VersionRange::parse(range).unwrap().newest(tags.iter().copied())
    }

    #[test]
    fn the_newest_version_in_the_range() {
        let tags = ["1.9.0", "1.10.0", "2.0.0", "latest", "1.10", "1.2.0", "v1.10.0", "2.1.0-rc.1"];
        for (range, expected) in [
            (">=1.2 <2", Some("1.10.0")),
            (">= 1.2, < 2", Some("1.10.0")),
            ("^1.2", Some("1.10.0")),
            ("~1.9", Some("1.9.0")),
            ("1.2.0", Some("1.2.0")),
            ("1.x", Some("1.10.0")),
            ("1", Some("1.10.0")),
            ("*", Some("2.0.0")),
            (">=2", Some("2.0.0")),
            (">=2.1.0-rc.0", Some("2.1.0-rc.1")),
            ("<1 || 2.x", Some("2.0.0")),
            (">=3", None),
        ] {
            assert_eq!(newest(range, &tags), expected, "{range}");
        }
        assert_eq!(newest("1.2.3-next", &["1.2.3-next", "1.2.3-nexu"]), Some("1.2.3-next"));
        assert_eq!(newest("*", &["v1.0.0", "1.0.0"]), newest("*", &["1.0.0", "v1.0.0"]));
    }

    #[test]
    fn prereleases_need_to_be_named() {
        let tags = ["2.0.0-rc.1", "2.0.0-rc.10", "2.0.0-rc.9", "1.0.0"];
        assert_eq!(newest(">=1", &tags), Some("1.0.0"));
        assert_eq!(newest(">=2.0.0-rc.1", &tags), Some("2.0.0-rc.10"));
    }

    #[test]
    fn what_is_no_range() {
        for bad in ["", "||", "soon", ">=", "1.2.3 -", ">=1.2 || "] {
            let error = VersionRange::parse(bad).unwrap_err().to_string();
            assert!(error.contains("write it like"), "{error}");
        }
    }
}
