//! The checkpoint file of ONNX Runtime's training API: a flatbuffer with parameters, moments and a
//! step count.
//!
//! The layout is that of ONNX Runtime's `checkpoint.fbs`, version 2. It is written for the training
//! API to load, and read for what the API does not give: the optimizer's moments, and a verdict
//! before it is asked to load a damaged file.
#![expect(
    unsafe_code,
    reason = "flatbuffers' own accessors are unsafe; every buffer is verified before any is called"
)]

use std::collections::BTreeMap;

use flatbuffers::{
    FlatBufferBuilder, Follow, ForwardsUOffset, InvalidFlatbuffer, TableFinishedWIPOffset, Vector,
    Verifiable, Verifier, VerifierOptions, WIPOffset,
};
use ndarray::ArrayD;

/// What the first bytes of a checkpoint say.
const IDENTIFIER: &str = "ODTC";
/// The version of the layout.
const VERSION: i32 = 2;
/// The one optimizer group that the training API knows.
const GROUP: &str = "group0";
/// The most bytes of values in one file.
pub const LARGEST: u64 = 1_800_000_000;
/// ONNX's number for f32.
const F32: i32 = 1;
/// AdamW's moments, as the optimizer model's inputs name them.
pub const MOMENTS: [&str; 2] = ["momentum0", "momentum1"];

/// A checkpoint that cannot be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CheckpointError {
    #[error("it is not a checkpoint of ONNX Runtime's training API")]
    #[diagnostic(help(
        "a checkpoint is the file `checkpoint` of `generate_artifacts` or `SaveCheckpoint`"
    ))]
    NotOne,
    #[error("its layout has version {0}; expected version {VERSION}")]
    #[diagnostic(help("write it again with onnxruntime-training 1.18 or later"))]
    Version(i32),
    #[error("it is damaged or truncated: {0}")]
    #[diagnostic(help("copy or create the file again"))]
    Damaged(String),
    #[error(
        "its parameters are in another file (a checkpoint of more than 1.8 GB), which is not \
         supported"
    )]
    External,
    #[error("{bytes} bytes of parameters and moments exceed the limit of its file layout")]
    #[diagnostic(help("train on sessions, which have no such limit: `backend: session`"))]
    TooLarge { bytes: u64 },
    #[error("`{name}` is of ONNX type {data_type}; only f32 (1) can be trained here")]
    Type { name: String, data_type: i32 },
}

/// The content of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointFile {
    /// Parameters that are trained, in the file's order.
    pub trained: Vec<(String, ArrayD<f32>)>,
    /// Parameters that stay as they are.
    pub frozen: Vec<(String, ArrayD<f32>)>,
    /// What the optimizer has gathered; `None` before the first step.
    pub optimizer: Option<OptimizerState>,
}

/// The optimizer's part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Steps taken.
    pub steps: u64,
    pub learning_rate: f32,
    /// The moments of each trained parameter, by the parameter's name, in the order of [`MOMENTS`].
    pub moments: BTreeMap<String, Vec<ArrayD<f32>>>,
}

impl CheckpointFile {
    /// Returns whether the parameters fit into one file, together with so many moments for each
    /// that is trained: above this ONNX Runtime writes a second file.
    pub fn fits(&self, moments: usize) -> bool {
        self.bytes(moments) < LARGEST
    }

    fn bytes(&self, moments: usize) -> u64 {
        let bytes = |list: &[(String, ArrayD<f32>)]| {
            list.iter().map(|(_, array)| 4 * array.len() as u64).sum::<u64>()
        };
        bytes(&self.trained) * (1 + moments as u64) + bytes(&self.frozen)
    }

