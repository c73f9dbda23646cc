//! What does not go together is an error, never a panic.

use ndarray::{ArrayD, IxDyn};

use super::network::{
    ADAMW, EXAMPLES, PARAMETERS, all, feeds, network, parameters, trainer, trainer_of,
};
use crate::engine::backend::binding::{Feed, Parameters};
use crate::engine::backend::error::EngineError;
use crate::engine::backend::inference::Inference;
use crate::engine::backend::place::Place;
use crate::engine::backend::trainer::{Part, Trainer as _};
use crate::engine::graph::attention::Heads;
use crate::engine::graph::autodiff::gradients;
use crate::engine::graph::build::DropoutAt;
use crate::engine::graph::fact::{Dim, TensorFact};
use crate::engine::graph::graph::{Graph, Kernels, Marks};
use crate::engine::runtime::device::Precision;
use crate::engine::samples::harness::runtime;

const BOTH: [Kernels; 2] = [Kernels::Fused, Kernels::Standard];

#[test]
fn a_misspelt_parameter_is_named() {
    let error = trainer(Kernels::Fused, 0.0, &["w1", "w33"], ADAMW).err();
    assert!(
        matches!(&error, Some(EngineError::MissingParameter(name)) if name == "w33"),
        "{error:?}"
    );
}

#[test]
fn a_parameter_that_the_loss_does_not_reach_is_named() -> Result<(), EngineError> {
    for kernels in BOTH {
        let (mut graph, loss) = network(kernels, 0.0)?;
        graph.parameter("idle", &[2], Marks::default());
        let error = trainer_of(graph, loss, parameters()?, &["idle"], ADAMW, Precision::Fp32).err();
        assert!(
            matches!(&error, Some(EngineError::Unreached(name)) if name == "idle"),
            "{error:?}"
        );
    }
    Ok(())
}

#[test]
fn weights_that_are_missing_or_of_another_shape_are_errors() -> Result<(), EngineError> {
    runtime();
    for kernels in BOTH {
        let zeros: Vec<ArrayD<f32>> =
            PARAMETERS.iter().map(|(_, shape)| ArrayD::zeros(IxDyn(shape))).collect();
        let (graph, loss) = network(kernels, 0.0)?;
        let some = Parameters::new(
            Place::Host,
            PARAMETERS.iter().map(|(name, _)| *name).zip(&zeros).skip(1),
        )?;
        let error = trainer_of(graph, loss, some, &["w3"], ADAMW, Precision::Fp32).err();
        assert!(
            matches!(&error, Some(EngineError::MissingParameter(name)) if name == "w1"),
            "{error:?}"
        );

        // The bias of the first layer, one element short.
        let mut wrong = zeros;
        wrong[1] = ArrayD::zeros(IxDyn(&[7]));
        let (graph, loss) = network(kernels, 0.0)?;
        let wrong =
            Parameters::new(Place::Host, PARAMETERS.iter().map(|(name, _)| *name).zip(&wrong))?;
        let error = trainer_of(graph, loss, wrong, &["b1"], ADAMW, Precision::Fp32).err();
        let Some(EngineError::ParameterShape { name, expected, found }) = error else {
            panic!("{error:?}")
        };
        assert_eq!((name.as_str(), expected, found), ("b1", vec![8], vec![7]));
    }
    let mut set = parameters()?;
    assert!(matches!(
        set.set("w1", &ArrayD::zeros(IxDyn(&[5, 8]))),
        Err(EngineError::ParameterShape { .. })
    ));
    assert!(matches!(
        set.set("w9", &ArrayD::zeros(IxDyn(&[5, 8]))),
        Err(EngineError::MissingParameter(_))
    ));
    Ok(())
}

#[test]
fn batches_of_another_width_are_errors() -> Result<(), EngineError> {
    for kernels in BOTH {
        let mut trainer = trainer(kernels, 0.0, &all(), ADAMW)?;
        let mut wrong = feeds(0..EXAMPLES);
        wrong[0].1 = Feed::F32(vec![EXAMPLES, 4], vec![0.0; EXAMPLES * 4]);
        assert!(matches!(
            trainer.accumulate(runtime(), wrong, Part::whole(0)),
            Err(EngineError::Runtime(_))
        ));
        let mut wrong = feeds(0..EXAMPLES);
        wrong[1].1 = Feed::F32(vec![EXAMPLES + 1, 3], vec![0.0; (EXAMPLES + 1) * 3]);
        assert!(matches!(
            trainer.accumulate(runtime(), wrong, Part::whole(0)),
            Err(EngineError::Runtime(_))
        ));
    }
    Ok(())
}

#[test]
fn a_graph_without_output_is_an_error() -> Result<(), EngineError> {
    let (graph, _) = network(Kernels::Fused, 0.0)?;
    assert!(matches!(
        Inference::new(runtime(), &graph, &parameters()?).err(),
        Some(EngineError::NoOutput)
    ));
    Ok(())
}

