//! Environment variables of a service: the project's, under `spec.env`, under
//! `envFrom` in its order, under the service's own `env`; `$(NAME)` in text is
//! replaced the way Kubernetes does.

use std::collections::BTreeMap;

use hades_api::{EnvValue, Scalar, SecretKeyRef, ServiceSpec};
use secrecy::{ExposeSecret, SecretString};

use super::findings::Findings;
use super::{Inputs, SpecErrorKind, suggest};
use crate::desired::EnvVar;

/// Linux gives a process no longer string than this, `NAME=` included.
const LONGEST: usize = 131_071;
/// How deep variables may be composed of variables that are composed of …
const DEEPEST: usize = 32;
/// Parts of a name behind which people put what nobody else may know.
const SECRETIVE: [&str; 14] = [
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "DSN",
    "KEY",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PRIVATE",
    "PWD",
    "SECRET",
    "SECRETS",
    "TOKEN",
];

/// A variable as the manifest has it.
struct Variable {
    /// Path of the field that sets it.
    field: String,
    value: Value,
}

/// A value, and whether others may see it.
#[derive(Clone)]
enum Value {
    /// Text of the manifest; the flag says that `$(NAME)` in it counts.
    Plain(String, bool),
    Secret(SecretString),
}

impl Value {
    fn expose(&self) -> &str {
        match self {
            Self::Plain(text, _) => text,
            Self::Secret(secret) => secret.expose_secret(),
        }
    }
}

