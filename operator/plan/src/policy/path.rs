//! Paths of hosts: what covers what, and which lead to the engine.

use std::collections::{BTreeMap, BTreeSet};

use hades_api::DockerHostSpec;

/// Behind a path that may only be mounted read-only.
const READ_ONLY: &str = ":ro";

/// Where the engine listens unless it is told otherwise.
const SOCKETS: [&str; 2] = ["/run/docker.sock", "/var/run/docker.sock"];
/// What engines keep, and are commanded by, besides: who may write there is root
/// on the host, and who may read there has the data of all projects.
const ENGINE: [&str; 12] = [
    "/etc/docker",
    "/run/containerd",
    "/run/docker",
    "/run/podman",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/run/containerd",
    "/var/run/docker",
    "/var/run/podman",
    "/var/snap/docker",
    // By way of a process it leads to every file under another name.
    "/proc",
];

/// Without `.`, `..`, and slashes that say nothing, as far as the text alone
/// tells. This is what is mounted, so that what was compared is what is had.
pub fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether `path` is `folder` or below it; both normal.
fn is_in(path: &str, folder: &str) -> bool {
    folder == "/"
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether one of `rules` allows `path`, which is normal: the very path, or with a
/// `/` at the rule's end what is below it, too.
pub(super) fn is_allowed(rules: &[String], path: &str, read_only: bool) -> bool {
    rules.iter().any(|rule| {
        let (rule, only_reading) = match rule.strip_suffix(READ_ONLY) {
            Some(rule) => (rule, true),
            None => (rule.as_str(), false),
        };
        let base = normal(rule);
        let covers = path == base || (rule.ends_with('/') && is_in(path, &base));
        covers && (read_only || !only_reading)
    })
}

/// The folder above `path`, which is normal, that `rules` let containers write to: one
/// of them may have laid a symbolic link on the way, which the engine follows to
/// wherever it leads on the host. That the mount is read-only is no help: what listens
/// on a socket takes commands through one.
pub(super) fn writable_above(rules: &[String], path: &str) -> Option<String> {
    let writable = rules.iter().filter(|rule| !rule.ends_with(READ_ONLY));
    writable.map(|rule| normal(rule)).find(|base| path != base && is_in(path, base))
}

/// What a path of a host has to do with the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// It is the engine's socket.
    Socket,
    /// The socket, or what the engine keeps, is below it, or it is a part of that.
    Leads,
    /// Nothing.
    Elsewhere,
}

/// Sockets that DockerHosts name, normal.
pub(super) fn sockets(hosts: &BTreeMap<String, DockerHostSpec>) -> BTreeSet<String> {
    let named = hosts.values().filter_map(|host| {
        let (scheme, rest) = host.endpoint.split_once("://")?;
        match scheme {
            "unix" => Some(normal(rest)),
            "ssh" => rest.find('/').and_then(|slash| rest.get(slash..)).map(normal),
            _ => None,
        }
    });
    named.chain(SOCKETS.map(str::to_owned)).collect()
}

/// What a normal path has to do with the engine.
pub(super) fn engine(path: &str, sockets: &BTreeSet<String>) -> Engine {
    if sockets.contains(path) {
        return Engine::Socket;
    }
    let above_socket = sockets.iter().any(|socket| is_in(socket, path));
    let touches = ENGINE.iter().any(|theirs| is_in(theirs, path) || is_in(path, theirs));
    if above_socket || touches { Engine::Leads } else { Engine::Elsewhere }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn paths_are_told_by_what_they_are_and_not_by_how_they_are_written() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/srv/shop/", "/srv/shop"),
            ("/srv//shop/./x", "/srv/shop/x"),
            ("/srv/shop/../../etc", "/etc"),
            ("/../../..", "/"),
            ("/srv/shop/..", "/srv"),
            ("/srv/..shop/...", "/srv/..shop/..."),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn a_rule_covers_a_path_and_only_with_a_slash_what_is_below() {
        let allowed = |rule: &str, path: &str| is_allowed(&rules(&[rule]), path, false);
        assert!(allowed("/srv/shop", "/srv/shop"));
        assert!(!allowed("/srv/shop", "/srv/shop/x") && !allowed("/srv/shop", "/srv"));
        assert!(allowed("/srv/shop/", "/srv/shop/x/y") && allowed("/srv/shop/", "/srv/shop"));
        assert!(!allowed("/srv/shop/", "/srv/shop-of-others") && !allowed("/srv/shop/", "/srv"));
        assert!(allowed("/", "/etc"));
        assert!(!is_allowed(&[], "/srv", true));
        let read = rules(&["/etc/ssl/:ro"]);
        assert!(is_allowed(&read, "/etc/ssl/certs", true));
        assert!(!is_allowed(&read, "/etc/ssl/certs", false) && !is_allowed(&read, "/etc", true));
    }

    #[test]
    fn below_a_folder_that_may_be_written_links_may_lie() {
        let rules = rules(&["/srv/shop", "/srv/web/", "/srv/:ro", "/etc/app.conf"]);
        for (path, expected) in [
            ("/srv/shop/x", Some("/srv/shop")),
            ("/srv/shop/x/y", Some("/srv/shop")),
            ("/srv/web/x", Some("/srv/web")),
            ("/srv/shop", None),
            ("/srv/web", None),
            ("/srv/shop-of-others/x", None),
            ("/srv/x", None),
            ("/srv", None),
            ("/etc/app.conf", None),
        ] {
            assert_eq!(writable_above(&rules, path).as_deref(), expected, "{path}");
        }
        assert_eq!(writable_above(&["/".to_owned()], "/srv").as_deref(), Some("/"));
    }

    #[test]
    fn what_leads_to_the_engine() {
        let host = |endpoint: &str| DockerHostSpec {
            endpoint: endpoint.to_owned(),
            ..DockerHostSpec::default()
        };
        let hosts = BTreeMap::from([
            ("a".to_owned(), host("unix:///srv/engines/one.sock")),
            ("b".to_owned(), host("ssh://root@192.0.2.1:22/opt/docker/docker.sock")),
            ("c".to_owned(), host("ssh://root@192.0.2.1")),
            ("d".to_owned(), host("tcp://192.0.2.1:2376")),
        ]);
        let sockets = sockets(&hosts);
        let told = |path: &str| engine(path, &sockets);
        for path in [
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/srv/engines/one.sock",
            "/opt/docker/docker.sock",
        ] {
            assert_eq!(told(path), Engine::Socket, "{path}");
        }
        for path in [
            "/",
            "/run",
            "/var",
            "/var/run",
            "/var/lib",
            "/srv",
            "/opt/docker",
            "/var/lib/docker/volumes/other_production_data/_data",
            "/proc/1/root",
            "/run/containerd/containerd.sock",
        ] {
            assert_eq!(told(path), Engine::Leads, "{path}");
        }
        for path in ["/srv/shop", "/run/docker.sock.d", "/var/lib/dockerish", "/etc/ssl", "/dev"] {
            assert_eq!(told(path), Engine::Elsewhere, "{path}");
        }
    }
}
