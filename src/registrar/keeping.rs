//! Where phones are, in the database: written with the CDR records, read at start.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::bindings::BINDINGS_MAX;
use super::kept::{KeptPhone, KeptPhones};
use crate::storage::{Connection, StorageError, Store};

/// Writes what has changed inside the transaction it is given. Each extension is written whole and
/// once, as it was last: a batch that is written twice changes nothing.
pub(crate) async fn write(
    connection: &mut Connection,
    changes: &[&KeptPhones],
) -> sqlx::Result<()> {
    let last: BTreeMap<&str, &[KeptPhone]> = changes
        .iter()
        .map(|kept| (kept.extension.as_str(), kept.phones.as_slice()))
        .collect();
    let names: Vec<&str> = last.keys().copied().collect();
    for names in names.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM bindings WHERE extension IN (");
        let mut list = query.separated(", ");
        for name in names {
            list.push_bind(*name);
        }
        query.push(")");
        query.build().execute(&mut *connection).await?;
    }
    let phones: Vec<(&str, &KeptPhone)> = last
        .iter()
        .flat_map(|(name, phones)| phones.iter().map(|phone| (*name, phone)))
        .collect();
    for rows in phones.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO bindings (extension, contact, transport, local, remote, user_agent, \
             call_id, cseq, refreshed_at_ms, expires_at_ms) ",
        );
        query.push_values(rows, |mut row, (extension, phone)| {
            row.push_bind(*extension)
                .push_bind(&phone.contact)
                .push_bind(if phone.by_tcp { TCP } else { UDP })
                .push_bind(phone.local.to_string())
                .push_bind(phone.remote.to_string())
                .push_bind(&phone.user_agent)
                .push_bind(&phone.call_id)
                .push_bind(i64::from(phone.cseq))
                .push_bind(phone.refreshed_at_ms)
                .push_bind(phone.expires_at_ms);
        });
        // Two spellings of one Contact are one phone to us, and one text is one row here.
        query.push(" ON CONFLICT (extension, contact) DO NOTHING");
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Every phone whose time is not over, by extension.
///
/// # Errors
/// The database cannot be read.
pub async fn load(store: &Store, now: Timestamp) -> Result<Vec<KeptPhones>, StorageError> {
    let rows = sqlx::query(
        "SELECT * FROM bindings WHERE expires_at_ms > $1 ORDER BY extension, contact LIMIT $2",
    )
    .bind(now.as_millisecond())
    .bind(i64::try_from(BINDINGS_MAX).unwrap_or(i64::MAX))
    .fetch_all(store.readers())
    .await?;
    let mut kept: Vec<KeptPhones> = Vec::new();
    for row in &rows {
        let extension: String = row.try_get("extension")?;
        let address = |column: &str| {
            let text: String = row.try_get(column)?;
            text.parse().map_err(|_unreadable| StorageError::Corrupt {
                what: "address of a phone",
                detail: text,
            })
        };
        let transport: String = row.try_get("transport")?;
        let cseq: i64 = row.try_get("cseq")?;
        let phone = KeptPhone {
            contact: row.try_get("contact")?,
            by_tcp: transport == TCP,
            local: address("local")?,
            remote: address("remote")?,
            user_agent: row.try_get("user_agent")?,
            call_id: row.try_get("call_id")?,
            cseq: u32::try_from(cseq).unwrap_or(u32::MAX),
            refreshed_at_ms: row.try_get("refreshed_at_ms")?,
            expires_at_ms: row.try_get("expires_at_ms")?,
        };
        match kept.last_mut().filter(|last| last.extension == extension) {
            Some(last) => last.phones.push(phone),
            None => kept.push(KeptPhones {
                extension,
                phones: vec![phone],
            }),
        }
    }
    Ok(kept)
}

const TCP: &str = "tcp";
const UDP: &str = "udp";
/// Rows of one statement.
const ROWS_MAX: usize = 500;
