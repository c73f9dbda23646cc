//! What is known of a tensor before anything runs: its element type and shape.

use std::fmt;

/// The element types that graphs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    F32,
    /// Only within steps of lower precision; see [`super::lower`].
    F16,
    /// As `F16`.
    BF16,
    /// Only within optimizers.
    F64,
    I64,
    Bool,
}

impl DType {
    /// Returns the number that ONNX gives the type (`TensorProto.DataType`).
    pub fn onnx(self) -> i32 {
        match self {
            DType::F32 => 1,
            DType::F16 => 10,
            DType::F64 => 11,
            DType::BF16 => 16,
            DType::I64 => 7,
            DType::Bool => 9,
        }
    }
}

/// One dimension of a shape.
///
/// A named or unknown dimension never takes part in broadcasting: it stands for a size other than 1
/// or is meant to be equal on both sides. That is what lets the autodiff driver know from shapes
/// alone which axes a gradient is summed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    Fixed(usize),
    /// A size that an input declares and that changes from run to run, such as `B`.
    Named(&'static str),
    /// A size that follows from others and that nobody needs to know.
    Unknown,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(size) => write!(f, "{size}"),
            Dim::Named(name) => f.write_str(name),
            Dim::Unknown => f.write_str("?"),
        }
    }
}

impl From<usize> for Dim {
    fn from(size: usize) -> Dim {
        Dim::Fixed(size)
    }
}

/// The element type and shape of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorFact {
    pub dtype: DType,
    pub shape: Vec<Dim>,
}

impl TensorFact {
    /// Returns the fact of an f32 tensor.
    pub fn f32(shape: Vec<Dim>) -> TensorFact {
        TensorFact { dtype: DType::F32, shape }
    }

    /// Returns the fact of an i64 tensor.
    pub fn i64(shape: Vec<Dim>) -> TensorFact {
        TensorFact { dtype: DType::I64, shape }
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Returns the axis that `axis` means, which counts from the end where it is negative.
    pub fn axis(&self, axis: i64) -> Result<usize, ShapeError> {
        let rank = self.rank() as i64;
        let absolute = if axis < 0 { axis + rank } else { axis };
        if (0..rank).contains(&absolute) {
            Ok(absolute as usize)
        } else {
            Err(ShapeError(format!("axis {axis} is outside a tensor of shape {self}")))
        }
    }
}

impl fmt::Display for TensorFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", shape.join(", "))
    }
}

/// Operands whose shapes or types do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShapeError(pub String);

/// Returns the shape that NumPy's broadcasting gives two operands.
pub fn broadcast(a: &[Dim], b: &[Dim]) -> Result<Vec<Dim>, ShapeError> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], axis: usize| -> Dim {
        let missing = rank - shape.len();
        if axis < missing { Dim::Fixed(1) } else { shape[axis - missing].clone() }
    };
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Ok(other),
            (Dim::Fixed(x), Dim::Fixed(y)) if x != y => {
                Err(ShapeError(format!("sizes {x} and {y} do not broadcast")))
            }
            (known @ Dim::Fixed(_), _) | (_, known @ Dim::Fixed(_)) => Ok(known),
            (named @ Dim::Named(_), _) | (_, named @ Dim::Named(_)) => Ok(named),
            (Dim::Unknown, Dim::Unknown) => Ok(Dim::Unknown),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        let shape =
            |sizes: &[usize]| sizes.iter().map(|&size| Dim::Fixed(size)).collect::<Vec<_>>();
        assert_eq!(broadcast(&shape(&[2, 1, 3]), &shape(&[4, 1])), Ok(shape(&[2, 4, 3])));
        assert!(broadcast(&shape(&[2]), &shape(&[3])).is_err());
        assert_eq!(
            broadcast(&[Dim::Named("B"), Dim::Fixed(1)], &shape(&[5])),
            Ok(vec![Dim::Named("B"), Dim::Fixed(5)])
        );
    }
}
