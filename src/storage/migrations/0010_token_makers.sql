-- The token that made it, and is revoked with it; none: the command line, or before this was kept.
ALTER TABLE tokens ADD COLUMN parent BIGINT;
