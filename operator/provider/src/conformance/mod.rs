//! The laws of [`crate::Provider`], checked on a container host.
//!
//! Every function checks one law on what a [`Testbed`] offers, and panics where
//! it is broken. [`crate::conformance_tests!`] makes a test of each.

mod attending;
mod files;
mod foreign;
mod healing;
mod idempotence;
mod observation;
mod refusals;
mod scene;

use std::net::IpAddr;

use async_trait::async_trait;
use hades_plan::ContainerSpec;
use ipnet::Ipv4Net;

use crate::Provider;

pub use attending::*;
pub use files::*;
pub use foreign::*;
pub use healing::*;
pub use idempotence::*;
pub use observation::*;
pub use refusals::*;
pub use scene::Scene;

/// A host to check the laws on, and hands that change it behind the provider's
/// back. Other tests may use the same host at the same time.
#[async_trait]
pub trait Testbed: Send + Sync {
    /// The provider under test; it acts for [`Testbed::installation`].
    fn provider(&self) -> &dyn Provider;
    /// An id that no other test uses.
    fn installation(&self) -> &str;
    /// A project that no other test uses.
    fn project(&self) -> String;
    /// A subnet that nothing uses, another one at each call.
    fn subnet(&self) -> Ipv4Net;
    /// A port of the host that nothing uses, another one at each call, and the
    /// address of the host that it may be published at.
    fn free_port(&self) -> (IpAddr, u16);
    /// A spec whose image is on the host and whose containers run on.
    fn running_spec(&self) -> ContainerSpec;
    /// One whose containers end with this status as soon as they are started.
    fn ending_spec(&self, code: i64) -> ContainerSpec;
    /// A command that copies its input to its output, in containers of both.
    fn copying_command(&self) -> Vec<String>;
    /// A reference of an image that isn't on the host and can't be pulled.
    fn missing_image(&self) -> String;
    /// Takes a port of the host outside of any container, until the test ends.
    async fn take_port(&self, address: IpAddr, port: u16);
    /// Runs a container that no installation made, removed when the test ends;
    /// answers its id.
    async fn run_foreign_container(&self, name: &str) -> String;
    /// Makes a network that no installation made, removed when the test ends;
    /// answers its id.
    async fn make_foreign_network(&self, name: &str, subnet: Ipv4Net) -> String;
    /// Makes a volume that no installation made, removed when the test ends.
    async fn make_foreign_volume(&self, name: &str);
    /// Makes a volume that another installation made, removed when the test ends.
    async fn make_volume_of_another_installation(&self, name: &str);
    /// Stops a container.
    async fn stop_by_hand(&self, id: &str);
    /// Freezes a container.
    async fn pause_by_hand(&self, id: &str);
    /// Takes a container off a network.
    async fn detach_by_hand(&self, id: &str, network: &str);
    /// A file in a container, running or not; none when it isn't there.
    async fn file_of(&self, id: &str, path: &str) -> Option<SeenFile>;
    /// Removes a container.
    async fn remove_by_hand(&self, id: &str);
    /// Removes a network by name.
    async fn remove_network_by_hand(&self, name: &str);
    /// Waits until the container has written something to standard output;
    /// answers a part of it.
    async fn output_of(&self, id: &str) -> String;
}

/// A file as it is in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenFile {
    /// What it holds.
    pub text: String,
    /// Permission bits.
    pub mode: u32,
    /// Number of its owner.
    pub uid: u32,
    /// Number of its group.
    pub gid: u32,
}

/// A test of each law. The argument is the path of an async function without
/// parameters that answers something that implements [`Testbed`].
#[macro_export]
macro_rules! conformance_tests {
    ($testbed:path) => {
        $crate::conformance_tests!(@each $testbed;
            observing_changes_nothing,
            everything_is_observed,
            containers_that_end_are_observed,
            wakes_say_whom_it_concerns,
            output_of_containers,
            done_twice_is_done_once,
            what_is_gone_is_done,
            a_container_that_was_only_created_is_started,
            files_are_in_before_a_container_starts,
            what_files_hold_must_be_known,
            removal_keeps_named_volumes,
            what_is_stopped_is_kept,
            foreign_things_under_a_wanted_name_are_left_alone,
            foreign_things_are_never_changed,
            things_of_other_installations_are_never_changed,
            stopped_and_paused_containers_are_brought_back,
            detached_containers_are_attached_again,
            a_network_made_anew_takes_its_containers_back,
            paused_containers_are_removed,
            a_plan_that_is_out_of_date_changes_nothing,
            a_network_in_use_stays,
            taken_ports_are_named,
            subnets_that_overlap_are_refused,
            images_that_are_not_to_be_had_are_named,
            images_that_are_there_are_not_pulled,
            the_value_of_a_secret_must_be_known,
            a_command_is_attended_to_its_end,
            commands_need_a_container_that_runs,
            usage_is_read_at_once,
        );
    };
    (@each $testbed:path; $($law:ident,)*) => {
        $(
            #[tokio::test]
            async fn $law() {
                let testbed = $testbed().await;
                $crate::conformance::$law(&testbed).await;
            }
        )*
    };
}
