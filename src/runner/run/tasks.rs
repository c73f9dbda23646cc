//! Turns jobs and seeds into tasks, each unit of work once.

use std::collections::BTreeMap;

use crate::base::digest::Digest;
use crate::base::seed::redrawn;
use crate::dag::plan::StepInput;
use crate::runner::cache::key::{KeyMaterial, RuntimeMaterial};
use crate::runner::job::Job;
use crate::stages::External;

/// One unit of work: a job for one seed, or for all seeds if none of its inputs depends on the
/// seed.
#[derive(Debug)]
pub struct Task {
    /// The index of the (first) job.
    pub job: usize,
    pub seed: u64,
    /// The stage's id, with the seed if there are several such tasks.
    pub label: String,
    pub material: KeyMaterial,
    pub key: Digest,
    /// The key under which unfinished state is kept and locked: its own, or the one of the full
    /// work that it begins.
    pub work_key: Digest,
    /// Indices of earlier tasks, in the order of the job's inputs.
    pub inputs: Vec<usize>,
}

/// The tasks of a run, each after its inputs.
#[derive(Debug)]
pub struct Tasks {
    pub all: Vec<Task>,
    /// The task of each (job, seed).
    of: BTreeMap<(usize, u64), usize>,
    /// Tasks that others read beside those of their seed: the run's seed, then the job, the
    /// seed of the draw and the task.
    redrawn: Vec<(u64, (usize, u64, usize))>,
    pub seeds: Vec<u64>,
}

impl Tasks {
    /// Creates the tasks: seed by seed, in the plan's order. Jobs with equal keys share one task.
    /// `externals` holds the external files and models of each job.
    pub fn new(
        jobs: &[Job<'_>],
        seeds: &[u64],
        runtime: Option<&RuntimeMaterial>,
        externals: &[Vec<External>],
    ) -> Tasks {
        let (all, of, redrawn, seeds) = (Vec::new(), BTreeMap::new(), Vec::new(), seeds.to_vec());
        let mut tasks = Tasks { all, of, redrawn, seeds };
        let mut known = BTreeMap::new();
        for seed in tasks.seeds.clone() {
            for (index, (job, externals)) in jobs.iter().zip(externals).enumerate() {
                let mut inputs = Vec::new();
                for input in &job.inputs {
                    inputs.push(tasks.input(jobs, input, seed, &mut known));
                }
                let keys = job.inputs.iter().zip(&inputs);
                let keys = keys
                    .map(|(input, &task)| (input.field.to_owned(), tasks.all[task].key))
                    .collect();
                let material = KeyMaterial::new(job, keys, seed, runtime, externals);
                let task = tasks.add(job, Place { job: index, seed }, material, inputs, &mut known);
                tasks.of.insert((index, seed), task);
            }
        }
        let seeds = &tasks.seeds;
        let first_tasks: Vec<usize> = (0..jobs.len())
            .filter_map(|job| tasks.of.get(&(job, *seeds.first()?)).copied())
            .collect();
        let varies: Vec<bool> = (0..jobs.len())
            .map(|job| {
                let is_redrawn = tasks.redrawn.iter().any(|(_, (of, ..))| *of == job);
                let differs = |&seed| tasks.of.get(&(job, seed)) != first_tasks.get(job);
                is_redrawn || seeds.iter().any(differs)
            })
            .collect();
        for task in tasks.all.iter_mut().filter(|task| varies[task.job]) {
            task.label = format!("{} (seed {})", task.label, task.seed);
        }
        tasks
    }

    /// Returns the task that gives an input. Another draw of it has the inputs of the first, and a
    /// seed of its own.
    fn input(
        &mut self,
        jobs: &[Job<'_>],
        input: &StepInput,
        seed: u64,
        known: &mut BTreeMap<Digest, usize>,
    ) -> usize {
        let first = self.of[&(input.step, seed)];
        let Task { material, inputs, .. } = &self.all[first];
        if input.draw == 0 || material.seed.is_none() {
            return first;
        }
        let own = redrawn(seed, input.draw);
        let (material, inputs) =
            (KeyMaterial { seed: Some(own), ..material.clone() }, inputs.clone());
        let place = Place { job: input.step, seed: own };
        let task = self.add(&jobs[input.step], place, material, inputs, known);
        let entry = (seed, (input.step, own, task));
        if !self.redrawn.contains(&entry) {
            self.redrawn.push(entry);
        }
        task
    }

    /// Adds a task, unless there is one of the same key.
    fn add(
        &mut self,
        job: &Job<'_>,
        place: Place,
        material: KeyMaterial,
        inputs: Vec<usize>,
        known: &mut BTreeMap<Digest, usize>,
    ) -> usize {
        let key = material.key();
        *known.entry(key).or_insert_with(|| {
            let work_key = job.pauses().map_or(key, |field| material.without(field).key());
            let (Place { job: index, seed }, label) = (place, job.id.clone());
            self.all.push(Task { job: index, seed, label, material, key, work_key, inputs });
            self.all.len() - 1
        })
    }

    /// Returns the task of a job for a seed, be it one of the run's or that of another draw.
    pub fn index(&self, job: usize, seed: u64) -> Option<usize> {
        let redrawn = || self.redrawn.iter().find(|(_, it)| (it.0, it.1) == (job, seed));
        self.of.get(&(job, seed)).copied().or_else(|| Some(redrawn()?.1.2))
    }

    /// Returns all (job, seed, task), seed after seed.
    pub fn uses(&self) -> impl Iterator<Item = (usize, u64, usize)> + '_ {
        self.seeds.iter().flat_map(|&seed| self.of_seed(seed))
    }

    /// Returns all (job, seed, task) of one of the run's seeds: its own, then those of other draws.
    pub fn of_seed(&self, seed: u64) -> impl Iterator<Item = (usize, u64, usize)> + '_ {
        let jobs = self.of.keys().map(|&(job, _)| job + 1).max().unwrap_or(0);
        let own = (0..jobs).filter_map(move |job| Some((job, seed, *self.of.get(&(job, seed))?)));
        let redrawn = self.redrawn.iter().filter(move |(of, _)| *of == seed).map(|(_, use_)| *use_);
        own.chain(redrawn)
    }
}

