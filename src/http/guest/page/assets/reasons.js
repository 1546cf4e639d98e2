// Which sentence says why a call is over: by the word of the node, else by its status.

const WORDS = {
  normal: "normal", cancelled: "left", left: "left", busy: "busy", no_answer: "no_answer", declined: "declined",
  unknown_link: "not_found", no_such_destination: "not_found", dead_link: "gone", not_yet_valid: "not_yet",
  guard_emergency: "guard_emergency", guard_hours: "hours", guard_table_full: "full", guard_duration_max: "too_long",
  no_trunk: "trunk", trunk_failure: "trunk", no_response: "trunk", no_progress: "trunk", transport_failed: "trunk",
  srtp_needs_tls: "trunk", trunks_unavailable: "no_line",
  database_unavailable: "unavailable", browser_calls_off: "unavailable", calls_max: "full",
  calls_per_second_max: "full", media_stock_empty: "full", dtls_handshakes_full: "full", too_many_loads: "rate",
  not_acceptable: "codec", no_common_codec: "codec", browser_no_common_codec: "codec", local_party_codec: "codec",
  sdp_no_common_codec: "codec", session_expired: "lost", local_party_over: "too_long",
  too_busy: "full", draining: "stopping", node_stopping: "stopping", node_stopped: "stopping", lost: "lost",
  media_timeout: "lost", guest_vanished: "lost", unknown_resume: "lost", no_cookie: "cookies", too_many_of_client: "rate", too_many_calls: "rate", caller_rate: "rate", caller_share: "full", trunk_share: "full", too_many_connections: "full", elsewhere: "elsewhere",
  already_open: "elsewhere", unreachable: "unreachable", too_many_frames: "failed",
};
const PREFIXES = [
  ["guard_calls", "rate"], ["guard_concurrent", "rate"], ["guard_destinations", "rate"], ["guard_same", "rate"],
  ["guard_spend", "rate"], ["guard_", "guard"], ["overload", "full"], ["transport_", "network"],
  ["ice_", "network"], ["dtls_", "network"], ["browser_", "failed"], ["sdp_", "trunk"],
];
const STATUSES = {
  403: "declined", 404: "not_found", 408: "no_answer", 410: "not_found", 480: "no_answer", 486: "busy", 487: "left",
  488: "codec", 500: "trunk", 502: "trunk", 503: "trunk", 504: "trunk", 600: "busy", 603: "declined", 606: "codec",
};

export function reasonOf(cause, status) {
  const prefix = PREFIXES.find(([start]) => cause.startsWith(start));
  return WORDS[cause] ?? prefix?.[1] ?? STATUSES[status] ?? (status === 200 ? "normal" : "failed");
}
