//! A captcha provider and an identity server: the few answers of theirs that we need, over real HTTP.

use std::sync::Arc;

use anyhow::Result;
use matrixon_testkit::ports;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub path: String,
    pub authorization: String,
    pub body: String,
}

pub(crate) struct ThirdParties {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What the script of a captcha does once a person has shown to be one: it puts the answer into the form.
const SCRIPT: &str = r#"
document.querySelectorAll(".g-recaptcha").forEach(function (place) {
    var answer = document.createElement("textarea");
    answer.name = "g-recaptcha-response";
    answer.value = place.dataset.sitekey === "public key" ? "human" : "";
    answer.hidden = true;
    place.appendChild(answer);
    document.body.dataset.captcha = "loaded";
});
"#;

impl ThirdParties {
    pub(crate) fn start() -> Result<Self> {
        let third_parties = Self { port: ports::find_free()?, seen: Arc::default() };
        let listener = std::net::TcpListener::bind(("127.0.0.1", third_parties.port))?;
        listener.set_nonblocking(true)?;
        let seen = third_parties.seen.clone();
        // environments are made outside of the runtime of the tests, which may end before the next one begins
        std::thread::Builder::new().name("third-parties".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(listener, seen));
        })?;
        Ok(third_parties)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What clients call the identity server.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Requests in whose body this stands.
    pub(crate) fn seen(&self, path: &str, word: &str) -> Vec<Seen> {
        let seen = self.seen.lock();
        seen.iter().filter(|seen| seen.path == path && seen.body.contains(word)).cloned().collect()
    }
}

async fn serve(listener: std::net::TcpListener, seen: Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let _gone = answer(stream, &seen).await;
        });
    }
}

async fn answer(stream: TcpStream, all: &Mutex<Vec<Seen>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let seen = Seen { path, authorization, body: String::from_utf8(body)? };
    all.lock().push(seen.clone());
    let (status, kind, body) = reply(&seen);
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await?;
    Ok(())
}

fn reply(seen: &Seen) -> (u16, &'static str, String) {
    let json = |status: u16, body: Value| (status, "application/json", body.to_string());
    match seen.path.as_str() {
        "/captcha.js" => (200, "text/javascript", SCRIPT.to_owned()),
        "/siteverify" => {
            let human = seen.body.contains("secret=secret+key") && seen.body.contains("response=human");
            if seen.body.contains("response=broken") {
                return (500, "text/html", "<h1>Oops</h1>".to_owned());
            }
            json(200, json!({ "success": human }))
        }
        "/_matrix/identity/v2/3pid/bind" if seen.authorization == "Bearer good" => {
            json(200, json!({ "medium": "email", "address": "Bound@Example.org", "mxid": "@a:b", "signatures": {} }))
        }
        "/_matrix/identity/v2/3pid/bind" => json(401, json!({ "errcode": "M_UNAUTHORIZED", "error": "who are you?" })),
        "/_matrix/identity/v2/3pid/unbind" => json(200, json!({})),
        _ => json(404, json!({ "errcode": "M_UNRECOGNIZED", "error": "?" })),
    }
}
