//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value};

use super::call_arguments::CallsCommand;
use crate::guard_rules::shape::KINDS;
use crate::tokens::scope::Scope;

/// Options that every command takes stand behind its own.
const COMMON: &str = "Options of every command";

/// A click on a link becomes a SIP call.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub struct Arguments {
    /// Configuration file; it also names the database that the other commands work on
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        default_value = "/etc/sluice/sluice.toml",
        help_heading = COMMON
    )]
    pub config: PathBuf,
    /// Print JSON instead of a table
    #[arg(long, global = true, help_heading = COMMON)]
    pub json: bool,
    /// Address of a node [default: the socket of the node of --config, or its database where none
    /// runs]
    #[arg(
        long,
        global = true,
        env = "SLUICE_URL",
        hide_env_values = true,
        value_name = "http://HOST:PORT",
        help_heading = COMMON
    )]
    pub url: Option<String>,
    /// Token for --url; the environment is the better place, because others see the command line
    #[arg(
        long,
        global = true,
        env = "SLUICE_TOKEN",
        hide_env_values = true,
        help_heading = COMMON
    )]
    pub token: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a node until SIGTERM or Ctrl-C; SIGHUP reads the configuration again
    Serve {
        /// Media workers under real-time priority, whatever `media.realtime` says
        #[arg(long)]
        realtime: bool,
    },
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
    /// Look at machine, configuration and trunks: what is wrong and what to do; exit code 1 if
    /// something is bad
    Doctor,
    /// The node takes no new calls, and ends when the last one is over or `node.drain_s` have passed
    Drain,
    /// Every metric of /metrics with its kind, labels and meaning
    Metrics,
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
    /// Calls that are up; place one, end one
    #[command(subcommand)]
    Calls(CallsCommand),
    /// What calls were
    #[command(subcommand)]
    Cdr(CdrCommand),
    /// Who may ask the node for what over HTTP
    #[command(subcommand)]
    Tokens(TokensCommand),
    /// What the fraud guard lets out
    #[command(subcommand)]
    Guard(GuardCommand),
    /// Accounts that SIP phones register
    #[command(subcommand)]
    Extensions(ExtensionsCommand),
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
        #[arg(long)]
        after: Option<String>,
        /// Links of one page
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rows: u32,
    },
    /// Show one link
    Show {
        /// Request path or id
        link: String,
    },
    /// Change a link; what is not named stays as it is
    #[command(
        after_help = "An empty value takes the default again.\n\nExample:\n  sluice links \
                            set support --destination 611 --caller-name ''"
    )]
    Set(Box<SetLink>),
    /// Delete one link
    Delete {
        /// Request path or id
        link: String,
    },
    /// Write all links, one JSON object a line, as `import` takes them
    Export {
        /// The file [default: standard output]
        file: Option<PathBuf>,
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
    #[command(flatten)]
    pub(super) words: LinkWords,
    /// Append a number to the alias, a new one for each call
    #[arg(long)]
    pub(super) unique_alias: bool,
    /// The URL may name the caller
    #[arg(long)]
    pub(super) allow_custom_caller_name: bool,
    /// Store it, but answer it as gone
    #[arg(long)]
    pub(super) disabled: bool,
}

#[derive(Debug, Args)]
pub(super) struct SetLink {
    /// Request path or id
    pub(super) link: String,
    /// Whom it reaches: user, user@domain, local:echo or local:tone
    #[arg(long, short)]
    pub(super) destination: Option<String>,
    #[command(flatten)]
    pub(super) words: LinkWords,
    /// Append a number to the alias, a new one for each call
    #[arg(long, value_name = "true|false")]
    pub(super) unique_alias: Option<bool>,
    /// The URL may name the caller
    #[arg(long, value_name = "true|false")]
    pub(super) allow_custom_caller_name: Option<bool>,
    /// false: answered as gone
    #[arg(long, value_name = "true|false")]
    pub(super) enabled: Option<bool>,
}

