//! Claims: what the provider says of somebody, and what that means here. Pure.

use serde_json::{Map, Value};

use super::settings::ProviderSettings;

/// The longest name of a user, as the schema of User has it.
const LONGEST_NAME: usize = 63;
/// The longest name of a group, display name and mail address, as there.
const LONGEST_GROUP: usize = 253;
const LONGEST_DISPLAY_NAME: usize = 200;
const LONGEST_EMAIL: usize = 254;

/// More groups in one session are refused: rights would be missing by chance if
/// some were left out.
const MOST_GROUPS: usize = 500;

/// Somebody whom the provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    /// Never given to anybody else by this provider.
    pub subject: String,
    /// Name of the User to make, if he has none.
    pub name: Result<String, ClaimError>,
    pub display_name: Option<String>,
    pub email: Option<String>,
    /// As they are called here.
    pub groups: Vec<String>,
}

/// Why somebody isn't let in by what the provider says of him.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    #[error("the provider says nobody's name: there is no claim {0:?}")]
    NoName(String),
    #[error(
        "the provider gives neither a claim \"preferred_username\" nor an email that it has verified"
    )]
    NoVerifiedName,
    #[error("the provider hasn't verified the email, so nobody is named by it")]
    Unverified,
    #[error(
        "the claim {claim:?} is {value:?}, which can't be the name of a user: lower-case letters, \
         digits and '-', in parts between dots that neither begin nor end with '-', at most \
         {LONGEST_NAME}"
    )]
    BadName { claim: String, value: String },
    #[error("this login is for people with {0} only")]
    Required(String),
    #[error("the provider names {0} groups; {MOST_GROUPS} are the most")]
    Groups(usize),
}

/// Whether claims that the settings need are missing, and may be had elsewhere.
pub(crate) fn is_lacking(settings: &ProviderSettings, claims: &Map<String, Value>) -> bool {
    let has = |claim: &str| claims.contains_key(claim);
    let name = settings.username_claim.as_deref();
    let named = name.map_or_else(|| has("preferred_username"), has);
    let required = settings.required_claims.iter().all(|(claim, _)| has(claim));
    !named || !required || !has(&settings.groups_claim)
}

/// What claims mean.
///
/// # Errors
/// Where nobody is let in by them.
pub(crate) fn read(
    settings: &ProviderSettings,
    subject: &str,
    claims: &Map<String, Value>,
) -> Result<Who, ClaimError> {
    for (claim, wanted) in &settings.required_claims {
        if !texts(claims.get(claim)).any(|found| found == *wanted) {
            return Err(ClaimError::Required(format!("{claim}={wanted}")));
        }
    }
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str).map(str::trim);
    let email = text("email").filter(|_| is_verified(claims)).filter(|email| is_address(email));
    let display_name = text("name").filter(|name| !name.is_empty());
    Ok(Who {
        subject: subject.to_owned(),
        name: user_name(settings, claims),
        display_name: display_name.map(|name| name.chars().take(LONGEST_DISPLAY_NAME).collect()),
        email: email.map(str::to_owned),
        groups: groups(settings, claims)?,
    })
}

/// The texts of a claim that holds one or many. Booleans and numbers count as
/// texts: some providers write `"true"`, some `true`.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = String> {
    let many = match claim {
        Some(Value::Array(many)) => many.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    many.iter().filter_map(|one| match one {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(one.to_string()),
        _ => None,
    })
}

fn is_verified(claims: &Map<String, Value>) -> bool {
    texts(claims.get("email_verified")).eq(["true"])
}

/// As the schema of User has it.
fn is_address(email: &str) -> bool {
    let parts = email.split_once('@');
    email.len() <= LONGEST_EMAIL
        && !email.contains(|letter: char| letter == ' ' || letter.is_control())
        && parts
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}

fn user_name(
    settings: &ProviderSettings,
    claims: &Map<String, Value>,
) -> Result<String, ClaimError> {
    let text = |claim: &str| {
        let text = claims.get(claim).and_then(Value::as_str).map(str::trim);
        text.filter(|text| !text.is_empty())
    };
    let (claim, value) = match settings.username_claim.as_deref() {
        // Anybody could have written somebody else's.
        Some("email") if !is_verified(claims) => return Err(ClaimError::Unverified),
        Some(claim) => (claim, text(claim).ok_or_else(|| ClaimError::NoName(claim.to_owned()))?),
        None => match text("preferred_username") {
            Some(name) => ("preferred_username", name),
            None => {
                let email = text("email").filter(|_| is_verified(claims));
                ("email", email.ok_or(ClaimError::NoVerifiedName)?)
            }
        },
    };
    // Of a mail address the part before the @.
    let front = value.split('@').next().unwrap_or_default().to_lowercase();
    let name = format!("{}{front}", settings.username_prefix);
    if is_user_name(&name) {
        return Ok(name);
    }
    let value = value.chars().take(LONGEST_NAME + 1).collect();
    Err(ClaimError::BadName { claim: claim.to_owned(), value })
}

/// As the schema of User has it.
fn is_user_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        ends.is_some_and(|(first, last)| is_plain(*first) && is_plain(*last))
            && bytes.iter().all(|&byte| is_plain(byte) || byte == b'-')
    };
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

