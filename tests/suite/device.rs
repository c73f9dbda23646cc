//! `pipe runtime`: what it says of a device, and its self-test.

use serde_json::Value;

use super::project::{Project, TestError};

/// What anyone with a GPU runs, on the CPU: nothing fails, and what a CPU cannot do is skipped.
#[test]
fn the_cpu_trains_as_it_should() -> Result<(), TestError> {
    let project = Project::new(0)?;
    let said = project.pipe(&["runtime", "check", "--device", "cpu", "--json", "check.json"])?;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    let found: Value = serde_json::from_slice(&fs_err::read(project.path("check.json"))?)?;
    let checks = found["checks"].as_array().ok_or("no checks")?;
    let outcome = |name: &str| {
        checks.iter().find(|check| check["name"] == name).map(|check| check["outcome"].clone())
    };
    for name in [
        "a session opens",
        "operators",
        "fifty steps in fp32",
        "fifty steps in fp16",
        "fifty steps in bf16",
        "update in place",
        "dropout",
        "no copies between host and device in fp32",
        "no copies between host and device in fp16",
        "no copies between host and device in bf16",
    ] {
        assert_eq!(outcome(name), Some("passed".into()), "{name}");
        assert!(said.out.contains(name), "{}", said.out);
    }
    assert_eq!(outcome("fifty steps in tf32"), Some("skipped".into()));
    let speed = &found["speeds"][0];
    assert!(speed["examples_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{speed}");
    assert_eq!((&found["device"], &found["gpu"]), (&"cpu".into(), &Value::Null));
    Ok(())
}

#[test]
fn a_gpu_that_is_not_there_is_no_device_to_test() -> Result<(), TestError> {
    if pipe::engine::runtime::cuda::Driver::ask().is_ok() {
        super::project::skipped("this machine has a GPU; the test wants one without");
        return Ok(());
    }
    let project = Project::new(0)?;
    for arguments in
        [&["runtime", "check", "--device", "cuda"][..], &["runtime", "--device", "cuda:1"]]
    {
        let said = project.pipe(arguments)?;
        assert!(said.code != Some(0) && said.out.is_empty(), "{}", said.out);
        assert!(said.err.contains("hint: "), "{}", said.err);
    }
    Ok(())
}

/// GPUs by number are devices by name, with a worker each; they have to be there before anything
/// runs.
#[test]
fn gpus_of_a_sweep_have_to_be_there() -> Result<(), TestError> {
    if pipe::engine::runtime::cuda::Driver::ask().is_ok() {
        super::project::skipped("this machine has a GPU; the test wants one without");
        return Ok(());
    }
    let project = Project::with(
        20,
        &format!(
            "version: 1\nstages:\n  data: {{ load: {{ path: texts.csv, split: {{ test: 0.3 }} }} \
             }}\n  tuned: {{ train: {{ data: data, model: {{ pretrained: {} }}, epochs: 1 }} }}\n  \
             score: {{ evaluate: {{ model: tuned, data: data }} }}\n",
            super::project::data("tiny-bert")
        ),
    )?;
    let said =
        project.pipe(&["sweep", "x.yaml", "stages.tuned.train.epochs=1,2", "--gpus", "0,1"])?;
    assert!(said.code != Some(0) && said.out.is_empty(), "{}{}", said.out, said.err);
    let told = ["no NVIDIA driver was found", "has no CUDA execution provider"];
    assert!(told.iter().any(|told| said.err.contains(told)), "{}", said.err);
    for (arguments, expected) in [
        (
            &["--gpus", "0,1", "--device", "cpu"][..],
            "'--gpus <N,N>' cannot be used with '--device <DEVICE>'",
        ),
        (&["--gpus", "0,1", "-j", "5"], "'--gpus <N,N>' cannot be used with '--jobs <N>'"),
        (&["--gpus", "0,0"], "`cuda:0` is named twice"),
        (&["--device", "cuda:1,cuda:1"], "`cuda:1` is named twice"),
    ] {
        let said = project
            .pipe(&[&["sweep", "x.yaml", "stages.tuned.train.epochs=1,2"], arguments].concat())?;
        assert!(said.code == Some(2) && said.err.contains(expected), "{arguments:?}: {}", said.err);
    }
    Ok(())
}
