//! The program `tarn`.

use std::process::ExitCode;

// Queries allocate and free large arrays on many threads, which the system allocator serves slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tarn_server::cli::run()
}
