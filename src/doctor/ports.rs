//! Whether our ports are free, and who has them where they are not.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;

use super::{Finding, read};
use crate::boot::{browsers, limits};
use crate::config::Config;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in &config.sip.listen {
        findings.push(udp("sip.listen", *address));
    }
    for address in &config.http.listen {
        findings.push(tcp("http.listen", *address));
    }
    for address in &config.https.listen {
        findings.push(tcp("https.listen", *address));
    }
    let limits = limits::of_this_machine(config);
    let browsers = browsers::addresses(config, &limits);
    if config.media.browser_port != 0 {
        findings.extend(browsers.iter().map(|address| udp(BROWSERS, *address)));
        findings.extend(apart(&browsers, &config.media.ports));
    }
    findings.push(media(&config.media.ports));
    findings.push(ephemeral(&config.media.ports));
    findings
}

fn udp(check: &'static str, address: SocketAddr) -> Finding {
    let bound = UdpSocket::bind(address).map(drop);
    judge(check, address, bound, holder(address, &UDP))
}

fn tcp(check: &'static str, address: SocketAddr) -> Finding {
    let bound = TcpListener::bind(address).map(drop);
    judge(check, address, bound, holder(address, &TCP))
}

fn judge(
    check: &'static str,
    address: SocketAddr,
    bound: std::io::Result<()>,
    holder: Option<Holder>,
) -> Finding {
    let Err(error) = bound else {
        return Finding::good(check, format!("{address} is free"));
    };
    let kind = error.kind();
    if kind == std::io::ErrorKind::AddrInUse {
        return match holder {
            Some(holder) if holder.name == OWN_NAME => Finding::good(
                check,
                format!(
                    "{address} is held by the running node (process {})",
                    holder.process
                ),
            ),
            Some(holder) => Finding::bad(
                check,
                format!(
                    "{address} is held by {} (process {})",
                    holder.name, holder.process
                ),
                format!("stop {}, or give us another port in {check}", holder.name),
            ),
            None => Finding::bad(
                check,
                format!("{address} is held by a program that this user may not see"),
                format!("run this as root to learn its name, or change {check}"),
            ),
        };
    }
    if kind == std::io::ErrorKind::AddrNotAvailable {
        return Finding::bad(
            check,
            format!("this machine does not have the address {}", address.ip()),
            format!("put an address of `ip address` into {check}"),
        );
    }
    if kind == std::io::ErrorKind::PermissionDenied {
        return Finding::warning(
            check,
            format!("{address} may not be bound by this user"),
            "the node needs CAP_NET_BIND_SERVICE for ports below 1024; its unit gives it that",
        );
    }
    Finding::bad(check, format!("{address}: {error}"), "see the error")
}

/// Ports of browsers that calls of phones would take as well.
fn apart(browsers: &[SocketAddr], range: &RangeInclusive<u16>) -> Option<Finding> {
    let within = browsers.iter().find(|it| range.contains(&it.port()))?;
    let found = format!(
        "port {} is one of media.ports, {}-{}, too",
        within.port(),
        range.start(),
        range.end()
    );
    let advice = "whoever opens it first has it, and guests are refused where that is a call of a phone: \
                  give browsers, one port a worker, a place outside";
    Some(Finding::bad(BROWSERS, found, advice))
}

/// Sockets of other programs in the range that media take.
fn media(range: &RangeInclusive<u16>) -> Finding {
    let foreign: Vec<String> = sockets(&UDP)
        .filter(|socket| range.contains(&socket.port))
        .filter_map(|socket| {
            let holder = process_of(&socket.inode)?;
            (holder.name != OWN_NAME).then(|| format!("{} ({})", holder.name, socket.port))
        })
        .take(5)
        .collect();
    let range = format!("{}-{}", range.start(), range.end());
    if foreign.is_empty() {
        return Finding::good("media.ports", format!("{range}: no other program is in it"));
    }
    Finding::warning(
        "media.ports",
        format!("{range}: also used by {}", foreign.join(", ")),
        "their ports are passed over; a range of our own serves more calls",
    )
}

/// Ports that the kernel gives to others at random.
fn ephemeral(range: &RangeInclusive<u16>) -> Finding {
    let Some(given) = read("/proc/sys/net/ipv4/ip_local_port_range") else {
        return Finding::warning("ephemeral", "not known", "");
    };
    let mut numbers = given
        .split_whitespace()
        .filter_map(|word| word.parse::<u16>().ok());
    let (Some(first), Some(last)) = (numbers.next(), numbers.next()) else {
        return Finding::warning("ephemeral", given, "");
    };
    if *range.start() > last || *range.end() < first {
        return Finding::good(
            "ephemeral",
            format!("{first}-{last} does not touch media.ports"),
        );
    }
    Finding::warning(
        "ephemeral",
        format!("{first}-{last} overlaps media.ports"),
        "move media.ports below it, or sysctl net.ipv4.ip_local_port_range: other programs take \
         ports there at random",
    )
}

