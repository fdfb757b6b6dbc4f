//! `cargo run --bin fuzz -- [--seconds N] [--seed N] [--input HEX] TARGET…`
//!
//! Without targets it fuzzes all of them, one after another. It ends with 1 at the first fault,
//! and prints the seed and the input that show it again.
#![allow(
    unsafe_code,
    reason = "an allocator that notes the largest request can be written no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tarn_tests::fuzz::{LARGEST_ALLOCATION, TARGETS, Target, Until, replay, run};

/// The system's allocator, noting the largest request.
struct Noting;

// SAFETY: every call is passed on as it is.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST_ALLOCATION.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST_ALLOCATION.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST_ALLOCATION.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Noting = Noting;

fn main() -> ExitCode {
    match fuzz(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut seconds = 60;
    // Another one each time; printed, so that a fault can be shown again.
    let mut seed =
        std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |elapsed| elapsed.as_secs());
    let mut input = None;
    let mut targets: Vec<&Target> = vec![];
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--seconds" => seconds = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--input" => input = Some(value()?),
            name => match TARGETS.iter().find(|target| target.name == name) {
                Some(target) => targets.push(target),
                None => {
                    let known: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
                    bail!("no target {name}; there are {}", known.join(", "));
                }
            },
        }
    }
    if targets.is_empty() {
        targets = TARGETS.iter().collect();
    }
    for target in targets {
        if let Some(input) = &input {
            replay(target, input)?;
            println!("{}: fine", target.name);
            continue;
        }
        println!("{}: seed {seed}, {seconds} s", target.name);
        let started = Instant::now();
        let summary = run(target, seed, Until::Elapsed(Duration::from_secs(seconds)))?;
        println!(
            "{}: {} inputs in {:.0} s, {} outcomes, slowest {:?}, largest allocation {} bytes, no fault",
            target.name,
            summary.n_inputs,
            started.elapsed().as_secs_f64(),
            summary.n_outcomes,
            summary.slowest,
            summary.largest_bytes,
        );
    }
    Ok(())
}
