//! Reasons of conditions and events: a closed vocabulary, so that alerts and
//! scripts can match on it.

/// Everything is as described.
pub const RECONCILED: &str = "Reconciled";
/// Changes are being made.
pub const PROGRESSING: &str = "Progressing";
/// The spec can't be turned into something to run.
pub const INVALID_SPEC: &str = "InvalidSpec";
/// The policy of the project doesn't allow what is written.
pub const POLICY_VIOLATION: &str = "PolicyViolation";
/// `templateRef` names a template that isn't there.
pub const TEMPLATE_NOT_FOUND: &str = "TemplateNotFound";
/// A service names a DockerHost that isn't there.
pub const HOST_NOT_FOUND: &str = "HostNotFound";
/// A DockerHost doesn't answer.
pub const HOST_UNREACHABLE: &str = "HostUnreachable";
/// A Secret, or a key in it, isn't there.
pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
/// An image is neither on the host nor to be had from a registry.
pub const IMAGE_UNAVAILABLE: &str = "ImageUnavailable";
/// Something that Hades didn't make holds a name or a port that it needs.
pub const BLOCKED_BY_FOREIGN: &str = "BlockedByForeign";
/// A host port is taken.
pub const PORT_TAKEN: &str = "PortTaken";
/// A container ends as soon as it is started, or again and again.
pub const CONTAINER_FAILED: &str = "ContainerFailed";
/// A new container didn't become healthy in time, or ended, and what ran before
/// goes on in its stead. The same isn't tried again until it changes or somebody
/// asks.
pub const ROLLOUT_FAILED: &str = "RolloutFailed";
/// A container runs and its health check fails.
pub const HEALTH_CHECK_FAILING: &str = "HealthCheckFailing";
/// A service waits until those of its `dependsOn` work.
pub const WAITING_FOR_DEPENDENCY: &str = "WaitingForDependency";
/// A container has to go to a host that takes nothing new.
pub const HOST_UNSCHEDULABLE: &str = "HostUnschedulable";
/// An action on a host failed.
pub const ACTION_FAILED: &str = "ActionFailed";
/// `spec.suspend` is set.
pub const SUSPENDED: &str = "Suspended";
/// A plan was carried out.
pub const PLAN_APPLIED: &str = "PlanApplied";
/// A container or network that had gone or stopped was brought back.
pub const DRIFT_HEALED: &str = "DriftHealed";
/// What an object made was removed with it.
pub const CLEANED_UP: &str = "CleanedUp";
/// Removal of what an object made isn't done yet.
pub const CLEANUP_PENDING: &str = "CleanupPending";
/// The repository doesn't answer, or refuses.
pub const FETCH_FAILED: &str = "FetchFailed";
/// Manifests can't be read or aren't valid.
pub const INVALID_MANIFESTS: &str = "InvalidManifests";
/// The commit holds no manifest at all although there is an inventory.
pub const NO_MANIFESTS: &str = "NoManifests";
/// An object is owned by another repository.
pub const OWNERSHIP_CONFLICT: &str = "OwnershipConflict";
/// An object lies outside of what the repository may write.
pub const OUT_OF_SCOPE: &str = "OutOfScope";
/// RBAC doesn't let a repository do what a commit asks for.
pub const FORBIDDEN: &str = "Forbidden";
/// Objects of a commit were applied.
pub const SYNCED: &str = "Synced";
/// The API server refused an object.
pub const APPLY_FAILED: &str = "ApplyFailed";
/// A large or dangerous prune waits for a person.
pub const PRUNE_NEEDS_CONFIRMATION: &str = "PruneNeedsConfirmation";
/// The engine answers.
pub const REACHABLE: &str = "Reachable";
/// The server shows another SSH host key, or a certificate that its CA didn't
/// sign, that has expired or is for another name: it isn't the one that was pinned.
pub const HOST_IDENTITY_CHANGED: &str = "HostIdentityChanged";
/// The host refuses the key or certificate that Hades shows.
pub const ACCESS_DENIED: &str = "AccessDenied";
/// The key or certificates in the Secret of a host can't be used.
pub const INVALID_CREDENTIALS: &str = "InvalidCredentials";
/// The endpoint isn't one that Hades can use.
pub const INVALID_ENDPOINT: &str = "InvalidEndpoint";
/// The namespace can't be used for a project.
pub const RESERVED_NAME: &str = "ReservedName";
/// The namespace exists and belongs to something else.
pub const NAMESPACE_CONFLICT: &str = "NamespaceConflict";
/// A delivery to a repository's webhook didn't show that it knows the secret.
pub const WEBHOOK_REFUSED: &str = "WebhookRefused";
/// A repository's webhook was made, or brought up to date, in its forge.
pub const WEBHOOK_REGISTERED: &str = "WebhookRegistered";
/// Hand edits go before what git says, until their time is over.
pub const OVERRIDDEN: &str = "Overridden";
/// The time of hand edits is over, and git has its say again.
pub const OVERRIDE_ENDED: &str = "OverrideEnded";
/// The server of a repository doesn't take the credentials, or wants some.
pub const AUTHENTICATION_FAILED: &str = "AuthenticationFailed";
/// An SSH server shows another host key than the one that is pinned, or none is
/// pinned for it.
pub const HOST_KEY_MISMATCH: &str = "HostKeyMismatch";
/// A repository has no branch, tag or commit of that name.
pub const REVISION_NOT_FOUND: &str = "RevisionNotFound";
/// A Secret doesn't hold what it is named for.
pub const INVALID_SECRET: &str = "InvalidSecret";
/// An account of that name isn't there.
pub const ACCOUNT_NOT_FOUND: &str = "AccountNotFound";
/// An account isn't for this project, or not for this host.
pub const ACCOUNT_NOT_ALLOWED: &str = "AccountNotAllowed";
/// An account can be used.
pub const ACCOUNT_READY: &str = "AccountReady";
/// A registry refuses the credentials, or wants some.
pub const REGISTRY_UNAUTHORIZED: &str = "RegistryUnauthorized";
/// A registry doesn't answer, or answers with an error of its own.
pub const REGISTRY_UNREACHABLE: &str = "RegistryUnreachable";
/// A registry takes no more requests for a while.
pub const REGISTRY_RATE_LIMITED: &str = "RegistryRateLimited";
/// A registry takes the credentials of a RegistryAccount.
pub const LOGIN_SUCCEEDED: &str = "LoginSucceeded";
/// An image policy has found no image yet.
pub const IMAGE_POLICY_UNRESOLVED: &str = "ImagePolicyUnresolved";
/// An image policy has led to another image.
pub const IMAGE_UPDATED: &str = "ImageUpdated";
/// An image is being pulled, or has been.
pub const PULLING: &str = "Pulling";
/// Images that nothing needs any more were removed from a host.
pub const IMAGES_REMOVED: &str = "ImagesRemoved";
/// The disk of a host is full, or so nearly that nothing more is pulled.
pub const DISK_FULL: &str = "DiskFull";
/// The disk of a host is nearly full.
pub const DISK_PRESSURE: &str = "DiskPressure";
/// The disk of a host has room.
pub const DISK_HAS_ROOM: &str = "DiskHasRoom";
/// A sealed file was changed after it was sealed.
pub const SEAL_BROKEN: &str = "SealBroken";
/// A sealed file can't be opened with the keys that there are.
pub const DECRYPTION_FAILED: &str = "DecryptionFailed";
/// Files are to be sealed to another recipient than before.
pub const SOPS_KEY_CHANGED: &str = "SopsKeyChanged";
/// A backup of the schedule was made.
pub const BACKUP_MADE: &str = "BackupMade";
/// A backup of the schedule could not be made; it is tried again.
pub const BACKUP_FAILED: &str = "BackupFailed";
