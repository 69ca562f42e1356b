//! The laws, checked on a provider.
