//! `sluice extensions …`.

use std::path::Path;

use axum::http::Method;

use super::arguments::{ExtensionWords, ExtensionsCommand};
use super::client::{Client, escape, query};
use super::output::Output;
use super::run::CommandError;
use crate::http::registrations::{PAGE_ROWS_MAX, PhonePageShape, PhoneShape};
use crate::registrar::shape::{ExtensionChange, ExtensionDraft, ExtensionList, ExtensionShape};

pub(super) async fn run(
    command: &ExtensionsCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        ExtensionsCommand::List => {
            let list: ExtensionList = client.get(PATH).await?;
            show(&list.extensions, output)
        }
        ExtensionsCommand::Show { extension } => {
            let shape: ExtensionShape = client.get(&path(extension)).await?;
            show(&[shape], output)
        }
        ExtensionsCommand::Add { name, words } => {
            let draft = ExtensionDraft {
                name: name.clone(),
                password: password(words)?.unwrap_or_default(),
                display_name: words.display_name.clone().unwrap_or_default(),
                enabled: words.enabled.unwrap_or(true),
                trunks: words.trunks.clone().unwrap_or_default(),
                contacts_max: words.contacts_max.unwrap_or(3),
            };
            let shape: ExtensionShape = client.send(Method::POST, PATH, &draft).await?;
            show(&[shape], output)
        }
        ExtensionsCommand::Set { extension, words } => {
            let change = ExtensionChange {
                password: password(words)?,
                display_name: words.display_name.clone(),
                enabled: words.enabled,
                trunks: words.trunks.clone(),
                contacts_max: words.contacts_max,
            };
            let path = path(extension);
            let shape: ExtensionShape = client.send(Method::PATCH, &path, &change).await?;
            show(&[shape], output)
        }
        ExtensionsCommand::Delete { extension } => {
            client.delete(&path(extension)).await?;
            Ok(output.line(&format!("deleted extension {extension}"))?)
        }
        ExtensionsCommand::Registered { extension, phones } => {
            let phones = registered(client, extension.as_ref(), *phones).await?;
            show_phones(&phones, output)
        }
    }
}

/// Page by page, until there are as many as were asked for.
async fn registered(
    client: &mut Client,
    extension: Option<&String>,
    wanted: u32,
) -> Result<Vec<PhoneShape>, CommandError> {
    let (mut phones, mut cursor) = (Vec::new(), None);
    loop {
        let had = u32::try_from(phones.len()).unwrap_or(u32::MAX);
        let limit = wanted.saturating_sub(had).clamp(1, PAGE_ROWS_MAX);
        let asked = [
            ("extension", extension.cloned()),
            ("cursor", cursor),
            ("limit", Some(limit.to_string())),
        ];
        let page: PhonePageShape = client.get(&query(REGISTRATIONS, &asked)).await?;
        phones.extend(page.registrations);
        cursor = page.next;
        let had = u32::try_from(phones.len()).unwrap_or(u32::MAX);
        if cursor.is_none() || had >= wanted {
            return Ok(phones);
        }
    }
}

fn show_phones(phones: &[PhoneShape], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&phones)?);
    }
    let rows: Vec<[String; 6]> = phones
        .iter()
        .map(|phone| {
            [
                phone.extension.clone(),
                format!("{} {}", phone.transport, phone.address),
                phone.contact.clone(),
                phone.user_agent.clone(),
                phone.refreshed_at.to_string(),
                phone.expires_at.to_string(),
            ]
        })
        .collect();
    let heads = [
        "EXTENSION",
        "FROM",
        "CONTACT",
        "PHONE",
        "REFRESHED",
        "EXPIRES",
    ];
    Ok(output.table(heads, &rows)?)
}

fn path(extension: &str) -> String {
    format!("{PATH}/{}", escape(extension))
}

/// From a file, or from standard input: a password on a command line is in every list of processes.
fn password(words: &ExtensionWords) -> Result<Option<String>, CommandError> {
    let Some(file) = &words.password_file else {
        return Ok(None);
    };
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())?
    } else {
        std::fs::read_to_string(file).map_err(|error| {
            CommandError::Refused(format!("--password-file {}: {error}", file.display()))
        })?
    };
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn show(extensions: &[ExtensionShape], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&extensions)?);
    }
    let rows: Vec<[String; 6]> = extensions
        .iter()
        .map(|extension| {
            [
                extension.id.clone(),
                extension.name.clone(),
                extension.display_name.clone(),
                if extension.enabled { "yes" } else { "no" }.to_owned(),
                if extension.trunks.is_empty() {
                    "none".to_owned()
                } else {
                    extension.trunks.join(" ")
                },
                extension.contacts_max.to_string(),
            ]
        })
        .collect();
    let heads = ["ID", "NAME", "SHOWN AS", "ENABLED", "TRUNKS", "PHONES"];
    Ok(output.table(heads, &rows)?)
}

const PATH: &str = "/api/v1/extensions";
const REGISTRATIONS: &str = "/api/v1/registrations";
