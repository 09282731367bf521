//! The route table, made of what the services registered themselves.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, sync::Arc};

use http::Method;
use matrixon_http::{
    Affinity, RouteInfo, RouteKind,
    route::{parameter_names, positional},
};
use matrixon_rpc::AffinityKey;
use matrixon_runtime::metrics::http::{Kind, RouteMetrics};
use percent_encoding::percent_decode_str;

/// Where requests go.
pub(crate) struct Table {
    paths: matchit::Router<Vec<Arc<Route>>>,
}

/// A route and what was precomputed for it.
pub(crate) struct Route {
    pub(crate) info: RouteInfo,
    pub(crate) metrics: RouteMetrics,
    affinity: Rule,
}

enum Rule {
    None,
    User,
    /// The path parameter with this number.
    Path(usize),
    Route(AffinityKey),
}

#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("the route {method} {path} is registered twice, by {first} and {second}")]
    Twice { method: Method, path: String, first: &'static str, second: &'static str },
    #[error("the route {path} does not fit among the others")]
    Conflict { path: String, source: Box<matchit::InsertError> },
}

/// What a path and a method lead to.
pub(crate) enum Match<'a> {
    Found {
        route: &'a Arc<Route>,
        /// From a path parameter, or of the route; see [`Route::affinity`].
        path_affinity: Option<AffinityKey>,
        /// The path without its trailing slash, where only that one is known.
        shorter: bool,
    },
    /// The path is known with other methods.
    Methods(Vec<Method>),
    Nothing,
}

impl Table {
    pub(crate) fn new(routes: Vec<RouteInfo>) -> Result<Self, TableError> {
        let mut nodes: Vec<(String, Vec<Arc<Route>>)> = Vec::new();
        for info in routes {
            let template = positional(&info.path);
            let at = nodes.iter().position(|(path, _)| *path == template).unwrap_or_else(|| {
                nodes.push((template, Vec::new()));
                nodes.len() - 1
            });
            let node = &mut nodes[at].1;
            if let Some(other) = node.iter().find(|route| route.info.method == info.method) {
                return Err(TableError::Twice {
                    method: info.method,
                    path: info.path,
                    first: other.info.role.as_str(),
                    second: info.role.as_str(),
                });
            }
            node.push(Arc::new(Route::new(info)));
        }
        let mut paths = matchit::Router::new();
        for (template, node) in nodes {
            let path = node[0].info.path.clone();
            paths.insert(template, node).map_err(|error| TableError::Conflict { path, source: Box::new(error) })?;
        }
        Ok(Self { paths })
    }

    /// `path` is as the client sent it, percent-encoded.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Match<'_> {
        // An empty segment in the middle would shift parameters; some routes know one at the end.
        if path.contains("//") {
            return Match::Nothing;
        }
        let (matched, shorter) = match self.paths.at(path) {
            Ok(matched) => (matched, false),
            Err(_) => match path.strip_suffix('/').map(|shorter| self.paths.at(shorter)) {
                Some(Ok(matched)) => (matched, true),
                _ => return Match::Nothing,
            },
        };
        let wanted = if method == Method::HEAD { &Method::GET } else { method };
        let Some(route) = matched.value.iter().find(|route| route.info.method == *wanted) else {
            return Match::Methods(allowed(matched.value));
        };
        let path_affinity = match route.affinity {
            Rule::Path(number) => matched.params.iter().nth(number).map(|(_, value)| AffinityKey::of(&decoded(value))),
            Rule::Route(key) => Some(key),
            Rule::None | Rule::User => None,
        };
        Match::Found { route, path_affinity, shorter }
    }
}

impl Route {
    fn new(info: RouteInfo) -> Self {
        let kind = match info.kind {
            RouteKind::Short | RouteKind::Rpc => Kind::Short,
            RouteKind::LongPoll => Kind::LongPoll,
        };
        let affinity = match info.affinity {
            Affinity::None => Rule::None,
            Affinity::User => Rule::User,
            Affinity::Route => Rule::Route(AffinityKey::of(&info.path)),
            Affinity::Path(name) => {
                parameter_names(&info.path).position(|one| one == name).map_or(Rule::None, Rule::Path)
            }
        };
        let metrics = RouteMetrics::new("gateway", info.method.as_str(), &info.path, kind);
        Self { info, metrics, affinity }
    }

    /// Which replica should get a request of this user.
    pub(crate) fn affinity(&self, path_affinity: Option<AffinityKey>, user_id: Option<&str>) -> Option<AffinityKey> {
        match self.affinity {
            Rule::User => user_id.map(AffinityKey::of),
            Rule::None | Rule::Path(_) | Rule::Route(_) => path_affinity,
        }
    }
}

fn allowed(routes: &[Arc<Route>]) -> Vec<Method> {
    let mut methods: Vec<Method> = routes.iter().map(|route| route.info.method.clone()).collect();
    if methods.contains(&Method::GET) {
        methods.push(Method::HEAD);
    }
    methods.push(Method::OPTIONS);
    methods
}

/// `%21room%3Aserver` and `!room:server` are one room.
fn decoded(value: &str) -> Cow<'_, str> {
    percent_decode_str(value).decode_utf8_lossy()
}
