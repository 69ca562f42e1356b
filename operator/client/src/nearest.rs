//! The nearest of the names that there are, for `did you mean …?`.

/// A name further away than this share of its length is a guess, not a help.
const MAX_DISTANCE_SHARE: f64 = 0.45;
/// Rank of names of which one begins with the other: behind a mere slip.
const BEGINS_RANK: f64 = 0.2;
/// More names than this are not listed one by one.
const MAX_LISTED: usize = 12;

/// The candidate that `wanted` was most likely meant to be.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wanted.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            // A name alone is compared with names, whatever project they are in.
            let other = match other.rsplit_once('/') {
                Some((_, name)) if !lower.contains('/') => name.to_owned(),
                _ => other,
            };
            let longest = lower.chars().count().max(other.chars().count()).max(1);
            let distance = strsim::osa_distance(&lower, &other);
            let share = distance as f64 / longest as f64;
            // `prod` for `production` is far away by letters and meant all the same.
            let begins =
                lower.len() >= 2 && (other.starts_with(&lower) || lower.starts_with(&other));
            let rank = if begins { BEGINS_RANK + share / 10.0 } else { share };
            (rank <= MAX_DISTANCE_SHARE).then_some((rank, candidate))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)))
        .map(|(_, candidate)| candidate)
}

/// One sentence or two on what there is: `did you mean production? There are:
/// production, staging`. `what` is a plural such as `environments in project shop`.
pub fn suggestion(wanted: &str, what: &str, candidates: &[String]) -> String {
    let mut sorted: Vec<&str> = candidates.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() {
        return format!("there are no {what}");
    }
    let total = sorted.len();
    let mut listed = sorted.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", ");
    if total > MAX_LISTED {
        listed.push_str(&format!(" and {} more", total - MAX_LISTED));
    }
    match nearest(wanted, sorted.iter().copied()) {
        Some(name) if total == 1 => format!("did you mean {name}?"),
        Some(name) => format!("did you mean {name}? {what}: {listed}"),
        None => format!("{what}: {listed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["production", "staging", "preview"];
        assert_eq!(nearest("prod", names), Some("production"));
        assert_eq!(nearest("prodcution", names), Some("production"));
        assert_eq!(nearest("Staging", names), Some("staging"));
        assert_eq!(nearest("zebra", names), None);
        assert_eq!(nearest("prod", ["blog/preview", "shop/production"]), Some("shop/production"));
        assert_eq!(nearest("enviroment", ["env", "environment"]), Some("environment"));
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn sentences() {
        let names = |list: &[&str]| list.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let what = "environments in project shop";
        assert_eq!(suggestion("prod", what, &names(&["production"])), "did you mean production?");
        assert_eq!(
            suggestion("prod", what, &names(&["staging", "production"])),
            "did you mean production? environments in project shop: production, staging"
        );
        assert_eq!(
            suggestion("zebra", what, &names(&["staging"])),
            "environments in project shop: staging"
        );
        assert_eq!(suggestion("x", what, &[]), "there are no environments in project shop");
        let many: Vec<String> = (0..20).map(|n| format!("name-{n:02}")).collect();
        assert!(suggestion("zebra", what, &many).ends_with("name-11 and 8 more"));
    }
}