    /// Returns the file's bytes.
    pub fn write(&self) -> Result<Vec<u8>, CheckpointError> {
        let moments = if self.optimizer.is_some() { MOMENTS.len() } else { 0 };
        if !self.fits(moments) {
            return Err(CheckpointError::TooLarge { bytes: self.bytes(moments) });
        }
        let mut builder = FlatBufferBuilder::new();
        let trained =
            tensors(&mut builder, self.trained.iter().map(|(name, array)| (name.as_str(), array)));
        let frozen =
            tensors(&mut builder, self.frozen.iter().map(|(name, array)| (name.as_str(), array)));
        let module = {
            let start = builder.start_table();
            builder.push_slot_always(ModuleState::REQUIRES_GRAD_PARAMS, trained);
            builder.push_slot_always(ModuleState::FROZEN_PARAMS, frozen);
            builder.end_table(start)
        };
        let groups = self.optimizer.as_ref().map(|optimizer| {
            let states: Vec<_> = optimizer
                .moments
                .iter()
                .map(|(name, moments)| {
                    let moments = tensors(&mut builder, MOMENTS.into_iter().zip(moments));
                    let name = builder.create_string(name);
                    let start = builder.start_table();
                    builder.push_slot_always(ParameterState::PARAM_NAME, name);
                    builder.push_slot_always(ParameterState::MOMENTUMS, moments);
                    builder.end_table(start)
                })
                .collect();
            let states = builder.create_vector(&states);
            let name = builder.create_string(GROUP);
            let start = builder.start_table();
            builder.push_slot_always(OptimizerGroup::GROUP_NAME, name);
            builder.push_slot_always(OptimizerGroup::STEP, optimizer.steps as i64);
            builder
                .push_slot_always(OptimizerGroup::INITIAL_LEARNING_RATE, optimizer.learning_rate);
            builder.push_slot_always(OptimizerGroup::OPTIMIZER_STATES, states);
            let group = builder.end_table(start);
            builder.create_vector(&[group])
        });
        let start = builder.start_table();
        builder.push_slot_always(Root::VERSION, VERSION);
        builder.push_slot_always(Root::MODULE_STATE, module);
        if let Some(groups) = groups {
            builder.push_slot_always(Root::OPTIMIZER_GROUPS, groups);
        }
        let root = builder.end_table(start);
        builder.finish(root, Some(IDENTIFIER));
        Ok(builder.finished_data().to_vec())
    }

    /// Reads a file's bytes.
    pub fn read(bytes: &[u8]) -> Result<CheckpointFile, CheckpointError> {
        if bytes.get(4..8) != Some(IDENTIFIER.as_bytes()) {
            return Err(CheckpointError::NotOne);
        }
        // Files of many parameters have many tables; the budget is against buffers that point at
        // themselves.
        let options = VerifierOptions {
            max_tables: 10_000_000,
            max_apparent_size: usize::MAX,
            ..VerifierOptions::default()
        };
        let root = flatbuffers::root_with_opts::<Root<'_>>(&options, bytes)
            .map_err(|error| CheckpointError::Damaged(first_line(&error)))?;
        match root.version().unwrap_or_default() {
            VERSION => {}
            other => return Err(CheckpointError::Version(other)),
        }
        let module = root
            .module_state()
            .ok_or_else(|| CheckpointError::Damaged("it has no parameters".into()))?;
        if module.has_external_data().unwrap_or_default() {
            return Err(CheckpointError::External);
        }
        let optimizer = match root.optimizer_groups().filter(|groups| !groups.is_empty()) {
            None => None,
            Some(groups) => Some(OptimizerState::read(groups.get(0))?),
        };
        Ok(CheckpointFile {
            trained: named(module.requires_grad_params())?,
            frozen: named(module.frozen_params())?,
            optimizer,
        })
    }

    /// Iterates over all parameters with their values.
    pub fn parameters(&self) -> impl Iterator<Item = &(String, ArrayD<f32>)> {
        self.trained.iter().chain(&self.frozen)
    }
}

impl OptimizerState {
    fn read(group: OptimizerGroup<'_>) -> Result<OptimizerState, CheckpointError> {
        let name = group.group_name().unwrap_or_default();
        if name != GROUP {
            return Err(CheckpointError::Damaged(format!(
                "its optimizer group is `{name}`, not `{GROUP}`"
            )));
        }
        let mut moments = BTreeMap::new();
        for state in group.optimizer_states().into_iter().flatten() {
            let mut found: BTreeMap<String, ArrayD<f32>> =
                named(state.momentums())?.into_iter().collect();
            let ordered = MOMENTS.into_iter().filter_map(|name| found.remove(name)).collect();
            moments.insert(state.param_name().unwrap_or_default().to_owned(), ordered);
        }
        Ok(OptimizerState {
            steps: group.step().unwrap_or_default().try_into().unwrap_or_default(),
            learning_rate: group.initial_learning_rate().unwrap_or_default(),
            moments,
        })
    }
}

/// Returns the first line of an error that goes on with a trace.
fn first_line(error: &InvalidFlatbuffer) -> String {
    error.to_string().lines().next().unwrap_or_default().trim_end_matches('.').to_owned()
}

