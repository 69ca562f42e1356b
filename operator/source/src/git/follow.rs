//! What of a repository is followed: a branch, a tag, a range of versions, or one
//! commit.

use std::collections::BTreeMap;
use std::fmt;

use git2::Oid;
use hades_api::VersionRange;

use super::FetchError;
use crate::nearest::nearest;

pub(super) const HEADS: &str = "refs/heads/";
pub(super) const TAGS: &str = "refs/tags/";

/// Names in the error about a missing one.
const SHOWN_NAMES: usize = 5;

/// References by their whole names, such as `refs/heads/main`.
pub(super) type References = BTreeMap<String, Target>;

/// Where a reference points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The object itself: a commit, or a tag of one.
    pub(super) id: Oid,
    /// The commit.
    pub(super) commit: Oid,
}

impl Target {
    /// Straight to a commit.
    pub(super) fn commit(id: Oid) -> Self {
        Target { id, commit: id }
    }
}

/// What of a repository is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The tip of a branch; its name without `refs/heads/`.
    Branch(String),
    /// A tag by its name without `refs/tags/`, or a range of versions (`^1.4`,
    /// `>=2, <3`, `1.x`), of which the newest tag is taken. Tags may begin with `v`.
    Tag(String),
    /// One commit by its whole id.
    Commit(String),
}

/// What was found of what is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// `branch main`, `tag v1.4.2`.
    pub(super) name: String,
    pub(super) target: Target,
}

impl Follow {
    /// Checks names by git's own rules, and ranges.
    pub(super) fn check(&self) -> Result<(), FetchError> {
        let invalid = |reason: String| Err(FetchError::Invalid(reason));
        let (name, namespace, what) = match self {
            Follow::Branch(name) => (name, HEADS, "branch"),
            Follow::Tag(text) if is_range(text) => {
                return match VersionRange::parse(text) {
                    Ok(_) => Ok(()),
                    Err(error) => invalid(error.to_string()),
                };
            }
            Follow::Tag(name) => (name, TAGS, "tag"),
            Follow::Commit(id) => {
                let whole = id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
                return if whole {
                    Ok(())
                } else {
                    invalid(format!("{id:?} is not the whole id of a commit (40 digits)"))
                };
            }
        };
        if name.starts_with("refs/") {
            return invalid(format!("{name:?} is not a {what}'s name: leave out {namespace:?}"));
        }
        if !git2::Reference::is_valid_name(&format!("{namespace}{name}")) {
            return invalid(format!("{name:?} can't be a {what}'s name"));
        }
        Ok(())
    }

    /// Beginning of the references that are needed to choose.
    pub(super) fn prefix(&self) -> String {
        match self {
            Follow::Branch(name) => format!("{HEADS}{name}"),
            Follow::Tag(range) if is_range(range) => TAGS.to_owned(),
            Follow::Tag(name) => format!("{TAGS}{name}"),
            Follow::Commit(_) => String::new(),
        }
    }

    /// The one that is followed, if it is among them.
    pub(super) fn choose(&self, references: &References) -> Option<Found> {
        let exactly = |namespace: &str, name: &str, what: &str| {
            let target = *references.get(&format!("{namespace}{name}"))?;
            Some(Found { name: format!("{what} {name}"), target })
        };
        match self {
            Follow::Branch(name) => exactly(HEADS, name, "branch"),
            Follow::Tag(range) if is_range(range) => {
                let tags = references.keys().filter_map(|name| name.strip_prefix(TAGS));
                exactly(TAGS, VersionRange::parse(range).ok()?.newest(tags)?, "tag")
            }
            Follow::Tag(name) => exactly(TAGS, name, "tag"),
            Follow::Commit(id) => {
                let target = Target::commit(Oid::from_str(id).ok()?);
                Some(Found { name: self.to_string(), target })
            }
        }
    }

    /// The error when it is not among all references.
    pub(super) fn missing(&self, url: &str, references: &References) -> FetchError {
        if references.is_empty() {
            return FetchError::EmptyRepository { url: url.to_owned() };
        }
        let named = |namespace: &'static str| {
            references.keys().filter_map(move |name| name.strip_prefix(namespace))
        };
        let first = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            names.take(SHOWN_NAMES).map(str::to_owned).collect()
        };
        match self {
            Follow::Branch(branch) => FetchError::BranchNotFound {
                branch: branch.clone(),
                nearest: usual_other(branch)
                    .filter(|name| references.contains_key(&format!("{HEADS}{name}")))
                    .map(str::to_owned)
                    .or_else(|| nearest(branch, named(HEADS))),
                available: first(&mut named(HEADS)),
            },
            Follow::Tag(tag) => FetchError::TagNotFound {
                range: is_range(tag),
                tag: tag.clone(),
                nearest: if is_range(tag) { None } else { nearest(tag, named(TAGS)) },
                // The last ones are, more or less, the newest.
                available: first(&mut named(TAGS).collect::<Vec<_>>().into_iter().rev()),
            },
            Follow::Commit(commit) => FetchError::CommitNotFound { commit: commit.clone() },
        }
    }
}

