//! FreeSWITCH as a process: every call goes to one callee, media anchored, both legs with its own timer as
//! it does by default.
//!
//! It loads what such a call needs and no more: one SIP profile, the dial plan, the commands. Its tables of
//! calls are off.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::daemon::program;
use super::{Daemon, Node};

impl Daemon {
    /// A FreeSWITCH as a relay whose sessions are calls; `folder` is for its files. It is the one that
    /// `SLUICE_FREESWITCH` names, else that in the path.
    ///
    /// # Errors
    /// There is none on this machine, or it does not get ready.
    pub(crate) fn freeswitch_relay(folder: &Path) -> Result<(Self, Node)> {
        let program = program(
            "freeswitch",
            std::env::var_os("SLUICE_FREESWITCH"),
            "build github.com/signalwire/freeswitch with mod_sofia and name its program in SLUICE_FREESWITCH",
        )?;
        let sip = SocketAddr::from((FREESWITCH, 5060));
        let callee = SocketAddr::from((CALLEE, 5070));
        let [settings, log, database, run] =
            ["conf", "log", "db", "run"].map(|name| folder.join(name));
        for folder in [&settings, &log, &database, &run] {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::write(settings.join("freeswitch.xml"), configuration(sip, callee))?;
        let mut daemon = Self::start(
            &program,
            &[
                "-nf",
                "-nc",
                "-nonat",
                "-nosql",
                "-conf",
                &settings.to_string_lossy(),
                "-log",
                &log.to_string_lossy(),
                "-db",
                &database.to_string_lossy(),
                "-run",
                &run.to_string_lossy(),
            ],
        )?;
        daemon.wait_for_sip(sip)?;
        let node = Node::exchange("FreeSWITCH", sip, callee, daemon.process())?;
        Ok((daemon, node))
    }
}

fn configuration(sip: SocketAddr, callee: SocketAddr) -> String {
    CONFIGURATION
        .replace("ADDRESS", &sip.ip().to_string())
        .replace("PORT", &sip.port().to_string())
        .replace("CALLEE", &callee.to_string())
}

/// All its settings.
const CONFIGURATION: &str = r#"<?xml version="1.0"?>
<document type="freeswitch/xml">
  <section name="configuration">
    <configuration name="modules.conf">
      <modules>
        <load module="mod_console"/>
        <load module="mod_sofia"/>
        <load module="mod_commands"/>
        <load module="mod_dptools"/>
        <load module="mod_dialplan_xml"/>
      </modules>
    </configuration>
    <configuration name="console.conf">
      <settings><param name="loglevel" value="err"/></settings>
    </configuration>
    <configuration name="switch.conf">
      <settings>
        <param name="loglevel" value="err"/>
        <param name="max-sessions" value="10000"/>
        <param name="sessions-per-second" value="10000"/>
        <param name="rtp-start-port" value="10000"/>
        <param name="rtp-end-port" value="30000"/>
      </settings>
    </configuration>
    <configuration name="acl.conf"><network-lists/></configuration>
    <configuration name="timezones.conf"><timezones/></configuration>
    <configuration name="sofia.conf">
      <global_settings><param name="log-level" value="0"/></global_settings>
      <profiles>
        <profile name="bench">
          <settings>
            <param name="sip-ip" value="ADDRESS"/>
            <param name="sip-port" value="PORT"/>
            <param name="rtp-ip" value="ADDRESS"/>
            <param name="dialplan" value="XML"/>
            <param name="context" value="bench"/>
            <param name="auth-calls" value="false"/>
            <param name="inbound-codec-prefs" value="PCMU"/>
            <param name="outbound-codec-prefs" value="PCMU"/>
            <param name="rtp-timer-name" value="soft"/>
            <param name="manage-presence" value="false"/>
            <param name="enable-timer" value="false"/>
          </settings>
        </profile>
      </profiles>
    </configuration>
  </section>
  <section name="dialplan">
    <context name="bench">
      <extension name="bench">
        <condition field="destination_number" expression="^bench$">
          <action application="bridge" data="sofia/bench/bench@CALLEE"/>
        </condition>
      </extension>
    </context>
  </section>
  <section name="directory"/>
</document>
"#;

const FREESWITCH: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 5);
const CALLEE: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_has_its_place() {
        let text = configuration(
            SocketAddr::from((FREESWITCH, 5060)),
            SocketAddr::from((CALLEE, 5070)),
        );
        assert_eq!(text.matches("value=\"127.0.2.5\"").count(), 2);
        assert_eq!(text.matches("value=\"5060\"").count(), 1);
        assert_eq!(text.matches("bench@127.0.2.6:5070").count(), 1);
    }
}
