//! `sluice links …`.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use serde_json::{Map, Value};

use super::arguments::{AddLink, LinksCommand, SetLink};
use super::client::{Client, escape, query};
use super::fields::rows;
use super::output::Output;
use super::run::CommandError;
use crate::http::fields_of;
use crate::links::api::{ImportReport, ImportState, LinkList, LinkShape};

pub(super) async fn run(
    command: &LinksCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        LinksCommand::Add(add) => {
            let link: LinkShape = client.send(Method::POST, PATH, &draft(add)).await?;
            show(&link, output)
        }
        LinksCommand::List {
            search,
            after,
            rows,
        } => {
            let words = [
                ("search", search.clone()),
                ("cursor", after.clone()),
                ("limit", Some(rows.to_string())),
                ("total", Some("true".to_owned())),
            ];
            list(&client.get(&query(PATH, &words)).await?, output)
        }
        LinksCommand::Show { link } => show(&find(client, link).await?, output),
        LinksCommand::Set(set) => {
            let path = format!("{PATH}/{}", find(client, &set.link).await?.id);
            let link: LinkShape = client.send(Method::PATCH, &path, &patch(set)).await?;
            show(&link, output)
        }
        LinksCommand::Delete { link } => {
            let link = find(client, link).await?;
            client.delete(&format!("{PATH}/{}", link.id)).await?;
            Ok(output.line(&format!("deleted link {} ({})", link.id, link.request_path))?)
        }
        LinksCommand::Import { file } => import(file, client, output).await,
        LinksCommand::Export { file } => export(file.as_deref(), client, output).await,
    }
}

/// A link by its request path, or else by its id: people name paths.
async fn find(client: &mut Client, name: &str) -> Result<LinkShape, CommandError> {
    let by_path = query(PATH, &[("request_path", Some(name.to_owned()))]);
    let found: LinkList = client.get(&by_path).await?;
    match found.links.into_iter().next() {
        Some(link) => Ok(link),
        None => client.get(&format!("{PATH}/{}", escape(name))).await,
    }
}

/// What was said; the rest takes its default.
fn draft(add: &AddLink) -> Map<String, Value> {
    let mut draft = add.words.said();
    draft.insert("destination".to_owned(), add.destination.clone().into());
    if let Some(path) = &add.request_path {
        draft.insert("request_path".to_owned(), path.clone().into());
    }
    if add.path_from_destination {
        draft.insert("request_path_from".to_owned(), "destination".into());
    }
    let switches = [
        ("unique_alias", add.unique_alias),
        ("allow_custom_caller_name", add.allow_custom_caller_name),
        ("enabled", !add.disabled),
    ];
    draft.extend(switches.map(|(name, on)| (name.to_owned(), on.into())));
    draft
}

/// What was said; the rest stays as it is.
fn patch(set: &SetLink) -> Map<String, Value> {
    let mut patch = set.words.said();
    if let Some(destination) = &set.destination {
        patch.insert("destination".to_owned(), destination.clone().into());
    }
    let switches = [
        ("unique_alias", set.unique_alias),
        ("allow_custom_caller_name", set.allow_custom_caller_name),
        ("enabled", set.enabled),
    ];
    for (name, on) in switches {
        if let Some(on) = on {
            patch.insert(name.to_owned(), on.into());
        }
    }
    patch
}

fn show(link: &LinkShape, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(link)?);
    }
    let rows = rows(link, fields_of::<LinkShape>())?;
    Ok(output.table(["FIELD", "VALUE"], &rows)?)
}

