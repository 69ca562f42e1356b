//! Desired and observed state in, a plan out.
//!
//! ```text
//! Scope     what is where, and what of it is ours
//!   │
//!   ├─ network ─┐
//!   ├─ volume  ─┼─▶ slot: one desired container, what there is for it, and the
//!   ├─ image   ─┘         smallest step that makes it right
//!   │             standing: whether what is there does its work
//!   │             rollout: what must wait for others to do theirs
//!   │             port: steps that would collide wait, or come behind a removal
//!   ▼
//! Draft ── order ──▶ Plan
//! ```

mod container;
mod difference;
mod draft;
mod image;
mod network;
mod order;
mod port;
mod resource;
mod rollout;
mod scope;
mod slot;
mod standing;
mod subnet;
mod volume;

use crate::action::Target;
use crate::desired::Desired;
use crate::digest;
use crate::observed::Observed;
use crate::plan::{Plan, ResourceState};
use crate::render;
use draft::Draft;
use scope::Scope;
use slot::Fates;

/// What has to be done to make what is observed as desired. Of what is observed
/// it reads every host: what the environment left on hosts that it no longer
/// uses is removed there.
///
/// When the environment is being deleted, every host of `observed` that doesn't
/// answer is waited for, so that `observed` should name those hosts on which it
/// may have something.
pub fn plan(desired: &Desired, observed: &Observed) -> Plan {
    let scope = Scope::new(desired, observed);
    let mut draft = Draft::new();
    let networks = network::survey(&scope);
    network::create(&scope, &networks, &mut draft);
    let volumes = volume::create(&scope, &mut draft);
    let mut slots = slot::survey(&scope, &networks, &volumes);
    rollout::gate(&scope, &mut slots);
    let fates = Fates::of(&slots);
    port::settle(&scope, &fates, &mut slots);
    container::advance(&scope, &networks, &volumes, &slots, &mut draft);
    container::remove_rest(&scope, &fates, &mut draft);
    network::remove(&scope, &networks, &mut draft);
    volume::remove(&scope, &mut draft);
    draft.hold_back();
    let Draft { actions, mut waiting, mut lints, mut resources, withheld: _, look_again_seconds } =
        draft;
    let actions = order::sorted(actions);
    waiting.sort_by(|a, b| {
        (&a.target, render::cause(&a.cause)).cmp(&(&b.target, render::cause(&b.cause)))
    });
    waiting.dedup();
    lints.extend(desired.lints.iter().cloned());
    lints.sort();
    lints.dedup();
    // Status lists a thing once; what is there goes before what is to take its
    // name.
    let name = |found: &ResourceState| {
        let Target { host, kind, name, service: _ } = &found.target;
        (host.clone(), *kind, name.clone())
    };
    resources.sort_by_key(|found| (name(found), found.state == "absent"));
    resources.dedup_by_key(|found| name(found));
    Plan {
        environment: desired.environment.clone(),
        digest: digest::plan(&actions),
        actions,
        waiting,
        lints,
        resources,
        look_again_seconds,
    }
}
