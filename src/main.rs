//! The program: arguments, then one library call.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use sluice::cli::{Arguments, Output, run};

/// Signalling allocates and frees small things at a steady rate; the system's allocator gives pages
/// back and takes them again for nearly every call (1.7 `mprotect` a call were counted).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (mut results, mut errors) = (std::io::stdout(), std::io::stderr());
    let json = arguments.json;
    let watched = errors.is_terminal();
    let outcome = run(
        &arguments,
        &mut Output::new(&mut results, &mut errors, json).watched(watched),
    );
    ExitCode::from(outcome.exit_code())
}
