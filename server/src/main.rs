//! The program `tarn`.

use std::ffi::{c_int, c_long};
use std::process::ExitCode;

// Queries allocate and free large arrays on many threads, which the system allocator serves slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Milliseconds until freed memory goes back to the operating system.
///
/// The allocator's own second lets 70 MB more pile up while a million rows are sent; below 50 ms
/// giving back and taking again costs a tenth of the speed.
const PURGE_DELAY_MS: c_long = 100;

/// `mi_option_purge_delay` in the allocator's header.
const PURGE_DELAY_OPTION: c_int = 15;

#[expect(unsafe_code, reason = "the allocator has no safe way to set this")]
fn tune_allocator() {
    unsafe extern "C" {
        fn mi_option_set(option: c_int, value: c_long);
    }
    // SAFETY: the function takes plain numbers and only stores the value.
    unsafe { mi_option_set(PURGE_DELAY_OPTION, PURGE_DELAY_MS) }
}

fn main() -> ExitCode {
    tune_allocator();
    tarn_server::cli::run()
}
