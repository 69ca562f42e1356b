//! Users who are disabled, deleted or made again.

use hades_accounts::{Method, Origin, SessionError};
use serde_json::{Value, json};

use crate::bed::{Bed, By, PASSWORD};

#[tokio::test]
async fn a_disabled_user_is_out_with_the_next_request() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let (session, token) = (bed.session("jane").await, bed.token("jane", "ci", json!({})).await);
    bed.patch("jane", json!({"disabled": true})).await;
    assert!(!bed.is_known(&session).await && !bed.is_known(&token).await);
    bed.log_in("jane", PASSWORD, None).await.expect(401);
    let body = json!({"metadata": {"name": "more"}, "spec": {}});
    bed.ask(By::Admin, "POST", "/ops/users/jane/tokens", body).await.expect(403);
    bed.patch("jane", json!({"disabled": false})).await;
    assert!(!bed.is_known(&session).await, "sessions don't come back");
    assert!(bed.is_known(&token).await, "tokens do");
    bed.session("jane").await;
    // The sessions are gone from the vault as well.
    let sessions = bed.server.vault("sessions");
    bed.eventually(async || sessions.all::<Value>().unwrap().len() == 1).await;
    let bed = bed.restart().await;
    assert!(!bed.is_known(&session).await && bed.is_known(&token).await);
}

#[tokio::test]
async fn a_user_made_again_is_another_one() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let (session, token) = (bed.session("jane").await, bed.token("jane", "ci", json!({})).await);
    bed.delete("jane").await;
    assert!(!bed.is_known(&session).await && !bed.is_known(&token).await);
    bed.user("jane", json!({})).await;
    assert!(!bed.is_known(&session).await && !bed.is_known(&token).await);
    bed.log_in("jane", PASSWORD, None).await.expect(401);
    let list = bed.ask(By::Admin, "GET", "/ops/users/jane/tokens", Value::Null).await.expect(200);
    assert_eq!(list["items"], json!([]));
    // Nothing of the old one stays.
    for kind in ["tokens", "sessions"] {
        let vault = bed.server.vault(kind);
        bed.eventually(async || vault.all::<Value>().unwrap().is_empty()).await;
    }
    let passwords = bed.server.vault("passwords");
    bed.eventually(async || passwords.get::<Value>("jane").unwrap().is_none()).await;
    bed.set_password("jane", "quite another one").await;
    let bed = bed.restart().await;
    assert!(!bed.is_known(&session).await && !bed.is_known(&token).await);
    bed.log_in("jane", "quite another one", None).await.expect(201);
}

#[tokio::test]
async fn a_robot_has_tokens_alone() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    bed.patch("jane", json!({"robot": true})).await;
    assert!(!bed.is_known(&session).await);
    bed.log_in("jane", PASSWORD, None).await.expect(401);
    let body = json!({"spec": {"newPassword": "quite another one"}});
    let status = bed.ask(By::Admin, "POST", "/ops/users/jane/password", body).await.expect(422);
    assert!(status["message"].as_str().unwrap().contains("robot"), "{status}");
    let token = bed.token("jane", "ci", json!({})).await;
    assert!(bed.is_known(&token).await);
}

#[tokio::test]
async fn groups_are_those_of_now() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let session = bed.session("jane").await;
    bed.patch("jane", json!({"groups": ["ops"]})).await;
    let who = bed.who(&session).await.unwrap();
    assert_eq!(who["groups"], json!(["ops", "system:authenticated"]));
}

#[tokio::test]
async fn a_proof_is_for_the_user_of_that_uid() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    let before = bed.accounts.person("jane").unwrap();
    bed.delete("jane").await;
    bed.person("jane").await;
    let begin = async |person| {
        bed.accounts.begin_session(person, Method::Password, &Origin::default()).await.map(|_| ())
    };
    assert!(matches!(begin(&before).await, Err(SessionError::KeptOut(_))));
    begin(&bed.accounts.person("jane").unwrap()).await.unwrap();
}
