//! Flags of single sign-on. Those that kube-apiserver has too are called the same.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use hades_accounts::ProviderSettings;
use secrecy::SecretString;

/// Flags of a provider of identities (OpenID Connect).
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OidcFlags {
    /// Issuer of the OpenID Connect provider that people may log in by, such as
    /// https://id.example.com/realms/studio. Register
    /// EXTERNAL-URL/login/oidc/sso/callback there as the redirect URI.
    #[arg(long, env = "HADES_OIDC_ISSUER_URL", value_name = "URL")]
    #[arg(requires = "oidc_client_id", requires = "external_url")]
    pub(crate) oidc_issuer_url: Option<String>,

    /// What the provider calls this server.
    #[arg(long, env = "HADES_OIDC_CLIENT_ID", value_name = "ID", requires = "oidc_issuer_url")]
    pub(crate) oidc_client_id: Option<String>,

    /// File with the secret of that client. Without it, it is a public client.
    #[arg(long, env = "HADES_OIDC_CLIENT_SECRET_FILE", value_name = "FILE")]
    #[arg(requires = "oidc_issuer_url")]
    pub(crate) oidc_client_secret_file: Option<PathBuf>,

    /// What the button on the login page calls the provider.
    #[arg(long, env = "HADES_OIDC_NAME", value_name = "NAME", default_value = "single sign-on")]
    pub(crate) oidc_name: String,

    /// A scope to ask for besides openid, profile and email, such as groups. May be
    /// given several times, or several at once, separated by commas.
    #[arg(long, env = "HADES_OIDC_SCOPE", value_name = "SCOPE", value_delimiter = ',')]
    #[arg(requires = "oidc_issuer_url")]
    pub(crate) oidc_scope: Vec<String>,

    /// Claim that users are named by; of a mail address the part before the @. By
    /// default preferred_username, or else email where it is verified.
    #[arg(long, env = "HADES_OIDC_USERNAME_CLAIM", value_name = "CLAIM")]
    #[arg(requires = "oidc_issuer_url")]
    pub(crate) oidc_username_claim: Option<String>,

    /// What goes before the names of users.
    #[arg(long, env = "HADES_OIDC_USERNAME_PREFIX", value_name = "TEXT", default_value = "")]
    pub(crate) oidc_username_prefix: String,

    /// Claim that names the groups of a user.
    #[arg(long, env = "HADES_OIDC_GROUPS_CLAIM", value_name = "CLAIM", default_value = "groups")]
    pub(crate) oidc_groups_claim: String,

    /// What goes before the names of groups, so that none is a group of Hades by
    /// chance.
    #[arg(long, env = "HADES_OIDC_GROUPS_PREFIX", value_name = "TEXT", default_value = "oidc:")]
    pub(crate) oidc_groups_prefix: String,

    /// A group of the provider that is a certain group here, without the prefix, such
    /// as platform=hades:administrators. May be given several times, or several at
    /// once, separated by semicolons.
    #[arg(long, env = "HADES_OIDC_GROUP_MAPPING", value_name = "THEIRS=OURS")]
    #[arg(value_parser = mapping, value_delimiter = ';', requires = "oidc_issuer_url")]
    pub(crate) oidc_group_mapping: Vec<(String, String)>,

    /// A claim that whoever logs in must have, such as hd=example.com. May be given
    /// several times, or several at once, separated by semicolons; then all are needed.
    #[arg(long, env = "HADES_OIDC_REQUIRED_CLAIM", value_name = "CLAIM=VALUE")]
    #[arg(value_parser = required, value_delimiter = ';', requires = "oidc_issuer_url")]
    pub(crate) oidc_required_claim: Vec<(String, String)>,

    /// Certificates to trust for the provider besides those of the system, PEM.
    #[arg(long, env = "HADES_OIDC_CA_FILE", value_name = "FILE", requires = "oidc_issuer_url")]
    pub(crate) oidc_ca_file: Option<PathBuf>,
}

/// Why the flags can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcFlagsError {
    #[error("cannot read {} of {flag}", path.display())]
    File { flag: &'static str, path: PathBuf, source: io::Error },
    #[error("{} of --oidc-client-secret-file is empty", .0.display())]
    Empty(PathBuf),
}

impl OidcFlags {
    /// The provider that the flags name; none where they name none.
    pub(crate) fn settings(&self) -> Result<Option<ProviderSettings>, OidcFlagsError> {
        let Self {
            oidc_issuer_url,
            oidc_client_id,
            oidc_client_secret_file,
            oidc_name,
            oidc_scope,
            oidc_username_claim,
            oidc_username_prefix,
            oidc_groups_claim,
            oidc_groups_prefix,
            oidc_group_mapping,
            oidc_required_claim,
            oidc_ca_file,
        } = self;
        let (Some(issuer), Some(client_id)) = (oidc_issuer_url, oidc_client_id) else {
            return Ok(None);
        };
        let mut settings = ProviderSettings::new(issuer, client_id);
        settings.client_secret = oidc_client_secret_file.as_deref().map(secret).transpose()?;
        settings.name.clone_from(oidc_name);
        settings.scopes.extend(oidc_scope.iter().cloned());
        settings.username_claim.clone_from(oidc_username_claim);
        settings.username_prefix.clone_from(oidc_username_prefix);
        settings.groups_claim.clone_from(oidc_groups_claim);
        settings.groups_prefix.clone_from(oidc_groups_prefix);
        settings.group_mapping = oidc_group_mapping.iter().cloned().collect();
        settings.required_claims.clone_from(oidc_required_claim);
        let read = |path| read("--oidc-ca-file", path);
        settings.extra_ca = oidc_ca_file.as_deref().map(read).transpose()?;
        Ok(Some(settings))
    }
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, OidcFlagsError> {
    let path = path.to_owned();
    std::fs::read(&path).map_err(|source| OidcFlagsError::File { flag, path, source })
}

fn secret(path: &Path) -> Result<SecretString, OidcFlagsError> {
    let flag = "--oidc-client-secret-file";
    let text = std::fs::read_to_string(path).map_err(|source| OidcFlagsError::File {
        flag,
        path: path.to_owned(),
        source,
    })?;
    match text.trim() {
        "" => Err(OidcFlagsError::Empty(path.to_owned())),
        text => Ok(SecretString::from(text)),
    }
}

/// Names of the directory's groups may hold `=`.
fn mapping(text: &str) -> Result<(String, String), String> {
    pair(text.rsplit_once('='), "THEIRS=OURS")
}

fn required(text: &str) -> Result<(String, String), String> {
    pair(text.split_once('='), "CLAIM=VALUE")
}

fn pair(parts: Option<(&str, &str)>, form: &str) -> Result<(String, String), String> {
    match parts {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err(format!("write {form}")),
    }
}

/// Checks the address that browsers know; without the slash at its end.
pub(crate) fn external_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("https://").unwrap_or_default();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err("write https://HOST[:PORT], without a path".to_owned());
    }
    Ok(url.to_owned())
}

