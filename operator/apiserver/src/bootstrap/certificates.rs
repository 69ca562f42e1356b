//! The installation's own certificate authority and the server's certificate.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use super::BootstrapError;
use crate::private_file;

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
pub(super) const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
const RECORD: &str = "server.json";

const CA_LIFE: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// A certificate with less than this left is made anew.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 60);
/// Clocks of clients may be a little behind.
const BACKDATE: SignedDuration = SignedDuration::from_hours(24);

/// What can't be read off a certificate without a parser of certificates.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    names: Vec<String>,
    not_after: Timestamp,
}

/// PEM texts of the server.
pub(super) struct Certificates {
    pub ca: String,
    pub chain: String,
    pub key: String,
}

struct Files<'a>(&'a Path);

impl Files<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Result<Option<String>, BootstrapError> {
        private_file::read(&self.path(name))
            .map_err(|source| BootstrapError::File { path: self.path(name), source })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), BootstrapError> {
        private_file::write(&self.path(name), text.as_bytes())
            .map_err(|source| BootstrapError::File { path: self.path(name), source })
    }
}

/// Reads the certificates of a data directory, and makes what is missing, about
/// to expire or for other names.
pub(super) fn load_or_make(
    directory: &Path,
    id: &str,
    names: &[String],
    now: Timestamp,
) -> Result<Certificates, BootstrapError> {
    let files = Files(directory);
    let (ca, issuer) = authority(&files, id, now)?;
    let record = files.read(RECORD)?.and_then(|text| serde_json::from_str::<Record>(&text).ok());
    let usable = |record: &Record| record.names == names && record.not_after > now + RENEW_BEFORE;
    if let (Some(chain), Some(key), Some(record)) =
        (files.read(CERTIFICATE)?, files.read(KEY)?, record)
        && usable(&record)
    {
        return Ok(Certificates { ca, chain, key });
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "hades");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let not_after = now + LIFE;
    set_validity(&mut params, now, not_after);
    // With the authority at its end, so that somebody who doesn't know it yet can see
    // it and compare its fingerprint.
    let chain = format!("{}{ca}", params.signed_by(&key, &issuer)?.pem());
    let key = key.serialize_pem();
    let record = Record { names: names.to_vec(), not_after };
    let record = serde_json::to_string_pretty(&record).map_err(BootstrapError::Record)?;
    // The record last: without it a half-written pair is made again.
    files.write(RECORD, "{}")?;
    files.write(KEY, &key)?;
    files.write(CERTIFICATE, &chain)?;
    files.write(RECORD, &record)?;
    Ok(Certificates { ca, chain, key })
}

/// The authority. Its certificate is never made anew while its key is there:
/// every kubeconfig out there carries it.
fn authority(
    files: &Files<'_>,
    id: &str,
    now: Timestamp,
) -> Result<(String, Issuer<'static, KeyPair>), BootstrapError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, format!("hades CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, now + CA_LIFE);
    if let (Some(certificate), Some(key)) = (files.read(CA_CERTIFICATE)?, files.read(CA_KEY)?) {
        let key = KeyPair::from_pem(&key)?;
        return Ok((certificate, Issuer::new(params, key)));
    }
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    files.write(CA_KEY, &key.serialize_pem())?;
    files.write(CA_CERTIFICATE, &certificate)?;
    Ok((certificate, Issuer::new(params, key)))
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, not_after: Timestamp) {
    let day = |time: Timestamp| {
        let date = time.to_zoned(TimeZone::UTC).date();
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = day(now - BACKDATE);
    params.not_after = day(not_after);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn certificates_are_kept_until_names_change_or_time_runs_out() {
        let directory = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let load =
            |list: &[&str], now| load_or_make(directory.path(), "id", &names(list), now).unwrap();
        let first = load(&["localhost", "127.0.0.1"], now);
        let second = load(&["localhost", "127.0.0.1"], now);
        assert_eq!((&first.ca, &first.chain), (&second.ca, &second.chain));
        let renamed = load(&["localhost"], now);
        assert_ne!(renamed.chain, first.chain);
        let later = load(&["localhost"], now + LIFE - SignedDuration::from_hours(24));
        assert_ne!(later.chain, renamed.chain);
        assert_eq!(later.ca, first.ca);
    }
}
