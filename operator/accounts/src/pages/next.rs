//! Next: where somebody is sent after the login. Never to another site.

/// The longest path.
const LONGEST: usize = 1_000;

/// A path on this server, as a browser reads it, or nothing.
pub(super) fn local(path: &str) -> Option<&str> {
    let rest = path.strip_prefix('/')?;
    // `//host` is another host; browsers take `\` for `/`, and drop tabs and line ends.
    let is_here = !rest.starts_with('/')
        && path.len() <= LONGEST
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    is_here.then_some(path)
}

#[cfg(test)]
mod tests {
    use openidconnect::url::Url;

    use super::*;

    #[test]
    fn no_path_leads_to_another_site() {
        let base = Url::parse("https://hades.example/login").unwrap();
        for good in
            ["/", "/login/device?user_code=BCDF-GHJK", "/a/./..//evil.example", "/%2f/x", "/@evil"]
        {
            assert_eq!(local(good), Some(good));
            assert_eq!(base.join(good).unwrap().host_str(), Some("hades.example"), "{good}");
        }
        for bad in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/ü",
            "/a b",
            "/\0",
            &format!("/{}", "a".repeat(1_000)),
        ] {
            assert_eq!(local(bad), None, "{bad}");
        }
    }
}
