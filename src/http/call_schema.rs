//! What the API's document says of calls, legs and the state of trunks.

use super::call_shape::{
    CallPageShape, CallShape, LegShape, RegistrationShape, TargetStateShape, TrunkStateShape,
};
use super::calls::PlaceDraft;
use super::schema::{Field, Kind, Schema};

const TEXT: Kind = Kind::Nullable(&Kind::Text);
const WHOLE: Kind = Kind::Nullable(&Kind::Whole);
const TIME: Kind = Kind::Nullable(&Kind::Time);
const STATE: Kind = Kind::Word(&["calling", "ringing", "connecting", "connected", "ended"]);

pub(super) static PLACE: Schema = Schema::of::<PlaceDraft>(
    "PlaceCall",
    &[
        Field::new(
            "from",
            Kind::Text,
            "The party that is dialled first: user, user@domain, a sip: or tel: URI. Trunks choose \
             the way there, the address never does.",
            "\"610\"",
        ),
        Field::optional(
            "link",
            TEXT,
            "The request path of a link: what it reaches is the second party, with the link's caller.",
            "null",
        ),
        Field::optional(
            "to",
            TEXT,
            "The second party, where no link is named.",
            "\"+33123456\"",
        ),
        Field::optional(
            "trunk",
            TEXT,
            "Id or label of the trunk that must carry `to`.",
            "null",
        ),
        Field::optional(
            "caller_name",
            TEXT,
            "The name that `to` sees.",
            "\"Reception\"",
        ),
        Field::optional("caller_alias", TEXT, "The number that both see.", "\"600\""),
    ],
);

pub(super) static CALL: Schema = Schema::of::<CallShape>(
    "Call",
    &[
        Field::new(
            "id",
            Kind::Text,
            "128 bits in hexadecimal, of which the first 48 are the millisecond of its begin; the same in its record.",
            "\"0f8fad5bd9cb469fa16570867728950e\"",
        ),
        Field::new(
            "state",
            STATE,
            "`connecting`: the first party of a placed call has answered, the second has not.",
            "\"calling\"",
        ),
        Field::new(
            "origin",
            Kind::Word(&["offered", "placed", "browser"]),
            "An INVITE came, or it was ordered.",
            "\"placed\"",
        ),
        Field::new(
            "source",
            Kind::Text,
            "Whence it came; `api:` and the id of a token.",
            "\"api:7\"",
        ),
        Field::new("link", WHOLE, "Id of the link that it reaches.", "null"),
        Field::new(
            "request_path",
            Kind::Text,
            "What was asked for.",
            "\"+33123456@example.com\"",
        ),
        Field::new(
            "started_at",
            Kind::Time,
            "When it began.",
            "\"2036-12-31T23:00:00Z\"",
        ),
        Field::new("answered_at", TIME, "When both sides were joined.", "null"),
        Field::new("cause", TEXT, "Why it ends, where that is known.", "null"),
        Field::new(
            "attempts",
            Kind::Whole,
            "INVITEs and skipped trunks so far, both legs.",
            "1",
        ),
        Field::new(
            "legs",
            Kind::Objects(&LEG),
            "Its legs, as far as they are there.",
            "",
        ),
    ],
);

static LEG: Schema = Schema::of::<LegShape>(
    "Leg",
    &[
        Field::new(
            "side",
            Kind::Word(&["a", "b"]),
            "`a`: the caller, or the party that was dialled first.",
            "\"a\"",
        ),
        Field::new("state", STATE, "How far it is.", "\"calling\""),
        Field::new("trunk", TEXT, "Id of its trunk.", "\"tr_0123456789ab\""),
        Field::new(
            "address",
            TEXT,
            "Where its signalling goes.",
            "\"192.0.2.1:5060\"",
        ),
        Field::new("party", Kind::Text, "Who it is.", "\"610@example.com\""),
        Field::new("ringing_at", TIME, "It rings since.", "null"),
        Field::new("answered_at", TIME, "It answered.", "null"),
        Field::new("codec", TEXT, "The codec for speech.", "null"),
        Field::new(
            "srtp",
            TEXT,
            "The suite that protects its media; null: plain RTP.",
            "null",
        ),
        Field::new(
            "held",
            Kind::Boolean,
            "Media does not flow both ways.",
            "false",
        ),
    ],
);

pub(super) static CALL_PAGE: Schema = Schema::of::<CallPageShape>(
    "CallPage",
    &[
        Field::new(
            "calls",
            Kind::Objects(&CALL),
            "The calls, oldest first.",
            "",
        ),
        Field::new(
            "next",
            WHOLE,
            "What to send as `after` for the next page.",
            "null",
        ),
        Field::new(
            "live",
            Kind::Whole,
            "Calls up or being set up, all of them.",
            "1",
        ),
    ],
);

pub(super) static TRUNK_STATE: Schema = Schema::of::<TrunkStateShape>(
    "TrunkState",
    &[
        Field::new("id", Kind::Text, "Its id.", "\"tr_0123456789ab\""),
        Field::new("label", Kind::Text, "Its label.", "\"carrier\""),
        Field::new("enabled", Kind::Boolean, "It may carry calls.", "true"),
        Field::new("up", Kind::Boolean, "One of its addresses is up.", "true"),
        Field::new(
            "targets",
            Kind::Objects(&TARGET_STATE),
            "Each of its addresses.",
            "",
        ),
        Field::new(
            "calls_sent",
            Kind::Whole,
            "Calls and attempts that it carries for us.",
            "3",
        ),
        Field::new(
            "calls_received",
            Kind::Whole,
            "Calls that it sends us.",
            "0",
        ),
        Field::new(
            "registration",
            Kind::Nullable(&Kind::Object(&REGISTRATION)),
            "Our registration with it; null: it wants none.",
            "null",
        ),
    ],
);

static REGISTRATION: Schema = Schema::of::<RegistrationShape>(
    "TrunkRegistration",
    &[
        Field::new(
            "state",
            Kind::Word(&["registered", "registering", "waiting"]),
            "`waiting`: for the next try after a failure. Only `registered` carries calls.",
            "\"registered\"",
        ),
        Field::new(
            "expires_at",
            TIME,
            "The binding holds until then.",
            "\"2036-12-31T23:00:00Z\"",
        ),
        Field::new(
            "next_at",
            TIME,
            "The next REGISTER; null: one is on its way.",
            "\"2036-12-31T22:45:00Z\"",
        ),
        Field::new("failures", Kind::Whole, "Tries in a row that failed.", "0"),
        Field::new(
            "last_refusal",
            TEXT,
            "The status of the last try that failed since start, or `no_answer`.",
            "null",
        ),
        Field::new("last_refused_at", TIME, "When that was.", "null"),
    ],
);

static TARGET_STATE: Schema = Schema::of::<TargetStateShape>(
    "TargetState",
    &[
        Field::new("address", Kind::Text, "The address.", "\"192.0.2.1:5060\""),
        Field::new("up", Kind::Boolean, "It answers, or is not asked.", "true"),
        Field::new("pinged", Kind::Boolean, "It is asked by OPTIONS.", "true"),
    ],
);