/// All variables of the containers of a service.
pub(super) fn resolve(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> BTreeMap<String, EnvVar> {
    let variables = layers(inputs, name, service, findings);
    let mut expansion = Expansion { variables: &variables, done: BTreeMap::new() };
    for key in variables.keys() {
        expansion.expand(key, &mut Vec::new(), findings);
    }
    let mut resolved = BTreeMap::new();
    for (key, value) in expansion.done {
        let Some(variable) = variables.get(&key) else {
            continue;
        };
        check(&key, variable, &value, findings);
        let value = match value {
            Value::Plain(text, _) => EnvVar::Plain(text),
            Value::Secret(secret) => EnvVar::Secret {
                fingerprint: (inputs.fingerprint)(secret.expose_secret()),
                value: Some(secret),
            },
        };
        resolved.insert(key, value);
    }
    resolved
}

/// What an operating system can't take, and what a careful person would ask.
fn check(key: &str, variable: &Variable, value: &Value, findings: &mut Findings) {
    let field = &variable.field;
    if key.is_empty() || key.contains(['=', '\0']) {
        findings.invalid(
            field,
            format!("{key:?} can't be the name of a variable: it must not be empty or hold '='"),
        );
    }
    if value.expose().contains('\0') {
        findings.invalid(field, "the value holds a NUL character, which no variable can");
    }
    if key.len() + 1 + value.expose().len() > LONGEST {
        findings.invalid(
            field,
            format!("the value is longer than the {LONGEST} bytes that a process can be given"),
        );
    }
    let Value::Plain(text, true) = value else { return };
    if !text.is_empty() && looks_secret(key) {
        findings.lint(
            field,
            format!("{key} looks like a secret and everybody who reads the manifest sees it: put it into a Secret and take it from there with secretKeyRef"),
        );
    } else if holds_password(text) {
        findings.lint(
            field,
            format!("{key} is a URL with a password in it and everybody who reads the manifest sees it: put the password into a Secret, take a variable from there with secretKeyRef, and write $(VARIABLE) in the URL"),
        );
    }
}

/// Whether a variable of this name holds what nobody else may know, as people name them.
pub fn looks_secret(key: &str) -> bool {
    let upper = key.to_ascii_uppercase();
    // Where a process is, and was before.
    if ["PWD", "OLDPWD"].contains(&upper.as_str()) {
        return false;
    }
    let mut parts = upper.split(['_', '.', '-']);
    let last = upper.rsplit(['_', '.', '-']).next().unwrap_or_default();
    parts.any(|part| SECRETIVE.contains(&part))
        && !upper.contains("PUBLIC")
        && !["FILE", "PATH", "URL", "NAME", "ID", "TTL"].contains(&last)
}

/// Whether a text has a URL with a password in it: `scheme://user:password@host`. One
/// that is a reference, `$(NAME)`, is none.
pub fn holds_password(text: &str) -> bool {
    text.match_indices("://").any(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let rest = rest.split(char::is_whitespace).next().unwrap_or_default();
        let (mut authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // A password that has one of these isn't always encoded; what is behind a port
        // is a path.
        let port = authority.split_once(':').map_or("", |(_, port)| port);
        if !authority.contains('@') && !port.bytes().all(|byte| byte.is_ascii_digit()) {
            authority = rest;
        }
        let Some((account, _)) = authority.rsplit_once('@') else { return false };
        let Some((_, password)) = account.split_once(':') else { return false };
        let is_reference =
            parts(password).iter().all(|part| matches!(part, Part::Reference(_) | Part::Text("")));
        !password.is_empty() && !is_reference
    })
}

/// Every variable from the uppermost layer that has it.
fn layers(
    inputs: &Inputs<'_>,
    name: &str,
    service: &ServiceSpec,
    findings: &mut Findings,
) -> BTreeMap<String, Variable> {
    let mut whole: BTreeMap<String, Variable> = BTreeMap::new();
    for (index, source) in service.env_from.iter().flatten().enumerate() {
        let field = format!("spec.services.{name}.envFrom[{index}].secretRef.name");
        let secret = &source.secret_ref.name;
        let Some(data) = inputs.secrets.get(secret) else {
            missing_secret(inputs, secret, field, findings);
            continue;
        };
        for (key, value) in &data.0 {
            let value = Value::Secret(value.clone());
            whole.insert(key.clone(), Variable { field: field.clone(), value });
        }
    }
    let mut variables = BTreeMap::new();
    let hidden = |key: &String| whole.contains_key(key) || service.env.contains_key(key);
    let shared = |key: &String| inputs.spec.env.contains_key(key) || hidden(key);
    for (key, value) in inputs.project_env.iter().filter(|(key, _)| !shared(key)) {
        let field = format!("HadesProject {}: spec.env.{key}", inputs.environment.project);
        variables.insert(key.clone(), variable(inputs, field, value, findings));
    }
    for (key, value) in inputs.spec.env.iter().filter(|(key, _)| !hidden(key)) {
        let field = format!("spec.env.{key}");
        variables.insert(key.clone(), variable(inputs, field, value, findings));
    }
    variables.extend(whole);
    for (key, value) in &service.env {
        let field = format!("spec.services.{name}.env.{key}");
        variables.insert(key.clone(), variable(inputs, field, value, findings));
    }
    variables
}

fn variable(
    inputs: &Inputs<'_>,
    field: String,
    value: &EnvValue,
    findings: &mut Findings,
) -> Variable {
    let value = match value {
        EnvValue::Scalar(Scalar::String(text)) => Value::Plain(text.clone(), true),
        EnvValue::Scalar(scalar) => Value::Plain(scalar.to_string(), false),
        EnvValue::From(source) => Value::Secret(
            secret_key(inputs, &field, &source.secret_key_ref, findings).unwrap_or_default(),
        ),
    };
    Variable { field, value }
}

/// The value of a Secret that `field` refers to.
pub(super) fn secret_key(
    inputs: &Inputs<'_>,
    field: &str,
    reference: &SecretKeyRef,
    findings: &mut Findings,
) -> Option<SecretString> {
    let SecretKeyRef { name, key } = reference;
    let Some(data) = inputs.secrets.get(name) else {
        missing_secret(inputs, name, format!("{field}.secretKeyRef.name"), findings);
        return None;
    };
    let value = data.0.get(key).cloned();
    if value.is_none() {
        // Who sees this may not be allowed to see what else is in it.
        let hint = suggest::slip(key, data.0.keys());
        let hint = hint.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        let message = format!("Secret {name:?} has no text under the key {key:?}{hint}");
        let field = format!("{field}.secretKeyRef.key");
        findings.error(SpecErrorKind::SecretNotFound, field, message);
    }
    value
}

fn missing_secret(inputs: &Inputs<'_>, name: &str, field: String, findings: &mut Findings) {
    let project = &inputs.environment.project;
    let nearest = match inputs.secrets.is_empty() {
        true => String::new(),
        false => {
            format!("; {}", suggest::hint(name, "Secrets that are there", inputs.secrets.keys()))
        }
    };
    findings.error(
        SpecErrorKind::SecretNotFound,
        field,
        format!("there is no Secret {name:?} in project {project}: create it, or correct the name{nearest}"),
    );
}

/// Replaces `$(NAME)` in every variable, each variable once.
struct Expansion<'a> {
    variables: &'a BTreeMap<String, Variable>,
    done: BTreeMap<String, Value>,
}

impl<'a> Expansion<'a> {
    /// The value of `key` with all replaced; `above` are the variables that
    /// need it, outermost first.
    fn expand(&mut self, key: &'a str, above: &mut Vec<&'a str>, findings: &mut Findings) -> Value {
        let nothing = || Value::Plain(String::new(), false);
        if let Some(value) = self.done.get(key) {
            return value.clone();
        }
        let Some(variable) = self.variables.get(key) else {
            return nothing();
        };
        let Value::Plain(text, true) = &variable.value else {
            self.done.insert(key.to_owned(), variable.value.clone());
            return variable.value.clone();
        };
        if let Some(start) = above.iter().position(|name| *name == key) {
            self.report_cycle(&above[start..], findings);
            return nothing();
        }
        if above.len() >= DEEPEST {
            findings.invalid(
                &variable.field,
                format!("variables are composed of one another more than {DEEPEST} deep"),
            );
            return nothing();
        }
        above.push(key);
        let value = self.compose(variable, text, above, findings);
        above.pop();
        self.done.insert(key.to_owned(), value.clone());
        value
    }

