//! Turns jobs and seeds into tasks, each unit of work once.

use std::collections::BTreeMap;

use crate::base::digest::Digest;
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
        let mut all: Vec<Task> = Vec::new();
        let mut of = BTreeMap::new();
        let mut known: BTreeMap<Digest, usize> = BTreeMap::new();
        for &seed in seeds {
            for (index, (job, externals)) in jobs.iter().zip(externals).enumerate() {
                let inputs: Vec<usize> =
                    job.inputs.iter().map(|input| of[&(input.step, seed)]).collect();
                let keys = job.inputs.iter().zip(&inputs);
                let keys = keys
                    .map(|(input, &task): (_, &usize)| (input.field.to_owned(), all[task].key))
                    .collect();
                let material = KeyMaterial::new(job, keys, seed, runtime, externals);
                let key = material.key();
                let task = *known.entry(key).or_insert_with(|| {
                    let work_key = job.pauses().map_or(key, |field| material.without(field).key());
                    all.push(Task {
                        job: index,
                        seed,
                        label: job.id.clone(),
                        material,
                        key,
                        work_key,
                        inputs,
                    });
                    all.len() - 1
                });
                of.insert((index, seed), task);
            }
        }
        let first_tasks: Vec<usize> =
            (0..jobs.len()).filter_map(|job| of.get(&(job, *seeds.first()?)).copied()).collect();
        let varies: Vec<bool> = (0..jobs.len())
            .map(|job| seeds.iter().any(|&seed| of.get(&(job, seed)) != first_tasks.get(job)))
            .collect();
        for task in all.iter_mut().filter(|task| varies[task.job]) {
            task.label = format!("{} (seed {})", task.label, task.seed);
        }
        Tasks { all, of, seeds: seeds.to_vec() }
    }

    /// Returns the task of a job for a seed.
    pub fn index(&self, job: usize, seed: u64) -> Option<usize> {
        self.of.get(&(job, seed)).copied()
    }

    /// Returns all (job, seed, task), seed after seed.
    pub fn uses(&self) -> impl Iterator<Item = (usize, u64, usize)> + '_ {
        let jobs = self.of.keys().map(|&(job, _)| job + 1).max().unwrap_or(0);
        self.seeds
            .iter()
            .flat_map(move |&seed| (0..jobs).map(move |job| (job, seed)))
            .filter_map(|(job, seed)| Some((job, seed, self.index(job, seed)?)))
    }
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
}