type Tensors<'a> = Vector<'a, ForwardsUOffset<Tensor<'a>>>;

fn named(tensors: Option<Tensors<'_>>) -> Result<Vec<(String, ArrayD<f32>)>, CheckpointError> {
    tensors
        .into_iter()
        .flatten()
        .map(|tensor| {
            let name = tensor.name().unwrap_or_default().to_owned();
            if tensor.external_data_offset().is_some_and(|offset| offset >= 0) {
                return Err(CheckpointError::External);
            }
            let data_type = tensor.data_type().unwrap_or_default();
            if data_type != F32 {
                return Err(CheckpointError::Type { name, data_type });
            }
            let shape: Vec<usize> = tensor
                .dims()
                .into_iter()
                .flatten()
                .map(|size| usize::try_from(size).unwrap_or(usize::MAX))
                .collect();
            let bytes = tensor.raw_data().map_or(&[][..], |data| data.bytes());
            let (chunks, rest) = bytes.as_chunks::<4>();
            let size = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
            if !rest.is_empty() || size != Some(chunks.len()) {
                let detail = format!("`{name}` has {} bytes for the shape {shape:?}", bytes.len());
                return Err(CheckpointError::Damaged(detail));
            }
            let values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let array = ArrayD::from_shape_vec(shape, values)
                .map_err(|error| CheckpointError::Damaged(format!("`{name}`: {error}")))?;
            Ok((name, array))
        })
        .collect()
}

fn tensors<'a, 'b>(
    builder: &mut FlatBufferBuilder<'b>,
    arrays: impl Iterator<Item = (&'a str, &'a ArrayD<f32>)>,
) -> WIPOffset<Vector<'b, ForwardsUOffset<TableFinishedWIPOffset>>> {
    let offsets: Vec<_> = arrays
        .map(|(name, array)| {
            let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
            let dims: Vec<i64> = array.shape().iter().map(|&size| size as i64).collect();
            let (data, dims) = (builder.create_vector(&bytes), builder.create_vector(&dims));
            let name = builder.create_string(name);
            let start = builder.start_table();
            builder.push_slot_always(Tensor::NAME, name);
            builder.push_slot_always(Tensor::DIMS, dims);
            builder.push_slot_always(Tensor::DATA_TYPE, F32);
            builder.push_slot_always(Tensor::RAW_DATA, data);
            // Not in an external file.
            builder.push_slot_always(Tensor::EXTERNAL_DATA_OFFSET, -1_i64);
            builder.end_table(start)
        })
        .collect();
    builder.create_vector(&offsets)
}

/// Declares a table: its accessors, the positions of its fields in the table's directory, and its
/// verification.
macro_rules! table {
    ($name:ident<$life:lifetime> {
        $($field:ident $constant:ident: $kind:ty = $slot:literal),* $(,)?
    }) => {
        #[derive(Clone, Copy)]
        struct $name<$life>(flatbuffers::Table<$life>);

        impl<$life> Follow<$life> for $name<$life> {
            type Inner = $name<$life>;

            unsafe fn follow(buffer: &$life [u8], place: usize) -> Self {
                // SAFETY: the caller promises a table at this place.
                $name(unsafe { flatbuffers::Table::new(buffer, place) })
            }
        }

        impl<$life> Verifiable for $name<$life> {
            fn run_verifier(
                verifier: &mut Verifier<'_, '_>,
                place: usize,
            ) -> Result<(), InvalidFlatbuffer> {
                verifier
                    .visit_table(place)?
                    $(.visit_field::<$kind>(stringify!($field), Self::$constant, false)?)*
                    .finish();
                Ok(())
            }
        }

        impl<$life> $name<$life> {
            $(
                const $constant: u16 = 4 + 2 * $slot;

                fn $field(&self) -> Option<<$kind as Follow<$life>>::Inner> {
                    // SAFETY: tables are reached only from a root whose fields were all verified to
                    // be of these kinds.
                    unsafe { self.0.get::<$kind>(Self::$constant, None) }
                }
            )*
        }
    };
}

