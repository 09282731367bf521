//! The process as an operator meets it: what it says, its exit codes, its probes, its end. The real binary, real signals.

#[path = "process/administration.rs"]
mod administration;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

fn matrixon(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_matrixon"));
    command.args(args).current_dir(directory).env_clear().stdin(Stdio::null());
    command
}

fn run(directory: &Path, args: &[&str]) -> Output {
    matrixon(directory, args).output().unwrap()
}

fn refused(directory: &Path, config: &str, roles: &[&str]) -> String {
    fs::write(directory.join("matrixon.toml"), config).unwrap();
    let output = run(directory, &[&["serve"], roles].concat());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(message.lines().count(), 1, "one message: {message}");
    message
}

/// A running process; killed when dropped.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    client: String,
    admin: String,
    internal: String,
    registration_token: String,
}

impl Process {
    fn start(directory: &Path, settings: &str) -> Self {
        let listen = "[listen]\nclient = \"127.0.0.1:0\"\nfederation = \"127.0.0.1:0\"\n";
        fs::write(directory.join("matrixon.toml"), format!("{listen}{settings}")).unwrap();
        let log = fs::File::create(directory.join("log")).unwrap();
        let mut child = matrixon(directory, &["serve"]).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let none = String::new;
        let mut process =
            Self { child, out, client: none(), admin: none(), internal: none(), registration_token: none() };
        while process.registration_token.is_empty() {
            process.read_line(directory);
        }
        process
    }