/// Whose work a task is, under which seed.
struct Place {
    job: usize,
    seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing::Line;

    #[test]
    fn seeds_share_what_does_not_depend_on_them() {
        // data (no seed) -> draw (seed) -> score (no seed of its own)
        let line = Line::new();
        let jobs = line.jobs();
        let tasks = Tasks::new(&jobs, &[1, 2], None, &vec![Vec::new(); jobs.len()]);
        let labels: Vec<&str> = tasks.all.iter().map(|task| task.label.as_str()).collect();
        assert_eq!(
            labels,
            ["data", "draw (seed 1)", "score (seed 1)", "draw (seed 2)", "score (seed 2)"]
        );
        assert_eq!(tasks.index(0, 1), tasks.index(0, 2));
        assert_eq!(tasks.uses().count(), 6);
        let single = Tasks::new(&jobs, &[1], None, &vec![Vec::new(); jobs.len()]);
        assert_eq!(single.all[1].label, "draw");
    }

    #[test]
    fn other_draws_have_the_same_inputs_and_are_the_work_of_their_seeds() {
        let line = Line::new();
        let mut jobs = line.jobs();
        // `score` reads three draws of `draw`, and the data, which nothing is drawn of.
        let input = |field, step, draw| StepInput { field, step, draw };
        jobs[2].inputs =
            vec![input("of", 1, 0), input("of.1", 1, 1), input("of.2", 1, 2), input("data", 0, 1)];
        let externals = vec![Vec::new(); jobs.len()];
        let tasks = Tasks::new(&jobs, &[1, 2], None, &externals);
        assert_eq!(tasks.all.len(), 1 + 2 * 4);
        let other = redrawn(1, 1);
        let (first, second) = (&tasks.all[1], &tasks.all[2]);
        assert_eq!((first.seed, second.seed), (1, other));
        assert_eq!(second.label, format!("draw (seed {other})"));
        assert_eq!(first.inputs, second.inputs);
        assert_eq!(tasks.all[4].inputs, [1, 2, 3, 0]);
        assert_eq!(tasks.index(1, other), Some(2));
        assert_eq!(tasks.uses().count(), 2 * (3 + 2));
        // A run of that seed does the same work.
        let plain = line.jobs();
        let plain = Tasks::new(&plain, &[other], None, &externals);
        assert_eq!(plain.all[1].key, second.key);
        assert_ne!(redrawn(1, 1), redrawn(2, 1));
    }
}
