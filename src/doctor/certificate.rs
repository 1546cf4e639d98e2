//! The certificate that browsers will see: can it be shown, does it hold today and next week, is it for the names
//! by which guests come.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Finding;
use super::browser::host_of;
use crate::boot::acme_of;
use crate::config::Config;
use crate::http::{Acme, CertificateError, CertificateFiles, Certificates, Facts};

pub(super) fn examine(config: &Config, now: SystemTime) -> Vec<Finding> {
    if config.https.listen.is_empty() {
        return Vec::new();
    }
    let hosts = config.browser.urls.iter().filter_map(|url| host_of(url));
    let hosts: Vec<&str> = hosts.collect();
    match (&config.https.certificate, acme_of(config)) {
        (Some((certificate, key)), _) => {
            let files = CertificateFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            };
            shown("https.certificate", files, &hosts, now)
        }
        (None, Some(acme)) => {
            let path = acme.files().certificate;
            // What this user may not look for may be there.
            match path.try_exists() {
                Ok(true) => shown(ACME, acme.files(), &hosts, now),
                Ok(false) => vec![to_come(&acme, &hosts)],
                Err(error) => {
                    let found = format!("{}: {error}", path.display());
                    vec![Finding::warning(ACME, found, AS_THE_UNIT)]
                }
            }
        }
        (None, None) => Vec::new(),
    }
}

/// None is there yet.
fn to_come(acme: &Acme, hosts: &[&str]) -> Finding {
    let asked = format!("{} is asked for {}", acme.directory, acme.domains.join(" "));
    let mut hosts = hosts.iter();
    let other = hosts.find(|host| !acme.domains.iter().any(|name| name == *host));
    match other {
        Some(host) => foreign(ACME, &asked, host),
        None => Finding::good(ACME, asked),
    }
}

fn shown(
    check: &'static str,
    files: CertificateFiles,
    hosts: &[&str],
    now: SystemTime,
) -> Vec<Finding> {
    let path = files.certificate.clone();
    let loaded = match Certificates::load(files) {
        Ok(_certificates) => std::fs::read(&path).ok(),
        Err(error) => return vec![unfit(check, &error)],
    };
    match loaded.and_then(|chain| Facts::of_pem(&chain)) {
        Some(facts) => judge(check, &path, &facts, hosts, now),
        None => vec![Finding::warning(
            check,
            format!("{}: it cannot be told when it ends", path.display()),
            "openssl x509 -noout -text -in it",
        )],
    }
}

/// It cannot be shown.
fn unfit(check: &'static str, error: &CertificateError) -> Finding {
    let is_denied = matches!(
        error,
        CertificateError::File { source, .. } if source.kind() == ErrorKind::PermissionDenied
    );
    if is_denied {
        return Finding::warning(check, error.to_string(), AS_THE_UNIT);
    }
    Finding::bad(
        check,
        error.to_string(),
        "give a certificate and its key in PEM that this user may read, or neither",
    )
}

fn judge(
    check: &'static str,
    path: &Path,
    facts: &Facts,
    hosts: &[&str],
    now: SystemTime,
) -> Vec<Finding> {
    let path = path.display().to_string();
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let days = |time: Duration| time.as_secs() / (24 * 3600);
    let left = facts.until.saturating_sub(now);
    let dates = if facts.from > now {
        let found = format!("{path} does not hold yet");
        let advice = "look at the clock of this machine, or wait";
        Finding::bad(check, found, advice)
    } else if left.is_zero() {
        let found = format!(
            "{path} ended {} days ago",
            days(now.saturating_sub(facts.until))
        );
        Finding::bad(check, found, RENEW)
    } else if left < SOON {
        let found = format!("{path} ends in {} days", days(left));
        Finding::warning(check, found, RENEW)
    } else {
        Finding::good(
            check,
            format!("{path}, with its key, for {} days more", days(left)),
        )
    };
    let other = hosts.iter().find(|host| !facts.is_for(host));
    let other = other.map(|host| {
        foreign(
            check,
            &format!("{path} is for {}", facts.names.join(" ")),
            host,
        )
    });
    std::iter::once(dates).chain(other).collect()
}

fn foreign(check: &'static str, found: &str, host: &str) -> Finding {
    Finding::warning(
        check,
        format!("{found}, and not for {host} of browser.urls"),
        "browsers warn of it before the page, unless a TLS proxy shows them another one: have it made \
         for that name too",
    )
}

