//! What each role allows, cell by cell.

use super::*;

// Also what tests through the API go by.
mod table;
use table::{LETTERS, TABLE};

fn has(list: Option<&Vec<String>>, one: &str) -> bool {
    list.is_some_and(|list| list.iter().any(|it| it == one || it == "*"))
}

fn allows(rules: &[PolicyRule], verb: &str, group: &str, resource: &str, name: &str) -> bool {
    rules.iter().any(|rule| {
        let named = rule.resource_names.as_ref().filter(|names| !names.is_empty());
        has(Some(&rule.verbs), verb)
            && has(rule.api_groups.as_ref(), group)
            && has(rule.resources.as_ref(), resource)
            && named.is_none_or(|names| names.iter().any(|it| it == name))
    })
}

/// What `hades:ROLE` gathers, as a server does it.
fn gathered(role: &str) -> Vec<PolicyRule> {
    let roles = cluster_roles();
    let found = |name: &str| {
        roles.iter().find(|it| it.metadata.name.as_deref() == Some(name)).unwrap().clone()
    };
    let whole = found(&format!("hades:{role}"));
    let Some(aggregation) = whole.aggregation_rule else { return whole.rules.unwrap() };
    assert!(whole.rules.is_none(), "its rules are gathered");
    let mut rules = Vec::new();
    for selector in aggregation.cluster_role_selectors.unwrap() {
        let wanted = selector.match_labels.unwrap();
        for part in &roles {
            let labels = part.metadata.labels.clone().unwrap_or_default();
            if wanted.iter().all(|(key, value)| labels.get(key) == Some(value)) {
                let name = part.metadata.name.as_deref().unwrap();
                rules.extend(gathered(name.strip_prefix("hades:").unwrap()));
            }
        }
    }
    rules
}

#[test]
fn every_cell() {
    let mut wrong = Vec::new();
    for (resource, group, expected) in TABLE {
        for (role, expected) in GATHERING.iter().zip(expected) {
            let rules = gathered(role);
            for (letter, verb) in LETTERS {
                let found = allows(&rules, verb, group, resource, "x");
                if found != expected.contains(letter) {
                    wrong.push(format!("{role} {verb} {group}/{resource}: {found}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_names_everything_that_a_role_does() {
    for role in GATHERING {
        for rule in gathered(role) {
            if rule.resource_names.is_some() {
                continue;
            }
            for resource in rule.resources.iter().flatten() {
                for group in rule.api_groups.iter().flatten() {
                    let known = TABLE.iter().any(|row| row.0 == resource && row.1 == group);
                    assert!(known, "{role}: {group}/{resource}");
                }
            }
        }
    }
}

#[test]
fn an_admin_may_lend_a_repository_what_it_gets_and_nothing_else() {
    let admin = gathered("admin");
    assert!(allows(&admin, "bind", RBAC_GROUP, "clusterroles", CONFIG_REPOSITORY));
    for other in [FLEET_REPOSITORY, "cluster-admin", "hades:admin"] {
        assert!(!allows(&admin, "bind", RBAC_GROUP, "clusterroles", other), "{other}");
    }
}

/// Whoever holds the first ones holds the others, too.
fn assert_covers(holder: &[PolicyRule], others: &[PolicyRule], what: &str) {
    for rule in others {
        for verb in &rule.verbs {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    let names = rule.resource_names.clone().unwrap_or_else(|| vec!["x".into()]);
                    for name in names {
                        let held = allows(holder, verb, group, resource, &name);
                        assert!(held, "{what}: {verb} {group}/{resource} {name}");
                    }
                }
            }
        }
    }
}

#[test]
fn nobody_lends_what_he_does_not_hold() {
    let admin = gathered("admin");
    assert_covers(&admin, &gathered("config-repository"), "of a repository");
    let environments = vec!["staging".to_owned()];
    for role in ProjectRole::ALL {
        assert_eq!(gathered(role.name()), project_rules(role), "{role}");
        assert_covers(&admin, &project_rules(role), "of a lesser role");
        assert_covers(&project_rules(role), &limited_rules(role, &environments), "of a part");
        let operator = operator_rules();
        assert_covers(&operator, &limited_rules(role, &environments), "of the operator");
    }
    assert_covers(&operator_rules(), &reader_rules("shop"), "of the operator");
}

#[test]
fn a_part_of_a_project_is_that_part() {
    let environments = vec!["staging".to_owned()];
    for role in ProjectRole::ALL {
        let rules = limited_rules(role, &environments);
        let update = allows(&rules, "update", GROUP, "environments", "staging");
        assert_eq!(update, role >= ProjectRole::Deployer);
        let exec = allows(&rules, "create", OPERATIONS_GROUP, "environments/exec", "staging");
        assert_eq!(exec, role >= ProjectRole::Deployer);
        let delete = allows(&rules, "delete", GROUP, "environments", "staging");
        assert_eq!(delete, role == ProjectRole::Admin);
        for rule in &rules {
            let of_namespace = rule.resources.as_deref() == Some(&["namespaces".to_owned()]);
            let named = rule.resource_names.as_deref() == Some(environments.as_slice());
            assert!(of_namespace || named, "{rule:?}");
        }
        for resource in ["secrets", "configmaps", "events"] {
            assert!(!allows(&rules, "list", "", resource, "staging"), "{resource}");
        }
        assert!(!allows(&rules, "create", GROUP, "environments", "staging"));
    }
}

#[test]
fn a_fleet_repository_writes_everything_and_takes_nobodys_name() {
    let fleet = fleet_repository_rules();
    for role in ProjectRole::ALL {
        assert!(allows(&fleet, "bind", RBAC_GROUP, "clusterroles", role.cluster_role()));
    }
    assert!(!allows(&fleet, "bind", RBAC_GROUP, "clusterroles", "cluster-admin"));
    for verb in ["escalate", "impersonate"] {
        assert!(!allows(&fleet, verb, "", "users", "x"), "{verb}");
    }
    let (projects, policy) = PROJECT_POLICY;
    assert!(allows(&fleet, "update", GROUP, &format!("{projects}/{policy}"), "shop"));
}

#[test]
fn first_objects_are_whole() {
    let objects = first_objects();
    assert_eq!(objects.len(), cluster_roles().len() + 3);
    for object in &objects {
        assert_eq!(object["apiVersion"], "rbac.authorization.k8s.io/v1", "{object}");
        assert!(object["kind"].as_str().unwrap().starts_with("ClusterRole"), "{object}");
    }
}
