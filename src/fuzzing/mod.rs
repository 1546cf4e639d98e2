//! Bodies of the fuzz targets of the appliance: what pages say, as text and as a course of calls. They hold
//! the claims beyond "no panic" too.

mod guests;
mod texts;

pub use guests::{GuestsPlayed, guests};

use crate::http::guest::frames::{ClientFrame, Said};

/// Octets of a text frame of a page, read as strictly as they are: what they say, or nothing.
#[must_use]
pub fn page_frame(octets: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(octets).ok()?;
    Some(match ClientFrame::parse(text)?.said() {
        Said::Word(_) => "word",
        Said::Ping => "ping",
        Said::Unfit(why) => why.as_str(),
        Said::OutOfPlace => "beginning",
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn beginning() -> Instant {
        Instant::now()
    }

    fn octets(random: &mut u64, count: usize) -> Vec<u8> {
        let next = || {
            *random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random.to_be_bytes()[1]
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    /// The plays are about something: calls begin, are answered, connected and changed.
    #[test]
    fn random_courses_of_guests_leave_nothing_and_are_about_calls() {
        let mut random = 1;
        let mut all = GuestsPlayed::default();
        for _ in 0..200 {
            let played = guests(beginning(), &octets(&mut random, 600));
            all.calls += played.calls;
            all.answers += played.answers;
            all.connected += played.connected;
            all.renegotiations += played.renegotiations;
        }
        println!("{all:?}");
        assert!(all.calls > 500 && all.answers > 500, "{all:?}");
        assert!(all.connected > 100 && all.renegotiations > 10, "{all:?}");
    }

    #[test]
    fn frames_of_any_octets_are_read_as_what_they_are_or_not_at_all() {
        let mut random = 7;
        for _ in 0..2_000 {
            let octets = octets(&mut random, 60);
            assert_eq!(page_frame(&octets), None);
            let digits = String::from_utf8_lossy(&octets);
            let frame = serde_json::json!({ "type": "dtmf", "digits": digits });
            assert_eq!(page_frame(frame.to_string().as_bytes()), Some("bad_digits"));
        }
        for (frame, said) in [
            (r#"{"type":"dtmf","digits":"1"}"#, "word"),
            (r#"{"type":"offer","sdp":"x"}"#, "bad_sdp"),
            (r#"{"type":"hello","token":"x"}"#, "beginning"),
            (r#"{"type":"ping"}"#, "ping"),
        ] {
            assert_eq!(page_frame(frame.as_bytes()), Some(said));
        }
    }
}
