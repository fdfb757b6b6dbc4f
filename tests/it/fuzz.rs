//! A short run of the fuzzer; `cargo run --bin fuzz -- --seconds 600` is the long one.

use anyhow::Result;
use tarn_tests::fuzz::{TARGETS, Until, run};

/// Inputs per target: seconds without optimisation.
const N_INPUTS: u64 = 20_000;

#[test]
fn decoders_take_whatever_comes() -> Result<()> {
    for target in TARGETS {
        let summary = run(target, 2026, Until::Inputs(N_INPUTS))?;
        println!("{}: {summary:?}", target.name);
    }
    Ok(())
}
