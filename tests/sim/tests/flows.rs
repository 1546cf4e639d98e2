//! Every flow of `tests/flows`. `UPDATE=1` rewrites what they expect.

use std::path::PathBuf;

#[test]
fn every_flow_goes_as_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../flows");
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "flow")
        })
        .collect();
    files.sort();
    assert!(files.len() >= 20, "only {} flows", files.len());
    let failures: Vec<String> = files
        .iter()
        .filter_map(|path| sim::play(path, update).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} flows:\n\n{}",
        failures.len(),
        files.len(),
        failures.join("\n")
    );
}
