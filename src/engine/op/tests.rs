//! Every operator against its reference.
