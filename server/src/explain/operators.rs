//! What EXPLAIN ANALYZE says of a plan that has run: a line for each operator, one more where
//! there is more to tell.
//!
//! ```text
//! FilterExec: l_shipdate@2 < 1994-01-01 (actual rows=16718 time=22.760 ms)
//!   Rows Removed by Filter: 43457
//!   DataSourceExec: lineitem, 3 files, projection=[…], predicate=… (actual rows=60175 time=96.870 ms)
//!     Read: 533094 bytes, 4 of 4 file ranges, 3 of 3 row groups, 15 of 15 pages
//! ```
//! Times are those of all threads together, without the time of the operators below. All metrics
//! are shown by EXPLAIN (ANALYZE, VERBOSE).

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use tarn_catalog::delta::FILES_LEFT_OUT;

/// Characters of a line; what an operator says of itself is cut to fit.
const N_LINE_CHARS_MAX: usize = 200;
/// Characters that are left to it in any case.
const N_DETAIL_CHARS_MIN: usize = 60;
/// Operators that were put in to stop a plan or to take its rows, of which there is nothing to say.
const HIDDEN: [&str; 2] = ["CooperativeExec", "SinkExec"];

/// Appends the lines of a plan.
pub(super) fn push_operators(plan: &Arc<dyn ExecutionPlan>, depth: usize, lines: &mut Vec<String>) {
    if let (true, [inner]) = (HIDDEN.contains(&plan.name()), plan.children().as_slice()) {
        return push_operators(inner, depth, lines);
    }
    let indent = "  ".repeat(depth);
    let metrics = plan.metrics().map(|metrics| metrics.aggregate_by_name());
    let measured = metrics.as_ref().map_or_else(String::new, measured);
    let room = N_LINE_CHARS_MAX.saturating_sub(indent.len() + measured.len());
    let details = shortened(&details(plan), room.max(N_DETAIL_CHARS_MIN));
    lines.push(format!("{indent}{details}{measured}"));
    let notes = metrics.as_ref().map(notes).unwrap_or_default();
    lines.extend(notes.into_iter().map(|note| format!("{indent}  {note}")));
    for child in plan.children() {
        push_operators(child, depth + 1, lines);
    }
}

/// The milliseconds that an operator has computed, if it says so.
pub(super) fn milliseconds(metrics: &MetricsSet) -> Option<f64> {
    // A scan counts the time in which it waits and decodes apart.
    let decoding = metrics.sum_by_name("time_elapsed_processing").map(|value| value.as_usize());
    let nanos = decoding.into_iter().chain(metrics.elapsed_compute()).max()?;
    let nanos = u32::try_from(nanos / 1_000).unwrap_or(u32::MAX);
    Some(f64::from(nanos) / 1e3)
}

fn measured(metrics: &MetricsSet) -> String {
    let rows = metrics.output_rows().map(|n_rows| format!("rows={n_rows}"));
    let time = milliseconds(metrics).map(|time| format!("time={time:.3} ms"));
    let parts: Vec<String> = rows.into_iter().chain(time).collect();
    if parts.is_empty() { String::new() } else { format!(" (actual {})", parts.join(" ")) }
}

/// What else matters of the metrics.
fn notes(metrics: &MetricsSet) -> Vec<String> {
    let number = |name: &str| {
        metrics.sum_by_name(name).map(|value| value.as_usize()).filter(|number| *number > 0)
    };
    let mut notes = Vec::new();
    let removed = metrics.iter().find_map(|metric| match metric.value() {
        MetricValue::Ratio { name, ratio_metrics } if name == "selectivity" => {
            Some(ratio_metrics.total().saturating_sub(ratio_metrics.part()))
        }
        _ => None,
    });
    if let Some(n_rows) = removed.filter(|n_rows| *n_rows > 0) {
        notes.push(format!("Rows Removed by Filter: {n_rows}"));
    }
    if let Some(n_rows) = number("build_input_rows") {
        let memory = number("build_mem_used").map(|bytes| format!(", {bytes} bytes"));
        notes.push(format!("Build Side: {n_rows} rows{}", memory.unwrap_or_default()));
    }
    if let Some(n_times) = metrics.spill_count().filter(|n_times| *n_times > 0) {
        let n_bytes = metrics.spilled_bytes().unwrap_or(0);
        notes.push(format!("Spilled to Disk: {n_bytes} bytes in {n_times} files"));
    }
    notes.extend(read(metrics));
    notes
}

/// What a scan has read, and how much of it could be left out.
fn read(metrics: &MetricsSet) -> Option<String> {
    let n_bytes = metrics.sum_by_name("bytes_scanned")?.as_usize();
    let mut parts = vec![format!("{n_bytes} bytes")];
    if let Some(n_files) = metrics.sum_by_name(FILES_LEFT_OUT) {
        parts.push(format!("{} files left out", n_files.as_usize()));
    }
    for (name, unit) in [
        ("files_ranges_pruned_statistics", "file ranges"),
        ("row_groups_pruned_statistics", "row groups"),
        ("page_index_pages_pruned", "pages"),
    ] {
        let found = metrics.iter().find_map(|metric| match metric.value() {
            MetricValue::PruningMetrics { name: found, pruning_metrics } if found == name => {
                Some((pruning_metrics.matched(), pruning_metrics.pruned()))
            }
            _ => None,
        });
        if let Some((n_read, n_pruned)) = found.filter(|(read, pruned)| read + pruned > 0) {
            parts.push(format!("{n_read} of {} {unit}", n_read + n_pruned));
        }
    }
    Some(format!("Read: {}", parts.join(", ")))
}

/// What an operator says of itself, with files counted and not named.
fn details(plan: &Arc<dyn ExecutionPlan>) -> String {
    let line = DisplayableExecutionPlan::new(plan.as_ref()).one_line().to_string();
    let line = super::readable(line.trim());
    let scan = plan.downcast_ref::<DataSourceExec>();
    let config = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
    let (Some(config), Some((_, rest))) = (config, line.split_once("]}")) else { return line };
    let files = config.file_groups.iter().flat_map(|group| group.files());
    // A large file can be read in several ranges.
    let files: BTreeSet<&str> = files.map(|file| file.object_meta.location.as_ref()).collect();
    let folder =
        files.first().and_then(|path| path.rsplit('/').skip(1).find(|part| !part.contains('=')));
    let plural = if files.len() == 1 { "" } else { "s" };
    let mut rest = rest.replacen(", file_type=parquet", "", 1);
    if let Some(at) = rest.find(", pruning_predicate=") {
        rest.truncate(at);
    }
    format!("DataSourceExec: {}, {} file{plural}{rest}", folder.unwrap_or("/"), files.len())
}

fn shortened(text: &str, n_chars: usize) -> String {
    match text.char_indices().nth(n_chars.saturating_sub(1)) {
        Some((at, _)) if text.chars().count() > n_chars => {
            format!("{}…", text.get(..at).unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn long_texts_are_cut_at_characters() {
        assert_eq!(shortened("größer", 6), "größer");
        assert_eq!(shortened("größer", 5), "größ…");
        assert_eq!(shortened("", 5), "");
    }
}