/// The name or address in such an URL, for the certificate.
pub(crate) fn host(external_url: &str) -> &str {
    let host = external_url.strip_prefix("https://").unwrap_or(external_url);
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::ExposeSecret;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[arg(long)]
        external_url: Option<String>,
        #[command(flatten)]
        oidc: OidcFlags,
    }

    const WHOLE: &str =
        "--external-url https://h --oidc-issuer-url https://id --oidc-client-id hades";

    fn parse(flags: &str) -> Result<Flags, clap::Error> {
        Flags::try_parse_from(std::iter::once("hades").chain(flags.split_whitespace()))
    }

    #[test]
    fn flags_become_settings() {
        assert!(parse("").unwrap().oidc.settings().unwrap().is_none());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        let flags = parse(&format!(
            "{WHOLE} --oidc-client-secret-file {} --oidc-scope groups --oidc-group-mapping \
             cn=ops,ou=x=hades:administrators --oidc-required-claim hd=example.com",
            path.display()
        ))
        .unwrap();
        assert_eq!(flags.external_url.as_deref(), Some("https://h"));
        let settings = flags.oidc.settings().unwrap().unwrap();
        assert_eq!(settings.client_secret.unwrap().expose_secret(), "s3cret");
        assert_eq!(settings.scopes, ["profile", "email", "groups"]);
        assert_eq!(settings.group_mapping["cn=ops,ou=x"], "hades:administrators");
        assert_eq!(settings.required_claims[0].1, "example.com");
        assert_eq!(settings.groups_prefix, "oidc:");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(flags.oidc.settings(), Err(OidcFlagsError::Empty(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(flags.oidc.settings(), Err(OidcFlagsError::File { .. })));
    }

    #[test]
    fn half_of_the_flags_is_refused() {
        for half in [
            "--oidc-issuer-url https://id",
            "--oidc-issuer-url https://id --oidc-client-id hades",
            "--oidc-client-id hades",
            "--external-url https://h --oidc-issuer-url https://id",
            "--oidc-client-secret-file x",
            "--oidc-scope groups",
            "--oidc-username-claim email",
            "--oidc-group-mapping a=b",
            "--oidc-required-claim hd=example.com",
        ] {
            assert!(parse(half).is_err(), "{half}");
        }
        for bad in ["--oidc-group-mapping x", "--oidc-required-claim =x"] {
            assert!(parse(&format!("{WHOLE} {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_variable_names_several() {
        let flags = parse(&format!(
            "{WHOLE} --oidc-scope groups,roles --oidc-required-claim hd=example.com;tier=a,b \
             --oidc-group-mapping cn=ops,ou=x=hades:administrators;dev=team"
        ));
        let settings = flags.unwrap().oidc.settings().unwrap().unwrap();
        assert_eq!(settings.scopes, ["profile", "email", "groups", "roles"]);
        let pair = |left: &str, right: &str| (left.to_owned(), right.to_owned());
        assert_eq!(settings.required_claims, [pair("hd", "example.com"), pair("tier", "a,b")]);
        let mapped = [pair("cn=ops,ou=x", "hades:administrators"), pair("dev", "team")];
        assert_eq!(settings.group_mapping, mapped.into());
        // What flags say, variables say by the same rules.
        let command = <Flags as clap::CommandFactory>::command();
        for (name, delimiter) in
            [("oidc_scope", ','), ("oidc_group_mapping", ';'), ("oidc_required_claim", ';')]
        {
            let argument = command.get_arguments().find(|one| one.get_id() == name).unwrap();
            assert_eq!(argument.get_value_delimiter(), Some(delimiter), "{name}");
            assert!(argument.get_env().is_some(), "{name}");
        }
    }

    #[test]
    fn external_urls_have_no_path() {
        for (good, host_of) in [
            ("https://hades.example.com/", "hades.example.com"),
            ("https://hades.example.com:7443", "hades.example.com"),
            ("https://[::1]:7443", "::1"),
            ("https://192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(host(&external_url(good).unwrap()), host_of);
        }
        for bad in
            ["http://h", "h", "https://", "https://h/x", "https://u@h", "https://h?x", "https://h "]
        {
            assert!(external_url(bad).is_err(), "{bad}");
        }
    }
}
