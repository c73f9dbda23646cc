//! The store of outputs: keys, entries, locks, the ledger of keys, and removal.

pub mod key;
pub mod lock;
pub mod entry;
pub mod cache;
pub mod ledger;
