//! The REST APIs of forges, as far as webhooks go: which calls to make and what
//! their answers say. No call is made here.
//!
//! - GitHub: <https://docs.github.com/en/rest/repos/webhooks>
//! - GitLab: <https://docs.gitlab.com/api/project_webhooks/>
//! - Gitea and Forgejo: `/api/swagger`, `repoCreateHook`

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// What GitLab wants encoded in the path of a project, which is one segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Hooks on one page of a list, the most that all forges give.
pub(super) const PAGE: usize = 50;

/// A forge whose webhooks can be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Github,
    Gitlab,
    Gitea,
}

/// A repository in a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) api: Api,
    /// Root of the API, without a slash at its end.
    root: String,
    /// `owner/name`; in GitLab with any number of groups before it.
    pub(super) repository: String,
}

/// A call. Debug shows no secret: the body isn't in it.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) body: Option<Value>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// The webhook that there shall be.
pub(super) struct Wanted<'a> {
    pub(super) url: &'a str,
    pub(super) token: &'a str,
    /// Whether tags are followed, and not a branch.
    pub(super) tags: bool,
}

/// How a forge is told who asks: header and value.
pub(super) fn authorization(api: Api, token: &str) -> (&'static str, String) {
    match api {
        Api::Github => ("authorization", format!("Bearer {token}")),
        Api::Gitlab => ("private-token", token.to_owned()),
        Api::Gitea => ("authorization", format!("token {token}")),
    }
}

impl Place {
    /// From where a forge is and the URL of a repository in it, however that is
    /// written (`https://…`, `ssh://…`, `git@host:path`). None when the URL names
    /// no repository.
    pub(super) fn new(api: Api, forge: &str, repository: &str) -> Option<Self> {
        let forge = forge.trim_end_matches('/');
        let (scheme, rest) = forge.split_once("://")?;
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let root = match api {
            Api::Github if host == "github.com" => "https://api.github.com".to_owned(),
            Api::Github => format!("{scheme}://{rest}/api/v3"),
            Api::Gitlab => format!("{scheme}://{rest}/api/v4"),
            Api::Gitea => format!("{scheme}://{rest}/api/v1"),
        };
        let path = match repository.split_once("://") {
            Some((_, rest)) => rest.split_once('/').filter(|(host, _)| !host.is_empty())?.1,
            None => repository.split_once(':')?.1,
        };
        let path = path.trim_matches('/');
        // A forge below a folder of its host has it in the URLs of HTTP, and only there.
        let is_http = repository.starts_with("https://") || repository.starts_with("http://");
        let below = path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
        let path = below.filter(|_| is_http).unwrap_or(path).trim_start_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let parts = path.split('/').filter(|part| !part.is_empty()).count();
        let fits = if api == Api::Gitlab { parts >= 2 } else { parts == 2 };
        let is_plain = !path.contains(['?', '#', '%', ' ']) && !path.split('/').any(|p| p == "..");
        (fits && is_plain).then(|| Self { api, root, repository: path.to_owned() })
    }

    fn hooks(&self) -> String {
        let Self { api, root, repository } = self;
        match api {
            Api::Github | Api::Gitea => format!("{root}/repos/{repository}/hooks"),
            Api::Gitlab => {
                format!("{root}/projects/{}/hooks", utf8_percent_encode(repository, SEGMENT))
            }
        }
    }

    /// Asks for the hooks that there are; pages count from 1.
    pub(super) fn list(&self, page: usize) -> Call {
        let size = if self.api == Api::Gitea { "limit" } else { "per_page" };
        let url = format!("{}?{size}={PAGE}&page={page}", self.hooks());
        Call { method: Method::GET, url, body: None }
    }

    /// Makes a hook.
    pub(super) fn create(&self, wanted: &Wanted<'_>) -> Call {
        let body = match self.api {
            Api::Github => with(self.body(wanted), "name", "web"),
            Api::Gitlab => self.body(wanted),
            Api::Gitea => with(self.body(wanted), "type", "gitea"),
        };
        Call { method: Method::POST, url: self.hooks(), body: Some(body) }
    }

    /// Makes a hook that there is what is wanted.
    pub(super) fn update(&self, id: u64, wanted: &Wanted<'_>) -> Call {
        let method = if self.api == Api::Gitlab { Method::PUT } else { Method::PATCH };
        let url = format!("{}/{id}", self.hooks());
        Call { method, url, body: Some(self.body(wanted)) }
    }

    fn body(&self, wanted: &Wanted<'_>) -> Value {
        let Wanted { url, token, tags } = wanted;
        match self.api {
            // A push of a tag is a push, too.
            Api::Github => json!({
                "active": true, "events": ["push"],
                "config": {
                    "url": url, "content_type": "json", "secret": token, "insecure_ssl": "0",
                },
            }),
            Api::Gitlab => json!({
                "url": url, "token": token, "push_events": !tags, "tag_push_events": tags,
                "enable_ssl_verification": true,
            }),
            Api::Gitea => json!({
                "active": true, "events": ["push"],
                "config": {"url": url, "content_type": "json", "secret": token},
            }),
        }
    }

