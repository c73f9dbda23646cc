//! `pipe graph`: a plan as text, DOT or Mermaid.

use unicode_width::UnicodeWidthStr;

use crate::dag::plan::{Plan, Step};

/// The output format of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// One line per stage
    #[default]
    Text,
    /// Graphviz
    Dot,
    /// Mermaid, which GitHub renders in Markdown
    Mermaid,
}

/// Writes the graph of a plan, with a final newline.
pub fn render(plan: &Plan, format: GraphFormat) -> String {
    match format {
        GraphFormat::Text => text(plan),
        GraphFormat::Dot => dot(plan),
        GraphFormat::Mermaid => mermaid(plan),
    }
}

fn text(plan: &Plan) -> String {
    let widest =
        |of: fn(&Step) -> &str| plan.steps.iter().map(|step| of(step).width()).max().unwrap_or(0);
    let ids = widest(|step| &step.id.0);
    let kinds = widest(|step| step.config.kind_name());
    let mut text = String::new();
    for step in &plan.steps {
        let inputs: Vec<String> = step
            .inputs
            .iter()
            .filter(|input| input.draw == 0)
            .map(|input| format!("{}: {}", input.field, plan.steps[input.step].id))
            .collect();
        let line = format!(
            "{:ids$}  {:kinds$}  {}",
            step.id.0,
            step.config.kind_name(),
            inputs.join(", ")
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn dot(plan: &Plan) -> String {
    let mut text =
        "digraph pipeline {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n".to_owned();
    for step in &plan.steps {
        text += &format!("  \"{0}\" [label=\"{0}\\n{1}\"];\n", step.id, step.config.kind_name());
    }
    for (step, input) in edges(plan) {
        text += &format!(
            "  \"{}\" -> \"{}\" [label=\"{}\"];\n",
            plan.steps[input.step].id, step.id, input.field
        );
    }
    text + "}\n"
}

fn mermaid(plan: &Plan) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (index, step) in plan.steps.iter().enumerate() {
        // Nodes are numbered, because an id such as `end` is a keyword of Mermaid.
        text += &format!("  s{index}[\"{}<br/>{}\"]\n", step.id, step.config.kind_name());
    }
    for (index, step) in plan.steps.iter().enumerate() {
        for input in step.inputs.iter().filter(|input| input.draw == 0) {
            text += &format!("  s{} -->|{}| s{index}\n", input.step, input.field);
        }
    }
    text
}

fn edges(plan: &Plan) -> impl Iterator<Item = (&Step, &crate::dag::plan::StepInput)> {
    let edges = plan.steps.iter().flat_map(|step| step.inputs.iter().map(move |it| (step, it)));
    edges.filter(|(_, input)| input.draw == 0)
}
