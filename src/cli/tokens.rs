//! `sluice tokens …`.

use axum::http::Method;

use super::arguments::TokensCommand;
use super::client::Client;
use super::output::Output;
use super::run::CommandError;
use crate::tokens::api::{TokenList, TokenShape};
use crate::tokens::draft::TokenDraft;

pub(super) async fn run(
    command: &TokensCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        TokensCommand::Add {
            label,
            scopes,
            trunks,
            calls_per_minute,
            concurrent_calls,
            expires,
        } => {
            let draft = TokenDraft {
                label: label.clone(),
                scopes: scopes.clone(),
                trunks: trunks.clone(),
                calls_per_minute: *calls_per_minute,
                concurrent_calls: *concurrent_calls,
                expires_at: expires.clone(),
            };
            let token: TokenShape = client.send(Method::POST, PATH, &draft).await?;
            added(&token, output)
        }
        TokensCommand::List => {
            let list: TokenList = client.get(PATH).await?;
            show(&list.tokens, output)
        }
        TokensCommand::Show { id } => {
            let token: TokenShape = client.get(&format!("{PATH}/{id}")).await?;
            show(&[token], output)
        }
        TokensCommand::Revoke { id } => {
            client.delete(&format!("{PATH}/{id}")).await?;
            Ok(output.line(&format!("revoked token {id}"))?)
        }
    }
}

/// The clear text stands alone in the result, so that a script can take it.
fn added(token: &TokenShape, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(token)?);
    }
    output.say(&format!(
        "Token {} for {}, with {}. It is shown this once:",
        token.id,
        token.label,
        token.scopes.join(" ")
    ))?;
    Ok(output.line(token.token.as_deref().unwrap_or_default())?)
}

fn show(tokens: &[TokenShape], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&tokens)?);
    }
    let time = |time: Option<jiff::Timestamp>, none: &str| {
        time.map_or_else(|| none.to_owned(), |time| time.to_string())
    };
    let cap = |cap: Option<u32>| cap.map_or_else(|| "-".to_owned(), |cap| cap.to_string());
    let rows: Vec<[String; 8]> = tokens
        .iter()
        .map(|token| {
            [
                token.id.to_string(),
                token.label.clone(),
                token.scopes.join(" "),
                if token.trunks.is_empty() {
                    "all".to_owned()
                } else {
                    token.trunks.join(" ")
                },
                cap(token.calls_per_minute),
                cap(token.concurrent_calls),
                time(token.expires_at, "never"),
                time(token.last_used_at, "never"),
            ]
        })
        .collect();
    let heads = [
        "ID",
        "LABEL",
        "SCOPES",
        "TRUNKS",
        "CALLS/MIN",
        "AT ONCE",
        "EXPIRES",
        "LAST USED",
    ];
    Ok(output.table(heads, &rows)?)
}

const PATH: &str = "/api/v1/tokens";
