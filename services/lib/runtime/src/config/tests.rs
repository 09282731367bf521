use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::*;

/// A configuration as the binary composes it.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Root {
    server: ServerConfig,
    listen: ListenConfig,
    telemetry: TelemetryConfig,
    shutdown: ShutdownConfig,
    cluster: ClusterConfig,
    discovery: Discovery,
}

/// Maps and lists.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Discovery {
    /// Where the rooms are.
    room: Vec<String>,
    dns: std::collections::BTreeMap<String, String>,
    nested: Nested,
    /// Whatever somebody wants to say.
    extra: serde_json::Map<String, serde_json::Value>,
    empty: Empty,
    limit: Option<Limit>,
    other_limit: Limit,
}

/// Nothing.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Empty {}

/// A pair without a default of its own.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limit {
    per_second: f64,
    burst: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self { per_second: 1.5, burst: 9 }
    }
}

/// A section in a section.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Nested {
    /// How often.
    per_second: f64,
}

fn error(text: &str) -> String {
    load::<Root>(&Source::text(text)).unwrap_err().to_string()
}

fn with_env(env: &[(&str, &str)]) -> Result<Root, ConfigError> {
    load(&Source::text("").with_env(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))))
}

#[test]
fn nothing_is_the_defaults() {
    let root: Root = load(&Source::text("")).unwrap();
    assert_eq!(root.listen.client, "127.0.0.1:8008");
    assert_eq!(root.shutdown.finish_seconds, 20);
}

#[test]
fn unknown_keys_name_the_nearest() {
    assert_eq!(
        error("[server]\nnmae = \"x\""),
        "unknown key `server.nmae` in the configuration; did you mean `server.name`?"
    );
    assert_eq!(error("[sever]\nname = \"x\""), "unknown key `sever` in the configuration; did you mean `[server]`?");
    assert_eq!(
        error("[cluster]\nxyz = 1"),
        "unknown key `cluster.xyz` in the configuration; the keys of [cluster] are previous_secret, require_signed_calls, secret"
    );
}

#[test]
fn wrong_types_name_the_key_and_what_was_expected() {
    assert_eq!(error("[server]\nname = 5"), "`server.name` in the configuration must be a string, but is the number 5");
    assert_eq!(
        error("[shutdown]\nfinish_seconds = -1"),
        "`shutdown.finish_seconds` in the configuration must be a whole number, at least 0, but is the number -1"
    );
    assert_eq!(error("server = true"), "`server` in the configuration must be a section, but is true");
    assert_eq!(
        error("[discovery]\nroom = [\"http://a\", 5]"),
        "`discovery.room[1]` in the configuration must be a string, but is the number 5"
    );
    assert_eq!(
        error("[telemetry]\nlog_format = \"xml\""),
        "`telemetry.log_format` in the configuration must be one of \"pretty\", \"json\", but is a string"
    );
    assert_eq!(
        error("[listen]\ntls_key = 1"),
        "`listen.tls_key` in the configuration must be a string, but is the number 1"
    );
}

#[test]
fn free_sections_take_anything_and_empty_ones_nothing() {
    let root: Root = load(&Source::text("[discovery.extra]\na = 1\n[discovery.extra.b]\nc = [true]")).unwrap();
    assert_eq!(root.discovery.extra["b"]["c"][0], true);
    assert_eq!(
        error("[discovery.empty]\na = 1"),
        "unknown key `discovery.empty.a` in the configuration; [discovery.empty] has no keys"
    );
}

#[test]
fn what_is_left_out_keeps_its_default_at_every_depth() {
    let root = with_env(&[("MATRIXON__DISCOVERY__OTHER_LIMIT__BURST", "3")]).unwrap();
    assert_eq!(
        (root.discovery.other_limit.per_second.to_string().as_str(), root.discovery.other_limit.burst),
        ("1.5", 3)
    );
    assert!(root.discovery.limit.is_none());
}

#[test]
fn syntax_errors_name_the_line() {
    let message = error("[server]\nname = \"x\"\nbad bad");
    assert!(message.starts_with("the configuration is not valid TOML: line 3: "), "{message}");
}

#[test]
fn the_environment_overrides_every_kind_of_field() {
    let root = with_env(&[
        ("MATRIXON__SERVER__NAME", "123"),
        ("MATRIXON__SHUTDOWN__FINISH_SECONDS", "7"),
        ("MATRIXON__DISCOVERY__ROOM", r#"["http://a:1", "http://b:2"]"#),
        ("MATRIXON__DISCOVERY__DNS__ROOM", "room:9000"),
        ("MATRIXON__DISCOVERY__NESTED__PER_SECOND", "2"),
        ("MATRIXON_CONFIG", "ignored"),
    ])
    .unwrap();
    assert_eq!(root.server.name, "123");
    assert_eq!(root.shutdown.finish_seconds, 7);
    assert_eq!(root.discovery.room, ["http://a:1", "http://b:2"]);
    assert_eq!(root.discovery.dns["room"], "room:9000");
    assert!((root.discovery.nested.per_second - 2.0).abs() < f64::EPSILON);
}

#[test]
fn errors_in_the_environment_name_the_variable() {
    let message = with_env(&[("MATRIXON__SERVER__NMAE", "x")]).unwrap_err().to_string();
    assert_eq!(message, "unknown key `server.nmae` in $MATRIXON__SERVER__NMAE; did you mean `server.name`?");
    let message = with_env(&[("MATRIXON__SHUTDOWN__FINISH_SECONDS", "soon")]).unwrap_err().to_string();
    assert!(
        message.starts_with("`shutdown.finish_seconds` in $MATRIXON__SHUTDOWN__FINISH_SECONDS must be"),
        "{message}"
    );
}

#[test]
fn secrets_come_from_files_and_are_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "hush\n").unwrap();
    let root = with_env(&[("MATRIXON__CLUSTER__SECRET_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(root.cluster.secret.expose(), "hush");
    assert!(!format!("{root:?}").contains("hush"));
    assert!(!serde_json::to_string(&root).unwrap().contains("hush"));
    let message = with_env(&[("MATRIXON__CLUSTER__SECRET_FILE", "/nowhere")]).unwrap_err().to_string();
    assert!(message.starts_with("cannot read the secret file /nowhere: "), "{message}");
}

#[test]
fn the_generated_file_loads_to_the_defaults_and_documents_every_key() {
    let text = generate::<Root>();
    let root: Root = load(&Source::text(&text)).unwrap();
    assert_eq!(serde_json::to_value(root).unwrap(), serde_json::to_value(Root::default()).unwrap());
    for expected in [
        "# The client API (gateway).\nclient = \"127.0.0.1:8008\"",
        "[discovery.nested]\n# How often.\nper_second = 0.0",
        "# secret = \"\"",
        "# tls_key =",
        "log_format = \"pretty\"",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}
