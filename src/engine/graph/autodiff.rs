//! Reverse-mode differentiation of graphs.

use std::collections::{BTreeMap, HashSet};

use super::fact::{Dim, ShapeError};
use super::graph::{Graph, Node, Source, Var};
use super::op::fused::WeightGrad;
use super::op::{GradError, Op, OpNode};

/// Adds the gradients of a scalar to the graph: for each of `wrt` the tensor that is ∂loss/∂it,
/// `None` where the loss does not depend on it. Nothing is computed for tensors that no member of
/// `wrt` feeds into.
pub fn gradients(g: &mut Graph, loss: Var, wrt: &[Var]) -> Result<Vec<Option<Var>>, GradError> {
    if g.fact(loss).rank() != 0 {
        return Err(GradError::Shape(ShapeError(format!(
            "expected a scalar loss, found shape {}",
            g.fact(loss)
        ))));
    }
    // The tensors through which some member of `wrt` reaches the loss.
    let mut affected: HashSet<Var> = wrt.iter().copied().collect();
    for node in &g.nodes {
        if node.inputs.iter().flatten().any(|input| affected.contains(input)) {
            affected.extend(&node.outputs);
        }
    }
    let mut gradients: BTreeMap<Var, Var> = BTreeMap::new();
    let one = g.scalar(1.0);
    gradients.insert(loss, one);
    let forward = g.nodes.len();
    for index in (0..forward).rev() {
        let node = &g.nodes[index];
        let dy: Vec<Option<Var>> =
            node.outputs.iter().map(|output| gradients.get(output).copied()).collect();
        if dy.iter().all(Option::is_none)
            || !node.inputs.iter().flatten().any(|input| affected.contains(input))
        {
            continue;
        }
        let op_node = OpNode { inputs: node.inputs.clone(), outputs: node.outputs.clone() };
        let op = node.op.clone();
        let partial = op.grad(g, &op_node, &dy);
        for (input, gradient) in op_node.inputs.iter().zip(partial?) {
            let (Some(input), Some(gradient)) = (*input, gradient) else { continue };
            if !affected.contains(&input)
                || matches!(g.values[input.0 as usize].source, Source::Constant(_))
            {
                continue;
            }
            let gradient = sum_to_shape(g, gradient, input)?;
            let sum = match gradients.get(&input) {
                Some(&earlier) => g.add(earlier, gradient)?,
                None => gradient,
            };
            gradients.insert(input, sum);
        }
    }
    let found: Vec<Option<Var>> = wrt.iter().map(|var| gradients.get(var).copied()).collect();
    join_weight_gradients(g, forward, &found);
    Ok(found)
}

/// Joins gradients of weights that the same rows go through, so that those are read once: each
/// group stands where its last member did. Only what `found` depends on is joined; nodes before
/// `first` are not the gradients'.
fn join_weight_gradients(g: &mut Graph, first: usize, found: &[Option<Var>]) {
    let mut needed: HashSet<Var> = found.iter().flatten().copied().collect();
    for node in g.nodes[first..].iter().rev() {
        if node.outputs.iter().any(|output| needed.contains(output)) {
            needed.extend(node.inputs.iter().flatten());
        }
    }
    let is_one = |node: &Node| {
        node.op.name() == WeightGrad.name()
            && node.outputs.iter().all(|output| needed.contains(output))
    };
    let mut at = first;
    while at < g.nodes.len() {
        let (node, mut earlier) = (&g.nodes[at], first..at);
        if !is_one(node) {
            at += 1;
            continue;
        }
        let joins = |place: &usize| {
            let other = &g.nodes[*place];
            is_one(other)
                && other.outputs.len() < WeightGrad::MOST
                && other.inputs[0] == node.inputs[0]
                && g.fact(other.outputs[0]).shape == g.fact(node.outputs[0]).shape
                && !g.nodes[place + 1..at].iter().any(|between| {
                    between.inputs.iter().flatten().any(|input| other.outputs.contains(input))
                })
        };
        match earlier.find(joins) {
            Some(place) => {
                // All that came behind it moves up by one, this node too.
                let other = g.nodes.remove(place);
                let node = &mut g.nodes[at - 1];
                node.inputs = [&other.inputs[..], &node.inputs[1..]].concat();
                node.outputs = [&other.outputs[..], &node.outputs[..]].concat();
            }
            None => at += 1,
        }
    }
}

/// Sums a gradient over the axes along which `target` was broadcast.
fn sum_to_shape(g: &mut Graph, gradient: Var, target: Var) -> Result<Var, GradError> {
    let (from, to) = (g.fact(gradient).shape.clone(), g.fact(target).shape.clone());
    let extra = from.len().saturating_sub(to.len());
    let axes: Vec<i64> = (0..from.len())
        .filter(|&axis| {
            axis < extra || (to[axis - extra] == Dim::Fixed(1) && from[axis] != Dim::Fixed(1))
        })
        .map(|axis| axis as i64)
        .collect();
    if axes.is_empty() {
        return Ok(gradient);
    }
    // A bias: the rows of a matrix, summed.
    if from.len() == 2 && to.len() == 1 && axes == [0] {
        return Ok(g.column_sum(gradient)?);
    }
    let sum = g.reduce_sum(gradient, &axes, true)?;
    if extra == 0 {
        return Ok(sum);
    }
    let leading: Vec<usize> = (0..extra).collect();
    Ok(g.squeeze(sum, &leading)?)
}
