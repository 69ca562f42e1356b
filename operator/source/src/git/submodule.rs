//! Submodules: which there are, where they come from, and who may be asked for them.
//!
//! A submodule is named by those who write to the repository, not by those who
//! configured it. So none may lead to Hades's own machine unless the repository
//! itself is there, and credentials go to the repository's own host only.

use std::collections::BTreeMap;

use git2::{ObjectType, Oid, Repository, Tree};

use super::tree::MAX_ENTRIES;
use super::url::{RemoteUrl, parse_url};

/// git's own file at the root of a commit.
const FILE: &str = ".gitmodules";
/// Larger than any that people write (bytes).
const MAX_FILE: usize = 256 * 1024;
/// Submodules of one repository, those in submodules included.
pub(super) const MAX_SUBMODULES: usize = 50;
/// Submodules in submodules.
pub(super) const MAX_DEPTH: usize = 5;

/// A submodule of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submodule {
    /// From the root of the commit that it is in.
    pub(super) path: String,
    pub(super) commit: Oid,
}

/// The submodules of a commit in a folder, or on the way to it.
pub(super) fn list(
    repository: &Repository,
    commit: Oid,
    below: &str,
) -> Result<Vec<Submodule>, git2::Error> {
    let below: Vec<&str> = names(below);
    let mut found = Vec::new();
    let root = repository.find_commit(commit)?.tree()?;
    let mut walk = Walk { repository, below: &below, entries: 0, found: &mut found };
    walk.folder(&root, &mut Vec::new())?;
    Ok(found)
}

fn names(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").collect()
}

/// Whether two paths are one, or one is above the other.
fn meet(one: &[String], other: &[&str]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

struct Walk<'a> {
    repository: &'a Repository,
    below: &'a [&'a str],
    entries: usize,
    found: &'a mut Vec<Submodule>,
}

impl Walk<'_> {
    /// Ends early where there is too much: reading it is refused later on.
    fn folder(&mut self, tree: &Tree<'_>, path: &mut Vec<String>) -> Result<(), git2::Error> {
        /// As deep as manifests are looked for.
        const MAX_FOLDERS: usize = 64;
        self.entries = self.entries.saturating_add(tree.len());
        let too_much = self.entries > MAX_ENTRIES || self.found.len() > MAX_SUBMODULES;
        if too_much || path.len() > MAX_FOLDERS {
            return Ok(());
        }
        for entry in tree {
            let Ok(name) = entry.name() else { continue };
            path.push(name.to_owned());
            if meet(path, self.below) {
                match entry.kind() {
                    Some(ObjectType::Tree) => {
                        self.folder(&self.repository.find_tree(entry.id())?, path)?;
                    }
                    Some(ObjectType::Commit) => {
                        let path = path.join("/");
                        self.found.push(Submodule { path, commit: entry.id() });
                    }
                    _ => {}
                }
            }
            path.pop();
        }
        Ok(())
    }
}

/// What is left of a folder's path inside a submodule; `.` if the folder is above it.
pub(super) fn within(below: &str, submodule: &str) -> String {
    match names(below).get(names(submodule).len()..) {
        Some(rest) if !rest.is_empty() => rest.join("/"),
        _ => ".".to_owned(),
    }
}

/// The URLs of a commit's submodules by path.
pub(super) fn urls(
    repository: &Repository,
    commit: Oid,
) -> Result<BTreeMap<String, String>, git2::Error> {
    let tree = repository.find_commit(commit)?.tree()?;
    let Some(entry) = tree.get_name(FILE) else { return Ok(BTreeMap::new()) };
    if entry.kind() != Some(ObjectType::Blob) {
        return Ok(BTreeMap::new());
    }
    let odb = repository.odb()?;
    let (size, _) = odb.read_header(entry.id())?;
    if size > MAX_FILE {
        return Err(git2::Error::from_str("the file .gitmodules is too large"));
    }
    Ok(parse(&String::from_utf8_lossy(odb.read(entry.id())?.data())))
}

