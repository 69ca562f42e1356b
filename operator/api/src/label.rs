//! Labels on what Hades makes outside (containers, networks, volumes) and on
//! objects of the API.

/// Id of the installation that made a thing. Nothing that carries another id,
/// or none, is ever changed.
pub const INSTALLATION: &str = "hades.dev/installation";
/// Project (namespace) that a thing belongs to.
pub const PROJECT: &str = "hades.dev/project";
/// Environment within the project.
pub const ENVIRONMENT: &str = "hades.dev/environment";
/// UID of the Environment object at the time of making; for people and audits.
pub const ENVIRONMENT_UID: &str = "hades.dev/environment-uid";
/// Service within the environment (containers only).
pub const SERVICE: &str = "hades.dev/service";
/// Which replica of the service, counted from 1 (containers only).
pub const REPLICA: &str = "hades.dev/replica";
/// Key of the volume in `spec.volumes` (volumes only).
pub const VOLUME: &str = "hades.dev/volume";
/// Hash over all that decides how a container runs.
pub const SPEC_HASH: &str = "hades.dev/spec-hash";
/// What the container was made from, as JSON with secrets replaced by keyed
/// fingerprints; lets a plan name the fields that differ.
pub const SPEC: &str = "hades.dev/spec";
/// The ConfigRepository (`namespace.name`, as a label's value can hold no `/`)
/// that owns an object of the API.
pub const CONFIG_REPOSITORY: &str = "hades.dev/config-repository";
/// The HadesProject that owns a namespace.
pub const OWNED_BY_PROJECT: &str = "hades.dev/owned-by-project";
/// The HadesProject whose members a role or binding gives their rights.
pub const MEMBERS_OF: &str = "hades.dev/members-of";
/// The ConfigRepository (`namespace.name`) whose service account a binding gives its
/// rights.
pub const ACCOUNT_OF: &str = "hades.dev/account-of";
/// Who looks after an object of the API; [`MANAGER`] on those of the controllers.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGER: &str = "hades";
/// Prefix of all that are Hades's own; services can't set labels below it.
pub const PREFIX: &str = "hades.dev/";
