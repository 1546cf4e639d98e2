//! The table of requirements is true: it can be read, and each test and flow in it exists.

use super::tree::Tree;
use super::{Finding, architecture};
use crate::requirements::{Proof, TABLE, parse};

/// Checks every name in the table.
pub(super) fn names(tree: &Tree) -> Vec<Finding> {
    let Some(table) = tree.file(TABLE) else {
        return Vec::new();
    };
    let rows = match parse(&table.text) {
        Ok(rows) => rows,
        Err(error) => return vec![Finding::new(TABLE, 1, format!("{error:#}"))],
    };
    let functions = architecture::functions(tree);
    let known = |proof: &Proof<'_>| match proof {
        Proof::Function(name) | Proof::Interop(name) => functions.contains(name),
        Proof::Flow(name) => tree.holds(&format!("tests/flows/{name}.flow")),
    };
    let line = |id: &str| table.text.lines().position(|line| line.starts_with(id));
    rows.iter()
        .flat_map(|row| row.proofs().into_iter().map(move |proof| (row.id, proof)))
        .filter(|(_, proof)| !known(proof))
        .map(|(id, proof)| {
            let at = line(id).map_or(1, |index| index + 1);
            Finding::new(
                TABLE,
                at,
                format!("{id} names {proof:?}, which does not exist"),
            )
        })
        .collect()
}