    /// The id of the hook with that URL in a list, and how many hooks are in it.
    /// None when it is no list.
    pub(super) fn find(&self, answer: &Value, url: &str) -> Option<(Option<u64>, usize)> {
        let hooks = answer.as_array()?;
        let id = hooks.iter().find_map(|hook| {
            let found = match self.api {
                Api::Gitlab => hook.get("url"),
                Api::Github | Api::Gitea => hook.pointer("/config/url"),
            };
            (found.and_then(Value::as_str) == Some(url)).then(|| hook.get("id")?.as_u64())?
        });
        Some((id, hooks.len()))
    }
}

fn with(mut body: Value, field: &str, value: &str) -> Value {
    body[field] = json!(value);
    body
}

/// What a forge says is wrong, as far as it says so: GitHub and Gitea `message`,
/// GitLab `message` or `error`.
pub(super) fn complaint(answer: &Value) -> Option<String> {
    /// Much of a forge's text is enough to recognise it.
    const MOST: usize = 1000;
    let message = answer.get("message").or_else(|| answer.get("error"))?;
    let text = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    // No word is cut in two: it may be a credential, whose half nobody would know again.
    let mut words: String =
        text.chars().filter(|character| !character.is_control()).take(MOST + 1).collect();
    if words.chars().count() > MOST {
        let end = words.rfind(char::is_whitespace).unwrap_or_default();
        words.truncate(end);
        words.push('…');
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_of_any_url() {
        let of = |api, forge: &str, url: &str| {
            Place::new(api, forge, url).map(|place| place.list(1).url)
        };
        let github = Some("https://api.github.com/repos/halolab/shop/hooks?per_page=50&page=1");
        for url in [
            "https://github.com/halolab/shop",
            "https://github.com/halolab/shop.git/",
            "ssh://git@github.com/halolab/shop.git",
            "git@github.com:halolab/shop.git",
        ] {
            assert_eq!(of(Api::Github, "https://github.com", url).as_deref(), github, "{url}");
        }
        assert_eq!(
            of(Api::Github, "https://ghe.example.com/", "https://ghe.example.com/a/b").unwrap(),
            "https://ghe.example.com/api/v3/repos/a/b/hooks?per_page=50&page=1"
        );
        assert_eq!(
            of(Api::Gitlab, "https://gitlab.com", "git@gitlab.com:studio/clients/shop.git")
                .unwrap(),
            "https://gitlab.com/api/v4/projects/studio%2Fclients%2Fshop/hooks?per_page=50&page=1"
        );
        let below = "https://example.com/git";
        assert_eq!(
            of(Api::Gitea, below, "https://example.com/git/a/b.git").unwrap(),
            "https://example.com/git/api/v1/repos/a/b/hooks?limit=50&page=1"
        );
        // What begins alike is in no such folder.
        assert_eq!(
            of(Api::Gitea, below, "git@example.com:gitops/shop.git").unwrap(),
            "https://example.com/git/api/v1/repos/gitops/shop/hooks?limit=50&page=1"
        );
        assert_eq!(
            of(Api::Gitlab, below, "git@example.com:git/studio/shop.git").unwrap(),
            "https://example.com/git/api/v4/projects/git%2Fstudio%2Fshop/hooks?per_page=50&page=1"
        );
        for bad in ["https://github.com/shop", "https://github.com/a/../b", "file:///srv/x", "shop"]
        {
            assert_eq!(of(Api::Github, "https://github.com", bad), None, "{bad}");
        }
    }

    #[test]
    fn hooks_are_found_by_their_url() {
        let of = |api| Place::new(api, "https://git.example.com", "git@x:a/b").unwrap();
        let url = "https://h.example.com/hooks/config/shop/config";
        let list = json!([
            {"id": 1, "config": {"url": "https://other"}}, {"id": 2, "config": {"url": url}},
        ]);
        assert_eq!(of(Api::Github).find(&list, url), Some((Some(2), 2)));
        assert_eq!(of(Api::Gitea).find(&list, "https://none"), Some((None, 2)));
        assert_eq!(of(Api::Gitlab).find(&json!([{"id": 3, "url": url}]), url), Some((Some(3), 1)));
        assert_eq!(of(Api::Gitlab).find(&json!({"message": "x"}), url), None);
    }

    #[test]
    fn bodies_hold_the_token_and_debug_does_not() {
        let wanted = Wanted { url: "https://h", token: "s3cret", tags: false };
        for api in [Api::Github, Api::Gitlab, Api::Gitea] {
            let place = Place::new(api, "https://git.example.com", "git@x:a/b").unwrap();
            let call = place.create(&wanted);
            assert!(call.body.as_ref().unwrap().to_string().contains("s3cret"));
            assert!(!format!("{call:?}").contains("s3cret"));
            let call = place.update(7, &wanted);
            assert!(call.url.ends_with("/hooks/7") && call.body.is_some());
        }
    }

    #[test]
    fn complaints() {
        assert_eq!(complaint(&json!({"message": "Not Found"})).unwrap(), "Not Found");
        assert_eq!(
            complaint(&json!({"error": "insufficient_scope"})).unwrap(),
            "insufficient_scope"
        );
        let validation = json!({"message": {"url": ["is blocked"]}});
        assert_eq!(complaint(&validation).unwrap(), "{\"url\":[\"is blocked\"]}");
        assert_eq!(complaint(&json!([])), None);
        let long = format!("{} hunter22", "x".repeat(995));
        assert_eq!(complaint(&json!({"message": long})).unwrap(), format!("{}…", "x".repeat(995)));
    }
}
