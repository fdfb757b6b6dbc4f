//! Summaries of samples.

/// Returns the smallest sample, 0 when there is none.
pub fn minimum(samples: &[f64]) -> f64 {
    samples.iter().copied().reduce(f64::min).unwrap_or_default()
}

/// Returns the middle sample (nearest rank), 0 when there is none.
pub fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50.0)
}

/// Returns the sample at `percent` (nearest rank), 0 when there is none.
pub fn percentile(samples: &[f64], percent: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

/// Returns the geometric mean of the positive values, or `None` when there is none.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = values.into_iter().filter(|v| *v > 0.0).map(f64::ln).collect();
    (!logs.is_empty()).then(|| (logs.iter().sum::<f64>() / logs.len() as f64).exp())
}
