//! Asterisk as a process: every INVITE for the bench user goes to one callee, media anchored.
//!
//! It comes from Debian into a folder of its own (a chroot), and loads what the package loads by itself, but
//! for modules that want a database or hardware and those that write records.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Result, bail};

use super::{Daemon, Node};

impl Daemon {
    /// The Asterisk of a system in a folder, and where it listens.
    ///
    /// # Errors
    /// There is none, or it does not get ready.
    pub(crate) fn asterisk(root: &Path, callee: SocketAddr) -> Result<(Self, SocketAddr)> {
        if !root.join("usr/sbin/asterisk").is_file() {
            bail!(
                "no Asterisk in {}: run `make bench-peers`, or name a root folder in SLUICE_ASTERISK_ROOT",
                root.display()
            );
        }
        let sip = SocketAddr::from((ASTERISK, 5060));
        let folder = root.join("etc/asterisk-bench");
        fs::create_dir_all(&folder)?;
        for (name, text) in CONFIGURATION {
            let text = text
                .replace("LISTEN", &sip.to_string())
                .replace("MEDIA", &ASTERISK.to_string())
                .replace("CALLEE", &callee.to_string());
            fs::write(folder.join(name), text)?;
        }
        let mut daemon = Self::start(
            Path::new("chroot"),
            &[
                &root.to_string_lossy(),
                "/usr/sbin/asterisk",
                "-f",
                "-C",
                "/etc/asterisk-bench/asterisk.conf",
                "-U",
                "asterisk",
                "-G",
                "asterisk",
            ],
        )?;
        daemon.wait_for_sip(sip)?;
        // `chroot` becomes it.
        let process = daemon.process();
        let name = fs::read_to_string(format!("/proc/{process}/comm"))?;
        if name.trim() != "asterisk" {
            bail!("process {process} is {}", name.trim());
        }
        Ok((daemon, sip))
    }

    /// The same as a relay whose sessions are calls.
    ///
    /// # Errors
    /// There is none, or it does not get ready.
    pub(crate) fn asterisk_relay(root: &Path) -> Result<(Self, Node)> {
        let callee = SocketAddr::from((ASTERISK_CALLEE, 5070));
        let (daemon, sip) = Self::asterisk(root, callee)?;
        let node = Node::exchange("Asterisk", sip, callee, daemon.process())?;
        Ok((daemon, node))
    }
}

/// The files of its configuration folder.
const CONFIGURATION: [(&str, &str); 5] = [
    (
        "asterisk.conf",
        "[directories]\nastetcdir => /etc/asterisk-bench\n[options]\nverbose = 0\n",
    ),
    (
        "modules.conf",
        "[modules]\nautoload = yes\nnoload = chan_iax2.so\nnoload = chan_unistim.so\n\
         noload = pbx_dundi.so\nnoload = pbx_ael.so\nnoload = app_queue.so\n\
         noload = app_voicemail.so\nnoload = app_minivm.so\nnoload = res_hep.so\n\
         noload = res_hep_pjsip.so\nnoload = res_hep_rtcp.so\nnoload = res_calendar.so\n\
         noload = res_config_pgsql.so\nnoload = res_config_odbc.so\nnoload = res_odbc.so\n\
         noload = res_prometheus.so\nnoload = res_statsd.so\nnoload = res_ari.so\n\
         noload = res_phoneprov.so\nnoload = res_musiconhold.so\nnoload = cdr_csv.so\n\
         noload = cdr_custom.so\nnoload = cdr_manager.so\nnoload = cdr_sqlite3_custom.so\n\
         noload = cdr_odbc.so\nnoload = cdr_adaptive_odbc.so\nnoload = cdr_pgsql.so\n\
         noload = cdr_radius.so\nnoload = cdr_tds.so\nnoload = cel_custom.so\n\
         noload = cel_manager.so\nnoload = cel_odbc.so\nnoload = cel_pgsql.so\n\
         noload = cel_radius.so\nnoload = cel_sqlite3_custom.so\nnoload = cel_tds.so\n",
    ),
    (
        "pjsip.conf",
        "[udp]\ntype = transport\nprotocol = udp\nbind = LISTEN\n\
         [caller]\ntype = endpoint\ncontext = bench\ntransport = udp\ndisallow = all\nallow = ulaw\n\
         direct_media = no\nmedia_address = MEDIA\nbind_rtp_to_media_address = yes\n\
         [caller-address]\ntype = identify\nendpoint = caller\nmatch = 127.0.0.1\n\
         [callee]\ntype = endpoint\ncontext = nothing\ntransport = udp\ndisallow = all\nallow = ulaw\n\
         direct_media = no\nmedia_address = MEDIA\nbind_rtp_to_media_address = yes\naors = callee\n\
         [callee]\ntype = aor\ncontact = sip:bench@CALLEE\n",
    ),
    (
        "extensions.conf",
        "[bench]\nexten => bench,1,Dial(PJSIP/callee,30)\n",
    ),
    ("rtp.conf", "[general]\nrtpstart = 20000\nrtpend = 29999\n"),
];

const ASTERISK: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 3);
const ASTERISK_CALLEE: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 4);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_asterisk_is_refused_with_the_way_to_get_it() {
        let callee = SocketAddr::from((ASTERISK_CALLEE, 5070));
        let refused = Daemon::asterisk(Path::new("/no/such/root"), callee);
        let text = refused.map(|(_, sip)| sip).expect_err("it is not here");
        let text = text.to_string();
        assert!(text.starts_with("no Asterisk in /no/such/root"), "{text}");
        assert!(text.contains("SLUICE_ASTERISK_ROOT"), "{text}");
    }

    #[test]
    fn media_is_anchored_at_an_address_of_its_own() {
        let texts: String = CONFIGURATION.iter().map(|(_, text)| *text).collect();
        assert_eq!(texts.matches("type = endpoint").count(), 2);
        for setting in ["direct_media = no", "media_address = MEDIA", "allow = ulaw"] {
            assert_eq!(texts.matches(setting).count(), 2, "{setting}");
        }
    }
}
