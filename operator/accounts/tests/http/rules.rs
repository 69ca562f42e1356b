//! Admission of Users: nobody is given rights that whoever gives them hasn't.

use hades_api::{User, UserSpec};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::bed::{Bed, By};

const USERS: &str = "/apis/hades.dev/v1alpha1/users";

impl Bed {
    async fn write(&self, by: By<'_>, name: &str, spec: Value) -> (u16, String) {
        let form = [("content-type", "application/merge-patch+json")];
        let body = json!({"spec": spec}).to_string().into_bytes();
        let answer = self.ask_with(by, "PATCH", &format!("{USERS}/{name}"), &form, body).await;
        (answer.code, answer.message().to_owned())
    }

    async fn make(&self, by: By<'_>, name: &str, spec: Value) -> (u16, String) {
        let form = [("content-type", "application/json")];
        let body = json!({"apiVersion": "hades.dev/v1alpha1", "kind": "User",
            "metadata": {"name": name}, "spec": spec});
        let answer = self.ask_with(by, "POST", USERS, &form, body.to_string().into_bytes()).await;
        (answer.code, answer.message().to_owned())
    }
}

#[tokio::test]
async fn nobody_gives_rights_that_he_has_not() {
    let bed = Bed::new().await;
    bed.person("joe").await;
    bed.person("jane").await;
    let joe = bed.session("joe").await;
    let by = By::Token(&joe);
    let verbs = ["create", "get", "patch", "update"];
    let users = json!([{"apiGroups": ["hades.dev"], "resources": ["users"], "verbs": verbs}]);
    bed.grant("joe", users).await;
    let top = json!({"groups": ["hades:administrators"]});
    for (name, spec) in
        [("joe", top.clone()), ("jane", top.clone()), ("admin", json!({"groups": []}))]
    {
        let (code, message) = bed.write(by, name, spec).await;
        assert_eq!(code, 422, "{message}");
        assert!(message.contains("spec.groups: Forbidden"), "{message}");
        assert!(message.contains("User \"joe\" cannot impersonate"), "{message}");
    }
    assert_eq!(bed.make(by, "mallory", top).await.0, 422);
    assert_eq!(bed.make(by, "mallory", json!({})).await.0, 422);
    // What lets nobody in needs nothing else.
    assert_eq!(bed.write(by, "jane", json!({"displayName": "Jane"})).await.0, 200);
    assert_eq!(bed.write(by, "jane", json!({"disabled": true})).await.0, 200);
    let (code, message) = bed.write(by, "jane", json!({"disabled": false})).await;
    assert!(code == 422 && message.contains("spec.disabled: Forbidden"), "{message}");
    let every = json!([
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]},
        {"apiGroups": [""], "resources": ["groups"], "resourceNames": ["dev"],
         "verbs": ["impersonate"]},
    ]);
    bed.grant("joe", every).await;
    assert_eq!(bed.write(by, "jane", json!({"disabled": false})).await.0, 200);
    assert_eq!(bed.make(by, "jack", json!({"groups": ["dev"]})).await.0, 201);
    let (code, message) = bed.write(by, "jack", json!({"groups": ["dev", "ops"]})).await;
    assert!(code == 422 && message.contains("\"groups\" \"ops\""), "{message}");
}

#[tokio::test]
async fn nobody_is_in_a_group_of_the_server() {
    let bed = Bed::new().await;
    let (code, message) = bed.make(By::Admin, "jane", json!({"groups": ["system:masters"]})).await;
    assert!(code == 422 && message.contains("belong to the server"), "{message}");
    let (code, message) = bed.make(By::Admin, "system:apiserver", json!({})).await;
    assert_eq!(code, 422, "{message}");
}

#[tokio::test]
async fn names_are_labels_between_dots() {
    let bed = Bed::new().await;
    for good in ["a", "jane.doe", "0-1.x-2.y"] {
        bed.user(good, json!({})).await;
    }
    for bad in ["jane_doe", "jane..doe", "jane.-doe", "jane-.doe", "Jane", &"a".repeat(64)] {
        let user = User::new(bad, UserSpec::default());
        let refused = bed.users().create(&PostParams::default(), &user).await.unwrap_err();
        assert!(matches!(refused, kube::Error::Api(status) if status.code == 422), "{bad}");
    }
}
