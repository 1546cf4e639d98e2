//! The commands of CONTRIBUTING: `cargo ci`, `cargo tidy`, `cargo interop`,
//! `cargo fuzz-smoke`, `cargo xtask requirements`.
//!
//! Owns the order of the checks and their wording. What a check needs of a tool, the tool does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod ci;
mod fuzz;
mod interop;
mod requirements;
mod say;
mod tidy;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Every check that needs no network: tidy, format, lints, tests, documentation, benches.
    Ci {
        /// Stop after the first stage that fails (by default every stage runs).
        #[arg(long)]
        fail_fast: bool,
    },
    /// The rules of the house that the compiler does not know.
    Tidy,
    /// Each requirement of a Cisco trunk: pass, fail, waived or open, and the tests that show it.
    Requirements {
        /// Only rows whose id begins with this, such as C or C-02.
        id: Option<String>,
    },
    /// The fuzz targets, each for a while.
    FuzzSmoke {
        /// Only targets whose name contains this.
        filter: Option<String>,
        /// For so long each.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Tests against real peers (sipp, baresip).
    Interop {
        /// Only tests whose name contains this.
        filter: Option<String>,
        /// A missing peer is a failure, not a "not run".
        #[arg(long)]
        require: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Ci { fail_fast } => ci::run(&root(), fail_fast),
        Command::Tidy => tidy::run(&root()),
        Command::Requirements { id } => requirements::run(&root(), id.as_deref()),
        Command::FuzzSmoke { filter, seconds } => fuzz::run(&root(), filter.as_deref(), seconds),
        Command::Interop { filter, require } => interop::run(&root(), filter.as_deref(), require),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::line(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace: two folders above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_path_buf()
}
