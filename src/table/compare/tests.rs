//! Comparisons of made results.
