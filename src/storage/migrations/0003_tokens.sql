-- Bearer tokens. Only the SHA-256 of a clear text is here. Times are milliseconds since 1970.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    label TEXT NOT NULL,
    -- Words with spaces between them.
    scopes TEXT NOT NULL,
    -- Ids with spaces between them; empty: all trunks.
    trunks TEXT NOT NULL,
    calls_per_minute BIGINT,
    concurrent_calls BIGINT,
    expires_at_ms BIGINT,
    created_by TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    last_used_at_ms BIGINT
);

-- 1: the token of the first start was made.
INSERT INTO sequences (name, value) VALUES ('first_token', 0);

-- Lists by time, and the clean-up of old calls.
CREATE INDEX calls_opened ON calls (opened_at_ms);
