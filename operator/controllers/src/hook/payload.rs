//! Payload: which forge a delivery is from, and whether it concerns what a
//! repository follows. Nothing else of it is ever used.

use std::borrow::Cow;

use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::signature::text_of;

/// The software that sent a delivery, by its headers; a closed set for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forge {
    /// GitHub.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea or Forgejo.
    Gitea,
    /// Bitbucket Cloud or Data Center.
    Bitbucket,
    /// None of those.
    Unknown,
}

impl Forge {
    /// By the header that names the event. Gitea and Forgejo send GitHub's too.
    pub fn of(headers: &HeaderMap) -> Self {
        let has = |name: &str| headers.contains_key(name);
        if has("x-forgejo-event") || has("x-gitea-event") {
            Self::Gitea
        } else if has("x-github-event") {
            Self::Github
        } else if has("x-gitlab-event") {
            Self::Gitlab
        } else if has("x-event-key") {
            Self::Bitbucket
        } else {
            Self::Unknown
        }
    }

    /// Lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
            Self::Bitbucket => "bitbucket",
            Self::Unknown => "unknown",
        }
    }
}

/// What a repository follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// A branch.
    Branch(String),
    /// A tag, or the newest of a range of versions.
    Tags,
    /// A commit, which no push changes.
    Commit,
}

/// What a genuine delivery means for a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// What is followed may have changed.
    Concerns,
    /// The forge tries whether anybody answers.
    Ping,
    /// Nothing that is followed changed; why, in a few words.
    Elsewhere(&'static str),
    /// It can't be read; why, in a few words.
    Unreadable(&'static str),
}

/// What a delivery means whose body is known whole. With no `body`, as it was too
/// long to keep, it may concern what is followed.
pub fn meaning(headers: &HeaderMap, body: Option<&[u8]>, followed: &Followed) -> Meaning {
    let event =
        ["x-forgejo-event", "x-gitea-event", "x-github-event", "x-gitlab-event", "x-event-key"]
            .iter()
            .find_map(|name| text_of(headers, name))
            .unwrap_or_default()
            .to_ascii_lowercase();
    match event.as_str() {
        "push" | "push hook" | "tag push hook" | "system hook" | "repo:push"
        | "repo:refs_changed" => {}
        "ping" | "diagnostics:ping" => return Meaning::Ping,
        "" => return Meaning::Unreadable("no header names an event"),
        _ => return Meaning::Elsewhere("the event is no push"),
    }
    let Some(body) = body else { return Meaning::Concerns };
    let Some(json) = json_of(headers, body) else {
        return Meaning::Unreadable("the form has no field payload");
    };
    if event == "system hook" {
        // Of many kinds, whose fields mean other things than those of a push.
        match serde_json::from_slice::<SystemHook>(&json) {
            Ok(hook) if hook.is_push() => {}
            Ok(_) => return Meaning::Elsewhere("the event is no push"),
            Err(_) => return Meaning::Unreadable("the payload is no JSON"),
        }
    }
    let Ok(push) = serde_json::from_slice::<Push>(&json) else {
        return Meaning::Unreadable("the payload is not the JSON of a push");
    };
    of_push(&push, followed)
}

/// What GitLab's system hooks have in common, if that.
#[derive(Debug, Deserialize)]
struct SystemHook {
    object_kind: Option<String>,
}

impl SystemHook {
    fn is_push(&self) -> bool {
        matches!(self.object_kind.as_deref(), Some("push" | "tag_push"))
    }
}

/// The parts of a push that are looked at, of all forges.
#[derive(Debug, Deserialize)]
struct Push {
    /// GitHub, GitLab, Gitea: `refs/heads/main`.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Bitbucket Data Center.
    #[serde(default)]
    changes: Vec<Change>,
    /// Bitbucket Cloud.
    push: Option<Changes>,
}

#[derive(Debug, Deserialize)]
struct Changes {
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Change {
    /// Data Center: `{"id": "refs/heads/main"}`.
    #[serde(rename = "ref")]
    reference: Option<Reference>,
    /// Cloud: absent or null when the branch was deleted.
    new: Option<Named>,
    /// Cloud: absent or null when the branch is new.
    old: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    id: String,
}

/// `{"type": "branch", "name": "main"}`.
#[derive(Debug, Deserialize)]
struct Named {
    #[serde(rename = "type")]
    type_: String,
    name: String,
}

fn of_push(push: &Push, followed: &Followed) -> Meaning {
    let references = pushed(push);
    if references.is_empty() {
        return Meaning::Unreadable("the payload names no branch");
    }
    match followed {
        Followed::Commit => Meaning::Elsewhere("a commit is followed, which no push changes"),
        Followed::Tags if references.iter().any(|name| name.starts_with("refs/tags/")) => {
            Meaning::Concerns
        }
        Followed::Tags => Meaning::Elsewhere("a tag is followed, and no tag was pushed"),
        Followed::Branch(branch) => {
            let full = format!("refs/heads/{branch}");
            // A branch that was deleted concerns those who follow it, too.
            match references.iter().any(|name| **name == full) {
                true => Meaning::Concerns,
                false => Meaning::Elsewhere("another branch or a tag was pushed"),
            }
        }
    }
}

/// Full names of what was pushed or deleted.
fn pushed(push: &Push) -> Vec<Cow<'_, str>> {
    let mut references: Vec<Cow<'_, str>> = Vec::new();
    references.extend(push.reference.as_deref().map(Cow::Borrowed));
    let cloud = push.push.iter().flat_map(|push| &push.changes);
    for change in push.changes.iter().chain(cloud) {
        let Change { reference, new, old } = change;
        references.extend(reference.as_ref().map(|one| Cow::Borrowed(one.id.as_str())));
        for Named { type_, name } in [new, old].into_iter().flatten() {
            let folder = if type_ == "tag" { "tags" } else { "heads" };
            references.push(Cow::Owned(format!("refs/{folder}/{name}")));
        }
    }
    references
}

/// The JSON in a body: the body itself, or the field `payload` of a form.
fn json_of<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let type_ = text_of(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !type_.starts_with("application/x-www-form-urlencoded") {
        return Some(Cow::Borrowed(body));
    }
    let text = std::str::from_utf8(body).ok()?;
    let field = text.split('&').find_map(|field| field.strip_prefix("payload="))?;
    Some(Cow::Owned(percent_decode_str(&field.replace('+', " ")).collect()))
}
