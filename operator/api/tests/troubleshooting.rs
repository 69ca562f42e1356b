//! docs/troubleshooting.md explains every condition and every reason.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

/// Values of the constants of a source file.
fn constants(path: &str) -> BTreeSet<String> {
    let source = read(path);
    let value = |line: &str| Some(line.split_once("&str = \"")?.1.split_once('"')?.0.to_owned());
    // rustfmt puts the value of a long one onto a line of its own.
    let joined = source.replace("&str =\n    ", "&str = ");
    joined.lines().filter(|line| line.starts_with("pub const ")).filter_map(value).collect()
}

/// First cells of the tables below a heading, without their backquotes; the last
/// cell of each must say what to do.
fn explained(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut found = BTreeSet::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once("` |").unwrap_or_else(|| panic!("{heading}: {row}"));
        let cells: Vec<_> = rest.trim_end_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() >= 3, "{name}: on what, what it means, what to do");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{name} has an empty cell");
        assert!(found.insert(name.to_owned()), "{name} is there twice");
    }
    found
}

#[test]
fn every_reason_is_explained() {
    let page = read("docs/troubleshooting.md");
    let reasons = constants("operator/api/src/reason.rs");
    assert!(reasons.len() > 25, "{reasons:?}");
    assert_eq!(explained(&page, "Reasons"), reasons);
}

#[test]
fn every_condition_is_explained() {
    let page = read("docs/troubleshooting.md");
    let conditions = constants("operator/api/src/condition.rs");
    assert!(conditions.len() >= 5, "{conditions:?}");
    assert_eq!(explained(&page, "Conditions"), conditions);
}
