//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A click on a link becomes a SIP call.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// Configuration file; it also names the database that the other commands work on
    #[arg(long, short, global = true, default_value = "/etc/sluice/sluice.toml")]
    pub config: PathBuf,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a node until SIGTERM or Ctrl-C
    Serve,
    /// Judge a configuration file without starting anything
    CheckConfig {
        /// The file [default: the one of --config]
        file: Option<PathBuf>,
    },
    /// How many calls this machine carries, and what binds: settings, descriptors, ports, the kernel
    #[command(
        after_help = "media_io is how media workers meet the kernel, best first: uring (Linux \
        6.12), uring_no_min_wait (6.1), epoll; with epoll the reason is named.\n\nDescriptors \
        are those of this shell; a service manager may give the node others."
    )]
    Limits,
    /// What request paths reach
    #[command(subcommand)]
    Links(LinksCommand),
    /// What may be changed while calls go on, for all nodes
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Where calls go
    #[command(subcommand)]
    Trunks(TrunksCommand),
    /// Who may call
    #[command(subcommand)]
    Sources(SourcesCommand),
    /// What calls were
    #[command(subcommand)]
    Cdr(CdrCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum LinksCommand {
    /// Make a link
    #[command(after_help = "Example:\n  sluice links add support --destination \
                            610@example.com --caller-name 'Web guest' --caller-alias web")]
    Add(Box<AddLink>),
    /// List links by id
    List {
        /// Only links with this text in request path, destination or names
        #[arg(long, short)]
        search: Option<String>,
        /// Only links with a higher id: the last one of the page before
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        after: i64,
        /// Links of one page
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rows: u32,
    },
    /// Show one link
    Show {
        /// Request path or id
        link: String,
    },
    /// Delete one link
    Delete {
        /// Request path or id
        link: String,
    },
    /// Make many links, from a file with one JSON object a line
    #[command(
        after_help = "Each line is an object with the keys of a [[link]] table in \
        conf/sluice.toml; only \"destination\" is required.\n\nExample line:\n  \
        {\"request_path\": \"support\", \"destination\": \"610@example.com\"}\n\n\
        Lines that break a rule are named with their number and skipped; exit code 1 if any was."
    )]
    Import {
        /// The file, - for standard input
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(super) struct AddLink {
    /// Request path [default: 128 random bits]
    pub(super) request_path: Option<String>,
    /// Whom it reaches: user, user@domain, local:echo or local:tone
    #[arg(long, short)]
    pub(super) destination: String,
    /// The destination is the request path too
    #[arg(long, conflicts_with = "request_path")]
    pub(super) path_from_destination: bool,
    /// What the guest sees
    #[arg(long)]
    pub(super) display_name: Option<String>,
    /// Name shown at the called endpoint
    #[arg(long)]
    pub(super) caller_name: Option<String>,
    /// SIP user part shown at the called endpoint
    #[arg(long)]
    pub(super) caller_alias: Option<String>,
    /// Append a number to the alias, a new one for each call
    #[arg(long)]
    pub(super) unique_alias: bool,
    /// The URL may name the caller
    #[arg(long)]
    pub(super) allow_custom_caller_name: bool,
    /// Store it, but answer it as gone
    #[arg(long)]
    pub(super) disabled: bool,
    /// Not callable before this time (RFC 3339)
    #[arg(long)]
    pub(super) valid_after: Option<String>,
    /// Not callable from this time on (RFC 3339)
    #[arg(long)]
    pub(super) valid_before: Option<String>,
    /// Label or id of the only trunk that may carry its calls
    #[arg(long)]
    pub(super) trunk: Option<String>,
    /// Seconds after which the guest page calls by itself, 0 to 60
    #[arg(long)]
    pub(super) auto_call_after_s: Option<u32>,
    /// sendrecv, inactive, recvonly or recvonly_initially
    #[arg(long)]
    pub(super) video_policy: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum SettingsCommand {
    /// Show all settings, or one
    Show {
        /// Its key
        key: Option<String>,
    },
    /// Change one setting
    #[command(after_help = "Example:\n  sluice settings set links.default_caller_name Visitor")]
    Set {
        /// Its key
        key: String,
        /// Its value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TrunksCommand {
    /// Create or change the trunks of a file; the others stay
    #[command(
        after_help = "The file holds [[trunk]] tables as in conf/sluice.toml:\n  \
        [[trunk]]\n  label = \"carrier\"\n  preset = \"carrier\"\n  targets = [\"192.0.2.1:5060\"]"
    )]
    Apply {
        /// The file
        file: PathBuf,
    },
    /// List trunks by label
    List,
    /// Send OPTIONS to each target of a trunk; exit code 1 if one does not answer
    Test {
        /// Label or id
        trunk: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SourcesCommand {
    /// Replace all sources by those of a file
    #[command(
        after_help = "The file holds [[source]] tables as in conf/sluice.toml; the first \
        that matches a packet counts:\n  \
        [[source]]\n  name = \"office\"\n  networks = [\"192.0.2.0/24\"]\n  links = \"all\""
    )]
    Apply {
        /// The file
        file: PathBuf,
    },
    /// List sources in the order in which they are asked
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum CdrCommand {
    /// The latest calls with their attempts, latest first
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        calls: u32,
    },
}

const EXAMPLES: &str = "Examples:
  sluice check-config conf/sluice.toml
  sluice --config conf/demo.toml links add support --destination 610@example.com
  sluice --config conf/demo.toml trunks apply trunks.toml
  sluice --config conf/demo.toml cdr list --json

Exit codes: 0 done, 1 refused or failed, 2 wrong arguments or configuration.";
