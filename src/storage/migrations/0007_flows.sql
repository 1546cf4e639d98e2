-- The Q.850 cause that the peer gave in a Reason header (RFC 3326), where it gave one.
ALTER TABLE calls ADD COLUMN q850 BIGINT;
ALTER TABLE attempts ADD COLUMN q850 BIGINT;
