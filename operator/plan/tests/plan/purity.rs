//! The crate does no IO, and can't: nothing in its tree could.

use std::process::Command;

#[test]
fn nothing_that_does_io_is_linked() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "hades-plan", "-e", "normal", "--prefix", "none", "--offline"])
        // What the rest of the workspace switches on is no matter of this crate.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("hades-api"), "{tree}");
    for impure in [
        "tokio",
        "hyper",
        "kube-client",
        "kube-runtime",
        "bollard",
        "aws",
        "redb",
        "reqwest",
        "rustls",
        "git2",
        "rand",
        "getrandom",
        "tempfile",
        "mio",
        "socket2",
    ] {
        let found = tree.lines().find(|line| {
            let name = line.split(' ').next().unwrap_or_default();
            name == impure || name.starts_with(&format!("{impure}-"))
        });
        assert_eq!(found, None, "the planner is pure and does no IO");
    }
}
