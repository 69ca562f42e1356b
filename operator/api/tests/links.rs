//! What documents point to is there: files, and headings of them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn pages(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

/// Lines outside of fences.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// What forges make of a heading: lower case, without punctuation, joined by hyphens.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in prose(page).filter(|line| line.starts_with('#')) {
        let first = anchor(heading.trim_start_matches('#'));
        let further = (1..).map(|n| format!("{first}-{n}"));
        let free = std::iter::once(first.clone()).chain(further).find(|name| !found.contains(name));
        found.extend(free);
    }
    found
}

/// Targets of the links of a page, without those that lead elsewhere.
fn links(page: &str) -> Vec<String> {
    let text: Vec<&str> = prose(page).collect();
    let text = text.join("\n");
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let own = targets.filter(|target| !target.contains("://") && !target.contains(' '));
    own.map(str::to_owned).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = vec![root().join("README.md")];
    for dir in ["docs", "examples"] {
        pages(&root().join(dir), &mut found);
    }
    let (mut dead, mut count) = (Vec::new(), 0);
    for path in found {
        let page = std::fs::read_to_string(&path).unwrap();
        for link in links(&page) {
            count += 1;
            let (file, name) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = match std::fs::read_to_string(&target) {
                Ok(page) => name.is_empty() || anchors(&page).contains(name),
                Err(_) => target.exists() && name.is_empty(),
            };
            if !there {
                let page = path.strip_prefix(root()).unwrap().display().to_string();
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(count > 50, "only {count} links were found");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn anchors_are_those_of_forges() {
    let page = "# Suspend, stop and restart\n```\n# none\n```\n## `a_b`\n## `a_b`\n";
    assert_eq!(Vec::from_iter(anchors(page)), ["a_b", "a_b-1", "suspend-stop-and-restart"]);
}
