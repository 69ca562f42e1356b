//! The Kubernetes wire format as pure functions over JSON.
pub mod accept;
pub mod apply;
pub mod discovery;
pub mod event_view;
pub mod openapi;
pub mod patch;
pub mod protobuf;
pub mod selector;
pub mod status;
pub mod table;
