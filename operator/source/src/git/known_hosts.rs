//! OpenSSH's `known_hosts`, as far as `ssh-keyscan` writes it, and the keys that the
//! large public forges publish.

use hades_ssh::HostKey;

/// Host keys as published on the forges' own sites:
/// <https://docs.github.com/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints>,
/// <https://docs.gitlab.com/user/gitlab_com/#ssh-host-keys-fingerprints>,
/// <https://support.atlassian.com/bitbucket-cloud/docs/configure-ssh-and-two-step-verification/>.
const PUBLISHED: [(&str, &str); 3] = [
    (
        "github.com",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    ),
    (
        "gitlab.com",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
    ),
    (
        "bitbucket.org",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIazEu89wgQZ4bqs3d63QSMzYVa0MuJ2e2gKTKqu+UUO",
    ),
];

/// The keys that a server may show: those that `known_hosts` has for it, or else the
/// published ones; none that `known_hosts` revokes. None if there are neither.
pub(super) fn pinned(known_hosts: Option<&str>, host: &str, port: u16) -> Vec<HostKey> {
    let Known { mut keys, revoked } = read(known_hosts.unwrap_or_default(), host, port);
    keys.retain(|key| !revoked.contains(key));
    if keys.is_empty() {
        keys = published(host, port);
        keys.retain(|key| !revoked.contains(key));
    }
    keys
}

fn published(host: &str, port: u16) -> Vec<HostKey> {
    PUBLISHED
        .iter()
        .filter(|(published, _)| published.eq_ignore_ascii_case(host) && port == 22)
        .filter_map(|(_, key)| key.parse().ok())
        .collect()
}

/// What `known_hosts` says of a host.
struct Known {
    keys: Vec<HostKey>,
    /// Keys that it must not be known by.
    revoked: Vec<HostKey>,
}

/// The keys of a host: lines such as `git.example.com,10.0.0.7 ssh-ed25519 AAAA…`,
/// `[git.example.com]:2222 ssh-ed25519 AAAA…`, or, for any host, the key alone. Hashed
/// names can't be told and are passed over, and so are certificate authorities; a key
/// that is revoked for a name that can't be told is revoked for this host too.
fn read(known_hosts: &str, host: &str, port: u16) -> Known {
    let name =
        if port == 22 { host.to_lowercase() } else { format!("[{}]:{port}", host.to_lowercase()) };
    let mut known = Known { keys: Vec::new(), revoked: Vec::new() };
    for line in known_hosts.lines() {
        let mut words = line.split_whitespace();
        let (is_revoked, first) = match words.next() {
            None | Some("@cert-authority") => continue,
            Some(comment) if comment.starts_with('#') => continue,
            Some("@revoked") => (true, words.next().unwrap_or_default()),
            Some(first) => (false, first),
        };
        let is_name = |each: &str| {
            each.eq_ignore_ascii_case(&name)
                || (is_revoked && (each.contains('*') || each.starts_with("|1|")))
        };
        let mut rest: Vec<&str> = words.take(2).collect();
        // A key alone begins with its kind.
        let is_for_us =
            if rest.len() == 1 || rest.get(1).is_some_and(|word| !word.starts_with("AAAA")) {
                rest.truncate(1);
                rest.insert(0, first);
                true
            } else {
                first.split(',').any(is_name)
            };
        if is_for_us && let Ok(key) = rest.join(" ").parse::<HostKey>() {
            let keys = if is_revoked { &mut known.revoked } else { &mut known.keys };
            keys.push(key);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const TWO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf";

    fn fingerprints(known_hosts: &str, host: &str, port: u16) -> Vec<String> {
        pinned(Some(known_hosts), host, port).iter().map(HostKey::fingerprint).collect()
    }

    #[test]
    fn lines_of_known_hosts() {
        let one = ["SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"];
        let two = ["SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8"];
        let file = format!(
            "# from ssh-keyscan\n\ngit.example.com,10.0.0.7 {ONE} comment\n\
             [git.example.com]:2222 {TWO}\n|1|c2FsdA==|aGFzaA== {TWO}\nold.example.com nonsense\n\
             @cert-authority *.example.com {TWO}\n"
        );
        assert_eq!(fingerprints(&file, "git.example.com", 22), one);
        assert_eq!(fingerprints(&file, "Git.Example.com", 2222), two);
        assert_eq!(fingerprints(&file, "10.0.0.7", 22), one);
        assert!(fingerprints(&file, "git.example.org", 22).is_empty());
        assert_eq!(fingerprints(&format!("{TWO}\n"), "any.example.com", 2222), two);
        assert_eq!(fingerprints(&format!("{TWO} root@git\n"), "any.example.com", 22), two);
        let revoked = format!("git.example.com {ONE}\n@revoked git.example.com {ONE}\n");
        assert!(fingerprints(&revoked, "git.example.com", 22).is_empty());
    }

    #[test]
    fn a_published_key_that_is_revoked_is_not_trusted() {
        for name in ["github.com", "*", "*.com,!x", "|1|c2FsdA==|aGFzaA=="] {
            let revoked = format!("@revoked {name} {ONE}\n");
            assert!(fingerprints(&revoked, "github.com", 22).is_empty(), "{name}");
            assert_eq!(fingerprints(&revoked, "gitlab.com", 22).len(), 1, "{name}");
        }
        let other = format!("@revoked git.example.com {ONE}\n");
        assert_eq!(fingerprints(&other, "github.com", 22).len(), 1, "of another host");
        let replaced = format!("@revoked github.com {ONE}\ngithub.com {TWO}\n");
        assert_eq!(fingerprints(&replaced, "github.com", 22).len(), 1);
    }

    /// The fingerprints are published beside the keys, so that a slip of the pen in one
    /// of them shows here.
    #[test]
    fn published_keys_have_their_published_fingerprints() {
        let published = ["github.com", "gitlab.com", "bitbucket.org"]
            .map(|host| fingerprints("", host, 22).concat());
        assert_eq!(
            published,
            [
                "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
                "SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
                "SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
            ]
        );
        assert_eq!(fingerprints(&format!("github.com {TWO}"), "github.com", 22).len(), 1);
        assert!(fingerprints("", "github.com", 2222).is_empty());
    }
}
