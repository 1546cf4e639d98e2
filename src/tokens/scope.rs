//! The scopes of a token: each word once. Pure.

use std::fmt;
use std::str::FromStr;

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`Scope::meaning` says what each is for")]
pub enum Scope {
    Resolve,
    LinksRead,
    LinksWrite,
    SettingsRead,
    SettingsWrite,
    TrunksRead,
    TrunksWrite,
    SourcesRead,
    SourcesWrite,
    GuardRead,
    GuardWrite,
    CallsRead,
    CallsCreate,
    CallsEnd,
    CdrRead,
    TokensWrite,
    ExtensionsRead,
    ExtensionsWrite,
    Operate,
}

impl Scope {
    /// Every scope, in the order in which they are shown.
    pub const ALL: [Self; 19] = [
        Self::Resolve,
        Self::LinksRead,
        Self::LinksWrite,
        Self::SettingsRead,
        Self::SettingsWrite,
        Self::TrunksRead,
        Self::TrunksWrite,
        Self::SourcesRead,
        Self::SourcesWrite,
        Self::GuardRead,
        Self::GuardWrite,
        Self::CallsRead,
        Self::CallsCreate,
        Self::CallsEnd,
        Self::CdrRead,
        Self::TokensWrite,
        Self::ExtensionsRead,
        Self::ExtensionsWrite,
        Self::Operate,
    ];

    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::LinksRead => "links:read",
            Self::LinksWrite => "links:write",
            Self::SettingsRead => "settings:read",
            Self::SettingsWrite => "settings:write",
            Self::TrunksRead => "trunks:read",
            Self::TrunksWrite => "trunks:write",
            Self::SourcesRead => "sources:read",
            Self::SourcesWrite => "sources:write",
            Self::GuardRead => "guard:read",
            Self::GuardWrite => "guard:write",
            Self::CallsRead => "calls:read",
            Self::CallsCreate => "calls:create",
            Self::CallsEnd => "calls:end",
            Self::CdrRead => "cdr:read",
            Self::TokensWrite => "tokens:write",
            Self::ExtensionsRead => "extensions:read",
            Self::ExtensionsWrite => "extensions:write",
            Self::Operate => "operate",
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Resolve => "ask what a request path means",
            Self::LinksRead => "list and show links",
            Self::LinksWrite => "make, change, import and delete links",
            Self::SettingsRead => "show settings",
            Self::SettingsWrite => "change settings",
            Self::TrunksRead => "list and show trunks, never their passwords",
            Self::TrunksWrite => "make, change, test and delete trunks",
            Self::SourcesRead => "show who may call",
            Self::SourcesWrite => "change who may call",
            Self::GuardRead => "show rules of the fraud guard and ask why it decides as it does",
            Self::GuardWrite => "change rules of the fraud guard",
            Self::CallsRead => "list and show live calls and their ladders",
            Self::CallsCreate => "place calls",
            Self::CallsEnd => "end calls",
            Self::CdrRead => "read records of past calls",
            Self::TokensWrite => "make, list and revoke tokens",
            Self::ExtensionsRead => "show extensions and who is registered",
            Self::ExtensionsWrite => "change extensions",
            Self::Operate => "metrics, readiness in detail, drain and reload",
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    /// Everything, what later versions add included.
    pub const ALL: Self = Self(u32::MAX);

    /// True when the set has this scope.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// True when every scope of `other` is in this set.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// True when the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words of the set: `*`, or each scope.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        if self == Self::ALL {
            return vec!["*"];
        }
        let had = Scope::ALL.into_iter().filter(|scope| self.has(*scope));
        had.map(Scope::as_str).collect()
    }

    /// With this word too: a scope, `*` for all, or `links:*` for all of one kind.
    ///
    /// # Errors
    /// The word is none of them.
    pub fn with(self, word: &str) -> Result<Self, NotAScope> {
        if word == "*" {
            return Ok(Self::ALL);
        }
        let kind = word.strip_suffix('*').filter(|kind| kind.ends_with(':'));
        let named = Scope::ALL.into_iter().filter(|scope| match kind {
            Some(kind) => scope.as_str().starts_with(kind),
            None => scope.as_str() == word,
        });
        let bits = named.fold(0, |bits, scope| bits | scope.bit());
        if bits == 0 {
            return Err(NotAScope);
        }
        Ok(Self(self.0 | bits))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.words()).finish()
    }
}

impl FromStr for Scopes {
    type Err = NotAScope;

    /// Words with spaces or commas between them.
    fn from_str(text: &str) -> Result<Self, NotAScope> {
        text.split([' ', ','])
            .filter(|word| !word.is_empty())
            .try_fold(Self::default(), Self::with)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words().join(" "))
    }
}

/// The word names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no scope is called that")]
pub struct NotAScope;

/// The sentence of [`Scopes::with`].
#[must_use]
pub fn accepted() -> String {
    let words: Vec<&str> = Scope::ALL.into_iter().map(Scope::as_str).collect();
    format!("{}, links:* and the like, or * for all", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_is_read_back_from_its_word() {
        for scope in Scope::ALL {
            let scopes: Scopes = scope.as_str().parse().unwrap();
            assert!(scopes.has(scope), "{scope}");
            assert_eq!(scopes.words(), [scope.as_str()]);
            assert!(Scopes::ALL.covers(scopes) && !scopes.covers(Scopes::ALL));
        }
    }

    #[test]
    fn stars_stand_for_all_and_for_all_of_a_kind() {
        let links: Scopes = "links:*, resolve".parse().unwrap();
        assert_eq!(links.words(), ["resolve", "links:read", "links:write"]);
        assert_eq!("*".parse::<Scopes>().unwrap(), Scopes::ALL);
        assert_eq!(Scopes::ALL.to_string(), "*");
        for bad in ["link:read", "links:", "**", ":*", "LINKS:READ", "links"] {
            bad.parse::<Scopes>().unwrap_err();
        }
    }
}
