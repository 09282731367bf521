//! The metrics of served HTTP requests, with children resolved once a route so that a request costs a few atomic additions.

use std::{sync::OnceLock, time::Duration};

use tokio::time::Instant;

use super::{Histogram, IntCounter, IntGauge, counter, gauge, latency};

/// The status codes that get a slot of their own; others are looked up by label.
const COMMON_CODES: [u16; 14] = [200, 202, 204, 302, 400, 401, 403, 404, 405, 413, 429, 500, 502, 503];

/// Does a request wait for something to happen? Long polls would drown the latency of everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Short,
    LongPoll,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::LongPoll => "longpoll",
        }
    }
}

/// The metrics of one route of one service.
pub struct RouteMetrics {
    service: String,
    route: String,
    method: String,
    kind: Kind,
    inflight: IntGauge,
    // Made by the first request, so that routes nobody uses do not fill the scrape.
    duration: OnceLock<Histogram>,
    codes: [OnceLock<IntCounter>; COMMON_CODES.len()],
}

impl RouteMetrics {
    /// `route` is the template, never the path as requested.
    pub fn new(service: &str, method: &str, route: &str, kind: Kind) -> Self {
        let inflight = gauge("http_inflight", "HTTP requests being served.", &["service", "kind"])
            .with_label_values(&[service, kind.as_str()]);
        Self {
            service: service.to_owned(),
            route: route.to_owned(),
            method: method.to_owned(),
            kind,
            inflight,
            duration: OnceLock::new(),
            codes: [const { OnceLock::new() }; COMMON_CODES.len()],
        }
    }

    /// A request begins; finish the guard with its status. A guard that is dropped counts as 499: the client went away.
    pub fn start(&self) -> RequestGuard<'_> {
        self.inflight.inc();
        RequestGuard { metrics: self, started: Instant::now(), finished: false }
    }

    /// Counts a request whose duration was measured elsewhere.
    pub fn observe(&self, status: u16, elapsed: Duration) {
        self.count(status);
        self.duration().observe(elapsed.as_secs_f64());
    }

    fn duration(&self) -> &Histogram {
        self.duration.get_or_init(|| {
            let labels = ["service", "route", "kind"];
            latency("http_request_duration_seconds", "How long HTTP requests took.", &labels).with_label_values(&[
                &self.service,
                &self.route,
                self.kind.as_str(),
            ])
        })
    }

    fn count(&self, status: u16) {
        match COMMON_CODES.binary_search(&status) {
            Ok(slot) => self.codes[slot].get_or_init(|| self.code(status)).inc(),
            Err(_rare) => self.code(status).inc(),
        }
    }

    fn code(&self, status: u16) -> IntCounter {
        let labels = ["service", "route", "method", "code"];
        counter("http_requests_total", "HTTP requests answered.", &labels).with_label_values(&[
            self.service.as_str(),
            &self.route,
            &self.method,
            &status.to_string(),
        ])
    }
}

/// One request being served.
pub struct RequestGuard<'a> {
    metrics: &'a RouteMetrics,
    started: Instant,
    finished: bool,
}

impl RequestGuard<'_> {
    /// Counts the request and returns how long it took.
    pub fn finish(mut self, status: u16) -> Duration {
        self.finished = true;
        let elapsed = self.started.elapsed();
        self.metrics.observe(status, elapsed);
        elapsed
    }
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        self.metrics.inflight.dec();
        if !self.finished {
            self.metrics.observe(499, self.started.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_code() {
        let route = RouteMetrics::new("unit", "GET", "/_test/{id}", Kind::Short);
        route.start().finish(200);
        route.start().finish(418);
        drop(route.start());
        let text = crate::metrics::gather();
        for code in ["200", "418", "499"] {
            let line = format!(
                "matrixon_http_requests_total{{code=\"{code}\",method=\"GET\",route=\"/_test/{{id}}\",service=\"unit\"}} 1"
            );
            assert!(text.contains(&line), "{line} is not in {text}");
        }
        assert!(text.contains("matrixon_http_inflight{kind=\"short\",service=\"unit\"} 0"), "{text}");
    }
}
