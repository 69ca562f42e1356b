//! Who made a thing, by its labels.

use std::collections::BTreeMap;

use hades_api::label;
use hades_api::name::EnvironmentName;
use hades_plan::observed;

/// Whether a thing with the labels `found` belongs to the same installation,
/// project and environment as one with the labels `wanted`.
pub fn same_owner(found: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    let get = |key| wanted.get(key).map(String::as_str);
    match (get(label::INSTALLATION), get(label::PROJECT), get(label::ENVIRONMENT)) {
        (Some(installation), Some(project), Some(environment)) => {
            observed::is_owned(found, installation, project, environment)
        }
        _ => false,
    }
}

/// Whether the labels are those of a thing that `installation` made; any
/// installation, when none is given.
pub fn is_made_by(labels: &BTreeMap<String, String>, installation: Option<&str>) -> bool {
    labels
        .get(label::INSTALLATION)
        .is_some_and(|found| installation.is_none_or(|wanted| found == wanted))
}

/// The environment that the labels name, when `installation` made the thing.
pub fn environment_of(
    labels: &BTreeMap<String, String>,
    installation: Option<&str>,
) -> Option<EnvironmentName> {
    if !is_made_by(labels, installation) {
        return None;
    }
    let project = labels.get(label::PROJECT)?;
    let environment = labels.get(label::ENVIRONMENT)?;
    Some(EnvironmentName::new(project, environment))
}

/// The labels of `labels` that say who made a thing, without those that say
/// which thing it is.
pub fn ownership_part(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    [label::INSTALLATION, label::PROJECT, label::ENVIRONMENT, label::ENVIRONMENT_UID]
        .into_iter()
        .filter_map(|key| labels.get(key).map(|value| (key.to_owned(), value.clone())))
        .collect()
}

/// Who holds a thing, for people: an environment, another installation, or
/// somebody else.
pub fn describe(labels: &BTreeMap<String, String>) -> String {
    match (environment_of(labels, None), labels.get(label::INSTALLATION)) {
        (Some(environment), Some(installation)) => {
            format!("it belongs to {environment} of installation {installation}")
        }
        _ => "Hades did not make it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hades_plan::naming;

    use super::*;

    #[test]
    fn owners() {
        let shop = EnvironmentName::new("shop", "production");
        let ours = naming::ownership("a", &shop, "uid-1");
        let reborn = naming::ownership("a", &shop, "uid-2");
        let theirs = naming::ownership("b", &shop, "uid-1");
        let nobodys = BTreeMap::from([("x".to_owned(), "y".to_owned())]);
        assert!(same_owner(&ours, &reborn), "an environment made anew keeps its things");
        assert!(!same_owner(&theirs, &ours) && !same_owner(&nobodys, &ours));
        assert!(!same_owner(&nobodys, &nobodys), "no owner is not the same owner");
        assert!(is_made_by(&ours, Some("a")) && is_made_by(&ours, None));
        assert!(!is_made_by(&theirs, Some("a")) && !is_made_by(&nobodys, None));
        assert_eq!(environment_of(&ours, Some("a")), Some(shop));
        assert_eq!(environment_of(&theirs, Some("a")), None);
    }
}
