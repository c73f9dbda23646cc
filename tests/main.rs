//! All tests from the outside, in one binary: linking the tables' crate once takes long enough.

mod suite {
    mod cli;
    mod encoders;
    mod pipelines;
    mod spec;
    mod tidy;
    mod training;
}
