//! A program of the user.

use std::collections::HashMap;
use std::path::Path;

use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::base::report::Report;
use crate::stages::augment::error::{AugmentError, file_digest};
use crate::stages::augment::methods::contract::{
    Amount, Generated, Generator, Method, Originals, Request, check_rate, settings,
};
use crate::stages::augment::methods::program;
use crate::stages::contract::error::{CheckError, StageError};
use crate::stages::contract::stage::{Ctx, External};

settings! {
    /// Lets a program make the texts. It reads JSON lines from its standard input and writes JSON
    /// lines to its standard output.
    ///
    /// For each text it gets `{"id": "row-1", "copy": 1, "text": "…", "label": "…", "seed": 123}`,
    /// and `rate` if it is set. It answers with `{"id": "row-1", "copy": 1, "text": "…"}`, in any
    /// order, and omits texts that it cannot make. It exits when its input ends. A generated text
    /// keeps the label of its original. All randomness should come from the seed, so that runs can
    /// be repeated. If an argument names a file beside this one, the file's content is part of the
    /// cache key; raise `version` when anything else in the program changes.
    pub struct Command {
        /// The program and its arguments: `["python3", "augment.py"]`. It runs in this file's
        /// folder.
        pub run: Vec<String>,
        /// The `rate` that the program gets, above 0 and at most 1.
        #[serde(default)]
        pub rate: Option<f64>,
        /// The version of the program.
        #[serde(default)]
        pub version: String,
        /// The longest time of one call. There is one call, or several with `to`, until the classes
        /// are full.
        #[serde(default = "default_timeout")]
        pub timeout_seconds: u64,
    }
}

fn default_timeout() -> u64 {
    600
}

impl Method for Command {
    fn amount(&self) -> Amount {
        self.said_amount()
    }

    fn check(&self) -> Vec<CheckError> {
        let mut errors = self
            .rate
            .map(|rate| check_rate("rate", rate, "leave it out to send the program no rate"))
            .unwrap_or_default();
        if self.run.first().is_none_or(String::is_empty) {
            let error =
                CheckError::new("run", "`run` is empty; expected a program and its arguments");
            errors.push(error.hint("write for example `run: [\"python3\", \"augment.py\"]`"));
        }
        if self.timeout_seconds == 0 {
            errors.push(CheckError::new(
                "timeout_seconds",
                "`timeout_seconds` is 0; expected at least 1",
            ));
        }
        errors
    }

    fn externals(
        &self,
        folder: &Path,
        _: Option<&dyn Report>,
    ) -> Result<Vec<External>, StageError> {
        let files = self
            .run
            .iter()
            .filter(|argument| !argument.is_empty() && folder.join(argument).is_file());
        files.map(|name| file_digest(folder, name, "file")).collect()
    }

    fn fit(
        &self,
        _: &dyn Ctx,
        train: &Originals<'_>,
        _: u64,
    ) -> Result<Box<dyn Generator>, StageError> {
        Ok(Box::new(Program { settings: self.clone(), labels: train.labels.to_vec() }))
    }
}

struct Program {
    settings: Command,
    labels: Vec<String>,
}

/// One line of the program's input.
#[derive(Serialize)]
struct Question<'a> {
    id: &'a str,
    copy: usize,
    text: &'a str,
    label: &'a str,
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
}

/// One line of its output; other keys are ignored.
#[derive(Deserialize)]
struct Answer {
    id: String,
    copy: usize,
    text: String,
}

