//! `pipe model`: tells what a reference to a model leads to.

use std::path::Path;

use super::args::ModelArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use super::progress::Preparation;
use super::tables;
use crate::base::cut::{cut, visible_line};
use crate::stages::about::{About, Encoder};

/// Tells of a model, which is fetched if it is not here.
pub fn model(args: &ModelArgs, printer: &Printer) -> Result<Exit, Failure> {
    let preparation = Preparation::new(printer);
    let about = About::of(&args.reference, Path::new(""), &preparation);
    drop(preparation);
    let about = about.map_err(|error| Failure::Other { exit: Exit::Usage, error })?;
    if args.json {
        let text = serde_json::to_string_pretty(&about).map_err(std::io::Error::from)?;
        return printer.data(format!("{text}\n"));
    }
    let lines: Vec<Vec<String>> = lines(&about)
        .into_iter()
        .map(|(name, text)| vec![name.to_owned(), visible_line(&text).into_owned()])
        .collect();
    printer.text(tables::columns(&lines))
}

fn lines(about: &About) -> Vec<(&'static str, String)> {
    let unknown = || "not said".to_owned();
    let architecture = match (&about.architecture, &about.class) {
        (Some(architecture), Some(class)) => format!("{architecture} ({class})"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => unknown(),
    };
    let mut lines = vec![
        ("model", about.reference.clone()),
        ("folder", about.folder.clone()),
        ("architecture", architecture),
    ];
    if let Some(encoder) = &about.encoder {
        lines.extend(encoder_lines(encoder));
    }
    lines.push((
        "licence",
        about.licence.clone().unwrap_or_else(|| "not told by the files here".to_owned()),
    ));
    let trains = match &about.problem {
        None => "yes".to_owned(),
        Some(problem) => format!("no: {problem}"),
    };
    lines.push(("can be trained on", trains));
    lines.extend(about.hint.iter().map(|hint| ("hint", hint.clone())));
    lines
}

fn encoder_lines(encoder: &Encoder) -> Vec<(&'static str, String)> {
    let Encoder { layers, width, heads, .. } = encoder;
    let without = || format!("none: {}", encoder.modules_problem.as_deref().unwrap_or_default());
    let mut vector = encoder.vector.clone().unwrap_or_else(without);
    if let Some(width) = encoder.vector_width {
        vector.push_str(&format!("; {width} wide"));
    }
    if !encoder.has_modules {
        vector.push_str(" (no modules.json)");
    }
    let prompts: Vec<String> = encoder
        .prompts
        .iter()
        .map(|(name, text)| {
            let is_default = encoder.default_prompt.as_ref() == Some(name);
            let mark = if is_default { " (default)" } else { "" };
            format!("{name} `{}`{mark}", cut(text, 40))
        })
        .collect();
    let kind = encoder.tokenizer.as_deref().unwrap_or("of an unknown kind");
    let case = if encoder.lower_case { "lower case" } else { "keeps case" };
    let mut limits = format!("{} tokens", encoder.positions);
    if let Some(most) = encoder.max_seq_length {
        limits.push_str(&format!("; max_seq_length {most}"));
    }
    let head = match (&encoder.head, &encoder.classes) {
        (Some(head), Some(classes)) => {
            format!("{head}; trained for {}", cut(&classes.join(", "), 80))
        }
        (Some(head), None) => format!("{head}; drawn anew"),
        (None, _) => "none with `auto`; name a pooling, such as `head: mean`".to_owned(),
    };
    let seen = match (encoder.seen_train, encoder.seen_dev) {
        (0, 0) => "nothing that `pipe` knows of".to_owned(),
        (train, dev) => format!("{train} train and {dev} dev texts"),
    };
    let mebibytes = encoder.bytes as f64 / f64::from(1 << 20);
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    vec![
        ("parameters", format!("{} ({mebibytes:.1} MiB)", grouped(encoder.parameters))),
        ("layers × width × heads", format!("{layers} × {width} × {heads}")),
        ("vector", vector),
        ("prompts", or_none(prompts.join(", "))),
        ("tokenizer", format!("{kind}, {} words, {case}", grouped(encoder.vocabulary as u64))),
        ("longest text", limits),
        ("head", head),
        ("has seen", seen),
    ]
}

/// Writes a number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1 000"), (22713216, "22 713 216")]
        {
            assert_eq!(grouped(number), expected);
        }
    }
}
