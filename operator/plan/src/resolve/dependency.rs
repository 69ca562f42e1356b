//! What services depend on: names that are there, and no circle.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::Findings;
use super::{Inputs, suggest};

/// Finds names that aren't there and circles.
pub(super) fn check(inputs: &Inputs<'_>, findings: &mut Findings) {
    let services = &inputs.spec.services;
    let mut edges: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (name, service) in services {
        for (index, wanted) in service.depends_on.iter().flatten().enumerate() {
            let field = format!("spec.services.{name}.dependsOn[{index}]");
            let Some(other) = services.get(wanted) else {
                let known = services.keys().filter(|known| *known != name);
                let hint = suggest::hint(wanted, "services", known);
                findings.invalid(field, format!("there is no service {wanted:?}; {hint}"));
                continue;
            };
            if other.replicas == Some(0) {
                findings
                    .lint(field, format!("{wanted} has replicas: 0, so that it isn't waited for"));
            }
            edges.entry(name).or_default().push((index, wanted));
        }
    }
    // Each circle once, at its first service.
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for name in edges.keys() {
        let Some(circle) = circle(name, &edges).filter(|circle| !told.contains(circle[0])) else {
            continue;
        };
        told.extend(&circle);
        let next = circle.get(1).copied().unwrap_or(name);
        let of = edges.get(name).into_iter().flatten();
        let index = of.clone().find(|(_, wanted)| *wanted == next).map_or(0, |(index, _)| *index);
        findings.invalid(
            format!("spec.services.{name}.dependsOn[{index}]"),
            format!(
                "{} → {name} is a circle, in which nothing could ever start: leave one of them out",
                circle.join(" → ")
            ),
        );
    }
}

/// The shortest way from a service back to itself, if there is one.
fn circle<'a>(
    start: &'a str,
    edges: &BTreeMap<&'a str, Vec<(usize, &'a str)>>,
) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start]];
    while !ways.is_empty() {
        let mut further = Vec::new();
        for way in ways {
            let last = way.last().copied().unwrap_or(start);
            for (_, next) in edges.get(last).into_iter().flatten() {
                if *next == start {
                    return Some(way);
                }
                if seen.insert(*next) {
                    further.push(way.iter().copied().chain([*next]).collect());
                }
            }
        }
        ways = further;
    }
    None
}