fn groups(
    settings: &ProviderSettings,
    claims: &Map<String, Value>,
) -> Result<Vec<String>, ClaimError> {
    let ProviderSettings { groups_claim, groups_prefix, group_mapping, .. } = settings;
    let mut groups: Vec<String> = texts(claims.get(groups_claim))
        .filter(|group| !group.is_empty())
        .map(|group| match group_mapping.get(&group) {
            Some(mapped) => mapped.clone(),
            None => format!("{groups_prefix}{group}"),
        })
        // Those of the server can't be had from anywhere else.
        .filter(|group| !group.starts_with("system:") && group.len() <= LONGEST_GROUP)
        .filter(|group| !group.contains(char::is_control))
        .collect();
    groups.sort();
    groups.dedup();
    match groups.len() {
        many if many > MOST_GROUPS => Err(ClaimError::Groups(many)),
        _ => Ok(groups),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings() -> ProviderSettings {
        ProviderSettings::new("https://id.example.com", "hades")
    }

    fn read(settings: &ProviderSettings, claims: Value) -> Result<Who, ClaimError> {
        super::read(settings, "7", claims.as_object().unwrap())
    }

    fn name(settings: &ProviderSettings, claims: Value) -> Result<String, ClaimError> {
        read(settings, claims).unwrap().name
    }

    #[test]
    fn users_are_named_by_what_is_vouched_for() {
        let mut settings = settings();
        let verified = json!({"email": "Jane.Doe@example.com", "email_verified": true});
        assert_eq!(name(&settings, verified.clone()).unwrap(), "jane.doe");
        let both = json!({"preferred_username": "jdoe", "email": "x@y"});
        assert_eq!(name(&settings, both.clone()).unwrap(), "jdoe");
        for unverified in [
            json!({"email": "x@y"}),
            json!({"email": "x@y", "email_verified": "false"}),
            json!({"email": "x@y", "email_verified": false}),
            json!({}),
        ] {
            assert_eq!(name(&settings, unverified), Err(ClaimError::NoVerifiedName));
        }
        settings.username_claim = Some("email".to_owned());
        assert_eq!(name(&settings, both), Err(ClaimError::Unverified));
        assert_eq!(name(&settings, verified).unwrap(), "jane.doe");
        settings.username_claim = Some("upn".to_owned());
        assert_eq!(name(&settings, json!({})), Err(ClaimError::NoName("upn".to_owned())));
        settings.username_prefix = "sso-".to_owned();
        assert_eq!(name(&settings, json!({"upn": "jane"})).unwrap(), "sso-jane");
    }

    #[test]
    fn what_can_be_no_name_is_refused() {
        for bad in [
            "Jané",
            "jane doe",
            "-jane",
            "jane-",
            "system:admin",
            "a/b",
            "..",
            "jane_doe",
            "jane..doe",
            "jane.-doe",
            "jane-.doe",
            ".jane",
            "jane.",
            "jane\n\u{0}x",
            &"a".repeat(64),
        ] {
            let found = name(&settings(), json!({"preferred_username": bad}));
            assert!(matches!(found, Err(ClaimError::BadName { .. })), "{bad}: {found:?}");
        }
        for empty in [json!(""), json!("  "), json!(["jane"]), json!(7), json!(null)] {
            let found = name(&settings(), json!({"preferred_username": empty}));
            assert_eq!(found, Err(ClaimError::NoVerifiedName));
        }
    }

    #[test]
    fn groups_have_a_prefix_or_are_mapped_and_none_is_the_servers() {
        let mut settings = settings();
        settings.group_mapping = [("/ops".to_owned(), "hades:administrators".to_owned())].into();
        let groups = |settings: &ProviderSettings, groups: Value| {
            read(settings, json!({"groups": groups})).map(|who| who.groups)
        };
        let found = groups(&settings, json!(["dev", "/ops", "system:masters", "dev", "", 7, null]));
        assert_eq!(
            found.unwrap(),
            ["hades:administrators", "oidc:7", "oidc:dev", "oidc:system:masters"]
        );
        assert_eq!(groups(&settings, json!("dev")).unwrap(), ["oidc:dev"]);
        assert_eq!(groups(&settings, json!({"dev": true})).unwrap(), [""; 0]);
        settings.groups_prefix = String::new();
        assert_eq!(groups(&settings, json!(["system:masters", "dev\n"])).unwrap(), [""; 0]);
        let many: Vec<String> = (0..=MOST_GROUPS).map(|number| number.to_string()).collect();
        assert_eq!(groups(&settings, json!(many)), Err(ClaimError::Groups(501)));
    }

    #[test]
    fn required_claims_keep_others_out() {
        let mut settings = settings();
        settings.required_claims = vec![("hd".to_owned(), "example.com".to_owned())];
        let refused = Err(ClaimError::Required("hd=example.com".to_owned()));
        for (claims, let_in) in [
            (json!({"hd": "example.com"}), true),
            (json!({"hd": ["a", "example.com"]}), true),
            (json!({"hd": "example.com.evil"}), false),
            (json!({"hd": {"example.com": 1}}), false),
            (json!({}), false),
        ] {
            let found = read(&settings, claims.clone()).map(|who| who.subject);
            assert_eq!(
                found,
                if let_in { Ok("7".to_owned()) } else { refused.clone() },
                "{claims}"
            );
        }
        assert!(is_lacking(&settings, &Map::new()));
        let whole = json!({"hd": 1, "preferred_username": 1, "groups": []});
        assert!(!is_lacking(&settings, whole.as_object().unwrap()));
    }

    #[test]
    fn mail_addresses_count_when_verified() {
        let email = |email: &str, verified: Value| {
            let claims = json!({"email": email, "email_verified": verified, "name": " Jane "});
            let who = read(&settings(), claims).unwrap();
            assert_eq!(who.display_name.as_deref(), Some("Jane"));
            who.email
        };
        assert_eq!(email("j@example.com", json!(true)).as_deref(), Some("j@example.com"));
        assert_eq!(email("j@example.com", json!("true")).as_deref(), Some("j@example.com"));
        assert_eq!(email("j@example.com", json!(false)), None);
        for bad in ["j", "@", "j@", "a@b@c", "a b@c"] {
            assert_eq!(email(bad, json!(true)), None, "{bad}");
        }
    }
}
