//! What one `[[trunk]]` table asks for; `store::apply` makes the database say the same.

use super::model::Secret;
use super::shape::TrunkShape;

/// A `[[trunk]]` table, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct TrunkTable {
    /// Given: this row. Absent: the row with the same label, or a new one.
    pub id: Option<String>,
    /// What it is.
    pub shape: TrunkShape,
    /// What its `password_file` holds.
    pub password: Option<Secret>,
}
