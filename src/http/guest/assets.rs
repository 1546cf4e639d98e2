//! Scripts, style and icon of the pages, from within this program: under a name that changes with any of
//! them, so that browsers keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

/// A file.
#[derive(Debug)]
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! asset {
    ($name:literal, $kind:expr) => {
        Asset {
            name: $name,
            kind: $kind,
            content: include_str!(concat!("page/assets/", $name)),
        }
    };
}

const ASSETS: [Asset; 11] = [
    asset!("call.css", "text/css; charset=utf-8"),
    asset!("call.js", SCRIPT),
    asset!("devices.js", SCRIPT),
    asset!("icon.svg", "image/svg+xml"),
    asset!("old.js", SCRIPT),
    asset!("peer.js", SCRIPT),
    asset!("quality.js", SCRIPT),
    asset!("reasons.js", SCRIPT),
    asset!("refused.js", SCRIPT),
    asset!("signal.js", SCRIPT),
    asset!("tones.js", SCRIPT),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The folder of all of them.
pub(super) static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for asset in &ASSETS {
        digest.update(asset.name);
        digest.update(asset.content);
    }
    let digest = digest.finalize();
    let short: String = digest
        .iter()
        .take(8)
        .map(|octet| format!("{octet:02x}"))
        .collect();
    format!("/call-assets/{short}")
});

/// One of them.
pub(super) async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    let is_current = FOLDER.ends_with(&version) && version.len() == VERSION_DIGITS;
    let Some(asset) = found.filter(|_| is_current) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = asset.content.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    headers.insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

const VERSION_DIGITS: usize = 16;

#[cfg(test)]
pub(super) fn octets() -> usize {
    ASSETS.iter().map(|asset| asset.content.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of guests, links and callees come to the scripts as text, and are shown as text: none of
    /// them has a way to make markup, or a program, of it.
    #[test]
    fn scripts_make_neither_markup_nor_programs_of_text() {
        const WAYS: [&str; 15] = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "setHTMLUnsafe",
            "document.write",
            "createContextualFragment",
            "DOMParser",
            "srcdoc",
            "javascript:",
            "eval(",
            "Function(",
            "setTimeout(\"",
            "setInterval(\"",
            "setAttribute(\"on",
            "import(",
        ];
        let mut scripts = 0;
        for asset in ASSETS.iter().filter(|asset| asset.kind == SCRIPT) {
            for way in WAYS {
                assert!(!asset.content.contains(way), "{}: {way}", asset.name);
            }
            scripts += 1;
        }
        assert_eq!(scripts, 9);
    }
}
