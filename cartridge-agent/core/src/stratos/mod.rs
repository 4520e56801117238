//! Apache Stratos as control plane: the life of a member over MQTT 3.1.1, as the platform's own agent lives it.
//!
//! - [`settings`]: who the member is, and where its broker;
//! - [`packet`] and [`frames`]: MQTT out and in; [`backoff`]: when to try which broker;
//! - [`status`]: the events that the member publishes; [`adapter`] keeps the session that carries them;
//! - [`inbox`]: the events that come, read by [`json_stream`] and picked out by [`collect`]; [`members`] and [`queue`] hold
//!   what the app is to be told of them;
//! - [`health`]: the statistics without which the platform takes a member for dead, on a connection of their own.
//!
//! # What it promises
//!
//! **Exactly once.** The four status events go by QoS 2 in a session that the broker keeps (client identifier MEMBER_ID), one at a
//! time and in order. After an outage they are taken up where the session stood. If the broker has forgotten the
//! session, the platform's next topology tells whether the event that was under way arrived; only if not, it is sent again. On every
//! new connection they wait until the platform has been heard ([`adapter`] says how long at most): a broker that was
//! started anew may be reached by the member before the platform is back, and would deliver to nobody. The session is ended when
//! the member leaves.
//!
//! **Bounded memory.** At most 128 KiB of heap at any time, whatever is published: 256 members of at most 16 clusters (up to
//! 80 KiB), 128 tenants' domains (20 KiB), 16 KiB of events that wait, 12 KiB
//! for what is being read and sent. (The test `heap` fills all of it: 105 KB at peak, 41 KB with a topology of 1 MB.)

pub mod adapter;
pub mod backoff;
pub mod collect;
pub mod fields;
pub mod frames;
pub mod health;
pub mod inbox;
pub mod json_stream;
pub mod members;
mod notes;
pub mod packet;
pub mod queue;
pub mod settings;
pub mod status;
pub mod tenants;

pub use adapter::Stratos;
