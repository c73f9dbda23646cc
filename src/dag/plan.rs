//! Turns a [`Spec`] into a checked plan. Checks for missing stages, cycles and wrong kinds, and
//! runs every stage's own checks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use indexmap::IndexSet;
use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use super::sweep_rules;
use crate::pipeline::{Draft, Problem, Spec, SpecError, StageSecrets};
use crate::stages::{Fact, Kind, Port, StageConfig, StageId};

/// A checked pipeline in which every stage comes after its inputs; otherwise the file's order is
/// kept.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// A stage with its place in the plan.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: StageId,
    pub config: StageConfig,
    /// In the order of [`crate::stages::Stage::inputs`].
    pub inputs: Vec<StepInput>,
    /// The known facts of the output.
    pub fact: Fact,
    /// The values that environment variables gave.
    pub secrets: StageSecrets,
}

/// An edge of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInput {
    /// The field that names the stage.
    pub field: &'static str,
    /// The index of the step that provides the input; it is smaller than the step's own index.
    pub step: usize,
    /// Which draw of that step is read; see [`Port::draw`].
    pub draw: u32,
}

/// Checks a pipeline that was read; on failure returns the problems of reading and of checking.
pub fn finish(draft: Draft) -> Result<(Spec, Plan), SpecError> {
    let (plan, mut problems) = Check::new(draft.spec(), draft.unsound()).run();
    if let Some(sweep) = &draft.spec().sweep {
        problems.extend(sweep_rules::check(draft.spec(), sweep));
    }
    draft.finish(problems).map(|spec| (spec, plan))
}

impl Plan {
    /// Returns the plan cut to one stage and its inputs; `None` if there is no such stage.
    pub fn until(&self, stage: &StageId) -> Option<Plan> {
        self.steps.iter().find(|step| step.id == *stage)?;
        Some(self.for_stages(|step| step.id == *stage))
    }

    /// Returns the stages whose data nothing uses, in a pipeline that is run for more than data.
    pub fn idle(&self) -> Vec<&StageId> {
        if self.steps.iter().all(|step| step.fact.kind() == Kind::DATA) {
            return Vec::new();
        }
        let used: BTreeSet<usize> =
            self.steps.iter().flat_map(|step| &step.inputs).map(|input| input.step).collect();
        let is_idle = |(place, step): &(usize, &Step)| {
            step.fact.kind() == Kind::DATA && !used.contains(place)
        };
        self.steps.iter().enumerate().filter(is_idle).map(|(_, step)| &step.id).collect()
    }

    /// Returns the plan cut to some stages and their inputs.
    pub fn for_stages(&self, wanted: impl Fn(&Step) -> bool) -> Plan {
        // Inputs come before their users, so one backward pass finds them all.
        let mut needed: Vec<bool> = self.steps.iter().map(wanted).collect();
        for index in (0..self.steps.len()).rev() {
            if needed[index] {
                self.steps[index].inputs.iter().for_each(|input| needed[input.step] = true);
            }
        }
        let mut moved_to = vec![0; self.steps.len()];
        let mut steps = Vec::new();
        for (index, step) in self.steps.iter().enumerate().filter(|(index, _)| needed[*index]) {
            moved_to[index] = steps.len();
            let mut step = step.clone();
            step.inputs.iter_mut().for_each(|input| input.step = moved_to[input.step]);
            steps.push(step);
        }
        Plan { steps }
    }
}

/// The number of hints that compare with every stage. With more problems, the time would be spent
/// on hints that nobody reads.
const MAX_HINTS: usize = 50;

