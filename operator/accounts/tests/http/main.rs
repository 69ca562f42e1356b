//! Users through HTTP: how they log in, what they log in with, and who decides it.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

mod audit;
mod bed;
mod cookies;
mod device;
mod directory;
mod first_start;
mod logins;
mod oidc_provider;
mod others;
mod pages;
mod provider;
mod rules;
mod second_factor;
mod sessions;
mod single_sign_on;
mod tokens;
mod vault;
mod web;