/// `branch main`, as the cache and people know it.
impl fmt::Display for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Follow::Branch(name) => write!(f, "branch {name}"),
            Follow::Tag(name) => write!(f, "tag {name}"),
            Follow::Commit(id) => write!(f, "commit {id}"),
        }
    }
}

/// The two usual names of the first branch are not similar to the eye.
fn usual_other(branch: &str) -> Option<&'static str> {
    match branch {
        "main" => Some("master"),
        "master" => Some("main"),
        _ => None,
    }
}

/// Whether a text is a range of versions and not a tag's name: it begins with a
/// comparison, or is a version of which a part is a wildcard, or several of them.
fn is_range(text: &str) -> bool {
    // What follows `-` and `+` in a version is free text.
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let open = core.split(['.', ',', ' ']).any(|part| matches!(part, "x" | "X" | "*"));
    text.starts_with(['^', '~', '>', '<', '=', '*'])
        || (text.starts_with(|first: char| first.is_ascii_digit())
            && (open || text.contains(' ') || text.contains("||")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(names: &[&str]) -> References {
        let id = Oid::from_str(&"1".repeat(40)).unwrap();
        names.iter().map(|name| ((*name).to_owned(), Target::commit(id))).collect()
    }

    #[test]
    fn branch_names() {
        let check = |branch: &str| Follow::Branch(branch.to_owned()).check();
        assert!(check("main").is_ok());
        assert!(check("release/1.2").is_ok());
        for branch in ["", "refs/heads/main", "a b", "a..b", "a:b", "a*", "a\nb"] {
            assert!(check(branch).is_err(), "{branch:?}");
        }
    }

    #[test]
    fn commits_are_named_whole() {
        let check = |id: &str| Follow::Commit(id.to_owned()).check();
        assert!(check(&"a1".repeat(20)).is_ok());
        for id in ["", "a1b2c3d", &"g".repeat(40)] {
            assert!(check(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn the_newest_version_of_a_range_wins() {
        let all = references(&[
            "refs/tags/v1.9.0",
            "refs/tags/v1.10.0",
            "refs/tags/1.10.1-rc.1",
            "refs/tags/v2.0.0",
            // The same version in two forms: the shorter one, as with images.
            "refs/tags/2.0.0",
            "refs/tags/1.5.0-rc.x",
            "refs/tags/latest",
            "refs/heads/v1.99.0",
        ]);
        for (range, expected) in [
            ("^1", Some("tag v1.10.0")),
            ("1.x", Some("tag v1.10.0")),
            ("~1.9", Some("tag v1.9.0")),
            (">=1.9, <2", Some("tag v1.10.0")),
            (">=1.9 <2", Some("tag v1.10.0")),
            ("^3 || ~1.9", Some("tag v1.9.0")),
            ("1.9.0 || 3.x", Some("tag v1.9.0")),
            ("1.5.0-rc.x", Some("tag 1.5.0-rc.x")),
            ("*", Some("tag 2.0.0")),
            ("=1.10.1-rc.1", Some("tag 1.10.1-rc.1")),
            ("^3", None),
            ("v1.9.0", Some("tag v1.9.0")),
            ("latest", Some("tag latest")),
            ("1.9.0", None),
        ] {
            let follow = Follow::Tag(range.to_owned());
            follow.check().unwrap();
            assert_eq!(follow.choose(&all).map(|found| found.name).as_deref(), expected, "{range}");
        }
        let unreadable = Follow::Tag("^one".to_owned()).check().unwrap_err();
        assert!(unreadable.to_string().contains("not a range of versions"), "{unreadable}");
    }

    #[test]
    fn what_is_missing_is_named_with_what_there_is() {
        let all = references(&["refs/heads/main", "refs/tags/v1.0.0", "refs/tags/v1.1.0"]);
        let missing = |follow: Follow| follow.missing("URL", &all).to_string();
        insta::assert_snapshot!(
            [
                missing(Follow::Branch("master".to_owned())),
                missing(Follow::Tag("v1.1".to_owned())),
                missing(Follow::Tag("^2".to_owned())),
                missing(Follow::Commit("1".repeat(40))),
                Follow::Tag("a".to_owned()).missing("URL", &References::new()).to_string(),
            ]
            .join("\n"),
            @r#"
        the repository has no branch "master"; did you mean "main"? (there are: main)
        the repository has no tag "v1.1"; did you mean "v1.1.0"? (there are: v1.1.0, v1.0.0)
        the repository has no tag in the range "^2" (there are: v1.1.0, v1.0.0)
        the repository has no commit 1111111111111111111111111111111111111111, or doesn't give it out: it must be in a branch or a tag
        the repository URL is empty: push a first commit
        "#
        );
    }
}
