//! Rules of roles: what they allow, and which of them cover others.
//!
//! The semantics are those of Kubernetes (`PolicyRule` of
//! rbac.authorization.k8s.io/v1).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Attributes, Target};

/// Stands for all verbs, groups, resources and paths.
const ALL: &str = "*";

/// One rule of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// `barns`, `barns/status`, `*/status` or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Empty for all names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths, of which the last letter may be `*`.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn has(list: &[String], one: &str) -> bool {
    list.iter().any(|it| it == one)
}

fn has_or_all(list: &[String], one: &str) -> bool {
    list.iter().any(|it| it == one || it == ALL)
}

/// Whether a rule's resource is the one that is asked for, without putting
/// `resource/subresource` together.
fn is_resource(of_rule: &str, resource: &str, subresource: &str) -> bool {
    if of_rule == ALL {
        return true;
    }
    if subresource.is_empty() {
        return of_rule == resource;
    }
    if of_rule.strip_prefix("*/") == Some(subresource) {
        return true;
    }
    let rest = of_rule.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/'));
    rest == Some(subresource)
}

/// Whether a rule's path is the one that is asked for.
pub(super) fn is_path(of_rule: &str, path: &str) -> bool {
    of_rule == path || (of_rule.ends_with('*') && path.starts_with(of_rule.trim_end_matches('*')))
}

impl Rule {
    /// All there is, twice: resources and paths.
    pub fn everything() -> [Self; 2] {
        let all = || vec![ALL.to_owned()];
        [
            Self { verbs: all(), api_groups: all(), resources: all(), ..Self::default() },
            Self { verbs: all(), non_resource_urls: all(), ..Self::default() },
        ]
    }

    /// Whether it is about paths and not about resources.
    pub fn is_of_paths(&self) -> bool {
        !self.non_resource_urls.is_empty()
    }

    /// Whether it allows something.
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        if !has_or_all(&self.verbs, attributes.verb) {
            return false;
        }
        match attributes.target {
            Target::Path(path) => self.non_resource_urls.iter().any(|url| is_path(url, path)),
            Target::Resource { group, resource, subresource, name, .. } => {
                has_or_all(&self.api_groups, group)
                    && self.resources.iter().any(|one| is_resource(one, resource, subresource))
                    && (self.resource_names.is_empty() || has(&self.resource_names, name))
            }
        }
    }

    /// The same with no more verbs than these.
    pub fn within(mut self, verbs: &[String]) -> Self {
        if has(&self.verbs, ALL) {
            self.verbs = verbs.to_vec();
        } else {
            self.verbs.retain(|verb| has(verbs, verb));
        }
        self
    }

    /// How many [pieces](Self::pieces) there are.
    pub fn combinations(&self) -> usize {
        let objects = self
            .api_groups
            .len()
            .saturating_mul(self.resources.len())
            .saturating_mul(self.resource_names.len().max(1));
        self.verbs.len().saturating_mul(objects.saturating_add(self.non_resource_urls.len()))
    }

    /// Rules of one verb, group, resource and name each, which together are this
    /// one.
    fn pieces(&self) -> Vec<Self> {
        let mut pieces = Vec::new();
        for verb in &self.verbs {
            let of_verb = || Self { verbs: vec![verb.clone()], ..Self::default() };
            for group in &self.api_groups {
                for resource in &self.resources {
                    let piece = || Self {
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..of_verb()
                    };
                    if self.resource_names.is_empty() {
                        pieces.push(piece());
                    }
                    pieces.extend(
                        self.resource_names
                            .iter()
                            .map(|name| Self { resource_names: vec![name.clone()], ..piece() }),
                    );
                }
            }
            pieces.extend(
                self.non_resource_urls
                    .iter()
                    .map(|url| Self { non_resource_urls: vec![url.clone()], ..of_verb() }),
            );
        }
        pieces
    }

    /// Whether it allows all that a piece of another does.
    fn covers_piece(&self, piece: &Self) -> bool {
        let all = |mine: &[String], theirs: &[String]| {
            has(mine, ALL) || theirs.iter().all(|one| has(mine, one))
        };
        let resource = |one: &String| {
            let under = || one.split_once('/').map(|(_, part)| format!("*/{part}"));
            has_or_all(&self.resources, one) || under().is_some_and(|it| has(&self.resources, &it))
        };
        let names = self.resource_names.is_empty()
            || (!piece.resource_names.is_empty()
                && piece.resource_names.iter().all(|one| has(&self.resource_names, one)));
        all(&self.verbs, &piece.verbs)
            && all(&self.api_groups, &piece.api_groups)
            && piece.resources.iter().all(resource)
            && names
            && piece
                .non_resource_urls
                .iter()
                .all(|url| self.non_resource_urls.iter().any(|mine| is_path(mine, url)))
    }

    /// As Kubernetes writes a rule into an error.
    pub fn describe(&self) -> String {
        let mut text = String::from("{");
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        for (name, list) in fields.into_iter().filter(|(_, list)| !list.is_empty()) {
            if text.len() > 1 {
                text.push_str(", ");
            }
            // Writing to a String can't fail.
            let _ = write!(text, "{name}:{}", quoted(list));
        }
        text.push('}');
        text
    }
}

/// A list of texts as Go prints it with `%q`.
pub(crate) fn quoted(list: &[String]) -> String {
    let words: Vec<String> = list.iter().map(|one| format!("{one:?}")).collect();
    format!("[{}]", words.join(" "))
}

/// What `wanted` allows and `held` doesn't, put together by verbs; empty where
/// all is covered.
pub(crate) fn missing(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let mut missing: Vec<Rule> = Vec::new();
    let mut places: HashMap<[Vec<String>; 4], usize> = HashMap::new();
    let lacking = wanted
        .iter()
        .flat_map(Rule::pieces)
        .filter(|piece| !held.iter().any(|rule| rule.covers_piece(piece)));
    for piece in lacking {
        let Rule { api_groups, resources, resource_names, non_resource_urls, .. } = &piece;
        let what = [api_groups, resources, resource_names, non_resource_urls].map(Clone::clone);
        match places.entry(what) {
            Entry::Occupied(place) => {
                let Some(one) = missing.get_mut(*place.get()) else { continue };
                for verb in piece.verbs {
                    if !has(&one.verbs, &verb) {
                        one.verbs.push(verb);
                    }
                }
            }
            Entry::Vacant(place) => {
                place.insert(missing.len());
                missing.push(piece);
            }
        }
    }
    missing
}