    fn read_line(&mut self, directory: &Path) {
        let mut line = String::new();
        let read = self.out.read_line(&mut line).unwrap();
        assert!(read > 0, "it ended: {}", fs::read_to_string(directory.join("log")).unwrap());
        for part in line.trim().split(" · ").flat_map(|part| part.split(": ")) {
            if let Some(url) = part.strip_prefix("client http://") {
                url.clone_into(&mut self.client);
            } else if let Some(url) = part.strip_prefix("admin http://") {
                url.clone_into(&mut self.admin);
            } else if let Some(url) = part.strip_prefix("internal http://") {
                url.clone_into(&mut self.internal);
            }
        }
        if let Some((_, token)) = line.trim().split_once("registration token ") {
            token.clone_into(&mut self.registration_token);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn probe(&self, path: &str) -> u16 {
        request(&self.internal, "GET", path, "", &Value::Null).0
    }

    fn register(&self) -> String {
        let auth = json!({"type": "m.login.registration_token", "token": self.registration_token});
        let ask = json!({"username": "first", "password": "a long password"});
        let (status, challenge) = self.call("POST", "/_matrix/client/v3/register", "", &ask);
        assert_eq!(status, 401, "{challenge}");
        let mut answer = ask;
        answer["auth"] = auth;
        answer["auth"]["session"] = challenge["session"].clone();
        let (status, account) = self.call("POST", "/_matrix/client/v3/register", "", &answer);
        assert_eq!(status, 200, "{account}");
        account["access_token"].as_str().unwrap().to_owned()
    }

    fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let (status, text) = request(&self.client, method, path, token, body);
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Waits for its end and returns its exit code and how long that took.
    fn wait(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        let status = self.child.wait().unwrap();
        (status.code(), started.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn request(host: &str, method: &str, path: &str, token: &str, body: &Value) -> (u16, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let auth = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{auth}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), text.to_owned())
}

/// Asks again until the answer is as expected: signals arrive when they arrive.
fn until(what: &str, mut probe: impl FnMut() -> bool) {
    let started = Instant::now();
    while !probe() {
        assert!(started.elapsed() < Duration::from_secs(20), "never {what}");
        std::thread::yield_now();
    }
}

#[test]
fn mistakes_are_told_in_one_line_that_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |config: &str, roles: &[&str]| refused(directory.path(), config, roles);
    assert!(refused("[server]\nnmae = \"x\"", &[]).contains("did you mean `server.name`?"));
    assert!(
        refused("[shutdown]\nfinish_seconds = \"x\"", &[])
            .contains("`shutdown.finish_seconds` in ./matrixon.toml must be a whole number")
    );
    assert!(refused("[server]\nname = \"bad name\"", &[]).contains("is not a server name"));
    assert!(refused("", &["room"]).contains("`server.name` is not set"));
    let unreachable = "[server]\nname = \"a.org\"\n[database]\nurl = \"postgres://me:hush@127.0.0.1:9/db\"\nacquire_timeout_ms = 100\n";
    let message = refused(unreachable, &[]);
    assert!(
        message.contains("cannot reach the database postgres://127.0.0.1:9/db") && !message.contains("hush"),
        "{message}"
    );
    assert!(
        refused(&format!("{unreachable}[bus]\nurl = \"nats://127.0.0.1:9\""), &["auth"])
            .contains("`cluster.secret` is not set")
    );
    assert!(refused("[listen]\nclient = \"nowhere\"", &[]).contains("`listen.client` is `nowhere`"));
    assert!(refused("[telemetry]\nlog_level = \"loud=very\"", &[]).contains("`telemetry.log_level`"));
}

#[test]
fn the_configuration_commands_agree_with_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let generated = run(directory.path(), &["config", "generate"]).stdout;
    fs::write(directory.path().join("generated.toml"), &generated).unwrap();
    let check = run(directory.path(), &["config", "check", "--config", "generated.toml"]);
    assert!(check.status.success(), "{check:?}");
    let schema: Value = serde_json::from_slice(&run(directory.path(), &["config", "schema"]).stdout).unwrap();
    let text = String::from_utf8(generated).unwrap();
    for section in schema["properties"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("\n[{section}]\n")), "no [{section}] in the generated file");
    }
    let version = run(directory.path(), &["--version"]).stdout;
    assert_eq!(String::from_utf8(version).unwrap(), format!("matrixon {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_first_start_makes_what_it_needs_and_a_drain_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path(), "[shutdown]\ndrain_delay_seconds = 3\n");
    for file in ["signing.key", "cluster.secret", "matrixon.db"] {
        assert!(directory.path().join("data").join(file).is_file(), "no {file}");
    }
    assert_eq!((process.probe("/startupz"), process.probe("/livez"), process.probe("/readyz")), (200, 200, 200));
    let (_, metrics) = request(&process.internal, "GET", "/metrics", "", &Value::Null);
    assert!(
        metrics.contains("matrixon_build_info{service=\"gateway\"")
            && metrics.contains("process_resident_memory_bytes")
    );
    let token = process.register();
    let (status, synced) = process.call("GET", "/_matrix/client/v3/sync", &token, &Value::Null);
    assert_eq!(status, 200, "{synced}");
    let since = synced["next_batch"].as_str().unwrap().to_owned();

    std::thread::scope(|scope| {
        let process = &process;
        let parked = scope.spawn(|| {
            let path = format!("/_matrix/client/v3/sync?timeout=30000&since={since}");
            process.call("GET", &path, &token, &Value::Null)
        });
        until("parked", || {
            let (_, metrics) = request(&process.internal, "GET", "/metrics", "", &Value::Null);
            metrics.contains("matrixon_http_inflight{kind=\"longpoll\",service=\"gateway\"} 1")
        });
        process.signal(Signal::TERM);
        until("unready", || process.probe("/readyz") == 503);
        assert_eq!(process.probe("/livez"), 200);
        let (status, answer) = parked.join().unwrap();
        assert_eq!((status, answer["next_batch"].as_str()), (200, Some(since.as_str())), "{answer}");
        // Draining is not refusing: load balancers take a while.
        assert_eq!(process.call("GET", "/_matrix/client/v3/account/whoami", &token, &Value::Null).0, 200);
    });
    let (code, elapsed) = process.wait();
    assert_eq!(code, Some(0));
    assert!(elapsed < Duration::from_secs(6), "{elapsed:?}");
}

#[test]
fn a_hang_up_reloads_and_a_second_signal_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut process =
        Process::start(directory.path(), "[shutdown]\ndrain_delay_seconds = 60\n[telemetry]\nlog_level = \"warn\"\n");
    let log = || fs::read_to_string(directory.path().join("log")).unwrap();
    let config = fs::read_to_string(directory.path().join("matrixon.toml")).unwrap();
    process.call("GET", "/_matrix/client/versions", "", &Value::Null);
    fs::write(directory.path().join("matrixon.toml"), config.replace("warn", "info")).unwrap();
    process.signal(Signal::HUP);
    until("at level info", || {
        process.call("GET", "/_matrix/client/versions", "", &Value::Null);
        log().contains("/_matrix/client/versions")
    });
    fs::write(directory.path().join("matrixon.toml"), "[server]\nnmae = 1").unwrap();
    process.signal(Signal::HUP);
    until("complaining", || log().contains("did you mean `server.name`?"));
    assert_eq!(process.call("GET", "/_matrix/client/versions", "", &Value::Null).0, 200);

    process.signal(Signal::TERM);
    until("draining", || process.probe("/readyz") == 503);
    process.signal(Signal::TERM);
    let (code, elapsed) = process.wait();
    assert_eq!(code, Some(1));
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[test]
fn the_selftest_tries_a_server_as_a_client_does() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::start(directory.path(), "");
    let url = format!("http://{}", process.client);
    let output = run(directory.path(), &["selftest", "--url", &url, "--internal", &process.internal]);
    let (said, complaint) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}{complaint}");
    for step in ["ok registered", "ok sent and received", "are ready and export metrics", "ok logged out"] {
        assert!(said.contains(step), "no `{step}` in {said}");
    }
    // a client port is no internal one, and nobody is at home at port 9
    for wrong in [&["--url", &url, "--internal", &process.client][..], &["--url", "http://127.0.0.1:9"]] {
        let output = run(directory.path(), &[&["selftest"], wrong].concat());
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.starts_with("matrixon: the selftest failed: "), "{complaint}");
    }
}
