//! Signature: whether a delivery comes from somebody who knows the secret.
//!
//! | header | of | what it holds |
//! |---|---|---|
//! | `X-Hub-Signature-256` | GitHub, Gitea, Forgejo | `sha256=` and HMAC-SHA256 of the body, hex |
//! | `X-Forgejo-Signature`, `X-Gitea-Signature` | Forgejo, Gitea | the same without prefix |
//! | `X-Hub-Signature` | Bitbucket | as the first; older ones are SHA-1 and refused |
//! | `webhook-signature` | GitLab with a signing token | Standard Webhooks: `v1,` and HMAC-SHA256 of `id.timestamp.body`, base64 |
//! | `X-Gitlab-Token` | GitLab | the secret itself |
//!
//! A delivery has the same work done for it whoever sent it, whether there is a
//! secret or not: an HMAC over all of its body. What is compared has a fixed
//! length and is compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// Bytes of an HMAC-SHA256.
const LENGTH: usize = 32;

/// More signatures in one header are not looked at: senders write one, or two
/// while they change keys.
const MOST_SIGNATURES: usize = 4;

/// What a secret for GitLab's signing begins with; the rest is the key in base64.
pub const SIGNING_PREFIX: &str = "whsec_";

/// The headers of one HMAC of the body, in the order in which they are believed.
const OF_BODY: [&str; 4] =
    ["x-hub-signature-256", "x-forgejo-signature", "x-gitea-signature", "x-hub-signature"];

/// What a sender claims.
enum Claim {
    /// HMACs of which one must be right.
    Macs(Vec<[u8; LENGTH]>),
    /// The secret itself, as a digest under a key that only this check knows.
    Token([u8; LENGTH]),
    /// Nothing that could be right.
    None,
}

/// The check of one delivery, fed with its body as that comes in.
pub struct Check {
    claim: Claim,
    mac: Hmac<Sha256>,
    /// The secret as a digest, for a claim that is the secret itself.
    token: [u8; LENGTH],
    has_secret: Choice,
}

impl Check {
    /// Begins with the headers. Without a `secret` (or with an empty one) nothing
    /// fits; `decoy` is the key of the work that is done all the same.
    pub fn begin(headers: &HeaderMap, secret: Option<&str>, decoy: &[u8; LENGTH]) -> Self {
        let secret = secret.filter(|secret| !secret.is_empty());
        let has_secret = Choice::from(u8::from(secret.is_some()));
        let text = secret.map_or(decoy.as_slice(), str::as_bytes);
        let signed = text_of(headers, "webhook-signature");
        // The decoding is done for every delivery with that header.
        let decoded = signed.and_then(|_| signing_key(secret));
        let mut mac = keyed(decoded.as_deref().unwrap_or(text));
        let claim = if let Some(signatures) = signed {
            for header in ["webhook-id", "webhook-timestamp"] {
                mac.update(text_of(headers, header).unwrap_or_default().as_bytes());
                mac.update(b".");
            }
            Claim::Macs(standard_signatures(signatures))
        } else if let Some(signature) = OF_BODY.iter().find_map(|name| text_of(headers, name)) {
            hex_signature(signature).map_or(Claim::None, |mac| Claim::Macs(vec![mac]))
        } else if let Some(token) = text_of(headers, "x-gitlab-token") {
            Claim::Token(digest(decoy, token.as_bytes()))
        } else {
            Claim::None
        };
        Self { claim, mac, token: digest(decoy, text), has_secret }
    }

    /// Takes the next part of the body.
    pub fn update(&mut self, part: &[u8]) {
        self.mac.update(part);
    }

    /// Whether the sender knows the secret.
    pub fn end(self) -> bool {
        let Self { claim, mac, token, has_secret } = self;
        let expected: [u8; LENGTH] = mac.finalize().into_bytes().into();
        let fits = match claim {
            Claim::Macs(claimed) => claimed
                .iter()
                .fold(Choice::from(0), |fits, mac| fits | mac.as_slice().ct_eq(&expected)),
            Claim::Token(claimed) => claimed.as_slice().ct_eq(&token),
            // Compared with itself turned over, so that this takes as long.
            Claim::None => expected.map(|byte| !byte).as_slice().ct_eq(&expected),
        };
        bool::from(fits & has_secret)
    }
}

/// A header's text; none when it is absent or no text.
pub(super) fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length, so this can't fail.
    Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

fn digest(key: &[u8], text: &[u8]) -> [u8; LENGTH] {
    let mut mac = keyed(key);
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// The key that a signing token stands for. A secret without the prefix is the
/// key as it is.
fn signing_key(secret: Option<&str>) -> Option<Vec<u8>> {
    STANDARD.decode(secret?.strip_prefix(SIGNING_PREFIX)?).ok()
}

/// `sha256=<hex>` or only the digits.
fn hex_signature(text: &str) -> Option<[u8; LENGTH]> {
    let digits = text.strip_prefix("sha256=").unwrap_or(text).as_bytes();
    if digits.len() != 2 * LENGTH {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// `v1,<base64>`, several of them with spaces between; other versions are left
/// out (<https://github.com/standard-webhooks/standard-webhooks>).
fn standard_signatures(text: &str) -> Vec<[u8; LENGTH]> {
    text.split_ascii_whitespace()
        .take(MOST_SIGNATURES)
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|base64| STANDARD.decode(base64).ok()?.try_into().ok())
        .collect()
}
