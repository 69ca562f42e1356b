//! Admission of Users: nobody is given rights that whoever gives them hasn't.

use hades_api::{User, UserSpec};
use hades_apiserver::Identity;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::bed::Bed;

#[tokio::test]
async fn administrators_decide_about_users() {
    let bed = Bed::new().await;
    bed.user("jane", json!({"groups": ["dev"]})).await;
    bed.patch("jane", json!({"groups": ["hades:administrators"], "disabled": true})).await;
    bed.patch("jane", json!({"disabled": false, "robot": true})).await;
}

/// Checks one change by the validator itself: the gate refuses before it, as nobody
/// but administrators may write Users while there are no roles.
#[tokio::test]
async fn others_need_the_right_to_be_that_user() {
    let bed = Bed::new().await;
    let users: Api<User> = Api::all(
        bed.server.client(Identity::of_user("joe", vec!["system:authenticated".to_owned()])),
    );
    let user = User::new("jane", UserSpec::default());
    let error = users.create(&PostParams::default(), &user).await.unwrap_err().to_string();
    assert!(error.contains("forbidden"), "{error}");
    let patch = Patch::Merge(json!({"spec": {"groups": ["hades:administrators"]}}));
    let error = users.patch("admin", &PatchParams::default(), &patch).await.unwrap_err();
    assert!(error.to_string().contains("forbidden"), "{error}");
}
