//! The administration commands on a database of their own and on a running server: what they say, their exit codes, their files.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use serde_json::{Value, json};

use super::{Process, matrixon, run};

fn text(directory: &Path, args: &[&str]) -> String {
    let output = run(directory, args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(directory: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&text(directory, &[args, &["--json"]].concat())).unwrap()
}

#[track_caller]
fn fails(directory: &Path, args: &[&str], code: i32, says: &str) {
    let output = run(directory, args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), message.lines().count()), (Some(code), 1), "{args:?}: {message}");
    assert!(message.contains(says), "{args:?}: {message}");
}

#[test]
fn accounts_on_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    text(at, &["database", "init"]);
    let mut child = matrixon(at, &["user", "create", "Alice", "--admin", "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"a long password\nmore\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "created the administrator @alice:localhost\n");
    fails(at, &["user", "create", "alice", "--no-password"], 1, "M_USER_IN_USE");
    fails(at, &["user", "show", "bob"], 3, "no such user");
    fails(at, &["user", "delete", "alice"], 2, "--yes");
    fails(at, &["user", "list", "--server", "http://127.0.0.1:9"], 2, "MATRIXON_ADMIN_TOKEN");
    fails(at, &["user", "list", "--server", "nowhere", "--token", "x"], 2, "is not a URL");
    let alice = json(at, &["user", "show", "alice"]);
    assert_eq!((&alice["admin"], &alice["has_password"]), (&json!(true), &json!(true)), "{alice}");
    assert!(text(at, &["user", "show", "@alice:localhost"]).contains(&format!("{:<13} active", "state")));
    text(at, &["user", "lock", "alice"]);
    assert!(text(at, &["user", "list"]).contains("locked"));
    let token = text(at, &["registration-token", "create", "--uses", "1"]);
    assert!(text(at, &["registration-token", "list"]).contains(token.trim()));
    text(at, &["registration-token", "revoke", token.trim()]);
    fails(at, &["registration-token", "revoke", token.trim()], 3, "M_NOT_FOUND");

    let log = text(at, &["audit", "list", "--detailed"]);
    assert!(log.contains("user.lock") && log.contains("cli:") && !log.contains(token.trim()), "{log}");
    text(at, &["audit", "export", "--output", "audit.jsonl"]);
    let verified = text(at, &["audit", "verify"]);
    assert_eq!(verified, text(at, &["audit", "verify", "--file", "audit.jsonl"]));
    let exported = fs::read_to_string(at.join("audit.jsonl")).unwrap();
    fs::write(at.join("forged.jsonl"), exported.replace("user.lock", "user.unlock")).unwrap();
    fails(at, &["audit", "verify", "--file", "forged.jsonl"], 1, "was changed");
    let head = verified.trim().rsplit(' ').next().unwrap();
    let shorter: Vec<&str> = exported.lines().take(3).collect();
    fs::write(at.join("shorter.jsonl"), shorter.join("\n")).unwrap();
    text(at, &["audit", "verify", "--file", "shorter.jsonl"]);
    fails(at, &["audit", "verify", "--file", "shorter.jsonl", "--expect", head], 1, "was cut off");
}

#[test]
fn an_import_is_resumed_and_says_what_it_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    text(at, &["database", "init"]);
    let row = |number: usize| format!("{{\"username\":\"user{number}\",\"displayname\":\"User {number}\"}}\n");
    let half: String = (0..1_200).map(row).collect();
    fs::write(at.join("users.jsonl"), &half).unwrap();
    assert_eq!(text(at, &["user", "import", "users.jsonl"]), "1200 created, 0 exist already, 0 refused\n");
    let all: String = (0..2_000).map(row).chain(["{\"username\":\"no good\"}\nnonsense\n".to_owned()]).collect();
    fs::write(at.join("users.jsonl"), all).unwrap();
    let again = run(at, &["user", "import", "users.jsonl"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(String::from_utf8(again.stdout).unwrap(), "800 created, 1200 exist already, 2 refused\n");
    let report = fs::read_to_string(at.join("users.jsonl.refused.csv")).unwrap();
    assert!(report.contains("2001,no good,M_INVALID_USERNAME,") && report.contains("2002,,M_BAD_JSON,"), "{report}");
    assert_eq!(text(at, &["user", "list", "--json"]).lines().count(), 2_000);
    assert_eq!(text(at, &["user", "list", "user1", "--limit", "7"]).lines().count(), 8);
    fails(at, &["user", "import", "users.txt"], 2, "users.txt");
}

#[test]
fn the_same_on_a_running_server() {
    let directory = tempfile::tempdir().unwrap();
    let token = "a secret of at least thirty-two characters";
    let settings =
        format!("[gateway]\nadmin_token = \"{token}\"\nadmin_listen = \"127.0.0.1:0\"\nadmin_on_client_port = false\n");
    let process = Process::start(directory.path(), &settings);
    let session = process.register();
    fs::write(directory.path().join("token"), format!("{token}\n")).unwrap();
    let server = format!("http://{}", process.admin);
    let remote = |args: &[&str]| {
        let args = [args, &["--server", &server, "--token-file", "token"]].concat();
        text(directory.path(), &args)
    };
    assert!(remote(&["user", "create", "bob", "--no-password"]).contains("@bob:localhost"));
    assert!(remote(&["user", "list"]).contains("@first:localhost"));
    // the very same accounts on the database beside the running server
    assert!(text(directory.path(), &["user", "list"]).contains("@bob:localhost"));
    remote(&["user", "logout", "first", "--yes"]);
    super::until("logged out", || {
        process.call("GET", "/_matrix/client/v3/account/whoami", &session, &Value::Null).0 == 401
    });
    let log = remote(&["audit", "list", "--detailed"]);
    assert!(log.contains("user.logout") && log.contains("127.0.0.1"), "{log}");
    assert!(remote(&["audit", "verify"]).contains("the chain is whole"));
    let (status, _) = process.call("GET", "/_matrixon/admin/v1/users", token, &Value::Null);
    assert_eq!(status, 404, "administration has a port of its own here");
    let (status, text) = super::request(&process.admin, "GET", "/_matrixon/admin/v1/users", token, &Value::Null);
    assert_eq!(status, 200, "{text}");
    assert_eq!(super::request(&process.admin, "GET", "/_matrix/client/versions", "", &Value::Null).0, 404);
    let wrong = ["user", "list", "--server", &server, "--token", "wrong"];
    fails(directory.path(), &wrong, 4, "M_UNKNOWN_TOKEN");
    drop(process);
    let gone = ["user", "list", "--server", &server, "--token", token];
    fails(directory.path(), &gone, 5, "nothing was done");
}

#[test]
fn shells_and_manuals_are_served() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(directory.path(), &["completion", shell]).contains("reset-password"), "{shell}");
    }
    assert!(text(directory.path(), &["man"]).contains(".TH matrixon"));
    text(directory.path(), &["man", "--output", "man"]);
    assert!(directory.path().join("man/matrixon-user-import.1").is_file());
}
