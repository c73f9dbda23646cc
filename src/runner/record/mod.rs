//! What stays of a run: its folder, tables and provenance.

mod git;
pub mod provenance;
pub mod layout;
pub mod run_folder;
pub mod runs;
