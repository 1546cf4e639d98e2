//! `sluice sources …`.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::arguments::{SourceWords, SourcesCommand};
use super::client::{Client, escape};
use super::fields::plain;
use super::output::Output;
use super::run::CommandError;
use crate::config::load_sources;
use crate::sources::api::{SourceList, SourceView};

pub(super) async fn run(
    command: &SourcesCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        SourcesCommand::Apply { file } => {
            let wanted = SourceList::new(&load_sources(file)?);
            let list: SourceList = client.send(Method::PUT, PATH, &wanted).await?;
            show(&list.sources, output)
        }
        SourcesCommand::List => {
            let list: SourceList = client.get(PATH).await?;
            show(&list.sources, output)
        }
        SourcesCommand::Show { name } => {
            let source: SourceView = client.get(&path(name)).await?;
            show(&[source], output)
        }
        SourcesCommand::Add(words) => {
            let mut body = object(words);
            body.insert("name".to_owned(), words.name.clone().into());
            let source: SourceView = client.send(Method::POST, PATH, &body).await?;
            show(&[source], output)
        }
        SourcesCommand::Set(words) => {
            let (path, body) = (path(&words.name), object(words));
            let source: SourceView = client.send(Method::PATCH, &path, &body).await?;
            show(&[source], output)
        }
        SourcesCommand::Delete { name } => {
            client.delete(&path(name)).await?;
            Ok(output.line(&format!("deleted source {name}"))?)
        }
    }
}

fn path(name: &str) -> String {
    format!("{PATH}/{}", escape(name))
}

fn object(words: &SourceWords) -> Map<String, Value> {
    let mut object = Map::new();
    if !words.networks.is_empty() {
        object.insert("networks".to_owned(), json!(words.networks));
    }
    if let Some(links) = &words.links {
        let value = match links.as_str() {
            "all" | "none" => json!(links),
            paths => paths.split(',').collect(),
        };
        object.insert("links".to_owned(), value);
    }
    if let Some(registers) = words.registers {
        object.insert("registers".to_owned(), registers.into());
    }
    if let Some(srtp) = &words.srtp {
        object.insert("srtp".to_owned(), srtp.as_str().into());
    }
    if let Some(ad_hoc) = words.ad_hoc {
        object.insert("ad_hoc".to_owned(), ad_hoc.into());
    }
    if let Some(position) = words.position {
        object.insert("position".to_owned(), position.into());
    }
    object
}

fn show(sources: &[SourceView], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&sources)?);
    }
    let rows: Vec<[String; 6]> = sources
        .iter()
        .map(|source| {
            let links = match source.links.as_array() {
                Some(paths) => paths.iter().map(plain).collect::<Vec<_>>().join(" "),
                None => plain(&source.links),
            };
            let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
            [
                source.name.clone(),
                source.networks.join(" "),
                links,
                yes(source.ad_hoc),
                yes(source.registers),
                source.srtp.clone(),
            ]
        })
        .collect();
    let heads = ["NAME", "NETWORKS", "LINKS", "AD HOC", "REGISTERS", "SRTP"];
    Ok(output.table(heads, &rows)?)
}

const PATH: &str = "/api/v1/sources";
