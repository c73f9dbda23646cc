//! The first number in which two files of weights differ.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

use super::error::ModelError;

/// Describes the first number, by name of the tensor and then by place, in which two safetensors
/// files differ; `None` where they hold the same bits.
pub fn first(stored: &Path, replayed: &Path) -> Result<Option<String>, ModelError> {
    let contents = [fs_err::read(stored)?, fs_err::read(replayed)?];
    let parse = |path: &Path, bytes| {
        SafeTensors::deserialize(bytes).map_err(|error| ModelError::Safetensors {
            path: path.to_owned(),
            detail: error.to_string(),
        })
    };
    let ours = parse(stored, &contents[0])?;
    let theirs = parse(replayed, &contents[1])?;
    let mut names: Vec<&str> = ours.names().into_iter().chain(theirs.names()).collect();
    names.sort_unstable();
    names.dedup();
    let mut first = None;
    let mut tensors = 0;
    for name in names {
        let (Ok(one), Ok(other)) = (ours.tensor(name), theirs.tensor(name)) else {
            let (has, lacks) = match ours.tensor(name) {
                Ok(_) => ("stored", "replayed"),
                Err(_) => ("replayed", "stored"),
            };
            return Ok(Some(format!("tensor `{name}` is in the {has} model, not in the {lacks}")));
        };
        if one.shape() != other.shape() || one.dtype() != other.dtype() {
            return Ok(Some(format!(
                "tensor `{name}` is {:?} {:?}, replayed {:?} {:?}",
                one.dtype(),
                one.shape(),
                other.dtype(),
                other.shape()
            )));
        }
        let count: usize = one.shape().iter().product();
        let width = one.data().len() / count.max(1);
        let pairs = one.data().chunks(width.max(1)).zip(other.data().chunks(width.max(1)));
        let mut places = pairs.enumerate().filter(|(_, (one, other))| one != other);
        let Some((place, (a, b))) = places.next() else { continue };
        tensors += 1;
        let others = places.count();
        first.get_or_insert_with(|| {
            let dtype = one.dtype();
            format!(
                "tensor `{name}` at {:?}: {}, replayed {}; {} of its {count} numbers differ",
                coordinates(place, one.shape()),
                number(dtype, a),
                number(dtype, b),
                others + 1
            )
        });
    }
    Ok(first.map(|text| match tensors {
        1 => text,
        count => format!("{text}, and others in {} more tensors", count - 1),
    }))
}

/// Returns the coordinates of the element at a place in row-major order.
fn coordinates(mut place: usize, shape: &[usize]) -> Vec<usize> {
    let mut found: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let coordinate = place % size.max(1);
            place /= size.max(1);
            coordinate
        })
        .collect();
    found.reverse();
    found
}

/// Shows a little-endian number.
fn number(dtype: Dtype, bytes: &[u8]) -> String {
    match (dtype, bytes) {
        (Dtype::F32, &[a, b, c, d]) => format!("{:?}", f32::from_le_bytes([a, b, c, d])),
        (Dtype::F16, &[a, b]) => format!("{:?}", half::f16::from_le_bytes([a, b])),
        (Dtype::BF16, &[a, b]) => format!("{:?}", half::bf16::from_le_bytes([a, b])),
        _ => format!("{bytes:02x?}"),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::model::weights::{Weights, write};

    #[test]
    fn the_first_number_is_named() -> Result<(), ModelError> {
        let (one, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let matrix = array![[1.0f32, 2.0], [3.0, 4.0]].into_dyn();
        let mut weights = Weights::from([
            ("a".to_owned(), matrix.clone()),
            ("b".to_owned(), array![0.5f32].into_dyn()),
        ]);
        write(one.path(), &weights, str::to_owned)?;
        write(other.path(), &weights, str::to_owned)?;
        let compare = || {
            first(&one.path().join("model.safetensors"), &other.path().join("model.safetensors"))
        };
        assert_eq!(compare()?, None);
        if let Some(a) = weights.get_mut("a") {
            a[[1, 0]] = 3.5;
        }
        write(other.path(), &weights, str::to_owned)?;
        let text = "tensor `a` at [1, 0]: 3.0, replayed 3.5; 1 of its 4 numbers differ";
        assert_eq!(compare()?.as_deref(), Some(text));
        weights.remove("b");
        weights.insert("a".to_owned(), matrix);
        write(other.path(), &weights, str::to_owned)?;
        let text = "tensor `b` is in the stored model, not in the replayed";
        assert_eq!(compare()?.as_deref(), Some(text));
        Ok(())
    }
}
