-- Of an attempt: for which side of the call it was, the Call-ID of its INVITE, and what the fraud
-- guard had against it: the reason, and the id of the rule or the name of the setting.
ALTER TABLE attempts ADD COLUMN leg TEXT NOT NULL DEFAULT 'callee';
ALTER TABLE attempts ADD COLUMN call_id TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN guard_reason TEXT;
ALTER TABLE attempts ADD COLUMN guard_rule TEXT;

-- Where phones are. Written in batches, read at start. Times are milliseconds since 1970.
CREATE TABLE bindings (
    extension TEXT NOT NULL,
    contact TEXT NOT NULL,
    transport TEXT NOT NULL,
    local TEXT NOT NULL,
    remote TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    call_id TEXT NOT NULL,
    cseq BIGINT NOT NULL,
    refreshed_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    PRIMARY KEY (extension, contact)
);
