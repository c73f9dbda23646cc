//! The JSON Schema of the pipeline file, made from the types.

/// Returns the JSON Schema of the pipeline file, indented, with a final newline.
pub fn schema() -> String {
    unimplemented!()
}