/// What a link has in words: the fields of the API, by their names.
#[derive(Debug, Args, Serialize)]
pub(super) struct LinkWords {
    /// What the guest sees
    #[arg(long)]
    display_name: Option<String>,
    /// Name shown at the called endpoint
    #[arg(long)]
    caller_name: Option<String>,
    /// SIP user part shown at the called endpoint
    #[arg(long)]
    caller_alias: Option<String>,
    /// Not callable before this time (RFC 3339)
    #[arg(long)]
    valid_after: Option<String>,
    /// Not callable from this time on (RFC 3339)
    #[arg(long)]
    valid_before: Option<String>,
    /// Label or id of the only trunk that may carry its calls
    #[arg(long)]
    trunk: Option<String>,
    /// Seconds after which the guest page calls by itself, 0 to 60
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    auto_call_after_s: Option<Value>,
    /// What the page does with video: `sendrecv`, `inactive`, `recvonly` or `recvonly_initially`
    #[arg(long)]
    video_policy: Option<String>,
}

impl LinkWords {
    /// Those that were said; an empty one is null: it takes the default again.
    pub(super) fn said(&self) -> Map<String, Value> {
        let mut said = match serde_json::to_value(self) {
            Ok(Value::Object(said)) => said,
            Ok(_) | Err(_) => Map::new(),
        };
        said.retain(|_, value| !value.is_null());
        for value in said.values_mut().filter(|value| *value == "") {
            *value = Value::Null;
        }
        said
    }
}

/// A number, or nothing.
fn seconds(text: &str) -> Result<Value, std::num::ParseIntError> {
    if text.is_empty() {
        return Ok(text.into());
    }
    text.parse::<u32>().map(Value::from)
}

#[derive(Debug, Subcommand)]
pub(super) enum SettingsCommand {
    /// Show all settings, or one with what it takes
    #[command(alias = "list")]
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
    /// Give one setting its default again
    Reset {
        /// Its key
        key: String,
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
    /// Show one trunk with all its keys; never its password
    Show {
        /// Label or id
        trunk: String,
    },
    /// Change keys of a trunk; the others stay as they are
    #[command(
        after_help = "KEY is a key of a [[trunk]] table in conf/sluice.toml; lists have commas \
        between their entries, an empty value takes the default again.\n\nExample:\n  \
        sluice trunks set carrier priority=20 patterns=+49*,+43* enabled=false"
    )]
    Set {
        /// Label or id
        trunk: String,
        /// What to change
        #[arg(value_name = "KEY=VALUE", required_unless_present = "password_file")]
        changes: Vec<String>,
        /// A file with the new password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Delete a trunk
    Delete {
        /// Label or id
        trunk: String,
        /// Although links are pinned to it; their calls are refused from then on
        #[arg(long)]
        force: bool,
    },
    /// How a trunk is now: its targets, its calls, our registration with it
    State {
        /// Label or id
        trunk: String,
    },
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
    /// Show one source
    Show {
        /// Its name
        name: String,
    },
    /// Add a source
    #[command(
        after_help = "Example:\n  sluice sources add office --network 192.0.2.0/24 --links all"
    )]
    Add(SourceWords),
    /// Change or move a source; what is not named stays as it is
    Set(SourceWords),
    /// Delete a source
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct SourceWords {
    /// Its name, for logs and CDRs
    pub(super) name: String,
    /// Address or network whose packets are its own; may be given several times
    #[arg(long = "network", value_name = "NETWORK")]
    pub(super) networks: Vec<String>,
    /// Which links it may reach: all, none, or request paths with commas between them
    #[arg(long)]
    pub(super) links: Option<String>,
    /// It may call route strings that no link names
    #[arg(long, value_name = "true|false")]
    pub(super) ad_hoc: Option<bool>,
    /// Phones register from there: who calls proves to be an extension
    #[arg(long, value_name = "true|false")]
    pub(super) registers: Option<bool>,
    /// Whether media of its calls is protected
    #[arg(long, value_name = "off|preferred|required")]
    pub(super) srtp: Option<String>,
    /// Its place in the order, from 1
    #[arg(long)]
    pub(super) position: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(super) enum CdrCommand {
    /// The latest calls with their attempts, latest first
    List {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        calls: u32,
        #[command(flatten)]
        filter: CdrFilter,
    },
    /// One call with everything that is known of it
    Show {
        /// Its name, as `list --json` and the log have it
        call: String,
    },
    /// Write calls as CSV, newest first, a line each, safe to open in a spreadsheet
    Export {
        /// The file [default: standard output]
        file: Option<PathBuf>,
        #[command(flatten)]
        filter: CdrFilter,
    },
}

#[derive(Debug, Args)]
pub(super) struct CdrFilter {
    /// Only calls that began at this time or later (RFC 3339)
    #[arg(long)]
    pub(super) from: Option<String>,
    /// Only calls that began before this time (RFC 3339)
    #[arg(long)]
    pub(super) to: Option<String>,
    /// Only calls with an attempt on this trunk, by label or id
    #[arg(long)]
    pub(super) trunk: Option<String>,
    /// Only calls to the link of this id (a number, as `links list` has it)
    #[arg(long)]
    pub(super) link: Option<i64>,
    /// Only calls that ended for this cause, such as normal or busy
    #[arg(long)]
    pub(super) cause: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ExtensionsCommand {
    /// Make an extension: a phone may register it at once
    #[command(
        after_help = "Phones register from sources that say so:\n  sluice sources add desks --network \
        192.0.2.0/24 --links none --registers true\n\nExample:\n  sluice extensions add 610 \
        --password-file 610.password --display-name 'Front desk'"
    )]
    Add {
        /// The user part it registers, and its digest user name
        name: String,
        #[command(flatten)]
        words: ExtensionWords,
    },
    /// List extensions by name
    List,
    /// Show one extension
    Show {
        /// Name or id
        extension: String,
    },
    /// Change an extension; what is not named stays
    Set {
        /// Name or id
        extension: String,
        #[command(flatten)]
        words: ExtensionWords,
    },
    /// Delete an extension: its phones are not reached any more
    Delete {
        /// Name or id
        extension: String,
    },
    /// The phones that are registered now: where they are, and until when
    Registered {
        /// Only those of this extension, by name or id [default: all]
        extension: Option<String>,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        phones: u32,
    },
}