table!(Root<'a> {
    version VERSION: i32 = 0,
    module_state MODULE_STATE: ForwardsUOffset<ModuleState<'a>> = 1,
    optimizer_groups OPTIMIZER_GROUPS:
        ForwardsUOffset<Vector<'a, ForwardsUOffset<OptimizerGroup<'a>>>> = 2,
});
table!(ModuleState<'a> {
    requires_grad_params REQUIRES_GRAD_PARAMS:
        ForwardsUOffset<Vector<'a, ForwardsUOffset<Tensor<'a>>>> = 0,
    frozen_params FROZEN_PARAMS: ForwardsUOffset<Vector<'a, ForwardsUOffset<Tensor<'a>>>> = 1,
    has_external_data HAS_EXTERNAL_DATA: bool = 3,
});
table!(OptimizerGroup<'a> {
    group_name GROUP_NAME: ForwardsUOffset<&'a str> = 0,
    step STEP: i64 = 1,
    initial_learning_rate INITIAL_LEARNING_RATE: f32 = 2,
    optimizer_states OPTIMIZER_STATES:
        ForwardsUOffset<Vector<'a, ForwardsUOffset<ParameterState<'a>>>> = 3,
});
table!(ParameterState<'a> {
    param_name PARAM_NAME: ForwardsUOffset<&'a str> = 0,
    momentums MOMENTUMS: ForwardsUOffset<Vector<'a, ForwardsUOffset<Tensor<'a>>>> = 1,
});
table!(Tensor<'a> {
    name NAME: ForwardsUOffset<&'a str> = 0,
    dims DIMS: ForwardsUOffset<Vector<'a, i64>> = 2,
    data_type DATA_TYPE: i32 = 3,
    raw_data RAW_DATA: ForwardsUOffset<Vector<'a, u8>> = 4,
    external_data_offset EXTERNAL_DATA_OFFSET: i64 = 6,
});

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> CheckpointFile {
        let array = |shape: &[usize], first: f32| {
            let size = shape.iter().product();
            let values = (0..size).map(|index| first + index as f32).collect();
            ArrayD::from_shape_vec(shape.to_vec(), values)
                .expect("as many values as the shape says")
        };
        let moments = vec![array(&[2, 3], 0.5), array(&[2, 3], -4.0)];
        CheckpointFile {
            trained: vec![("w".into(), array(&[2, 3], 1.0)), ("b".into(), array(&[], 7.0))],
            frozen: vec![("table".into(), array(&[4, 1], -1.0))],
            optimizer: Some(OptimizerState {
                steps: 25,
                learning_rate: 1e-3,
                moments: [("w".to_owned(), moments)].into(),
            }),
        }
    }

    #[test]
    fn reads_what_it_writes() -> Result<(), CheckpointError> {
        for file in
            [sample(), CheckpointFile { optimizer: None, ..sample() }, CheckpointFile::default()]
        {
            assert_eq!(CheckpointFile::read(&file.write()?)?, file);
        }
        Ok(())
    }

    /// No byte that is lost or changed makes it panic, and none that is lost goes unseen.
    #[test]
    fn damage_is_an_error() {
        let whole = sample().write().expect("it is small");
        for length in 0..whole.len() {
            assert!(
                CheckpointFile::read(&whole[..length]).is_err(),
                "{length} of {} bytes",
                whole.len()
            );
        }
        for place in 0..whole.len() {
            for bit in [1, 0x80] {
                let mut changed = whole.clone();
                changed[place] ^= bit;
                let _ = CheckpointFile::read(&changed);
            }
        }
    }

    #[test]
    fn what_one_file_cannot_hold_is_refused() {
        // Zeros that nobody reads take no memory.
        let table = ArrayD::<f32>::zeros(vec![200_000_000]);
        let file =
            CheckpointFile { trained: vec![("table".into(), table)], ..CheckpointFile::default() };
        assert!(file.fits(0) && !file.fits(MOMENTS.len()));
        let with_moments = CheckpointFile { optimizer: Some(OptimizerState::default()), ..file };
        assert!(matches!(
            with_moments.write(),
            Err(CheckpointError::TooLarge { bytes: 2_400_000_000 })
        ));
    }

    #[test]
    fn other_files_are_told_apart() {
        assert!(matches!(
            CheckpointFile::read(b"PK\x03\x04 a zip file"),
            Err(CheckpointError::NotOne)
        ));
        let mut builder = FlatBufferBuilder::new();
        let start = builder.start_table();
        builder.push_slot_always(Root::VERSION, 1);
        let root = builder.end_table(start);
        builder.finish(root, Some(IDENTIFIER));
        let read = CheckpointFile::read(builder.finished_data());
        assert!(matches!(read, Err(CheckpointError::Version(1))), "{read:?}");
    }
}
