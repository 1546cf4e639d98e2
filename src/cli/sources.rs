//! `sluice sources …`.

use super::arguments::SourcesCommand;
use super::output::Output;
use super::run::CommandError;
use crate::config::load_sources;
use crate::sources::shape::{LinksShape, SourceShape};
use crate::sources::store;
use crate::storage::Store;

pub(super) async fn run(
    command: &SourcesCommand,
    store: &Store,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    if let SourcesCommand::Apply { file } = command {
        store::replace(store, load_sources(file)?).await?;
    }
    let sources = store::list(store).await?;
    let shapes: Vec<SourceShape> = sources.iter().map(SourceShape::from).collect();
    if output.is_json() {
        return Ok(output.document(&shapes)?);
    }
    let rows: Vec<[String; 4]> = shapes
        .into_iter()
        .map(|shape| {
            let links = match shape.links {
                LinksShape::All => "all".to_owned(),
                LinksShape::None => "none".to_owned(),
                LinksShape::Listed(paths) => paths.join(" "),
            };
            let ad_hoc = if shape.ad_hoc { "yes" } else { "no" }.to_owned();
            [shape.name, shape.networks.join(" "), links, ad_hoc]
        })
        .collect();
    Ok(output.table(["NAME", "NETWORKS", "LINKS", "AD HOC"], &rows)?)
}
