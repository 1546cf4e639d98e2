//! The words of `sluice calls …`.

use clap::{ArgGroup, Args, Subcommand};

use crate::http::IDEMPOTENCY_KEY_OCTETS_MAX;

#[derive(Debug, Subcommand)]
pub(super) enum CallsCommand {
    /// List calls that are up or being set up, oldest first
    List {
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        calls: u32,
        /// Only calls with a leg on this trunk, by label or id
        #[arg(long)]
        trunk: Option<String>,
        /// Only calls to the link of this id (a number, as `links list` has it)
        #[arg(long)]
        link: Option<i64>,
        /// Only calls in this state
        #[arg(long, value_parser = ["calling", "ringing", "connecting", "connected"])]
        state: Option<String>,
    },
    /// Show one call with its legs; a placed one until ten minutes after its end
    Show {
        /// Its name, as `list` and the log have it
        call: String,
    },
    /// End a call, whatever its state
    End {
        /// Its name, as `list` and the log have it
        call: String,
    },
    /// Place a call: --from is dialled first, and when it answers, --link or --to
    #[command(after_help = PLACE_EXAMPLES)]
    Place(Box<PlaceWords>),
    /// The SIP messages of a call, secrets masked; until five minutes after its end
    #[command(
        after_help = "Kept as far as `log.ladder` is on and there is room.\n\nExample:\n  sluice \
        calls ladder 0f8fad5bd9cb469fa16570867728950e"
    )]
    Ladder {
        /// Its name, as `list` and the log have it
        call: String,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("second").required(true).args(["link", "to"]))]
pub(super) struct PlaceWords {
    /// The first party: user, user@domain, a sip: or tel: URI; trunks choose the way there
    #[arg(long, value_name = "PARTY")]
    pub(super) from: String,
    /// Request path of a link: what it reaches is the second party, with the link's caller
    #[arg(long, value_name = "REQUEST_PATH")]
    pub(super) link: Option<String>,
    /// The second party, where no link is named
    #[arg(long, value_name = "PARTY")]
    pub(super) to: Option<String>,
    /// Label or id of the trunk that must carry --to
    #[arg(long, conflicts_with = "link")]
    pub(super) trunk: Option<String>,
    /// The name that --to sees
    #[arg(long, conflicts_with = "link")]
    pub(super) caller_name: Option<String>,
    /// The number that both parties see
    #[arg(long, conflicts_with = "link")]
    pub(super) caller_alias: Option<String>,
    /// Said twice with the same key within ten minutes, it is one call; the second answer shows it
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub(super) idempotency_key: Option<String>,
}

/// What a header field carries as it is.
fn key(text: &str) -> Result<String, String> {
    let visible = text.bytes().all(|octet| octet.is_ascii_graphic());
    if visible && (1..=IDEMPOTENCY_KEY_OCTETS_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "1 to {IDEMPOTENCY_KEY_OCTETS_MAX} visible ASCII characters are accepted"
    ))
}

const PLACE_EXAMPLES: &str = "Prints the call at once, while its first party is being dialled; \
`calls show` says how far it is.

The fraud guard judges both parties before the first is rung up, and each attempt again at its time.
It refuses a number that is neither an extension, nor named by the link of --link, nor allowed by a
rule (`sluice guard rules add`) or the setting guard.allow_prefixes. --from is never named by a link.
`sluice guard explain NUMBER --way api` says which rule decides.

Examples:
  sluice calls place --from 610 --link support
  sluice calls place --from 610 --to +33123456 --trunk carrier --caller-name Reception \
--caller-alias 600";
