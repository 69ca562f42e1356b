//! Annotations by which people ask something of Hades, and the finalizer.

/// On an Environment: RFC 3339 time of the latest `hadesctl restart` of all
/// services. A change rolls every container.
pub const RESTARTED_AT: &str = "hades.dev/restarted-at";
/// On an Environment: prefix; with `.SERVICE` behind it the time of the latest
/// restart of that one service.
pub const RESTARTED_AT_SERVICE: &str = "restarted-at.hades.dev/";
/// On any object: a value that differs from the last one handled asks for a
/// pass now, failed inputs included.
pub const RECONCILE_REQUESTED_AT: &str = "hades.dev/reconcile-requested-at";
/// On a ConfigRepository: the commit whose large or dangerous prune a person
/// has agreed to.
pub const CONFIRM_PRUNE: &str = "hades.dev/confirm-prune";
/// On an Environment: gives up what runs instead of removing it, for hosts
/// that are gone for good.
pub const ABANDON: &str = "hades.dev/abandon";
/// On any object that a ConfigRepository owns: RFC 3339 time until which the
/// repository leaves it as it is, hand edits included ([`crate::overriding`]).
pub const OVERRIDE_UNTIL: &str = "hades.dev/override-until";
/// On any object that a ConfigRepository owns: the file in the repository that
/// it is written in.
pub const CONFIG_FILE: &str = "hades.dev/config-file";
/// Finalizer on Environments and HadesProjects.
pub const FINALIZER: &str = "hades.dev/cleanup";
