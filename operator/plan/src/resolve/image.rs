//! Image references as people write them.

use super::Inputs;
use super::findings::Findings;
use super::service::Placed;
use crate::reference;

/// Checks `reference` the way an engine would, before one is asked.
/// One that a policy moves may be without a version.
pub(super) fn check(field: &str, reference: &str, by_policy: bool, findings: &mut Findings) {
    if let Err(problem) = parse(reference) {
        findings.invalid(field, format!("{reference:?} is not an image: {problem}"));
    } else if !by_policy && floats(reference) {
        findings.lint(
            field,
            format!("{reference} can stand for another image tomorrow: name a version or a digest"),
        );
    }
}

/// Digest by which the registry has the image of a service, as far as it is known:
/// a pin of the very host goes before those of others, and these before what a
/// policy has found.
pub(super) fn digest(inputs: &Inputs<'_>, placed: &Placed<'_>, host: &str) -> Option<String> {
    let image = &placed.spec.image;
    if reference::digest(image).is_some() || reference::is_id(image) {
        return None;
    }
    let pins = || inputs.pins.iter().filter(|pin| pin.image == *image && pin.digest.is_some());
    let pin = pins().find(|pin| pin.host == host).or_else(|| pins().next());
    let policy = || super::image_policy::found(inputs, placed.name, placed.service);
    pin.and_then(|pin| pin.digest.clone()).or_else(|| policy().map(|found| found.digest.clone()))
}

fn parse(reference: &str) -> Result<(), String> {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    let is_digest = |text: &str| {
        text.split_once(':').is_some_and(|(kind, hex)| !kind.is_empty() && hex.len() >= 32)
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("what follows @ must be a digest such as sha256:…".to_owned());
    }
    let (path, tag) = split_tag(name);
    let in_tag = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if tag.is_some_and(|tag| tag.is_empty() || tag.len() > 128 || !tag.chars().all(in_tag)) {
        return Err("a tag has 1 to 128 letters, digits, '.', '_' and '-'".to_owned());
    }
    // What comes before the first slash is a registry when it looks like one.
    let repository = match path.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest,
        _ => path,
    };
    let in_component = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    let component_fits = |part: &str| {
        part.chars().all(in_component)
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("the name of a repository is in lower case".to_owned());
    }
    if !repository.split('/').all(component_fits) {
        return Err("write it like nginx:1.29 or registry.example.com/shop/api:2".to_owned());
    }
    Ok(())
}

/// A reference's name and tag. A colon before the last slash is a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    }
}

/// Whether the registry may mean another image by it at any time.
fn floats(reference: &str) -> bool {
    !reference.contains('@') && matches!(split_tag(reference).1, None | Some("latest"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for good in [
            "nginx",
            "nginx:1.29",
            "a/b:c",
            "localhost:5000/a/b",
            "Registry.example.com/a__b/c-d:X_1",
            "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(parse(good), Ok(()), "{good}");
        }
        for bad in
            ["", "Nginx", "a b", "a:", "a:b c", "a@b", "/a", "a/", "https://a/b", "-a", "a//b"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("Nginx").unwrap_err().contains("lower case"));
    }

    #[test]
    fn floating_references() {
        assert!(floats("nginx") && floats("nginx:latest") && floats("localhost:5000/a"));
        assert!(!floats("nginx:1") && !floats("nginx@sha256:x") && !floats("sha256:abc"));
    }
}
