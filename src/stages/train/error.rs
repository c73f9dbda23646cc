//! Data and models that a training cannot be done with.

use crate::classifiers::ClassifierError;

/// Data or a model that this training cannot be done with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TrainError {
    #[error(
        "`class_weights` names `{name}`, which is not a label of the data; the labels are {labels}"
    )]
    UnknownClass { name: String, labels: String },
    #[error("`class_weights` has no weight for the label `{name}`")]
    #[diagnostic(help("give every label of the data a weight; 1 leaves it unchanged"))]
    MissingClass { name: String },
    #[error(
        "`label_texts` names `{name}`, which is not a label of the data; the labels are {labels}"
    )]
    UnknownLabelText { name: String, labels: String },
    #[error("`label_texts` has no text for the label `{name}`")]
    #[diagnostic(help("give every label of the data a text"))]
    MissingLabelText { name: String },
    #[error("`classifier: zero_shot` needs label texts, and there are none")]
    #[diagnostic(help("say what the labels mean: `label_texts: {{ given: {{ … }} }}`"))]
    NoLabelTexts,
    #[error("the data have no texts without labels, and the method learns from such")]
    #[diagnostic(help("give some with `unlabelled` in the `load` stage"))]
    NoUnlabelled,
    #[error("the class `{label}` has one train text, and folds need two of each class")]
    #[diagnostic(help(
        "add a text, or leave nothing to folds: `classifier: {{ logistic_regression: {{ c: 1 }} }}`"
    ))]
    OneText { label: String },
    #[error("{folds} folds are asked for, and the class `{label}` has {count} train texts")]
    #[diagnostic(help("use {count} folds or fewer, or leave `folds` out"))]
    ManyFolds { folds: usize, label: String, count: usize },
    #[error("`prior` names `{name}`, which is not a label of the data; the labels are {labels}")]
    UnknownPrior { name: String, labels: String },
    #[error("`prior` has no share for the label `{name}`")]
    #[diagnostic(help("give every label of the data a share"))]
    MissingPrior { name: String },
    #[error(
        "the class `{label}` has {count} train texts, and {folds} folds need {least} of each class"
    )]
    #[diagnostic(help(
        "two texts of each class have to be left without a fold: add texts, or do without folds \
         (name a method in place of `auto`, evaluate a split)"
    ))]
    FewForFolds { label: String, count: usize, folds: usize, least: usize },
    #[error("the pretrained model has learnt from {count} of {all} train texts already")]
    #[diagnostic(help("texts that a model has seen say nothing of it; use a model that has not"))]
    SeenFolds { count: usize, all: usize },
    #[error("train holds generated texts, and what has made them has seen every fold")]
    #[diagnostic(help("use the data set before augmentation"))]
    GeneratedFolds,
    #[error("`windows: {{ combine: max }}` is for logits, and a head is fitted to vectors here")]
    #[diagnostic(help("use `combine: mean`, whose logits are those of the mean vector"))]
    LargestOfVectors,
    #[error("`on: folds` trains on parts of train, and a teacher has learnt from all of it")]
    #[diagnostic(help("evaluate dev or test"))]
    TaughtFolds,
    #[error("the teacher's classes are {teacher}, the data's are {data}")]
    #[diagnostic(help("train the teacher on data with the same labels"))]
    OtherTeacher { teacher: String, data: String },
    #[error("the teacher gives no vectors of texts: {0}")]
    #[diagnostic(help(
        "name a `train` stage without `artifacts`, by `contrastive` or `probe`, or with `head: \
         mean` in its `model`"
    ))]
    TeacherHead(&'static str),
    #[error("no classifier can be fitted to the train texts")]
    #[diagnostic(help("add texts of other wording to each class"))]
    NoCandidate,
    #[error(transparent)]
    #[diagnostic(transparent)]
    Classifier(ClassifierError),
    #[error("`freeze` leaves nothing to train")]
    #[diagnostic(help(
        "the head's parameters start with `classifier`; remove the pattern that matches them"
    ))]
    AllFrozen,
    #[error(
        "`freeze` has the pattern `{pattern}`, which matches no parameter; examples of parameters \
         are {examples}"
    )]
    #[diagnostic(help(
        "`*` matches any text, and a pattern matches whole names: `embeddings.*`, `*.layer.0.*`"
    ))]
    IdlePattern { pattern: String, examples: String },
    #[error("`freeze: {{ all_but_top_layers: {asked} }}` exceeds the model's {found} layers")]
    #[diagnostic(help("leave out `freeze` to train everything"))]
    TooManyLayers { asked: usize, found: usize },
    #[error("`loss.mixup.at.layers` has {asked}, which exceeds the model's {found} layers")]
    #[diagnostic(help("the numbers count layers from below: 0 to {found}"))]
    MixedAbove { asked: usize, found: usize },
    #[error("`reinitialise: {asked}` exceeds the model's {found} layers")]
    #[diagnostic(help("1 to 3 of 12 layers serve; of 6 layers, at most 1"))]
    TooManyNewLayers { asked: usize, found: usize },
    #[error(
        "`reinitialise` would destroy the vectors that a sentence-transformers model was made for"
    )]
    #[diagnostic(help("leave out `reinitialise`, or begin with a model of words"))]
    ForgottenSentences,
    #[error("`reinitialise` wants a top layer, but the layers of this model share their weights")]
    #[diagnostic(help("leave out `reinitialise`"))]
    SharedLayers,
    #[error(
        "`adapters.lora.targets` has the name `{name}`, which stands for none of the encoder's \
         linear layers; there are {modules}"
    )]
    #[diagnostic(help(
        "a name is the last parts of a layer's own: `dense` stands for `output.dense`"
    ))]
    IdleTarget { name: String, modules: String },
    #[error(
        "`adapters.lora.rank` is {rank}, but the layer `{module}` has only {} outputs and {} \
         inputs",
        sizes[0],
        sizes[1]
    )]
    #[diagnostic(help("a rank above the smaller of both adds nothing; 8 serves most"))]
    Rank { rank: usize, module: String, sizes: [usize; 2] },
    #[error("`adapters` leaves nothing but the head to train: the encoder has no {lacks}")]
    #[diagnostic(help("to train the head alone, use `freeze: encoder`"))]
    NothingAdapted { lacks: &'static str },
    #[error("the adapter cannot be stored for `peft`: the head is not the architecture's own")]
    #[diagnostic(help("leave out `save`; the model itself has the adapter merged"))]
    AdapterHead,
    #[error(
        "the adapter cannot be stored for `peft`: `transformers` holds the layers of {model} in \
         other pieces than its files do"
    )]
    #[diagnostic(help("leave out `save`; the model itself has the adapter merged"))]
    AdapterForm { model: &'static str },
    #[error("the artifacts are for the classes {artifacts}, the data have {data}")]
    #[diagnostic(help("write them anew with `pipe artifacts` for these data"))]
    OtherClasses { artifacts: String, data: String },
    #[error("`precision: tf32` needs a GPU, but this training runs on the CPU")]
    #[diagnostic(help("add `--device cuda`, or use `fp32`"))]
    Tf32,
}
