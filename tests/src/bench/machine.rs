//! Description of the machine and of the programs, for the results.

use serde_json::{Value, json};

/// Returns cores, memory, processor, kernel, compiler and tarn's version.
pub fn describe() -> Value {
    let cpu = value_of("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = value_of("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib = memory.split_whitespace().next().and_then(|n| n.parse::<u64>().ok());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": kib.unwrap_or_default() >> 20,
        "processor": cpu,
        "kernel": kernel.trim(),
        "tarn": env!("CARGO_PKG_VERSION"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}

/// Returns the description as one line.
pub fn line(machine: &Value) -> String {
    format!(
        "{} cores, {} GiB, {}; Linux {}; tarn {} ({})",
        machine["cores"],
        machine["memory_gib"],
        machine["processor"].as_str().unwrap_or("unknown processor"),
        machine["kernel"].as_str().unwrap_or_default(),
        machine["tarn"].as_str().unwrap_or_default(),
        machine["profile"].as_str().unwrap_or_default(),
    )
}

fn value_of(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