const UDP: [&str; 2] = ["/proc/net/udp", "/proc/net/udp6"];
const TCP: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
const OWN_NAME: &str = "sluice";
const BROWSERS: &str = "media.browser_port";

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    name: String,
    process: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Bound {
    ip: IpAddr,
    port: u16,
    inode: String,
}

fn sockets(tables: &[&str]) -> impl Iterator<Item = Bound> {
    let tables: Vec<String> = tables.iter().filter_map(|table| read(table)).collect();
    let bound: Vec<Bound> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1).filter_map(parse))
        .collect();
    bound.into_iter()
}

/// `sl local_address remote_address … inode`: the addresses in hexadecimal (`proc(5)`).
fn parse(line: &str) -> Option<Bound> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (ip, port) = fields.get(1)?.rsplit_once(':')?;
    Some(Bound {
        ip: parse_ip(ip)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: (*fields.get(9)?).to_owned(),
    })
}

/// Eight digits for each word of the address, in the byte order of the machine.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let word = |start: usize| u32::from_str_radix(text.get(start..start + 8)?, 16).ok();
    match text.len() {
        8 => Some(IpAddr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut octets = [0; 16];
            for (index, group) in octets.chunks_exact_mut(4).enumerate() {
                group.copy_from_slice(&word(index * 8)?.to_ne_bytes());
            }
            Some(IpAddr::from(octets).to_canonical())
        }
        _ => None,
    }
}

/// Who has what keeps us from this address: the same one, or all of them.
fn holder(address: SocketAddr, tables: &[&str]) -> Option<Holder> {
    let ip = address.ip().to_canonical();
    sockets(tables)
        .filter(|socket| socket.port == address.port())
        .filter(|socket| socket.ip == ip || socket.ip.is_unspecified() || ip.is_unspecified())
        .find_map(|socket| process_of(&socket.inode))
}

/// The process that has a socket open.
fn process_of(inode: &str) -> Option<Holder> {
    let socket = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(process) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        let has = descriptors.flatten().any(|link| {
            fs::read_link(link.path())
                .is_ok_and(|to| to.as_os_str().to_str() == Some(socket.as_str()))
        });
        if has {
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            return Some(Holder {
                name: name.trim().to_owned(),
                process,
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named_with_its_holder() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let finding = udp("sip.listen", taken.local_addr().unwrap());
        assert_eq!(finding.grade, Grade::Bad);
        let own = std::process::id().to_string();
        assert!(finding.found.contains(&own), "{finding:?}");
        let free = taken.local_addr().unwrap();
        drop(taken);
        assert_eq!(udp("sip.listen", free).grade, Grade::Good);
    }

    #[test]
    fn ports_of_browsers_are_free_and_apart_from_those_of_phones() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let grades = |port: u16, ports: &str| {
            let text = format!("[media]\nbrowser_port = {port}\nports = \"{ports}\"\nworkers = 1");
            let config = Config::parse(std::path::Path::new("test.toml"), &text).unwrap();
            let findings = examine(&config).into_iter();
            let of_browsers = findings.filter(|finding| finding.check == BROWSERS);
            of_browsers.map(|finding| finding.grade).collect::<Vec<_>>()
        };
        assert_eq!(grades(port, "1024-1100"), [Grade::Bad]);
        assert_eq!(grades(0, "1024-65535"), [], "any free ones");
        let (from, to) = (port - 1, port.saturating_add(1));
        assert_eq!(grades(port, &format!("{from}-{to}")), [Grade::Bad; 2]);
        drop(taken);
        assert_eq!(grades(port, "1024-1100"), [Grade::Good]);
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let finding = tcp("http.listen", "192.0.2.77:0".parse().unwrap());
        assert_eq!(finding.grade, Grade::Bad);
        assert!(finding.found.contains("does not have"), "{finding:?}");
    }

    #[test]
    fn the_same_port_of_another_address_is_another_holder() {
        // The whole of 127.0.0.0/8 is ours to bind.
        let other = UdpSocket::bind("127.0.0.77:0").unwrap();
        let port = other.local_addr().unwrap().port();
        assert_eq!(
            holder(SocketAddr::from(([127, 0, 0, 78], port)), &UDP),
            None
        );
        assert!(holder(SocketAddr::from(([127, 0, 0, 77], port)), &UDP).is_some());
        assert!(holder(SocketAddr::from(([0, 0, 0, 0], port)), &UDP).is_some());
        let six = "00000000000000000000000001000000";
        assert_eq!(parse_ip(six), Some("::1".parse().unwrap()));
        assert_eq!(parse_ip("0100"), None);
    }

    #[test]
    fn a_line_of_the_kernel_gives_address_port_and_inode() {
        let line =
            " 1: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 4711 2";
        let expected = Bound {
            ip: "127.0.0.1".parse().unwrap(),
            port: 5060,
            inode: "4711".to_owned(),
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("garbage"), None);
    }
}
