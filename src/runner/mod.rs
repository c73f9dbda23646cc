//! Runs plans: scheduling, caching, events and run folders.
