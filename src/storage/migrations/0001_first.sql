-- One text for SQLite and PostgreSQL: TEXT, BIGINT, DOUBLE PRECISION and BLOB only; times are
-- RFC 3339 in UTC for people (links) and milliseconds since 1970 where rows are many (CDRs).

CREATE TABLE settings (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE links (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_path TEXT NOT NULL UNIQUE,
    destination TEXT NOT NULL,
    display_name TEXT,
    caller_name TEXT,
    caller_alias TEXT,
    unique_alias BOOLEAN NOT NULL,
    allow_custom_caller_name BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL,
    valid_after_ms BIGINT,
    valid_before_ms BIGINT,
    trunk TEXT,
    created_by TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    updated_at_ms BIGINT NOT NULL
);

-- Only links that end are in it.
CREATE INDEX links_valid_before ON links (valid_before_ms) WHERE valid_before_ms IS NOT NULL;

CREATE TABLE trunks (
    id TEXT NOT NULL PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    -- JSON: the same names as a [[trunk]] table.
    body TEXT NOT NULL,
    -- Nonce and sealed clear text; the key is a file beside the database.
    password BLOB
);

CREATE TABLE sources (
    name TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    -- JSON: the same names as a [[source]] table.
    body TEXT NOT NULL
);

-- Counters that only go up. `alias`: the first number not yet reserved. `revision`: changes of
-- settings, trunks and sources.
CREATE TABLE sequences (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

INSERT INTO sequences (name, value) VALUES ('alias', 1), ('revision', 0);

CREATE TABLE calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    call TEXT NOT NULL UNIQUE,
    opened_at_ms BIGINT NOT NULL,
    answered_at_ms BIGINT,
    -- NULL: open.
    closed_at_ms BIGINT,
    source TEXT NOT NULL,
    source_address TEXT NOT NULL,
    call_id TEXT NOT NULL,
    request_path TEXT NOT NULL,
    caller TEXT NOT NULL,
    link BIGINT,
    status BIGINT,
    released_by TEXT,
    cause TEXT,
    packets_received BIGINT,
    packets_sent BIGINT,
    packets_lost BIGINT,
    jitter_ms DOUBLE PRECISION
);

CREATE INDEX calls_open ON calls (id) WHERE closed_at_ms IS NULL;

CREATE TABLE attempts (
    call TEXT NOT NULL,
    number BIGINT NOT NULL,
    opened_at_ms BIGINT NOT NULL,
    ringing_at_ms BIGINT,
    answered_at_ms BIGINT,
    -- NULL: open.
    closed_at_ms BIGINT,
    trunk TEXT NOT NULL,
    destination TEXT NOT NULL,
    caller_name TEXT NOT NULL,
    caller_alias TEXT NOT NULL,
    dialed BOOLEAN NOT NULL,
    status BIGINT,
    outcome TEXT,
    packets_received BIGINT,
    packets_sent BIGINT,
    packets_lost BIGINT,
    jitter_ms DOUBLE PRECISION,
    PRIMARY KEY (call, number)
);

CREATE INDEX attempts_open ON attempts (call) WHERE closed_at_ms IS NULL;
