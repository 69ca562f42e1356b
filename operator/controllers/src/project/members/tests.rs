//! What members get, without a server.

use serde_json::json;

use super::*;

fn project(members: serde_json::Value) -> HadesProject {
    serde_json::from_value(json!({
        "apiVersion": "hades.dev/v1alpha1", "kind": "HadesProject",
        "metadata": {"name": "shop", "uid": "1"}, "spec": {"members": members},
    }))
    .unwrap()
}

fn names(subjects: Option<&Vec<Subject>>) -> Vec<String> {
    subjects.into_iter().flatten().map(|one| format!("{}/{}", one.kind, one.name)).collect()
}

#[test]
fn members_become_a_binding_per_role() {
    let lent = lent(
        &project(json!([
            {"user": "bob", "role": "viewer"},
            {"group": "dev", "role": "deployer"},
            {"user": "alice", "role": "viewer"},
            {"user": "bob", "role": "viewer"},
            {"serviceAccount": "ci", "role": "deployer"},
        ])),
        &[],
    );
    let found: Vec<_> = lent
        .bindings
        .iter()
        .map(|binding| {
            (binding.name_any(), binding.role_ref.name.clone(), names(binding.subjects.as_ref()))
        })
        .collect();
    let expected = [
        ("hades:viewer", vec!["User/alice", "User/bob"]),
        ("hades:deployer", vec!["Group/dev", "ServiceAccount/ci"]),
    ];
    assert_eq!(found.len(), expected.len());
    for (found, (name, subjects)) in found.iter().zip(expected) {
        assert_eq!((found.0.as_str(), found.1.as_str()), (name, name));
        assert_eq!(found.2, subjects);
    }
    let account = &lent.bindings[1].subjects.as_ref().unwrap()[1];
    assert_eq!(account.namespace.as_deref(), Some("shop"));
    assert!(lent.roles.is_empty());
    let (role, binding) = lent.reader.unwrap();
    assert_eq!(role.name_any(), "hades:project:shop");
    assert_eq!(binding.subjects.unwrap().len(), 4);
    assert_eq!(binding.metadata.owner_references.unwrap()[0].kind, "HadesProject");
}

#[test]
fn some_environments_are_a_role_of_their_own() {
    let of = |first: &str, second: &str| {
        lent(
            &project(json!([
                {"user": "junior", "role": "deployer", "environments": [first, second]},
                {"user": "other", "role": "deployer", "environments": ["staging"]},
            ])),
            &[],
        )
    };
    let lent = of("staging", "test");
    assert_eq!(lent, of("test", "staging"), "the order means nothing");
    assert_eq!((lent.roles.len(), lent.bindings.len()), (2, 2));
    for (role, binding) in lent.roles.iter().zip(&lent.bindings) {
        assert_eq!(role.name_any(), binding.name_any());
        assert_eq!(
            (binding.role_ref.kind.as_str(), &binding.role_ref.name),
            ("Role", &role.name_any())
        );
        assert!(role.name_any().starts_with("hades:deployer:"), "{}", role.name_any());
    }
    assert_ne!(lent.roles[0].name_any(), lent.roles[1].name_any());
}

#[test]
fn whom_others_made_a_member_sees_the_project() {
    let binding = |name: &str, kind: &str, role: &str, subject: Subject| RoleBinding {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("shop".to_owned()),
            ..ObjectMeta::default()
        },
        role_ref: role::role_ref(kind, role),
        subjects: Some(vec![subject]),
    };
    let mut robot = role::service_account("shop", "ci");
    robot.namespace = None;
    let mut stale = binding("old", "ClusterRole", "hades:viewer", role::user("gone"));
    stale.labels_mut().insert(label::MEMBERS_OF.to_owned(), "shop".to_owned());
    let found = [
        binding("mine", "ClusterRole", "hades:viewer", role::user("guest")),
        binding("ci", "ClusterRole", "hades:deployer", robot),
        binding("else", "ClusterRole", "view", role::user("stranger")),
        binding("own", "Role", "hades:viewer", role::user("stranger")),
        // Will be made anew for those who are members.
        binding("hades:viewer", "ClusterRole", "hades:viewer", role::user("edited")),
        stale,
    ];
    let lent = lent(&project(json!([{"user": "alice", "role": "viewer"}])), &found);
    let subjects = lent.reader.unwrap().1.subjects.unwrap();
    assert_eq!(names(Some(&subjects)), ["ServiceAccount/ci", "User/alice", "User/guest"]);
    assert_eq!(subjects[0].namespace.as_deref(), Some("shop"));
    let nobody = super::lent(&project(json!([])), &[]);
    assert_eq!(nobody, Lent::default());
}
