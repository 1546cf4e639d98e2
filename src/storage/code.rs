//! Result codes of SQLite that mean something to us (<https://sqlite.org/rescode.html>).

pub(super) const ERROR: u32 = 1;
pub(super) const BUSY: u32 = 5;
pub(super) const LOCKED: u32 = 6;
pub(super) const PERM: u32 = 3;
pub(super) const READONLY: u32 = 8;
pub(super) const IOERR: u32 = 10;
pub(super) const CORRUPT: u32 = 11;
pub(super) const FULL: u32 = 13;
pub(super) const CANTOPEN: u32 = 14;
pub(super) const NOTADB: u32 = 26;

/// The primary code of an error: its lower octet.
pub(super) fn primary(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
