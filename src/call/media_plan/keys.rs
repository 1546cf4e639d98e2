//! Keys that a dialog agreed upon, as the worker wants them.

use media::srtp::{MasterKey, SrtpPlan, Suite};
use sip::offer_answer::crypto::{AgreedKeys, CryptoKey, CryptoSuite};

/// What the worker protects and unprotects with. `None`: no key of the kind that it knows.
pub(super) fn plan(agreed: &AgreedKeys) -> Option<Box<SrtpPlan>> {
    let send = master_key(&agreed.send)?;
    let receive = master_key(&agreed.receive)?;
    Some(Box::new(SrtpPlan { send, receive }))
}

fn master_key(key: &CryptoKey) -> Option<MasterKey> {
    let suite = match key.suite() {
        CryptoSuite::AeadAes256Gcm => Suite::AeadAes256Gcm,
        CryptoSuite::AeadAes128Gcm => Suite::AeadAes128Gcm,
        CryptoSuite::AesCm128HmacSha1_80 => Suite::AesCm128HmacSha1_80,
        CryptoSuite::AesCm128HmacSha1_32 => Suite::AesCm128HmacSha1_32,
    };
    let made = MasterKey::new(suite, key.key_and_salt());
    debug_assert!(made.is_some(), "both sides count the same octets");
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_suite_of_a_description_is_one_of_the_worker_with_the_same_name_and_length() {
        for suite in CryptoSuite::ALL {
            let octets = |octet| CryptoKey::new(suite, &vec![octet; suite.size()]).unwrap();
            let agreed = AgreedKeys {
                send: octets(1),
                receive: octets(2),
            };
            let plan = plan(&agreed).unwrap();
            assert_eq!(plan.send.suite().as_str(), suite.as_str());
            let expected = MasterKey::new(plan.receive.suite(), &vec![2; suite.size()]);
            assert_eq!(Some(plan.receive), expected, "not the other direction's");
        }
    }
}
