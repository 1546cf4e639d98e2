//! From arguments to an exit code.

use std::io;
use std::path::Path;

use super::arguments::{Arguments, Command};
use super::client::Client;
use super::output::Output;
use super::{
    calls, cdr, doctor, extensions, guard, limits, links, metrics, settings, sources, tokens,
    trunks,
};
use crate::boot::error::ServeError;
use crate::config::{Config, ConfigErrors};
use crate::storage::StorageError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Refused or failed; what and why was said.
    Refused,
    /// Wrong arguments or configuration; what and why was said.
    Misconfigured,
    /// No node answers where one was looked for.
    Unreachable,
}

impl Outcome {
    /// 0, 1, 2 or 3.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Misconfigured => 2,
            Self::Unreachable => 3,
        }
    }
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Print(#[from] io::Error),
    #[error("{0}")]
    Serve(#[from] ServeError),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Unreachable(String),
}

/// Runs one command.
pub fn run(arguments: &Arguments, output: &mut Output<'_>) -> Outcome {
    let ended = match &arguments.command {
        Command::CheckConfig { file } => {
            check_config(file.as_ref().unwrap_or(&arguments.config), output)
        }
        Command::Serve { realtime } => serve(&arguments.config, *realtime),
        Command::Doctor => {
            existing(&arguments.config).and_then(|config| doctor::run(&config, output))
        }
        Command::Metrics => metrics::run(output),
        Command::Limits => {
            existing(&arguments.config).and_then(|config| limits::run(&config, output))
        }
        Command::Links(_)
        | Command::Settings(_)
        | Command::Trunks(_)
        | Command::Sources(_)
        | Command::Cdr(_)
        | Command::Tokens(_)
        | Command::Guard(_)
        | Command::Extensions(_)
        | Command::Calls(_)
        | Command::Drain => with_client(arguments, output),
    };
    let Err(error) = ended else {
        return Outcome::Done;
    };
    let outcome = match error {
        CommandError::Config(_) | CommandError::Usage(_) => Outcome::Misconfigured,
        CommandError::Unreachable(_) => Outcome::Unreachable,
        // The reader of our output went away: nothing is wrong.
        CommandError::Print(ref error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Outcome::Done;
        }
        CommandError::Storage(_)
        | CommandError::Print(_)
        | CommandError::Serve(_)
        | CommandError::Refused(_) => Outcome::Refused,
    };
    output.say(&error.to_string()).ok();
    outcome
}

fn check_config(file: &Path, output: &mut Output<'_>) -> Result<(), CommandError> {
    let config = Config::load(file)?;
    output.line(&format!(
        "{}: good ({} trunks, {} sources, {} links for the first start)",
        file.display(),
        config.trunks.len(),
        config.sources.len(),
        config.links.len()
    ))?;
    for trunk in config.trunks.iter().filter(|trunk| trunk.shape.enabled) {
        if let Some(warning) = trunk.shape.dial_plan.warning() {
            output.line(&format!("warning: trunk `{}` {warning}", trunk.shape.label))?;
        }
    }
    Ok(())
}

fn serve(file: &Path, realtime: bool) -> Result<(), CommandError> {
    let mut config = existing(file)?;
    config.media.realtime |= realtime;
    let unreadable = |error| CommandError::Refused(format!("log.level: {error}"));
    crate::log::start(&config.log.level, config.log.format).map_err(unreadable)?;
    let served = crate::boot::serve::serve(&config);
    crate::log::flush();
    Ok(served?)
}

/// Connects to the node, or to what stands for it, and runs the command there.
fn with_client(arguments: &Arguments, output: &mut Output<'_>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut client = Client::connect(arguments).await?;
        let ended = dispatch(&arguments.command, &mut client, output).await;
        client.close().await;
        ended
    })
}

async fn drain(client: &mut Client, output: &mut Output<'_>) -> Result<(), CommandError> {
    let answer: serde_json::Value = client.post("/api/v1/node/drain").await?;
    if output.is_json() {
        return Ok(output.document(&answer)?);
    }
    Ok(output.line("the node drains: it ends when the last call is over")?)
}

async fn dispatch(
    command: &Command,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        Command::Links(command) => links::run(command, client, output).await,
        Command::Settings(command) => settings::run(command, client, output).await,
        Command::Trunks(command) => trunks::run(command, client, output).await,
        Command::Sources(command) => sources::run(command, client, output).await,
        Command::Cdr(command) => cdr::run(command, client, output).await,
        Command::Tokens(command) => tokens::run(command, client, output).await,
        Command::Guard(command) => guard::run(command, client, output).await,
        Command::Extensions(command) => extensions::run(command, client, output).await,
        Command::Calls(command) => calls::run(command, client, output).await,
        Command::Drain => drain(client, output).await,
        Command::Serve { .. }
        | Command::Limits
        | Command::Doctor
        | Command::Metrics
        | Command::CheckConfig { .. } => Ok(()),
    }
}

pub(super) fn existing(file: &Path) -> Result<Config, CommandError> {
    if !file.exists() {
        return Err(CommandError::Config(missing(file)));
    }
    Ok(Config::load(file)?)
}

fn missing(file: &Path) -> ConfigErrors {
    ConfigErrors {
        file: file.to_owned(),
        problems: vec![crate::config::Problem {
            line: 0,
            key: String::new(),
            found: "no such file".to_owned(),
            accepted: "a configuration file; name yours by --config FILE, or copy \
                       conf/sluice.minimal.toml there"
                .to_owned(),
        }],
    }
}

#[cfg(test)]
mod tests;
