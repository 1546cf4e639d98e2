//! Asks name servers for the addresses of trunk targets: SRV of a name without a port (RFC 3263
//! §4.2), addresses of any other. Off the path of calls: a snapshot is made with what is known in
//! bounded time, and a name that gets no answer keeps the addresses that it had.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use tokio::task::JoinSet;

use super::place::{ADDRESSES_MAX, Located, PORT, Question, SrvRecord, best, located, plain};

/// What names meant when they were last asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// `None`: those of `/etc/resolv.conf`.
    server: Option<SocketAddr>,
    /// The last good answers to what stored targets ask, and to nothing else.
    known: Mutex<Answers>,
}

pub(crate) type Answers = HashMap<Question, Vec<Located>>;

/// Why a name has no address now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NameError {
    #[error("no answer in {} s", LOOK_UP_TIME_MAX.as_secs())]
    Late,
    #[error("{0}")]
    Server(#[from] NetError),
    #[error("{0}")]
    System(#[from] std::io::Error),
    #[error("none of its SRV hosts has an address now")]
    Hosts,
}

impl Names {
    /// Asks this server only.
    #[cfg(test)]
    pub(crate) fn asking(server: SocketAddr) -> Self {
        Self {
            server: Some(server),
            ..Self::default()
        }
    }

    /// The addresses of each name asked for, several names at once. One without an answer has what
    /// it had before, and nothing if it never had one.
    pub(crate) async fn answers(&self, questions: HashSet<Question>) -> Answers {
        let resolver = self.resolver_for(&questions);
        let mut waiting = questions.into_iter();
        let mut under_way = JoinSet::new();
        let mut answers = Answers::new();
        loop {
            while under_way.len() < LOOK_UPS_AT_ONCE_MAX
                && let Some(question) = waiting.next()
            {
                let resolver = resolver.clone();
                under_way.spawn(async move {
                    let answer = look_up(resolver.as_ref(), &question).await;
                    (question, answer)
                });
            }
            let Some(ended) = under_way.join_next().await else {
                break;
            };
            if let Ok((question, answer)) = ended {
                let addresses = answer.unwrap_or_else(|error| self.former(&question, &error));
                answers.insert(question, addresses);
            }
        }
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&answers);
        answers
    }

    fn former(&self, question: &Question, error: &NameError) -> Vec<Located> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.get(question).cloned().unwrap_or_default();
        tracing::warn!(
            %error,
            name = %question,
            kept = kept.len(),
            "the name of a trunk's target was not found; the addresses that it had are kept"
        );
        kept
    }

    /// Made anew each time: `/etc/resolv.conf` may have changed.
    fn resolver_for(&self, questions: &HashSet<Question>) -> Option<TokioResolver> {
        let needed = questions
            .iter()
            .any(|question| matches!(question, Question::Service { .. }));
        if !needed {
            return None;
        }
        let made = resolver(self.server).inspect_err(|error| {
            tracing::warn!(%error, "no name server can be asked for SRV records");
        });
        made.ok()
    }
}

/// One question by itself, by the servers of `/etc/resolv.conf`.
pub(crate) async fn ask(question: &Question) -> Result<Vec<Located>, NameError> {
    look_up(resolver(None).ok().as_ref(), question).await
}

fn resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let mut connection = ConnectionConfig::udp();
            connection.port = server.port();
            let server = NameServerConfig::new(server.ip(), true, vec![connection]);
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(vec![server]),
                TokioRuntimeProvider::default(),
            )
        }
    };
    let options = builder.options_mut();
    options.timeout = TRY_TIME_MAX;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build()
}

async fn look_up(
    resolver: Option<&TokioResolver>,
    question: &Question,
) -> Result<Vec<Located>, NameError> {
    match (question, resolver) {
        (Question::Host(host_and_port), _) => system(host_and_port).await,
        // As a machine without name servers finds its own names.
        (Question::Service { name, .. }, None) => system(&format!("{name}:{PORT}")).await,
        (Question::Service { name, .. }, Some(resolver)) => service(resolver, question, name).await,
    }
}

async fn system(host_and_port: &str) -> Result<Vec<Located>, NameError> {
    let addresses = in_time(tokio::net::lookup_host(host_and_port)).await?;
    Ok(plain(addresses))
}

/// SRV, and without a record the addresses of the name itself.
async fn service(
    resolver: &TokioResolver,
    question: &Question,
    name: &str,
) -> Result<Vec<Located>, NameError> {
    let records = in_time(resolver.srv_lookup(format!("{question}."))).await;
    let lookup = match records {
        Ok(lookup) => lookup,
        Err(NameError::Server(error)) if error.is_no_records_found() => {
            let addresses = in_time(resolver.lookup_ip(format!("{name}."))).await?;
            return Ok(plain(addresses.iter().map(|ip| (ip, PORT).into())));
        }
        Err(error) => return Err(error),
    };
    let services = best(lookup.answers().iter().filter_map(|record| {
        let RData::SRV(record) = &record.data else {
            return None;
        };
        Some(SrvRecord {
            priority: record.priority,
            weight: record.weight,
            port: record.port,
            host: record.target.to_ascii(),
        })
    }));
    if services.is_empty() {
        return Ok(Vec::new());
    }
    let found = located(&with_hosts(resolver, services).await);
    if found.is_empty() {
        return Err(NameError::Hosts);
    }
    Ok(found)
}

/// The hosts' addresses, all asked for at once; one that is not found has none.
async fn with_hosts(
    resolver: &TokioResolver,
    services: Vec<SrvRecord>,
) -> Vec<(SrvRecord, Vec<IpAddr>)> {
    debug_assert!(services.len() <= ADDRESSES_MAX, "more than are read");
    let mut under_way = JoinSet::new();
    for service in services {
        let resolver = resolver.clone();
        under_way.spawn(async move {
            let found = in_time(resolver.lookup_ip(service.host.as_str())).await;
            let addresses = match found {
                Ok(found) => found.iter().take(ADDRESSES_MAX).collect(),
                Err(error) => {
                    tracing::warn!(%error, host = service.host, "an SRV host has no address now");
                    Vec::new()
                }
            };
            (service, addresses)
        });
    }
    let mut found = under_way.join_all().await;
    found.sort_unstable_by(|(one, _), (other, _)| one.order(other));
    found
}

async fn in_time<T, E>(asked: impl Future<Output = Result<T, E>>) -> Result<T, NameError>
where
    NameError: From<E>,
{
    match tokio::time::timeout(LOOK_UP_TIME_MAX, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => Err(NameError::Late),
    }
}

/// How long a step may take; a name without a port takes two, the second only where the first was
/// answered.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(2);
/// How long one server is waited for before it, or the next one, is asked again.
const TRY_TIME_MAX: Duration = Duration::from_millis(700);
/// Names that are looked up at the same time.
const LOOK_UPS_AT_ONCE_MAX: usize = 16;

#[cfg(test)]
pub(crate) mod tests;
