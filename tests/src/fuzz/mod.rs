//! A fuzzer for everything that reads bytes of a client, without instrumentation.
//!
//! Inputs begin with a corpus of good ones and are mutated at random from a seed that is printed.
//! An input whose outcome was not seen before joins the corpus. A fault is a panic, an input that
//! takes longer than a second, or an allocation that its length does not explain.
//!
//! | module | what |
//! |---|---|
//! | `corpus` | good inputs for each target |
//! | `mutate` | the ways to change one |

mod corpus;
mod mutate;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tarn_server::fuzzing;

pub use mutate::Random;

/// Inputs that are kept because their outcome was new.
const N_CORPUS_MAX: usize = 20_000;

/// The longest input.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// How long one input may take.
const INPUT_LIMIT: Duration = Duration::from_secs(1);

/// How often an input that took longer is tried again.
const N_SECOND_LOOKS: usize = 5;

/// Memory that any input may take at once, and as many times its own length.
const FREE_BYTES: usize = 4 << 20;
const BYTES_PER_BYTE: usize = 256;

/// The largest allocation since it was set to zero; kept by the program's allocator, if it does.
pub static LARGEST_ALLOCATION: AtomicUsize = AtomicUsize::new(0);

/// What is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    run: fn(&[u8]) -> String,
    seeds: fn() -> Vec<Vec<u8>>,
}

/// Everything that can be fuzzed.
pub const TARGETS: &[Target] = &[
    Target { name: "messages", run: fuzzing::messages, seeds: corpus::messages },
    Target { name: "startup", run: fuzzing::startup_packet, seeds: corpus::startup },
    Target { name: "credentials", run: fuzzing::credentials, seeds: corpus::credentials },
    Target { name: "text-values", run: |input| value(input, false), seeds: corpus::text_values },
    Target { name: "binary-values", run: |input| value(input, true), seeds: corpus::binary_values },
    Target { name: "copy-data", run: copy_data, seeds: corpus::copy_data },
];

/// The first byte of an input chooses the type, the rest is the value.
fn value(input: &[u8], binary: bool) -> String {
    let Some((first, rest)) = input.split_first() else { return String::new() };
    let oids = fuzzing::PARAMETER_OIDS;
    let oid = oids[usize::from(*first) % oids.len()];
    format!("{oid} {}", fuzzing::parameter(oid, binary, rest))
}

/// The first byte chooses the form, the rest is the data.
fn copy_data(input: &[u8]) -> String {
    let Some((first, rest)) = input.split_first() else { return String::new() };
    fuzzing::copy_data(usize::from(*first) % fuzzing::N_COPY_FORMS, rest)
}

/// What a run has found.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Inputs tried.
    pub n_inputs: u64,
    /// Different outcomes.
    pub n_outcomes: usize,
    /// The longest time of one input.
    pub slowest: Duration,
    /// The largest allocation, where the program counts them.
    pub largest_bytes: usize,
}

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After so many inputs.
    Inputs(u64),
    /// After so long.
    Elapsed(Duration),
}

/// Fuzzes one target.
///
/// # Errors
/// The first fault, with the seed and the input.
pub fn run(target: &Target, seed: u64, until: Until) -> Result<Summary> {
    let started = Instant::now();
    let mut random = Random::new(seed);
    let mut inputs = (target.seeds)();
    let n_seeds = inputs.len();
    let mut outcomes = HashSet::new();
    let mut summary =
        Summary { n_inputs: 0, n_outcomes: 0, slowest: Duration::ZERO, largest_bytes: 0 };
    loop {
        let index = usize::try_from(summary.n_inputs)?;
        // First the good ones as they are.
        let mut input = match inputs.get(index).filter(|_| index < n_seeds) {
            Some(input) => input.clone(),
            None => mutate::mutate(&mut random, &inputs),
        };
        input.truncate(INPUT_BYTES_MAX);
        let outcome = try_input(target, &input, &mut summary)
            .map_err(|fault| fault.context(format!("target {}, seed {seed}", target.name)))?;
        if outcomes.insert(outcome) && inputs.len() < N_CORPUS_MAX {
            inputs.push(input);
        }
        summary.n_inputs += 1;
        let enough = match until {
            Until::Inputs(n) => summary.n_inputs >= n,
            // Asking for the time takes longer than most inputs.
            Until::Elapsed(limit) => {
                summary.n_inputs.is_multiple_of(64) && started.elapsed() >= limit
            }
        };
        if enough {
            summary.n_outcomes = outcomes.len();
            return Ok(summary);
        }
    }
}

/// Runs one input; returns what stands for its outcome.
fn try_input(target: &Target, input: &[u8], summary: &mut Summary) -> Result<u64> {
    LARGEST_ALLOCATION.store(0, Ordering::Relaxed);
    let timed = || {
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        (outcome, started.elapsed())
    };
    let (outcome, mut elapsed) = timed();
    for _ in 0..N_SECOND_LOOKS {
        // On a busy machine the program itself may have had to wait.
        if elapsed > INPUT_LIMIT {
            elapsed = elapsed.min(timed().1);
        }
    }
    let largest = LARGEST_ALLOCATION.load(Ordering::Relaxed);
    let Ok(outcome) = outcome else { bail!("panics for {}", hex(input)) };
    if elapsed > INPUT_LIMIT {
        bail!("takes {elapsed:?} for {}", hex(input));
    }
    if largest > FREE_BYTES + input.len() * BYTES_PER_BYTE {
        bail!("allocates {largest} bytes at once for {} bytes: {}", input.len(), hex(input));
    }
    summary.slowest = summary.slowest.max(elapsed);
    summary.largest_bytes = summary.largest_bytes.max(largest);
    let mut hasher = DefaultHasher::new();
    outcome.hash(&mut hasher);
    Ok(hasher.finish())
}

/// Runs one input again, as a fault has printed it.
///
/// # Errors
/// Text that is not hexadecimal; the fault.
pub fn replay(target: &Target, text: &str) -> Result<()> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let bytes =
        digits.chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    let input: Vec<u8> = bytes.collect::<Result<_>>()?;
    let mut summary =
        Summary { n_inputs: 0, n_outcomes: 0, slowest: Duration::ZERO, largest_bytes: 0 };
    try_input(target, &input, &mut summary).map(|_| ())
}

fn hex(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).collect()
}