#[derive(Debug, Args)]
pub(super) struct ExtensionWords {
    /// A file with the password, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Shown where it calls
    #[arg(long)]
    pub(super) display_name: Option<String>,
    /// Off: registers nothing and is not reached
    #[arg(long, value_name = "true|false")]
    pub(super) enabled: Option<bool>,
    /// Labels or ids of trunks that its own calls may leave by, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "TRUNK")]
    pub(super) trunks: Option<Vec<String>>,
    /// Phones that may be registered at once
    #[arg(long, value_name = "N")]
    pub(super) contacts_max: Option<u8>,
}

#[derive(Debug, Subcommand)]
pub(super) enum GuardCommand {
    /// The rules, in the order in which they are asked
    #[command(subcommand)]
    Rules(GuardRulesCommand),
    /// What the guard would say to a number, and which rule decides; nothing is counted
    #[command(
        after_help = "Example:\n  sluice guard explain +18765550123 --trunk carrier \
                            --ip 192.0.2.7"
    )]
    Explain {
        /// The number, as a link or a guest would write it
        number: String,
        /// Label or id of the trunk [default: that of the link, else the first that carries it]
        #[arg(long)]
        trunk: Option<String>,
        /// Source address
        #[arg(long)]
        ip: Option<String>,
        /// Request path or id of the link by which it is called
        #[arg(long)]
        link: Option<String>,
        /// The time (RFC 3339) [default: now]
        #[arg(long)]
        at: Option<String>,
        /// `link`, `ad_hoc`, `api`, `extension` or `transit`
        #[arg(long)]
        way: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum GuardRulesCommand {
    /// List the rules in their order
    List,
    /// Make a rule; it counts from now on
    #[command(
        after_help = "Example:\n  sluice guard rules add 'no Caribbean' block \
                            --country JM --number '+1809*' --position 1"
    )]
    Add {
        #[command(flatten)]
        rule: Box<RuleArguments>,
        /// Place in the order, counted from 1 [default: last]
        #[arg(long)]
        position: Option<usize>,
    },
    /// Replace a rule; its id stays
    Set {
        /// Id or name
        id: String,
        #[command(flatten)]
        rule: Box<RuleArguments>,
        /// Place in the order, counted from 1 [default: where it is]
        #[arg(long)]
        position: Option<usize>,
    },
    /// Delete a rule and its counts
    Delete {
        /// Id or name
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct RuleArguments {
    /// Its name
    pub(super) name: String,
    /// What it says
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(KINDS))]
    pub(super) kind: String,
    /// Store it, but do not ask it
    #[arg(long)]
    pub(super) disabled: bool,
    /// A number (610) or a prefix (+449*) that it names, or '*' alone for every number; may be given
    /// several times
    #[arg(long = "number", value_name = "NUMBER")]
    pub(super) numbers: Vec<String>,
    /// A country that it names, in two letters; may be given several times
    #[arg(long = "country", value_name = "COUNTRY")]
    pub(super) countries: Vec<String>,
    /// A way out that it concerns; none: all
    #[arg(long = "way", value_name = "WAY")]
    pub(super) ways: Vec<String>,
    /// A trunk that it concerns, by label or id; none: all
    #[arg(long = "trunk", value_name = "TRUNK")]
    pub(super) trunks: Vec<String>,
    /// A network of sources that it concerns; none: all
    #[arg(long = "network", value_name = "NETWORK")]
    pub(super) networks: Vec<String>,
    /// The cap of a rule that counts
    #[arg(long)]
    pub(super) max: Option<u32>,
    /// Of a call, or within which calls to one destination count
    #[arg(long)]
    pub(super) seconds: Option<u32>,
    /// Time zone of the hours
    #[arg(long)]
    pub(super) zone: Option<String>,
    /// A day of the hours, mon to sun; none: all
    #[arg(long = "day", value_name = "DAY")]
    pub(super) days: Vec<String>,
    /// Calls are allowed from this time of day (08:00)
    #[arg(long)]
    pub(super) from: Option<String>,
    /// Until this one (18:00)
    #[arg(long)]
    pub(super) until: Option<String>,
    /// Micro units of money within 24 hours
    #[arg(long)]
    pub(super) micros_max: Option<u64>,
    /// Micro units a minute of a prefix, such as +44=12000; may be given several times
    #[arg(long = "rate", value_name = "PREFIX=MICROS")]
    pub(super) rates: Vec<String>,
    /// Micro units a minute to everywhere else
    #[arg(long)]
    pub(super) other_rate: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokensCommand {
    /// Make a token; it is printed once and stored nowhere
    #[command(after_help = scopes_help())]
    Add {
        /// Whose it is
        label: String,
        /// What it may do; may be given several times, or with commas
        #[arg(
            long = "scope",
            required = true,
            value_delimiter = ',',
            value_name = "SCOPE"
        )]
        scopes: Vec<String>,
        /// Label or id of a trunk that its calls may use; none: all
        #[arg(long = "trunk", value_name = "TRUNK")]
        trunks: Vec<String>,
        /// Calls that it may place a minute
        #[arg(long, value_name = "N")]
        calls_per_minute: Option<u32>,
        /// Calls of it at once
        #[arg(long, value_name = "N")]
        concurrent_calls: Option<u32>,
        /// Not from this time on (RFC 3339)
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List tokens by id; what they look like is not known any more
    List,
    /// Show one token
    Show {
        /// Its id
        id: i64,
    },
    /// Revoke a token, and all that it has made: the next request with one of them is refused
    #[command(alias = "delete")]
    Revoke {
        /// Its id
        id: i64,
    },
}

/// Every scope with its meaning.
fn scopes_help() -> String {
    let mut help = "Scopes:\n".to_owned();
    for scope in Scope::ALL {
        help.push_str(&format!("  {:18}{}\n", scope.as_str(), scope.meaning()));
    }
    help.push_str(
        "  links:* and the like for all of a kind, * for everything\n\nExample:\n  \
         sluice tokens add 'booking portal' --scope resolve,links:write",
    );
    help
}

const EXAMPLES: &str = "Examples:
  sluice check-config conf/sluice.toml
  sluice --config conf/demo.toml links add support --destination 610@example.com
  sluice --config conf/demo.toml trunks apply trunks.toml
  sluice --config conf/demo.toml cdr list --json
  sluice calls place --from 610 --to +33123456

Commands reach the node by its socket, or by --url and --token; where no node runs, they work on the
database that --config names.

Exit codes: 0 done, 1 refused or failed, 2 wrong arguments or configuration, 3 no node reached.";
