-- The fraud guard: its named rules, what they have counted; and what a link says of the guest page.

CREATE TABLE guard_rules (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    position BIGINT NOT NULL,
    -- JSON: the names of the API.
    body TEXT NOT NULL
);

-- Written in batches, read at start. `subject` is a key of the guard in hexadecimal.
CREATE TABLE guard_counts (
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (rule, subject)
);

CREATE INDEX guard_counts_started ON guard_counts (started_at_ms);

ALTER TABLE links ADD COLUMN auto_call_after_s BIGINT;
ALTER TABLE links ADD COLUMN video_policy TEXT;
