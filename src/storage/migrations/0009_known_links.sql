-- Changes and deletions of links: a node that knows some by heart asks for it, for another process
-- may have made them.
INSERT INTO sequences (name, value) VALUES ('links', 0);
