-- Which spool of call records was replayed last, and up to which octet: written with the records.
INSERT INTO sequences (name, value) VALUES ('spool', 0), ('spool_offset', 0);

-- 0: closed, and not yet in a file of cdr.folder. NULL where no files are wanted.
ALTER TABLE calls ADD COLUMN exported BIGINT;
CREATE INDEX calls_to_export ON calls (closed_at_ms) WHERE exported = 0;