#[test]
fn shapes_that_do_not_go_together_are_errors() {
    for kernels in BOTH {
        let mut g = Graph::new(kernels);
        let mut of = |shape: &[usize]| g.parameter(&format!("{shape:?}"), shape, Marks::default());
        let (rows, wide, three, vector, scalar) =
            (of(&[4, 6]), of(&[4, 7]), of(&[2, 4, 6]), of(&[6]), of(&[]));
        let mask = g.tokens_input("mask");
        let named = g.input("named", TensorFact::f32(vec![Dim::Fixed(4), Dim::Named("B")]));
        let none = DropoutAt::NONE;
        let failures = [
            ("broadcast", g.add(rows, wide).err()),
            ("inner size", g.linear(rows, wide, None).err()),
            ("added to a product", g.gemm(rows, rows, Some(vector), false, true).err()),
            ("rank of an added tensor", g.gemm(rows, rows, Some(three), false, true).err()),
            ("ranks of a product", g.matmul(rows, three).err()),
            ("order of axes", g.transpose(rows, &[0, 0]).err()),
            ("number of elements", g.reshape(rows, &[5, 5]).err()),
            ("axis", g.reduce_sum(rows, &[2], false).err()),
            ("axis of softmax", g.softmax(scalar).err()),
            ("part", g.slice(rows, 1, 5, 7).err()),
            ("parts beside the axis", g.concat(&[rows, wide], 0).err()),
            ("types", g.add(rows, mask).err()),
            ("row numbers", g.gather(rows, rows).err()),
            ("condition", g.choose(rows, rows, rows).err()),
            ("heads", g.attention([(rows, None); 3], mask, Heads::plain(4), none).err()),
            ("no heads", g.attention([(rows, None); 3], mask, Heads::plain(0), none).err()),
            ("rank of queries", g.attention([(three, None); 3], mask, Heads::plain(2), none).err()),
            ("rank of a mask", g.attention([(rows, None); 3], vector, Heads::plain(2), none).err()),
            (
                "bias of queries",
                g.attention([(rows, Some(wide)); 3], mask, Heads::plain(2), none).err(),
            ),
            (
                "width of queries",
                g.attention([(named, None); 3], mask, Heads::plain(2), none).err(),
            ),
            ("scale", g.add_norm(wide, None, None, (vector, vector, 1e-5), none).err()),
            ("residual", g.add_norm(rows, None, Some(wide), (vector, vector, 1e-5), none).err()),
            ("bias", g.bias_gelu(wide, vector, false).err()),
        ];
        for (what, error) in failures {
            assert!(error.is_some(), "{kernels:?}: {what}");
        }
        assert!(gradients(&mut g, rows, &[rows]).is_err(), "a loss that is no scalar");
    }
}

/// Sizes that only the run knows are looked at before a kernel reads by them.
#[test]
fn rows_that_differ_at_run_time_are_errors() -> Result<(), EngineError> {
    runtime();
    for kernels in BOTH {
        let mut g = Graph::new(kernels);
        let mut rows =
            |name: &str| g.input(name, TensorFact::f32(vec![Dim::Named("T"), Dim::Fixed(8)]));
        let (x, residual) = (rows("x"), rows("residual"));
        let (gamma, mask) = (g.parameter("gamma", &[8], Marks::default()), g.tokens_input("mask"));
        let normed = g.add_norm(x, None, Some(residual), (gamma, gamma, 1e-5), DropoutAt::NONE)?;
        let attended = g.attention(
            [normed, x, residual].map(|rows| (rows, None)),
            mask,
            Heads::plain(2),
            DropoutAt::NONE,
        )?;
        g.output("y", attended);
        let gamma = ArrayD::ones(IxDyn(&[8]));
        let parameters = Parameters::new(Place::Host, [("gamma", &gamma)])?;
        for (x, residual, mask, good) in [
            (6, 6, [2, 3], true),
            (6, 5, [2, 3], false),
            (6, 6, [2, 4], false),
            (6, 6, [4, 2], false),
        ] {
            let rows = |count: usize| Feed::F32(vec![count, 8], vec![0.5; count * 8]);
            let mask = Feed::I64(mask.to_vec(), vec![1; mask.iter().product()]);
            let feeds = [
                ("x".to_owned(), rows(x)),
                ("residual".to_owned(), rows(residual)),
                ("mask".to_owned(), mask),
            ];
            let outcome = Inference::new(runtime(), &g, &parameters)?.run(feeds);
            assert_eq!(
                outcome.is_ok(),
                good,
                "{kernels:?}: {x} rows, {residual} of the residual: {outcome:?}"
            );
        }
    }
    Ok(())
}