    fn compose(
        &mut self,
        variable: &'a Variable,
        text: &'a str,
        above: &mut Vec<&'a str>,
        findings: &mut Findings,
    ) -> Value {
        let (mut composed, mut secret) = (String::new(), false);
        for part in parts(text) {
            match part {
                Part::Text(text) => composed.push_str(text),
                Part::Reference(name) if self.variables.contains_key(name) => {
                    let value = self.expand(name, above, findings);
                    secret |= matches!(value, Value::Secret(_));
                    composed.push_str(value.expose());
                }
                Part::Reference(name) => {
                    findings.lint(
                        &variable.field,
                        format!("there is no variable {name:?}, so that $({name}) stays as it is; write $$({name}) when that is meant"),
                    );
                    composed.push_str("$(");
                    composed.push_str(name);
                    composed.push(')');
                }
            }
            // Doubling a few times over would take all memory there is.
            if composed.len() > LONGEST {
                break;
            }
        }
        match secret {
            true => Value::Secret(SecretString::from(composed)),
            false => Value::Plain(composed, true),
        }
    }

    /// A cycle is reported at the first of its names, so that it is found once
    /// wherever the search began.
    fn report_cycle(&self, cycle: &[&str], findings: &mut Findings) {
        let first = cycle.iter().enumerate().min_by_key(|(_, name)| **name);
        let Some((index, first)) = first else { return };
        let Some(variable) = self.variables.get(*first) else {
            return;
        };
        let names: Vec<String> = cycle[index..]
            .iter()
            .chain(&cycle[..index])
            .chain([first])
            .map(|name| format!("$({name})"))
            .collect();
        findings.invalid(
            &variable.field,
            format!("variables are composed of themselves: {}", names.join(" → ")),
        );
    }
}

/// A piece of a value.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Reference(&'a str),
}

/// Cuts a value up by the rules of Kubernetes: `$(NAME)` is a reference, `$$`
/// stands for `$`, every other `$` for itself.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        let behind = &from[1..];
        let name = behind.strip_prefix('(').and_then(|inside| inside.split_once(')'));
        if let Some((name, after)) = name {
            parts.push(Part::Text(before));
            parts.push(Part::Reference(name));
            rest = after;
        } else {
            parts.push(Part::Text(&rest[..=dollar]));
            rest = behind.strip_prefix('$').unwrap_or(behind);
        }
    }
    parts.push(Part::Text(rest));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parts(text)
            .iter()
            .map(|part| match part {
                Part::Text(text) => (*text).to_owned(),
                Part::Reference(name) => format!("<{name}>"),
            })
            .collect()
    }

    #[test]
    fn references_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$(A)", "<A>"),
            ("x$(A)y$(B)", "x<A>y<B>"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$<A>"),
            ("$$$$(A)", "$$(A)"),
            ("$(A", "$(A"),
            ("$", "$"),
            ("a$b", "a$b"),
            ("$()", "<>"),
            ("$(A)$", "<A>$"),
            ("ä$(Ö)", "ä<Ö>"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn names_that_look_secret() {
        for name in [
            "DB_PASSWORD",
            "token",
            "AWS_SECRET_ACCESS_KEY",
            "API_KEY",
            "SMTP_PASS",
            "MYSQL_PWD",
            "KEY_PASSPHRASE",
            "GOOGLE_CREDENTIALS",
            "SIGNING_PRIVATE",
            "SENTRY_DSN",
            "spring.datasource.password",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in [
            "KEYCLOAK_URL",
            "PUBLIC_KEY",
            "PASSWORD_FILE",
            "TOKEN_TTL",
            "MONKEY",
            "PWD",
            "BYPASS",
            "PASSENGER_PORT",
        ] {
            assert!(!looks_secret(name), "{name}");
        }
    }

    #[test]
    fn urls_with_a_password() {
        for text in [
            "postgres://app:hunter2@db/app",
            "redis://:hunter2@cache:6379",
            "a=1 amqp://u:p@q/v b=2",
            "postgres://app:a/b#c@db/app",
            "postgres://app:$(PREFIX)-x@db/app",
        ] {
            assert!(holds_password(text), "{text}");
        }
        for text in [
            "",
            "hunter2",
            "https://example.com/a:b",
            "https://git@example.com/a:b",
            "postgres://app:$(DB_PASS)@db/app",
            "postgres://app:@db/app",
            "https://example.com:8080/mail to:a@b",
            "http://cache:6379",
            "https://example.com:8080/users/a@b",
        ] {
            assert!(!holds_password(text), "{text}");
        }
    }
}