/// An authority is asked again when a third of its time is left: thirty days of ninety.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
const ACME: &str = "https.acme_domains";
const AS_THE_UNIT: &str =
    "run this as the user of the unit (sudo -u sluice): that one has to read it";
const RENEW: &str = "give another one; one of an authority (https.acme_domains) should be there by now: the log \
                     says why it is not";

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::super::Grade;
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A configuration with these lines, and a certificate of ninety days for `call.example.com`, from `begin`.
    fn config(folder: &Path, begin: SystemTime, lines: &str) -> Config {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(["call.example.com".to_owned()]).unwrap();
        parameters.not_before = begin.into();
        parameters.not_after = (begin + 90 * DAY).into();
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::create_dir_all(folder.join("acme")).unwrap();
        for place in ["", "acme/"] {
            let file = |name: &str| folder.join(format!("{place}{name}.pem"));
            std::fs::write(file("certificate"), certificate.pem()).unwrap();
            std::fs::write(file("key"), key.serialize_pem()).unwrap();
        }
        let folder = folder.display();
        let lines = lines.replace("FOLDER", &folder.to_string());
        let text =
            format!("[node]\ndata = \"{folder}\"\n[https]\nlisten = [\"0.0.0.0:443\"]\n{lines}");
        Config::parse(Path::new("test.toml"), &text).unwrap()
    }

    #[test]
    fn a_certificate_that_ends_soon_or_is_for_another_name_is_told_before_browsers_tell_it() {
        let folder = tempfile::tempdir().unwrap();
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let given = "certificate = \"FOLDER/certificate.pem\"\nkey = \"FOLDER/key.pem\"\n";
        let asked = "acme_domains = [\"call.example.com\"]\n";
        for (check, lines) in [("https.certificate", given), ("https.acme_domains", asked)] {
            let named = |host: &str| format!("{lines}[browser]\nurls = [\"https://{host}\"]");
            let ours = config(folder.path(), begin, &named("call.example.com"));
            let grades = |config: &Config, after: Duration| {
                let findings = examine(config, begin + after);
                assert!(findings.iter().all(|it| it.check == check), "{findings:?}");
                findings.into_iter().map(|it| it.grade).collect::<Vec<_>>()
            };
            assert_eq!(grades(&ours, DAY), [Grade::Good]);
            assert_eq!(grades(&ours, 75 * DAY), [Grade::Good]);
            assert_eq!(grades(&ours, 77 * DAY), [Grade::Warning]);
            assert_eq!(grades(&ours, 90 * DAY), [Grade::Bad]);
            assert_eq!(examine(&ours, begin - DAY)[0].grade, Grade::Bad);
            let other = config(folder.path(), begin, &named("guest.example.com:8443"));
            assert_eq!(grades(&other, DAY), [Grade::Good, Grade::Warning]);
            let told = examine(&other, begin + DAY);
            assert!(told[1].found.contains("guest.example.com of"), "{told:?}");
        }
    }

    #[test]
    fn what_is_to_come_of_an_authority_is_no_fault_but_for_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let grades = |host: &str| {
            let lines = format!(
                "acme_domains = [\"call.example.com\"]\n[browser]\nurls = [\"https://{host}\"]"
            );
            let config = config(folder.path(), SystemTime::now(), &lines);
            std::fs::remove_dir_all(folder.path().join("acme")).unwrap();
            let findings = examine(&config, SystemTime::now());
            findings.iter().map(|it| it.grade).collect::<Vec<_>>()
        };
        assert_eq!(grades("call.example.com"), [Grade::Good]);
        assert_eq!(grades("www.example.com"), [Grade::Warning]);
    }

    #[test]
    fn what_could_not_be_looked_for_is_not_said_to_be_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "acme_domains = [\"call.example.com\"]";
        let config = config(folder.path(), SystemTime::now(), lines);
        let acme = folder.path().join("acme");
        std::fs::remove_dir_all(&acme).unwrap();
        // Nobody looks into a file, whichever user it is.
        std::fs::write(&acme, "").unwrap();
        let findings = examine(&config, SystemTime::now());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(
            (findings[0].check, findings[0].grade),
            (ACME, Grade::Warning)
        );
        assert!(findings[0].advice.contains("sudo -u"), "{findings:?}");
    }

    #[test]
    fn a_pair_that_does_not_fit_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "certificate = \"FOLDER/certificate.pem\"\nkey = \"FOLDER/none.pem\"";
        let config = config(folder.path(), SystemTime::now(), lines);
        let findings = examine(&config, SystemTime::now());
        assert_eq!(findings[0].grade, Grade::Bad, "{findings:?}");
    }
}