/// The checks of one pipeline. Stages are identified by their position in the file; edges go from
/// an input to its user.
struct Check<'a> {
    spec: &'a Spec,
    unsound: &'a IndexSet<StageId>,
    stages: Vec<(&'a StageId, &'a StageConfig)>,
    ports: Vec<Vec<Port<'a>>>,
    /// The weight of an edge is the number of the user's port.
    graph: DiGraph<usize, usize>,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn new(spec: &'a Spec, unsound: &'a IndexSet<StageId>) -> Check<'a> {
        let stages: Vec<_> = spec.stages.iter().collect();
        let ports = stages.iter().map(|(_, config)| config.stage().inputs()).collect();
        Check { spec, unsound, stages, ports, graph: DiGraph::new(), problems: Vec::new() }
    }

    fn run(mut self) -> (Plan, Vec<Problem>) {
        self.connect();
        self.find_cycles();
        let order = self.order();
        let mut facts = vec![None; self.stages.len()];
        for &stage in &order {
            facts[stage] = self.check(stage, &facts);
        }
        (self.plan(&order, facts), self.problems)
    }

    /// Returns a problem at a field of a stage.
    fn problem(&self, stage: usize, field: &str, message: String) -> Problem {
        let (id, config) = self.stages[stage];
        let dot = if field.is_empty() { "" } else { "." };
        self.spec.problem(&format!("stages.{id}.{}{dot}{field}", config.kind_name()), message)
    }

    fn connect(&mut self) {
        for stage in 0..self.stages.len() {
            self.graph.add_node(stage);
        }
        let mut problems = Vec::new();
        for (stage, ports) in self.ports.iter().enumerate() {
            for (number, port) in ports.iter().enumerate() {
                let (id, _) = self.stages[stage];
                if let Some(input) = self.spec.stages.get_index_of(port.stage) {
                    self.graph.add_edge(NodeIndex::new(input), NodeIndex::new(stage), number);
                } else if port.draw > 0 {
                    // The first draw has told it.
                } else if !(self.unsound.contains(port.stage)
                    || (port.stage.0.is_empty() && self.unsound.contains(id)))
                {
                    let others = self
                        .spec
                        .stages
                        .keys()
                        .filter(|other| *other != id)
                        .map(|other| other.0.as_str());
                    let problem =
                        self.problem(stage, port.field, format!("unknown stage `{}`", port.stage));
                    problems.push(if problems.len() < MAX_HINTS {
                        problem.suggest(&port.stage.0, "the other stages are", others)
                    } else {
                        problem
                    });
                }
            }
        }
        self.problems.extend(problems);
    }

    fn find_cycles(&mut self) {
        // Kosaraju's algorithm, because petgraph's Tarjan recurses and a file can be a long chain.
        let mut groups = kosaraju_scc(&self.graph);
        groups.iter_mut().for_each(|group| group.sort());
        groups.sort();
        for group in groups {
            if let [stage] = group.as_slice()
                && self.graph.find_edge(*stage, *stage).is_none()
            {
                continue;
            }
            let Some(cycle) = group
                .first()
                .and_then(|first| self.cycle(*first, &group.iter().copied().collect()))
            else {
                continue;
            };
            let names: Vec<&str> =
                cycle.iter().map(|node| self.stages[node.index()].0.0.as_str()).collect();
            let (user, input) = (cycle[0], cycle[1]);
            let field = self
                .graph
                .find_edge(input, user)
                .and_then(|edge| self.graph.edge_weight(edge))
                .map_or("", |port| self.ports[user.index()][*port].field);
            let message =
                format!("the stages depend on each other in a circle: {}", shortened(&names));
            let hint = "each `->` means \"needs\"; change one input to a stage outside the circle";
            self.problems.push(self.problem(user.index(), field, message).hint(hint));
        }
    }

    /// Finds the shortest path from a stage through its inputs back to itself.
    fn cycle(&self, start: NodeIndex, group: &BTreeSet<NodeIndex>) -> Option<Vec<NodeIndex>> {
        let mut came_from = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            // Edges come newest first; sorting by the file's order makes the message deterministic.
            let mut inputs: Vec<NodeIndex> =
                self.graph.neighbors_directed(node, Direction::Incoming).collect();
            inputs.sort();
            for input in inputs {
                if input == start {
                    let mut back = vec![start];
                    let mut at = node;
                    while at != start {
                        back.push(at);
                        at = *came_from.get(&at)?;
                    }
                    back.push(start);
                    back.reverse();
                    return Some(back);
                }
                if group.contains(&input) && !came_from.contains_key(&input) {
                    came_from.insert(input, node);
                    queue.push_back(input);
                }
            }
        }
        None
    }

    /// Returns the stages with inputs first, otherwise in the file's order; stages in and after a
    /// cycle are left out.
    fn order(&self) -> Vec<usize> {
        let mut missing: Vec<usize> = self
            .graph
            .node_indices()
            .map(|node| self.graph.edges_directed(node, Direction::Incoming).count())
            .collect();
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..missing.len()).filter(|stage| missing[*stage] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(missing.len());
        while let Some(Reverse(stage)) = ready.pop() {
            order.push(stage);
            for edge in self.graph.edges(NodeIndex::new(stage)) {
                let user = edge.target().index();
                missing[user] -= 1;
                if missing[user] == 0 {
                    ready.push(Reverse(user));
                }
            }
        }
        order
    }

    /// Checks one stage against the facts of its inputs. Returns `None` if the checks cannot
    /// continue.
    fn check(&mut self, stage: usize, facts: &[Option<Fact>]) -> Option<Fact> {
        let (id, config) = self.stages[stage];
        let mut inputs = Vec::new();
        let mut problems = Vec::new();
        for port in &self.ports[stage] {
            let input =
                self.spec.stages.get_index_of(port.stage).and_then(|input| facts[input].as_ref());
            match input {
                Some(fact) if fact.kind() == port.expects => inputs.push(fact.clone()),
                Some(_) if port.draw > 0 => {} // the first draw has told it
                Some(fact) => {
                    let message = format!(
                        "expected {}, found {} from the stage `{}`",
                        port.expects,
                        fact.kind(),
                        port.stage
                    );
                    let hint = (self.problems.len() < MAX_HINTS)
                        .then(|| self.giving(port.expects, facts))
                        .flatten();
                    problems.push(self.problem(stage, port.field, message).maybe_hint(hint));
                }
                None => {}
            }
        }
        self.problems.extend(problems);
        if inputs.len() < self.ports[stage].len() || self.unsound.contains(id) {
            return None;
        }
        match config.stage().check(&inputs) {
            Ok(fact) => Some(fact),
            Err(errors) => {
                let problems: Vec<Problem> = errors
                    .into_iter()
                    .map(|error| {
                        self.problem(stage, &error.field, error.message).maybe_hint(error.hint)
                    })
                    .collect();
                self.problems.extend(problems);
                None
            }
        }
    }

    /// Returns the hint that lists the stages of a kind.
    fn giving(&self, kind: Kind, facts: &[Option<Fact>]) -> Option<String> {
        const SHOWN: usize = 12;
        let names: Vec<String> = self
            .stages
            .iter()
            .zip(facts)
            .filter(|(_, fact)| fact.as_ref().is_some_and(|fact| fact.kind() == kind))
            .take(SHOWN)
            .map(|((id, _), _)| format!("`{id}`"))
            .collect();
        let verb = if names.len() == 1 { "provides" } else { "provide" };
        (!names.is_empty()).then(|| format!("{} {verb} {kind}", names.join(", ")))
    }

    /// Returns the plan of the stages whose facts are known; these are all stages if there was no
    /// problem.
    fn plan(&self, order: &[usize], mut facts: Vec<Option<Fact>>) -> Plan {
        let mut step_of = vec![None; self.stages.len()];
        let mut steps = Vec::new();
        for &stage in order {
            let Some(fact) = facts[stage].take() else { continue };
            let (id, config) = self.stages[stage];
            let inputs = self.ports[stage]
                .iter()
                .filter_map(|port| {
                    let step = step_of[self.spec.stages.get_index_of(port.stage)?]?;
                    Some(StepInput { field: port.field, step, draw: port.draw })
                })
                .collect();
            step_of[stage] = Some(steps.len());
            let secrets = self.spec.stage_secrets(id, config.kind_name());
            steps.push(Step { id: id.clone(), config: config.clone(), inputs, fact, secrets });
        }
        Plan { steps }
    }
}

/// Writes a circle; a long one is shortened in the middle.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    match names {
        [first @ .., _, _] if names.len() > SHOWN => {
            let (first, last) = (&first[..SHOWN - 3], &names[names.len() - 2..]);
            let hidden = names.len() - first.len() - last.len();
            format!("{} -> ({hidden} more) -> {}", first.join(" -> "), last.join(" -> "))
        }
        _ => names.join(" -> "),
    }
}
