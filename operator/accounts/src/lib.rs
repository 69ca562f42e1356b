//! Users of the embedded API server: who they are, and how they show it.
//!
//! ```text
//! User objects ──observe──▶ directory ─┐
//! vault: passwords, tokens, sessions ──┴▶ Authenticator ─▶ API server
//!    ▲
//!    └── login: password (and a second factor), device, single sign-on
//! ```
//!
//! Invariants:
//! - what proves who somebody is, is kept as a hash, in the vault and never in an
//!   object;
//! - a user that is disabled or gone is refused from the next request on;
//! - nobody learns here whether a user exists.

mod accounts;
mod audit;
mod authenticator;
mod bearer;
mod cookies;
mod device;
mod directory;
mod first_start;
mod forms;
mod hashing;
mod ledger;
mod login;
mod oidc;
mod origin;
mod pages;
mod passwords;
mod random;
mod routes;
mod rules;
mod second_factor;
mod sessions;
mod sign_in;
mod site;
mod stamps;
mod status;
pub mod strength;
mod throttle;
mod tokens;
mod upkeep;

pub use accounts::{Accounts, AccountsError, Settings};
pub use directory::{CREDENTIAL, Person};
pub use first_start::{ADMINISTRATORS, FIRST_LOGIN, FIRST_USER, FirstStartError, new_password};
pub use hashing::Cost;
pub use login::LoginError;
pub use oidc::{ProviderSettings, SettingsError};
pub use origin::Origin;
pub use passwords::PasswordError;
pub use routes::announced;
pub use rules::UserRules;
pub use second_factor::{Enrolment, FactorError, FactorState, RECOVERY_CODES};
pub use sessions::{IDLE, LIFETIME, Method, Session, SessionError, SessionInfo, SessionToken};
pub use sign_in::{SignIn, SignInError, SignInSettings};
pub use throttle::{Throttle, Throttled, Try};
pub use tokens::{LONGEST_LIFETIME, TokenError, TokenSpec, USUAL_LIFETIME};