/// Reads git's configuration format (git-config) as far as `.gitmodules` uses it.
/// libgit2's reader would follow includes, out of the commit.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut urls = BTreeMap::new();
    let (mut path, mut url): (Option<String>, Option<String>) = (None, None);
    for line in text.lines().map(str::trim).chain(["["]) {
        if line.starts_with('[') {
            if let (Some(path), Some(url)) = (path.take(), url.take()) {
                urls.insert(names(&path).join("/"), url);
            }
        } else if let Some((key, value)) = line.split_once('=') {
            match key.trim().to_ascii_lowercase().as_str() {
                "path" => path = Some(unquoted(value)),
                "url" => url = Some(unquoted(value)),
                _ => {}
            }
        }
    }
    urls
}

/// A value without quotes, escapes and comment.
fn unquoted(value: &str) -> String {
    let mut text = String::new();
    let mut in_quotes = false;
    let mut characters = value.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => in_quotes = !in_quotes,
            '\\' => text.extend(characters.next()),
            '#' | ';' if !in_quotes => break,
            other => text.push(other),
        }
    }
    text.trim().to_owned()
}

/// Where a submodule comes from. `parent` is what it is in, `root` the repository that
/// was configured. The error says what is wrong with it.
pub(super) fn locate(url: &str, parent: &RemoteUrl, root: &RemoteUrl) -> Result<RemoteUrl, String> {
    let whole = if url.starts_with("./") || url.starts_with("../") {
        relative(url, parent)?
    } else {
        url.to_owned()
    };
    let found = parse_url(&whole).map_err(|error| error.to_string())?;
    if found.is_local() && !root.is_local() {
        return Err("it leads to Hades's own machine".to_owned());
    }
    Ok(found)
}

/// As git does it: `../x` is a sibling of the parent.
fn relative(url: &str, parent: &RemoteUrl) -> Result<String, String> {
    let (host, path) = parent.split();
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in url.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or("it leads above the root of the server")?;
            }
            other => parts.push(other),
        }
    }
    let root = if is_rooted { "/" } else { "" };
    Ok(format!("{host}{root}{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitmodules() {
        let urls = parse(
            "[submodule \"one\"]\n\tpath = libs/one/ # here\n\turl = ../one.git\n\
             ; a comment\n[submodule \"a \\\"b\\\"\"]\n  url = \"https://git.example.com/a;b\"\n  \
             path = \"with space\"\n[submodule \"no-url\"]\npath = x\n[submodule \"last\"]\n\
             PATH=last\nUrl=git@git.example.com:last.git\nbranch = main\n",
        );
        let expected = [
            ("last", "git@git.example.com:last.git"),
            ("libs/one", "../one.git"),
            ("with space", "https://git.example.com/a;b"),
        ];
        assert_eq!(
            urls.iter().map(|(path, url)| (path.as_str(), url.as_str())).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn where_submodules_come_from() {
        let at = |url: &str, parent: &str| {
            let parent = parse_url(parent).unwrap();
            locate(url, &parent, &parent).map_or_else(|error| error, |found| found.shown())
        };
        insta::assert_snapshot!(
            [
                at("../lib.git", "https://git.example.com/studio/shop.git"),
                at("./lib.git", "https://git.example.com/studio/shop"),
                at("../../other/lib", "ssh://git@git.example.com:2222/studio/shop.git"),
                at("../lib.git", "git@git.example.com:studio/shop.git"),
                at("../lib", "file:///srv/shop"),
                at("../../../lib", "https://git.example.com/studio/shop"),
                at("https://git.example.org/lib", "https://git.example.com/studio/shop"),
                at("file:///srv/lib", "https://git.example.com/studio/shop"),
                at("http://127.0.0.1/lib", "git@git.example.com:studio/shop"),
                at("ext::sh -c true", "https://git.example.com/studio/shop"),
            ]
            .join("\n"),
            @r"
        https://git.example.com/studio/lib.git
        https://git.example.com/studio/shop/lib.git
        ssh://git@git.example.com:2222/other/lib
        git@git.example.com:studio/lib.git
        file:///srv/lib
        it leads above the root of the server
        https://git.example.org/lib
        it leads to Hades's own machine
        it leads to Hades's own machine
        repositories are fetched over https://, ssh:// or file://, not ext://
        "
        );
    }

    #[test]
    fn folders_inside_submodules() {
        assert_eq!(within("libs/one/deploy", "libs/one"), "deploy");
        assert_eq!(within("libs", "libs/one"), ".");
        assert_eq!(within(".", "libs/one"), ".");
    }
}
