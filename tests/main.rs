//! All tests from the outside, in one binary: linking the tables' crate once takes long enough.
#![expect(unreachable_pub, reason = "nobody is outside of a test binary")]

mod suite {
    mod probe;
    mod predict;
    mod init;
    mod project;
    mod cli;
    mod places;
    mod compare;
    mod augmentation;
    mod encoders;
    mod few_labels;
    mod adapt;
    mod adapters;
    mod stability;
    mod ensembles;
    mod spec;
    mod bad_input;
    mod determinism;
    mod device;
    mod interruption;
    mod lineage;
    mod mpnet;
    mod attacks;
    mod replay;
    mod report;
    mod saved_model;
    mod secrets;
    mod sentences;
    mod terminal;
    mod docs;
    mod shipped;
    mod sweep;
    mod tidy;
    mod tokenizers;
    mod training;
    mod training_api;
    mod trust;
    mod unlabelled;
    mod windows;
}
