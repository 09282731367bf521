//! What is known about a route without running it: the gateway's table is made of these.

use http::Method;
use matrixon_runtime::role::Role;

use crate::access::Access;

/// Which replica should get a request, for its caches' sake; correctness never depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    None,
    /// The requester's user id.
    User,
    /// A parameter of the path template, by name, such as `room_id`.
    Path(&'static str),
    /// All requests of the route.
    Route,
}

/// Which token bucket a request draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitClass {
    None,
    Read,
    Write,
    /// Events sent into rooms.
    Message,
    Join,
    Invite,
    CreateRoom,
    Login,
    Register,
    Media,
}

impl LimitClass {
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Read,
        Self::Write,
        Self::Message,
        Self::Join,
        Self::Invite,
        Self::CreateRoom,
        Self::Login,
        Self::Register,
        Self::Media,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Message => "message",
            Self::Join => "join",
            Self::Invite => "invite",
            Self::CreateRoom => "create_room",
            Self::Login => "login",
            Self::Register => "register",
            Self::Media => "media",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthKind {
    None,
    Optional,
    User,
    /// An administrator, or a machine with the configured token.
    Admin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Answered at once.
    Short,
    /// May wait for the query parameter `timeout` (milliseconds).
    LongPoll,
    /// A gRPC method: its errors are statuses.
    Rpc,
}

impl RouteKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::LongPoll => "longpoll",
            Self::Rpc => "rpc",
        }
    }
}

/// One method of one path template.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    pub method: Method,
    /// Template with `{name}` parameters, such as `/_matrix/client/v3/rooms/{room_id}/leave`.
    pub path: String,
    pub role: Role,
    pub auth: AuthKind,
    pub access: Access,
    pub affinity: Affinity,
    pub limit: LimitClass,
    pub kind: RouteKind,
    /// Largest request body, bytes.
    pub body_limit: usize,
}

/// How the door checks a body before the handler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// A JSON object (an empty body is `{}`) without NUL characters.
    Json,
    /// A JSON object whose strings may hold NUL: event content, which is stored as JSON text.
    JsonWithNul,
    /// Anything.
    Bytes,
}

/// What a registration says beyond the handler: affinity, limits, kind.
#[derive(Clone, Debug)]
pub struct RouteOptions {
    pub(crate) access: Access,
    pub(crate) affinity: Affinity,
    pub(crate) limit: Option<LimitClass>,
    pub(crate) kind: RouteKind,
    pub(crate) body_limit: usize,
    pub(crate) body: BodyKind,
    pub(crate) aliases: Vec<&'static str>,
}

impl RouteOptions {
    /// Bodies hold at most an event (64 KiB) and its wrapping, except where a route says more.
    pub const DEFAULT_BODY_LIMIT: usize = 256 * 1024;

    /// No affinity.
    pub fn any() -> Self {
        Self {
            access: Access::default(),
            affinity: Affinity::None,
            limit: None,
            kind: RouteKind::Short,
            body_limit: Self::DEFAULT_BODY_LIMIT,
            body: BodyKind::Json,
            aliases: Vec::new(),
        }
    }

    /// Affinity by the path parameter `room_id`.
    pub fn room() -> Self {
        Self::any().affinity(Affinity::Path("room_id"))
    }

    /// Affinity by the requester.
    pub fn user() -> Self {
        Self::any().affinity(Affinity::User)
    }

    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = affinity;
        self
    }

    /// Guests may call it; by default they are refused with `M_GUEST_ACCESS_FORBIDDEN`.
    #[must_use]
    pub fn guests(mut self) -> Self {
        self.access.guests = true;
        self
    }

    /// Suspended accounts are refused with `M_USER_SUSPENDED`; by default they may call it.
    #[must_use]
    pub fn unless_suspended(mut self) -> Self {
        self.access.suspended = false;
        self
    }

    /// Locked accounts may call it: logging out, nothing else.
    #[must_use]
    pub fn even_locked(mut self) -> Self {
        self.access.locked = true;
        self
    }

    /// Default: `Read` for GET, `Write` for the others.
    #[must_use]
    pub fn limit(mut self, limit: LimitClass) -> Self {
        self.limit = Some(limit);
        self
    }

    #[must_use]
    pub fn long_poll(mut self) -> Self {
        self.kind = RouteKind::LongPoll;
        self
    }

    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Strings in the body may contain NUL: only for what is stored as JSON text and never bound to SQL as a string.
    #[must_use]
    pub fn allow_nul(mut self) -> Self {
        self.body = BodyKind::JsonWithNul;
        self
    }

    /// The body is not JSON, or the handler checks it itself.
    #[must_use]
    pub fn raw_body(mut self) -> Self {
        self.body = BodyKind::Bytes;
        self
    }

    /// Serve the handler at one more template. Where it has fewer parameters than ruma's, the missing ones at the end are
    /// empty strings: `…/state/{event_type}` and `…/state/{event_type}/` stand for an empty state key.
    #[must_use]
    pub fn alias(mut self, path: &'static str) -> Self {
        self.aliases.push(path);
        self
    }
}

/// The template with `{p1}`, `{p2}`, …: routers refuse different names at one place.
pub fn positional(template: &str) -> String {
    let mut number = 0;
    let segments = template.split('/').map(|segment| {
        if !segment.starts_with('{') {
            return segment.to_owned();
        }
        number += 1;
        if segment.starts_with("{*") { format!("{{*p{number}}}") } else { format!("{{p{number}}}") }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Names of a template's parameters, in order.
pub fn parameter_names(template: &str) -> impl Iterator<Item = &str> {
    template.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
