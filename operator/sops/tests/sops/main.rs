//! Files of real sops, files for real sops, and files that must not open.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod properties;
mod real;
mod refused;
mod vectors;

use std::path::{Path, PathBuf};

use hades_sops::{Format, Keys, SopsError};

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sops/vectors").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(vector(name)).unwrap()
}

fn keys(names: &[&str]) -> Keys {
    let mut keys = Keys::default();
    for name in names {
        keys.extend(Keys::parse(&text(name)).unwrap());
    }
    keys
}

fn open(text: &str, format: Format, keys: &Keys) -> Result<String, SopsError> {
    let opened = hades_sops::open(text.as_bytes(), format, keys)?;
    Ok(String::from_utf8(opened.bytes.to_vec()).unwrap())
}

/// All documents of a YAML or JSON file, read by a parser that isn't ours.
fn values(text: &str) -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn sops() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("HADES_SOPS") else {
        eprintln!("skipped: hack/test.sh installs sops and sets HADES_SOPS");
        return None;
    };
    Some(PathBuf::from(folder).join("sops"))
}
