//! One route: its method, path, scope and what the document says of it, together. A route cannot be
//! added without them, and its handler is not reached without its scope.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::routing::{MethodFilter, on};

use super::access::{require, require_any, require_machine_or};
use super::router::HttpState;
use super::schema::Schema;
use crate::tokens::scope::Scope;

/// One operation of the API.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    /// What it does to what is at the path.
    pub(super) verb: Verb,
    /// The path, with `{name}` for a part that varies.
    pub(super) path: &'static str,
    /// Who may ask.
    pub(super) needs: Needs,
    /// One sentence, without its full stop.
    pub(super) summary: &'static str,
    /// More about it; may be empty.
    pub(super) description: &'static str,
    /// Words of the query: name and meaning.
    pub(super) query: &'static [(&'static str, &'static str)],
    /// What is sent.
    pub(super) body: Content,
    /// The status of success.
    pub(super) status: u16,
    /// What is answered with it.
    pub(super) answer: Content,
    /// Further statuses than those that every route may give (400, 401, 403, 429, 503).
    pub(super) refusals: &'static [(u16, &'static str)],
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Shows; HEAD works as well.
    Get,
    /// Makes or does.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Anybody.
    Nothing,
    /// Any good token.
    Token,
    /// A token with this scope.
    Scope(Scope),
    /// To ask from this machine, or a token with this scope.
    MachineOr(Scope),
    /// The scope `resolve`, unless `http.resolve_open` opens the resolver to anybody.
    Resolve,
}

/// A body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    /// None.
    Empty,
    /// A JSON object.
    Json(&'static Schema),
    /// One JSON object a line.
    Lines(&'static Schema),
    /// Plain text of this type.
    Text(&'static str),
    /// A JSON document of another kind.
    AnyJson,
}

impl Operation {
    /// An operation with the usual status of its verb: 201 for POST, 204 for DELETE, 200 else.
    pub(super) const fn new(
        verb: Verb,
        path: &'static str,
        needs: Needs,
        summary: &'static str,
    ) -> Self {
        Self {
            verb,
            path,
            needs,
            summary,
            description: "",
            query: &[],
            body: Content::Empty,
            status: match verb {
                Verb::Post => 201,
                Verb::Delete => 204,
                Verb::Get | Verb::Put | Verb::Patch => 200,
            },
            answer: Content::Empty,
            refusals: &[],
        }
    }

    /// What is answered.
    pub(super) const fn answering(self, answer: Content) -> Self {
        Self { answer, ..self }
    }

    /// What is sent.
    pub(super) const fn taking(self, body: Content) -> Self {
        Self { body, ..self }
    }

    /// Words of the query.
    pub(super) const fn asking(self, query: &'static [(&'static str, &'static str)]) -> Self {
        Self { query, ..self }
    }

    /// Another status of success.
    pub(super) const fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// More about it.
    pub(super) const fn described(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }

    /// Further refusals.
    pub(super) const fn refusing(self, refusals: &'static [(u16, &'static str)]) -> Self {
        Self { refusals, ..self }
    }
}

impl Verb {
    /// The method, as the document writes it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET.or(MethodFilter::HEAD),
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Patch => MethodFilter::PATCH,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// The routes of one resource, or of all.
#[derive(Debug, Default)]
pub(super) struct Routes {
    router: Router<HttpState>,
    operations: Vec<Operation>,
}

impl Routes {
    /// None yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// With this operation, answered by this handler.
    pub(super) fn with<H, T>(mut self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, HttpState>,
        T: 'static,
    {
        let method = on(operation.verb.filter(), handler);
        let method = match operation.needs {
            Needs::Scope(scope) => {
                method.layer(from_fn(move |request, next| require(scope, request, next)))
            }
            Needs::MachineOr(scope) => method.layer(from_fn(move |request, next| {
                require_machine_or(scope, request, next)
            })),
            Needs::Token => method.layer(from_fn(require_any)),
            // The resolver asks by itself, knowing its setting.
            Needs::Nothing | Needs::Resolve => method,
        };
        let path = match operation.path.strip_suffix("{+path}") {
            Some(before) => format!("{before}{{*path}}"),
            None => operation.path.to_owned(),
        };
        self.router = self.router.route(&path, method);
        self.operations.push(operation);
        self
    }

    /// With the routes of another resource.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// The router and the list of what it answers.
    pub(super) fn into_parts(self) -> (Router<HttpState>, Vec<Operation>) {
        (self.router, self.operations)
    }
}
