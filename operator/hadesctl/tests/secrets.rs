//! Sealing Secrets for a project, against a real API server, with real sops on the other
//! side.

// Helpers of tests may panic.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use hades_sops::{Format, Keys, new_identity, open};
use secrecy::ExposeSecret;
use serde_json::json;
use support::Shell;
use support::server::Server;

const SECRET: &str = "\
apiVersion: v1
kind: Secret
metadata:
  name: db # of the shop
  namespace: shop
stringData:
  # hunter1
  password: hunter2
";

#[test]
fn a_secret_is_sealed_for_the_project_and_for_those_who_are_named() {
    let (project, project_recipient) = new_identity();
    let (repository, repository_recipient) = new_identity();
    let (team, team_recipient) = new_identity();
    let server = Server::start();
    server.namespace("shop");
    let shop = json!({"metadata": {"name": "shop"}, "spec": {}});
    server.apply(hades_api::API_VERSION, "HadesProject", None, shop);
    let shell = Shell::with_kubeconfig(&server.kubeconfig);
    shell.write("db.yaml", SECRET);
    let early = shell.run("secret seal -p shop db.yaml");
    assert!(early.stderr.contains("has no key to seal to yet"), "{early:?}");
    let status = json!({"sopsRecipient": project_recipient.as_str()});
    server.status("HadesProject", None, "shop", &status);
    let config = json!({"metadata": {"name": "config", "namespace": "shop"},
        "spec": {"url": "https://git.example.com/shop"}});
    server.apply(hades_api::API_VERSION, "ConfigRepository", Some("shop"), config);
    let status = json!({"sopsRecipient": repository_recipient.as_str()});
    server.status("ConfigRepository", Some("shop"), "config", &status);

    let opened = |sealed: &str, identity: &secrecy::SecretString| {
        let keys = Keys::parse(identity.expose_secret()).unwrap();
        let opened = open(sealed.as_bytes(), Format::Yaml, &keys)?;
        Ok::<_, hades_sops::SopsError>(String::from_utf8(opened.bytes.to_vec()).unwrap())
    };
    let sealed = shell.run("secret seal -p shop < db.yaml");
    assert_eq!(sealed.status, 0, "{sealed:?}");
    assert!(sealed.stderr.contains(project_recipient.as_str()), "{sealed:?}");
    assert!(!sealed.stdout.contains("hunter"), "{sealed:?}");
    assert!(sealed.stdout.contains("name: db # of the shop"), "{sealed:?}");
    assert!(opened(&sealed.stdout, &project).unwrap().contains("password: \"hunter2\""));
    assert!(opened(&sealed.stdout, &repository).is_err());

    let alone = shell.run("secret seal -p shop --repository config db.yaml");
    assert!(opened(&alone.stdout, &repository).is_ok(), "{alone:?}");
    assert!(opened(&alone.stdout, &project).is_err());

    let both = shell.run(&format!("secret seal -p shop --recipient {team_recipient} -i db.yaml"));
    assert_eq!((both.status, both.stdout.as_str()), (0, ""), "{both:?}");
    let file = std::fs::read_to_string(shell.folder.path().join("db.yaml")).unwrap();
    assert!(!file.contains("hunter") && opened(&file, &project).is_ok());
    assert!(opened(&file, &team).is_ok());
    let names = std::fs::read_dir(shell.folder.path()).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside it");

    for (line, expected) in [
        ("secret seal -p shop db.yaml", "sealed already"),
        ("apply -f db.yaml", "it is sealed: commit it"),
        ("apply -f db.yaml --dry-run=client", "it is sealed: commit it"),
        ("secret seal -p shop --repository confg < db.yaml", "sealed already"),
        ("secret seal -p blog < plain.yaml", "of project shop"),
        ("secret seal -p shop --repository confg < plain.yaml", "config"),
        ("secret seal -p hades-system < plain.yaml", "--repository NAME"),
        ("secret seal -p shop -i < plain.yaml", "standard input can't be replaced"),
    ] {
        shell.write("plain.yaml", SECRET);
        let refused = shell.run(line);
        assert_ne!(refused.status, 0, "{line}: {refused:?}");
        assert!(refused.stderr.contains(expected), "{line}: {refused:?}");
        assert!(!format!("{refused:?}").contains("hunter"), "{line}: {refused:?}");
    }
}

#[test]
fn with_recipients_alone_no_server_is_asked_and_real_sops_opens_it() {
    let (team, recipient) = new_identity();
    let shell = Shell::offline();
    shell.write("db.yaml", SECRET);
    let json = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
        "stringData": {"password": "hunter2"}});
    shell.write("db.json", &format!("{json:#}"));
    let private = shell.run(&format!("secret seal --recipient {} db.yaml", team.expose_secret()));
    assert!(private.stderr.contains("(a secret key)"), "{private:?}");
    assert!(!private.stderr.contains(team.expose_secret()), "{private:?}");
    let other = new_identity().1;
    let twice = format!("--recipient {recipient} --recipient {other} --recipient {recipient}");
    for name in ["db.yaml", "db.json"] {
        let sealed = shell.run(&format!("secret seal {twice} {name}"));
        assert_eq!(sealed.status, 0, "{sealed:?}");
        assert_eq!(sealed.stdout.matches(recipient.as_str()).count(), 1, "{sealed:?}");
        assert!(!sealed.stdout.contains("hunter"), "{sealed:?}");
        let Some(folder) = std::env::var_os("HADES_SOPS") else {
            eprintln!("skipped: hack/test.sh installs sops and sets HADES_SOPS");
            return;
        };
        shell.write(&format!("sealed-{name}"), &sealed.stdout);
        let output = std::process::Command::new(std::path::Path::new(&folder).join("sops"))
            .args(["decrypt", "--output-type", "json", &format!("sealed-{name}")])
            .current_dir(shell.folder.path())
            .env_clear()
            .env("SOPS_AGE_KEY", team.expose_secret())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let opened: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(opened["stringData"]["password"], "hunter2");
    }
}
