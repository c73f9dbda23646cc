//! The axis of a parameter: linear or logarithmic for numbers, names side by side for everything
//! else.

use serde_json::Value;

use super::axis::Axis;
use crate::results::results::display_param;

/// The places of a parameter's values.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    Numbers(Axis),
    Names(Vec<String>),
}

impl Scale {
    /// Makes the axis of these values.
    pub fn of<'a>(values: impl Iterator<Item = &'a Value> + Clone, ticks: usize) -> Scale {
        if values.clone().all(Value::is_number) {
            let numbers: Vec<f64> = values.clone().filter_map(Value::as_f64).collect();
            let mut marks: Vec<(f64, String)> = Vec::new();
            for value in values {
                let mark = (value.as_f64().unwrap_or(f64::NAN), display_param(value));
                if marks.len() <= ticks && !marks.contains(&mark) {
                    marks.push(mark);
                }
            }
            let axis = Axis::of(numbers, ticks);
            // The few values of a grid make better ticks than round numbers.
            let is_grid =
                marks.len() <= ticks && marks.iter().all(|(_, label)| label.chars().count() <= 6);
            return Scale::Numbers(if is_grid { axis.marked(marks) } else { axis });
        }
        let mut names: Vec<String> = Vec::new();
        for name in values.map(display_param) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.sort();
        Scale::Names(names)
    }

    /// Returns the place of a value, from 0 to 1.
    pub fn place(&self, value: &Value) -> Option<f64> {
        match self {
            Scale::Numbers(axis) => axis.place(value.as_f64()?),
            Scale::Names(names) => {
                let name = display_param(value);
                let index = names.iter().position(|known| *known == name)?;
                Some((index as f64 + 0.5) / names.len() as f64)
            }
        }
    }

    /// Returns the ticks: the place and the label of each. With very many names, only some are
    /// marked.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Scale::Numbers(axis) => axis.ticks(),
            Scale::Names(names) => {
                let place = |(index, name): (usize, &String)| {
                    ((index as f64 + 0.5) / names.len() as f64, name.clone())
                };
                names
                    .iter()
                    .enumerate()
                    .step_by(names.len().div_ceil(12).max(1))
                    .map(place)
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stand_side_by_side() {
        let values = [json!("eda"), json!("none"), json!("eda"), json!(true)];
        let scale = Scale::of(values.iter(), 4);
        assert_eq!(
            scale.ticks().into_iter().map(|(_, name)| name).collect::<Vec<_>>(),
            ["eda", "none", "true"]
        );
        assert_eq!((scale.place(&json!("none")), scale.place(&json!("other"))), (Some(0.5), None));
        let numbers = [json!(1e-5), json!(1e-3)];
        assert!(matches!(Scale::of(numbers.iter(), 4), Scale::Numbers(_)));
        let grid = [json!(8), json!(64), json!(16), json!(8)];
        let labels =
            |scale: Scale| scale.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(Scale::of(grid.iter(), 4)), ["8", "16", "64"]);
        assert_eq!(labels(Scale::of(numbers.iter(), 2)), ["1e-5", "0.001"]);
        assert_eq!(Scale::of([].iter(), 4).place(&json!("x")), None);
    }
}
