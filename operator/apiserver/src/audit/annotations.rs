//! Names of the annotations that records carry.

/// `allow` or `forbid`.
pub const DECISION: &str = "authorization.k8s.io/decision";
/// Why it was decided so.
pub const REASON: &str = "authorization.k8s.io/reason";
/// Number of the record, counted from the installation's first.
pub const NUMBER: &str = "hades.dev/number";
/// HMAC over the record before and this one.
pub const CHAIN: &str = "hades.dev/chain";
/// Records that could not be kept before this one.
pub const LOST: &str = "hades.dev/lost";
/// Where the end of a file could not be read: a write that a crash cut off.
pub const TORN: &str = "hades.dev/torn";
/// How many records were there once and are not any more.
pub const MISSING: &str = "hades.dev/missing";
/// Files that were removed because of their age, or to make room.
pub const REMOVED: &str = "hades.dev/removed";
/// Refusals of the same kind that were not recorded one by one.
pub const SUPPRESSED: &str = "hades.dev/suppressed";
/// What a refused request showed as its proof.
pub const PROOF: &str = "hades.dev/proof";
/// How long something lasted.
pub const DURATION: &str = "hades.dev/duration";
/// How something that lasted came to its end.
pub const END: &str = "hades.dev/end";
