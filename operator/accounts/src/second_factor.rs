//! Second factor: time-based one-time passwords (RFC 6238), and recovery codes for
//! whoever lost the device.

use hades_apiserver::{Record, Vault, VaultError};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Secret, Totp};

use crate::directory::Person;
use crate::random;

/// As many recovery codes are given out.
pub const RECOVERY_CODES: usize = 10;

/// What is kept of a second factor. The secret can't be a hash: codes are made
/// of it. The vault is encrypted.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Factor {
    uid: String,
    secret: String,
    /// Whether a code has shown that the secret arrived.
    confirmed: bool,
    since: Timestamp,
    /// The last step of time whose code was used.
    #[serde(default)]
    used_step: u64,
    /// Digests of the recovery codes that are left.
    #[serde(default)]
    recovery: Vec<String>,
}

/// How the second factor of a user stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorState {
    /// Since when logins need it.
    pub since: Timestamp,
    /// How many recovery codes are left.
    pub recovery_codes: usize,
}

/// What is needed to set up an authenticator. Shown once.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret in base 32, to type.
    pub secret: SecretString,
    /// The same as an `otpauth` URL, for a QR code.
    pub url: SecretString,
}

/// Why a second factor can't be set up or checked.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// There is one already.
    #[error("there is a second factor already; remove it first")]
    Enrolled,
    /// No set-up was begun.
    #[error("no second factor is being set up; begin without a code")]
    NotBegun,
    /// The code is wrong, or was used.
    #[error("the code is wrong; look at the clocks of the device and of the server")]
    Wrong,
    /// The library refuses.
    #[error("a second factor can't be made: {0}")]
    Totp(String),
    /// The system has no randomness.
    #[error("the system gives no randomness: {0}")]
    Random(#[from] getrandom::Error),
    /// The vault can't be read or written.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The second factors of all users.
#[derive(Debug)]
pub(crate) struct SecondFactors {
    vault: Vault,
    issuer: String,
}

impl SecondFactors {
    pub fn new(vault: Vault, issuer: String) -> Self {
        Self { vault, issuer }
    }

    fn record(&self, person: &Person) -> Result<Option<Record<Factor>>, VaultError> {
        let record = self.vault.get::<Factor>(&person.name)?;
        Ok(record.filter(|record| record.value.uid == person.uid))
    }

    /// The second factor of a user, if his logins need one.
    pub fn state(&self, person: &Person) -> Result<Option<FactorState>, VaultError> {
        let factor = self.record(person)?.map(|record| record.value);
        Ok(factor.filter(|factor| factor.confirmed).map(|factor| FactorState {
            since: factor.since,
            recovery_codes: factor.recovery.len(),
        }))
    }

    /// Begins to set one up. Nothing needs it until [`SecondFactors::confirm`].
    pub async fn enrol(&self, person: &Person, now: Timestamp) -> Result<Enrolment, FactorError> {
        let old = self.vault.get::<Factor>(&person.name)?;
        if old.as_ref().is_some_and(|old| old.value.confirmed && old.value.uid == person.uid) {
            return Err(FactorError::Enrolled);
        }
        let secret = Secret::from(random::bytes::<20>()?.to_vec()).to_base32();
        let totp = self.totp(person, &secret)?;
        let url = totp.to_url().map_err(|error| FactorError::Totp(error.to_string()))?;
        let value = Factor {
            uid: person.uid.clone(),
            secret: secret.clone(),
            confirmed: false,
            since: now,
            used_step: 0,
            recovery: Vec::new(),
        };
        match old {
            Some(mut old) => {
                old.value = value;
                self.vault.update(&old).await?;
            }
            None => self.vault.create(&person.name, &value).await?,
        }
        Ok(Enrolment { secret: SecretString::from(secret), url: SecretString::from(url) })
    }

    /// Ends the set-up by a code; the recovery codes.
    pub async fn confirm(
        &self,
        person: &Person,
        code: &str,
        now: Timestamp,
    ) -> Result<Vec<SecretString>, FactorError> {
        let mut record = self.record(person)?.ok_or(FactorError::NotBegun)?;
        if record.value.confirmed {
            return Err(FactorError::Enrolled);
        }
        let step = self.step(person, &record.value, code, now)?.ok_or(FactorError::Wrong)?;
        let mut codes = Vec::with_capacity(RECOVERY_CODES);
        for _ in 0..RECOVERY_CODES {
            let letters = random::clear_text::<16>()?;
            let groups = [&letters[..4], &letters[4..8], &letters[8..12], &letters[12..]];
            record.value.recovery.push(digest(&letters));
            codes.push(SecretString::from(groups.join("-")));
        }
        record.value.used_step = step;
        record.value.confirmed = true;
        record.value.since = now;
        self.vault.update(&record).await?;
        Ok(codes)
    }

    /// Whether a code is good now; it then is used up.
    pub async fn use_code(
        &self,
        person: &Person,
        code: &str,
        now: Timestamp,
    ) -> Result<bool, FactorError> {
        let Some(mut record) = self.record(person)?.filter(|record| record.value.confirmed) else {
            return Ok(false);
        };
        match self.step(person, &record.value, code, now)? {
            Some(step) => record.value.used_step = step,
            None if take(&mut record.value.recovery, code) => {}
            None => return Ok(false),
        }
        match self.vault.update(&record).await {
            Ok(()) => Ok(true),
            // Somebody else used a code at this moment, perhaps this one.
            Err(VaultError::Changed) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a second factor. Whether logins needed it.
    pub async fn remove(&self, name: &str, uid: &str) -> Result<bool, VaultError> {
        loop {
            let record = self.vault.get::<Factor>(name)?;
            let Some(record) = record.filter(|record| record.value.uid == uid) else {
                return Ok(false);
            };
            match self.vault.delete(&record).await {
                Err(VaultError::Changed) => {}
                result => return result.map(|()| record.value.confirmed),
            }
        }
    }

    /// The step of a code that is good and wasn't used. The step before and the one
    /// after are good, too: clocks differ.
    fn step(
        &self,
        person: &Person,
        factor: &Factor,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, FactorError> {
        let code: String = code.chars().filter(|sign| !sign.is_whitespace()).collect();
        let now = u64::try_from(now.as_second()).unwrap_or_default();
        let step = self.totp(person, &factor.secret)?.check(&code, now);
        Ok(step.filter(|step| *step > factor.used_step))
    }

    fn totp(&self, person: &Person, secret: &str) -> Result<Totp, FactorError> {
        // The library's errors may hold the secret.
        let failed = |_| FactorError::Totp("its secret is damaged".to_owned());
        let secret = Secret::try_from_base32(secret).map_err(|_| {
            FactorError::Totp("its secret is damaged; have the second factor reset".to_owned())
        })?;
        Builder::new()
            .with_secret(secret)
            .with_issuer(Some(self.issuer.as_str()))
            .with_account_name(person.name.as_str())
            .build()
            .map_err(failed)
    }
}

/// What is kept of a recovery code: 80 random bits, so that no slow hash is needed.
fn digest(letters: &str) -> String {
    random::hex(&Sha256::digest(letters.as_bytes()))
}

/// Takes a recovery code out, if it is one.
fn take(recovery: &mut Vec<String>, code: &str) -> bool {
    let letters: String =
        code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let digest = digest(&letters);
    let before = recovery.len();
    recovery.retain(|one| !bool::from(one.as_bytes().ct_eq(digest.as_bytes())));
    recovery.len() < before
}
