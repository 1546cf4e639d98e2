//! The program: arguments, then one library call.

use std::process::ExitCode;

use clap::Parser as _;
use sluice::cli::{Arguments, Output, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (mut results, mut errors) = (std::io::stdout(), std::io::stderr());
    let json = arguments.json;
    let outcome = run(
        &arguments,
        &mut Output::new(&mut results, &mut errors, json),
    );
    ExitCode::from(outcome.exit_code())
}
