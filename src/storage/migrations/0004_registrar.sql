-- Accounts that SIP phones register.
CREATE TABLE extensions (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- JSON: the same names as in the API.
    body TEXT NOT NULL,
    -- Nonce and sealed clear text; the key is a file beside the database.
    password BLOB NOT NULL
);
