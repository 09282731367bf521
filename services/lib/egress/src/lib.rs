//! Outgoing HTTP to third parties: captcha providers, identity servers, whatever else is named by people we do not know.
//!
//! Loopback, private, link-local and other addresses that are not of the public Internet are refused, in any spelling
//! and also when a name resolves to them: what is checked is the very address that is connected to. Redirects are not
//! followed. Answers are read up to a limit and within a time.
#![forbid(unsafe_code)]

mod address;

use std::{error::Error as _, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use matrixon_runtime::network::Network;
use reqwest::{
    RequestBuilder, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::address::is_public;

/// What outgoing requests may reach.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses or networks beyond the public Internet that may be reached, such as `10.1.2.0/24`.
    pub allow: Vec<Network>,
    /// A third party that has not answered after this long is away.
    pub timeout_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { allow: Vec::new(), timeout_seconds: 10 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    #[error("the HTTP client cannot start: {0}")]
    Setup(String),
    #[error("`{0}` is not an http or https address")]
    Url(String),
    #[error("{0} is not an address of the public Internet; `egress.allow` can allow it")]
    Forbidden(String),
    #[error("no answer: {0}")]
    Unreachable(String),
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// A client that goes to nobody's private network. Clones share connections.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
    allow: Arc<[Network]>,
}

impl Egress {
    pub fn new(config: &Config) -> Result<Self, EgressError> {
        // the first one to say so wins, and everybody here says the same
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let allow: Arc<[Network]> = config.allow.clone().into();
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(Checked { allow: allow.clone() }))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(config.timeout_seconds.max(1)))
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(2)
            .user_agent(concat!("Matrixon/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| EgressError::Setup(causes(&error)))?;
        Ok(Self { client, allow })
    }

    pub fn get(&self, url: &str) -> Result<RequestBuilder, EgressError> {
        Ok(self.client.get(self.check(url)?))
    }

    pub fn post(&self, url: &str) -> Result<RequestBuilder, EgressError> {
        Ok(self.client.post(self.check(url)?))
    }

    /// Sends a request made by [`Egress::get`] or [`Egress::post`] and reads at most `limit` bytes of the answer.
    pub async fn send(&self, request: RequestBuilder, limit: usize) -> Result<Answer, EgressError> {
        let mut response = request.send().await.map_err(|error| unreachable_by(&error))?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_by(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(EgressError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status().as_u16(), body: body.freeze() })
    }

    /// Names are checked when they are resolved; addresses never are, so here.
    fn check(&self, url: &str) -> Result<Url, EgressError> {
        let bad = || EgressError::Url(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| bad())?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad());
        }
        let host = parsed.host_str().ok_or_else(bad)?;
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        match literal {
            Ok(address) if !address::may_reach(address, &self.allow) => Err(EgressError::Forbidden(host.to_owned())),
            _ => Ok(parsed),
        }
    }
}

/// The system's resolver, less what must not be reached.
#[derive(Debug)]
struct Checked {
    allow: Arc<[Network]>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.allow.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let reachable: Vec<SocketAddr> =
                found.into_iter().filter(|address| address::may_reach(address.ip(), &allow)).collect();
            if reachable.is_empty() {
                let forbidden = EgressError::Forbidden(name.as_str().to_owned());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, forbidden).into());
            }
            Ok(Box::new(reachable.into_iter()) as Addrs)
        })
    }
}

fn unreachable_by(error: &reqwest::Error) -> EgressError {
    let mut source = error.source();
    while let Some(cause) = source {
        let io = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let ours = io.and_then(|inner| inner.downcast_ref::<EgressError>()).or_else(|| cause.downcast_ref());
        if let Some(EgressError::Forbidden(host)) = ours {
            return EgressError::Forbidden(host.clone());
        }
        source = cause.source();
    }
    EgressError::Unreachable(causes(error))
}

fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A server that says `answer` to everybody; its port.
    async fn serve(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _read = stream.read(&mut [0; 1_024]).await;
                let _written = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    async fn fetch(egress: &Egress, url: &str, limit: usize) -> Result<Answer, EgressError> {
        egress.send(egress.get(url)?, limit).await
    }

    #[tokio::test]
    async fn this_machine_is_refused_in_any_spelling() {
        let port = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let egress = Egress::new(&Config::default()).unwrap();
        for host in
            ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
        {
            let answer = fetch(&egress, &format!("http://{host}:{port}/"), 100).await;
            assert!(matches!(answer, Err(EgressError::Forbidden(_))), "{host}: {answer:?}");
        }
        assert!(matches!(egress.get("file:///etc/passwd"), Err(EgressError::Url(_))));
        assert!(matches!(egress.get("nonsense"), Err(EgressError::Url(_))));
    }

    #[tokio::test]
    async fn what_is_allowed_is_reached() {
        let port = serve("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let egress = Egress::new(&Config { allow, ..Config::default() }).unwrap();
        for host in ["127.0.0.1", "localhost"] {
            let answer = fetch(&egress, &format!("http://{host}:{port}/"), 100).await.unwrap();
            assert_eq!((answer.status, &answer.body[..]), (200, &b"hi"[..]));
        }
        let long = fetch(&egress, &format!("http://127.0.0.1:{port}/"), 1).await;
        assert!(matches!(long, Err(EgressError::TooLarge(1))), "{long:?}");
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let port = serve("HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n").await;
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let egress = Egress::new(&Config { allow, ..Config::default() }).unwrap();
        assert_eq!(fetch(&egress, &format!("http://127.0.0.1:{port}/"), 100).await.unwrap().status, 302);
    }
}
