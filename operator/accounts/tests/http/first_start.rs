//! The first user and the first password.

use std::os::unix::fs::PermissionsExt;

use hades_accounts::{ADMINISTRATORS, FIRST_LOGIN, FIRST_USER};
use serde_json::{Value, json};

use crate::bed::{Bed, By};

fn first_password(bed: &Bed) -> String {
    let text = std::fs::read_to_string(bed.path(FIRST_LOGIN)).unwrap();
    text.lines().find_map(|line| line.strip_prefix("password: ")).unwrap().to_owned()
}

#[tokio::test]
async fn the_first_password_is_in_a_file_until_it_is_changed() {
    let bed = Bed::new().await;
    let path = bed.accounts.first_login().await.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let password = first_password(&bed);
    let admin = bed.users().get(FIRST_USER).await.unwrap();
    assert_eq!(admin.spec.groups, [ADMINISTRATORS]);
    let bed = bed.restart().await;
    assert_eq!(first_password(&bed), password, "a second start makes no other");
    let session = bed.log_in(FIRST_USER, &password, None).await.expect(201);
    let token = session["status"]["token"].as_str().unwrap();
    let change = json!({"spec": {"currentPassword": password, "newPassword": "quite another one"}});
    bed.ask(By::Token(token), "POST", "/ops/selfpassword", change).await.expect(200);
    assert!(bed.accounts.first_login().await.is_none() && !path.exists());
    bed.delete(FIRST_USER).await;
    let bed = bed.restart().await;
    assert!(bed.accounts.person(FIRST_USER).is_none(), "who was deleted stays so");
    assert!(!path.exists());
}

#[tokio::test]
async fn passwords_of_others_leave_the_file() {
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.set_password("jane", "quite another one").await;
    assert!(bed.accounts.first_login().await.is_some());
    bed.set_password(FIRST_USER, "quite another one").await;
    assert!(bed.accounts.first_login().await.is_none());
}

#[tokio::test]
async fn the_file_goes_with_the_password_in_it() {
    // Removed by an administrator.
    let bed = Bed::new().await;
    bed.ask(By::Admin, "DELETE", "/ops/users/admin/password", Value::Null).await.expect(200);
    assert!(bed.accounts.first_login().await.is_none());
    // Gone with its user.
    let bed = Bed::new().await;
    bed.person("jane").await;
    bed.delete("jane").await;
    assert!(bed.accounts.first_login().await.is_some());
    bed.delete(FIRST_USER).await;
    bed.eventually(async || bed.accounts.first_login().await.is_none()).await;
    // Left by a process that ended between the two.
    let bed = Bed::new().await;
    let text = std::fs::read_to_string(bed.path(FIRST_LOGIN)).unwrap();
    bed.set_password(FIRST_USER, "quite another one").await;
    std::fs::write(bed.path(FIRST_LOGIN), text).unwrap();
    let bed = bed.restart().await;
    assert!(bed.accounts.first_login().await.is_none());
}
