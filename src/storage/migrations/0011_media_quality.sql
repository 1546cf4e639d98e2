-- How a leg sounded: the round trip to its peer, the E-model's score of what came, and what the peer
-- reported of what it was sent.
ALTER TABLE calls ADD COLUMN round_trip_ms DOUBLE PRECISION;
ALTER TABLE calls ADD COLUMN mos DOUBLE PRECISION;
ALTER TABLE calls ADD COLUMN peer_packets_lost BIGINT;
ALTER TABLE calls ADD COLUMN peer_jitter_ms DOUBLE PRECISION;
ALTER TABLE calls ADD COLUMN peer_mos DOUBLE PRECISION;
ALTER TABLE attempts ADD COLUMN round_trip_ms DOUBLE PRECISION;
ALTER TABLE attempts ADD COLUMN mos DOUBLE PRECISION;
ALTER TABLE attempts ADD COLUMN peer_packets_lost BIGINT;
ALTER TABLE attempts ADD COLUMN peer_jitter_ms DOUBLE PRECISION;
ALTER TABLE attempts ADD COLUMN peer_mos DOUBLE PRECISION;
