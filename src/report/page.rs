//! The page: its head, its sections, and all styles and scripts, so that it needs no network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{confusion, critical_difference, curves, intervals, number, parallel, scatter};
use super::content::content::Content;
use super::policy::policy;
use super::provenance::{provenance, seeds};
use super::{per_class, said, table};
use crate::base::clock;
use crate::base::cut::cut;
use crate::results::compare::Recipe;

const STYLE: &str = include_str!("style.css");
/// The most errors that are listed; more would repeat them.
const MOST_ERRORS: usize = 50;
const SCRIPT: &str = include_str!("script.js");

/// A part of the page with its anchor.
struct Section {
    id: &'static str,
    title: &'static str,
    /// The text in the margin beside it.
    aside: String,
    body: Markup,
    /// Whether the body needs the margin's width too.
    is_wide: bool,
}

/// Returns the whole page.
pub fn page(content: &Content) -> String {
    let title = title(content);
    let sections = sections(content);
    let style = style(content);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(policy(&style, SCRIPT));
                meta name="generator" content=(format!("pipe {}", env!("CARGO_PKG_VERSION")));
                link rel="icon" href="data:,";
                title { (title) " – report" }
                style { (PreEscaped(&style)) }
            }
            body {
                header {
                    p.kicker { "Experiment report" }
                    h1 { (title) }
                    (facts(content))
                    (said::said(&content.comparison))
                }
                nav aria-label="Sections" {
                    ul {
                        @for section in &sections {
                            li { a href=(format!("#{}", section.id)) { (section.title) } }
                        }
                    }
                }
                main {
                    @for section in &sections {
                        section.full[section.is_wide] id=(section.id)
                            aria-labelledby=(format!("{}-title", section.id)) {
                            div.margin {
                                h2 id=(format!("{}-title", section.id)) { (section.title) }
                                @if !section.aside.is_empty() { p { (section.aside) } }
                            }
                            div.body { (section.body) }
                        }
                    }
                }
                footer {
                    "Written by pipe " (env!("CARGO_PKG_VERSION"))
                    ". This file is self-contained."
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Returns the style of a page. An attribute `style` would need a weaker policy, so all that
/// depends on the content stands here.
fn style(content: &Content) -> String {
    let width = content.trials.iter().map(parallel::style);
    std::iter::once(STYLE.to_owned()).chain([confusion::style()]).chain(width).collect()
}

fn title(content: &Content) -> String {
    let mut names: Vec<&str> =
        content.runs.iter().map(|run| run.provenance.name.as_str()).collect();
    if names.is_empty() {
        names.extend(content.comparison.recipes.iter().map(|recipe| recipe.pipeline.as_str()));
    }
    names.sort_unstable();
    names.dedup();
    cut(&names.join(", "), 80)
}

/// The line below the title: status, time, and the numbers of recipes, seeds and texts.
fn facts(content: &Content) -> Markup {
    let comparison = &content.comparison;
    let mut all_seeds: Vec<u64> =
        comparison.recipes.iter().flat_map(|recipe| recipe.seeds.clone()).collect();
    all_seeds.sort_unstable();
    all_seeds.dedup();
    let what = if content.trials.is_some() { ("trial", "trials") } else { ("recipe", "recipes") };
    html! {
        ul.summary {
            @if content.runs.is_empty() {} @else if let [run] = &content.runs[..] {
                li class=(format!("status {}", run.status)) { (run.status) }
                li { (moment(&run.provenance.started)) }
                @if run.provenance.finished.is_some() {
                    li { (clock::duration(run.provenance.seconds)) }
                }
            } @else {
                li { (content.runs.len()) " runs" }
                @for run in content.runs.iter().filter(|run| run.status != "complete") {
                    li class=(format!("status {}", run.status)) {
                        (run.provenance.run) ": " (run.status)
                    }
                }
            }
            li { (number::count(comparison.compared, what.0, what.1)) }
            li title=(seeds(&all_seeds)) { (number::count(all_seeds.len(), "seed", "seeds")) }
            li {
                "split " (comparison.split)
                @if let Some(count) = comparison.test_rows.count {
                    ", " (number::count(count as usize, "text", "texts"))
                }
            }
        }
    }
}

/// Writes `2026-01-31T09:05:00.750Z` as `2026-01-31 09:05 UTC`.
fn moment(text: &str) -> String {
    match (text.get(..10), text.get(11..16), text.ends_with('Z')) {
        (Some(day), Some(minute), true) => format!("{day} {minute} UTC"),
        _ => text.to_owned(),
    }
}

fn sections(content: &Content) -> Vec<Section> {
    let comparison = &content.comparison;
    let metric = &comparison.metric;
    let section = |id, title, aside: String, body| Section {
        id,
        title,
        aside,
        body,
        is_wide: matches!(id, "results" | "search"),
    };
    let direction = if comparison.less_is_better { "less is better" } else { "more is better" };
    let mut sections =
        vec![section("results", "Results", format!("By {metric}; {direction}."), results(content))];
    let with_values = comparison.recipes.iter().filter(|recipe| recipe.summary.is_some()).count();
    let repeated = comparison.recipes.iter().any(|recipe| recipe.values.len() > 1);
    // One value per trial adds nothing to the table and the plots of the search.
    if repeated || (with_values > 1 && content.trials.is_none()) {
        let body = intervals::intervals(&comparison.recipes, metric);
        let (title, aside) = match repeated {
            true => ("Spread over seeds", "The effect of repeating with another seed."),
            false => ("Scores", "One seed each, so the spread over seeds is unknown."),
        };
        sections.push(section("intervals", title, aside.to_owned(), body));
    }
    if let Some(ranks) =
        comparison.ranks.as_ref().filter(|ranks| ranks.recipes <= critical_difference::MOST)
    {
        let ranked: Vec<(&str, f64)> =
            comparison.recipes.iter().filter_map(|r| Some((r.name.as_str(), r.rank?))).collect();
        let aside = format!("Friedman’s test over all: p {}.", number::probability(ranks.p));
        let body = critical_difference::critical_difference(
            &ranked,
            ranks.recipes,
            ranks.seeds,
            ranks.critical_difference,
        );
        sections.push(section("ranks", "Ranks", aside, body));
    }
    if let Some(trials) = &content.trials {
        let body = html! { (parallel::parallel(trials)) (scatter::scatter(trials)) };
        let aside =
            format!("{} searched.", number::count(trials.params.len(), "parameter", "parameters"));
        sections.push(section("search", "Search", aside, body));
    }
    sections.push(section(
        "curves",
        "Learning curves",
        String::new(),
        curves::curves(&content.trainings),
    ));
    if !content.tallies.is_empty() {
        sections.push(section("classes", "Classes", String::new(), classes(content)));
    }
    if !content.runs.is_empty() {
        sections.push(section(
            "provenance",
            "Provenance",
            String::new(),
            provenance(&content.runs),
        ));
    }
    sections
}

fn results(content: &Content) -> Markup {
    let comparison = &content.comparison;
    html! {
        (table::table(comparison))
        @if !comparison.notes.is_empty() || !content.gaps.is_empty() {
            ul.notes {
                @for note in comparison.notes.iter().chain(&content.gaps) { li { (marked(note)) } }
            }
        }
        @if !content.errors.is_empty() {
            details.errors {
                summary { (number::count(content.errors.len(), "row", "rows")) " failed" }
                dl.facts {
                    @for (place, error) in content.errors.iter().take(MOST_ERRORS) {
                        dt { (place) } dd { (error) }
                    }
                }
                @if content.errors.len() > MOST_ERRORS {
                    p.caption { "The first " (MOST_ERRORS) "." }
                }
            }
        }
    }
}

fn classes(content: &Content) -> Markup {
    let tallies = &content.tallies;
    let recipes: Vec<&Recipe> =
        content.comparison.recipes.iter().filter(|r| r.summary.is_some()).collect();
    html! {
        @if tallies.len() > 1 { (per_class::overview(tallies)) }
        @for (index, tally) in tallies.iter().enumerate() {
            details.matrix open[index == 0] {
                summary { "Confusion matrix and metrics of " b { (tally.name) } }
                div.pair {
                    (confusion::confusion(tally))
                    (per_class::per_class(tally))
                }
            }
        }
        p.caption {
            "Counts are summed over the seeds of a recipe."
            @if recipes.len() > tallies.len() {
                " " (tallies.len()) " of " (recipes.len()) " recipes are shown."
            }
        }
    }
}

/// Sets text between grave accents as code.
fn marked(note: &str) -> Markup {
    html! {
        @for (index, part) in note.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