fn list(page: &LinkList, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(page)?);
    }
    let rows: Vec<[String; 6]> = page
        .links
        .iter()
        .map(|link| {
            [
                link.id.to_string(),
                link.request_path.clone(),
                link.destination.clone(),
                link.caller_name.clone().unwrap_or_default(),
                link.caller_alias.clone().unwrap_or_default(),
                if link.enabled { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    let heads = [
        "ID",
        "REQUEST PATH",
        "DESTINATION",
        "CALLER NAME",
        "CALLER ALIAS",
        "ENABLED",
    ];
    output.table(heads, &rows)?;
    if let Some(next) = &page.next {
        let total = page.total.unwrap_or_default();
        let shown = rows.len();
        output.say(&format!(
            "{shown} of {total} links; the next page: --after {next}"
        ))?;
    }
    Ok(())
}

async fn import(
    file: &Path,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let reader: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let opened = File::open(file)
            .map_err(|error| CommandError::Refused(format!("{}: {error}", file.display())))?;
        Box::new(opened)
    };
    client.expect_many_rows().await?;
    let (sender, body) = Channel::<Bytes, io::Error>::new(PIECES_AHEAD);
    let sent = tokio::spawn(send_file(reader, sender));
    let mut reports = client
        .stream(
            Method::POST,
            "/api/v1/import/links",
            Some("application/x-ndjson"),
            Body::new(body),
        )
        .await?;
    let mut last = None;
    while let Some(report) = reports.line::<ImportReport>().await? {
        tell(&report, output)?;
        last = Some(report);
    }
    sent.await.map_err(io::Error::other)??;
    let Some(last) = last else {
        return Err(CommandError::Refused("the node gave no answer".to_owned()));
    };
    if last.refused > REFUSALS_TOLD {
        output.say("further refused lines are counted only")?;
    }
    let (stored, refused) = (last.stored, last.refused);
    if output.is_json() {
        output.document(&serde_json::json!({ "stored": stored, "refused": refused }))?;
    } else {
        output.line(&format!("{stored} links stored, {refused} lines refused"))?;
    }
    if let (ImportState::Failed, detail) = (last.state, last.detail) {
        let detail = detail.unwrap_or_default();
        let line = last.line;
        return Err(CommandError::Refused(format!(
            "the import ended at line {line}: {detail}"
        )));
    }
    if refused > 0 {
        return Err(CommandError::Refused(format!(
            "{refused} lines were refused"
        )));
    }
    Ok(())
}

fn tell(report: &ImportReport, output: &mut Output<'_>) -> io::Result<()> {
    let ImportReport {
        line,
        stored,
        refused,
        ..
    } = report;
    match report.state {
        ImportState::Progress => {
            output.progress(&format!("{stored} links stored, {refused} lines refused"))
        }
        ImportState::Refused => {
            let wrong: Vec<String> = report
                .errors
                .iter()
                .map(|wrong| {
                    let found = wrong.found.escape_debug();
                    let accepted = &wrong.accepted;
                    match wrong.field.as_str() {
                        "" => format!("{found}; accepted: {accepted}"),
                        field => format!("{field}: found `{found}`, accepted: {accepted}"),
                    }
                })
                .collect();
            output.say(&format!("line {line}: {}", wrong.join("; ")))
        }
        ImportState::Done | ImportState::Failed => Ok(()),
    }
}

/// Reads the file on a thread of its own, as fast as the node takes it.
async fn send_file(
    mut reader: Box<dyn Read + Send>,
    mut sender: Sender<Bytes, io::Error>,
) -> io::Result<()> {
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE_OCTETS];
            let octets = reader.read(&mut piece);
            (
                reader,
                octets.map(|octets| {
                    piece.truncate(octets);
                    piece
                }),
            )
        });
        let (again, piece) = read.await.map_err(io::Error::other)?;
        reader = again;
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                sender.abort(error);
                return Err(told);
            }
        };
        if piece.is_empty() || sender.send_data(piece.into()).await.is_err() {
            return Ok(());
        }
    }
}

async fn export(
    file: Option<&Path>,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let mut stream = client
        .stream(Method::GET, "/api/v1/export/links", None, Body::empty())
        .await?;
    let Some(file) = file else {
        while let Some(piece) = stream.piece().await? {
            output.raw(&piece)?;
        }
        return Ok(());
    };
    let named = |error| CommandError::Refused(format!("{}: {error}", file.display()));
    let mut to = BufWriter::new(File::create(file).map_err(named)?);
    let mut links = 0_usize;
    while let Some(piece) = stream.piece().await? {
        links += piece.iter().filter(|octet| **octet == b'\n').count();
        to.write_all(&piece).map_err(named)?;
        output.progress(&format!("{links} links written"))?;
    }
    to.flush().map_err(named)?;
    Ok(output.say(&format!("{links} links written to {}", file.display()))?)
}

const PATH: &str = "/api/v1/links";
/// Octets of one piece of a file.
const PIECE_OCTETS: usize = 64 * 1024;
/// Pieces that wait for the node.
const PIECES_AHEAD: usize = 4;
/// Refused lines that the node names.
const REFUSALS_TOLD: u64 = 100;
