//! Names inside one API group: each belongs to one definition.

use std::collections::HashSet;

use super::spec::Names;

/// What a DNS-1035 label is, in the words of Kubernetes.
pub(super) const LABEL_RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric \
    characters or '-', start with an alphabetic character, and end with an alphanumeric character \
    (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

const MAX_LABEL: usize = 63;

/// Whether a text is a DNS-1035 label.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= MAX_LABEL
        && text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The names that the other definitions of a group hold.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    resources: HashSet<String>,
    kinds: HashSet<String>,
}

impl Taken {
    /// Adds the accepted names of a definition.
    pub fn add(&mut self, names: &Names) {
        let Names { plural, singular, kind, list_kind, short_names, categories: _ } = names;
        self.resources.extend([plural, singular].into_iter().chain(short_names).cloned());
        self.kinds.extend([kind, list_kind].into_iter().cloned());
    }
}

/// A name that belongs to another definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// `PluralConflict`, `KindConflict` and so on.
    pub reason: &'static str,
    /// Which name.
    pub message: String,
}

/// Gives a definition the names it asks for as far as they are free. Names that
/// it holds already stay its own; the last conflict is the one that is told, as
/// on Kubernetes.
pub(crate) fn accept(asked: &Names, held: &Names, taken: &Taken) -> (Names, Option<Conflict>) {
    let mut accepted = held.clone();
    let mut conflict = None;
    let mut single = |reason, asked: &str, held: &mut String, taken: &HashSet<String>| {
        if asked != held && taken.contains(asked) {
            conflict = Some(Conflict { reason, message: in_use(asked) });
        } else {
            asked.clone_into(held);
        }
    };
    single("PluralConflict", &asked.plural, &mut accepted.plural, &taken.resources);
    single("SingularConflict", &asked.singular, &mut accepted.singular, &taken.resources);
    single("KindConflict", &asked.kind, &mut accepted.kind, &taken.kinds);
    single("ListKindConflict", &asked.list_kind, &mut accepted.list_kind, &taken.kinds);
    let refused: Vec<String> = asked
        .short_names
        .iter()
        .filter(|name| !held.short_names.contains(name) && taken.resources.contains(*name))
        .map(|name| in_use(name))
        .collect();
    if refused.is_empty() {
        accepted.short_names.clone_from(&asked.short_names);
    } else {
        let message = refused.join(", ");
        conflict = Some(Conflict { reason: "ShortNamesConflict", message });
    }
    accepted.categories.clone_from(&asked.categories);
    (accepted, conflict)
}

fn in_use(name: &str) -> String {
    format!("{name:?} is already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plural: &str, kind: &str, short: &[&str]) -> Names {
        Names {
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            short_names: short.iter().map(|name| (*name).to_owned()).collect(),
            categories: Vec::new(),
        }
    }

    #[test]
    fn labels() {
        for good in ["a", "barns", "v1beta1", "a-b"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "1a", "Barns", "a-", "a.b", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn free_names_are_accepted_and_held_names_stay() {
        let asked = names("barns", "Barn", &["ba"]);
        let mut taken = Taken::default();
        let (accepted, conflict) = accept(&asked, &Names::default(), &taken);
        assert_eq!((&accepted, conflict), (&asked, None));
        taken.add(&asked);
        let (again, conflict) = accept(&asked, &accepted, &taken);
        assert_eq!((again, conflict), (asked, None), "what is held is no conflict");
    }

    #[test]
    fn a_conflict_keeps_the_name_away_and_says_which() {
        let mut taken = Taken::default();
        taken.add(&names("barns", "Barn", &["ba"]));
        let asked = names("stables", "Barn", &["st"]);
        let (accepted, conflict) = accept(&asked, &Names::default(), &taken);
        let conflict = conflict.unwrap();
        assert_eq!(conflict.reason, "ListKindConflict");
        assert_eq!(conflict.message, "\"BarnList\" is already in use");
        assert_eq!((accepted.plural.as_str(), accepted.kind.as_str()), ("stables", ""));
        let asked = names("bars", "Bar", &["ba", "x"]);
        let (accepted, conflict) = accept(&asked, &Names::default(), &taken);
        assert_eq!(conflict.unwrap().reason, "ShortNamesConflict");
        assert!(accepted.short_names.is_empty());
        // A plural may be another's short name.
        let (_, conflict) = accept(&names("ba", "B", &[]), &Names::default(), &taken);
        assert_eq!(conflict.unwrap().reason, "PluralConflict");
    }
}
