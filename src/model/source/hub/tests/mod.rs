//! The hub's client and cache against servers on loopback.

mod server;
mod fixture;
mod downloads;
mod refusals;