impl Generator for Program {
    fn generate(
        &self,
        ctx: &dyn Ctx,
        requests: &mut [&mut Request<'_>],
    ) -> Result<Vec<Option<Generated>>, StageError> {
        let mut made: Vec<Option<Generated>> = vec![None; requests.len()];
        if requests.is_empty() {
            return Ok(made);
        }
        let mut input = Vec::new();
        let mut places = HashMap::new();
        for (place, request) in requests.iter_mut().enumerate() {
            // Numbers that every JSON reader keeps whole.
            let seed = request.random().next_u64() >> 11;
            let question = Question {
                id: &request.original.id,
                copy: request.copy,
                text: &request.text,
                label: self.labels.get(request.original.class()).map_or("", String::as_str),
                seed,
                rate: self.settings.rate,
            };
            serde_json::to_writer(&mut input, &question)
                .map_err(|error| AugmentError::Io(error.into()))?;
            input.push(b'\n');
            places.insert((request.original.id.clone(), request.copy), place);
        }
        let output = program::run(ctx, &self.settings.run, input, self.settings.timeout_seconds)?;
        let name = self.settings.run.join(" ");
        for (row, line) in output.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let bad = |reason: String| {
                let shown = String::from_utf8_lossy(line).chars().take(80).collect();
                AugmentError::Answer { program: name.clone(), line: row + 1, reason, shown }
            };
            let answer: Answer =
                serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
            let Some(&place) = places.get(&(answer.id.clone(), answer.copy)) else {
                return Err(Box::new(bad(format!(
                    "copy {} of `{}` was not requested",
                    answer.copy, answer.id
                ))));
            };
            if answer.text.trim().is_empty() {
                return Err(Box::new(bad("its text is empty".to_owned())));
            }
            if made[place].replace(Generated::of(answer.text)).is_some() {
                return Err(Box::new(bad(format!(
                    "copy {} of `{}` occurs twice",
                    answer.copy, answer.id
                ))));
            }
        }
        Ok(made)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::base::seed::key;
    use crate::stages::augment::methods::testing::{examples, originals};
    use crate::stages::test_ctx::TestCtx;

    fn made(script: &str, timeout: u64) -> Result<Vec<Option<String>>, String> {
        let ctx = TestCtx::new(1).map_err(|error| error.to_string())?;
        ctx.file("own.sh", script).map_err(|error| error.to_string())?;
        let command = Command {
            run: vec!["sh".into(), "own.sh".into()],
            rate: Some(0.5),
            version: String::new(),
            timeout_seconds: timeout,
            copies: None,
            to: None,
            seed: None,
        };
        let examples = examples(&[("a \"quoted\" text", 0), ("b", 1)]);
        let labels = ["p".to_owned(), "q".to_owned()];
        let generator = command
            .fit(&ctx, &originals(&labels, &examples), 1)
            .map_err(|error| error.to_string())?;
        let mut requests: Vec<Request<'_>> = examples
            .iter()
            .map(|original| Request::new(original, 1, key(1, &["test"], 0)))
            .collect();
        let mut requests: Vec<&mut Request<'_>> = requests.iter_mut().collect();
        let made = generator.generate(&ctx, &mut requests).map_err(|error| error.to_string())?;
        Ok(made.into_iter().map(|made| made.map(|made| made.text)).collect())
    }

    const ANSWER: &str = r#"printf '{"id": "row-1", "copy": 1, "text": "made", "more": 1}\n\n'"#;

    #[test]
    fn questions_go_in_and_answers_come_out_in_any_order() -> Result<(), String> {
        assert_eq!(
            made(&format!("cat > /dev/null; {ANSWER}"), 300)?,
            [None, Some("made".to_owned())]
        );
        let echo = made(r#"sed 's/"text":"/"text":"again /'"#, 300)?;
        assert_eq!(echo, [Some("again a \"quoted\" text".to_owned()), Some("again b".to_owned())]);
        let questions = made(
            concat!(
                r#"cat > seen; printf '{"id": "row-0", "copy": 1, "text": "%s"}' "#,
                r#""$(wc -l < seen) $(grep -c '"label":"q".*"rate":0.5' seen)""#
            ),
            20,
        )?;
        assert_eq!(questions[0].as_deref(), Some("2 1"));
        // A program that does not read its input.
        assert_eq!(made(ANSWER, 300)?[1].as_deref(), Some("made"));
        Ok(())
    }

    #[test]
    fn what_fails_hangs_or_prints_garbage_is_told() {
        let failure = |script: &str| made(script, 300).err().unwrap_or_default();
        assert_eq!(
            failure("cat > /dev/null; echo first >&2; echo last >&2; exit 3"),
            "`sh own.sh` failed (exit status: 3); its last messages:\nfirst\nlast"
        );
        let watch = crate::base::clock::Stopwatch::start();
        assert_eq!(
            made("echo waiting >&2; sleep 100 & sleep 100", 5).err().unwrap_or_default(),
            "`sh own.sh` had not finished after 5 s and was stopped; its last messages:\nwaiting"
        );
        assert!(watch.seconds() < 90.0, "it did not wait for the program");
        assert!(
            failure("echo hello")
                .starts_with("`sh own.sh` printed an invalid answer on line 1: expected value")
        );
        assert!(
            failure(r#"echo '{"id": "row-9", "copy": 1, "text": "x"}'"#)
                .contains("copy 1 of `row-9` was not requested")
        );
        assert!(
            failure(r#"echo '{"id": "row-1", "copy": 1, "text": " "}'"#)
                .contains("its text is empty")
        );
        assert!(failure(&format!("{ANSWER}; {ANSWER}")).contains("line 3"));
        assert!(failure("yes").contains("printed more than"));
    }

    #[test]
    fn what_a_program_leaves_behind_ends_with_it() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("number");
        let number = file.display();
        let script = format!("sleep 300 > /dev/null 2>&1 & echo $! > '{number}'; {ANSWER}");
        assert_eq!(made(&script, 300)?[1].as_deref(), Some("made"));
        let number = fs_err::read_to_string(&file)?;
        let is_alive = || {
            let mut kill = std::process::Command::new("kill");
            let kill = kill.args(["-0", number.trim()]).stderr(std::process::Stdio::null());
            kill.status().is_ok_and(|status| status.success())
        };
        let watch = crate::base::clock::Stopwatch::start();
        while is_alive() {
            assert!(watch.seconds() < 60.0, "it goes on");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Ok(())
    }

    #[test]
    fn a_program_that_is_not_there_is_told() -> Result<(), String> {
        let ctx = TestCtx::new(1).map_err(|error| error.to_string())?;
        let error = program::run(&ctx, &["no-such-program".into()], Vec::new(), 1).err();
        assert!(error.is_some_and(|error| error.to_string() == "cannot start `no-such-program`"));
        Ok(())
    }
}
