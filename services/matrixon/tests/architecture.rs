//! The house stays drawn: which crate may know which, who names sqlx and axum, and how long a file may get.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const SERVICES: [&str; 6] = ["auth", "room", "sync", "media", "federation", "gateway"];
const LIBRARIES: [&str; 10] =
    ["matrix", "http", "rpc", "store", "bus", "cache", "egress", "runtime", "rooms", "accounts"];
const LONGEST_FILE: usize = 500;

/// What a crate of ours may depend on, of ours.
fn allowed(name: &str) -> Vec<&'static str> {
    match name {
        // the floors from the bottom up
        "proto" | "matrix" | "runtime" | "testkit" => vec![],
        "store" | "bus" | "cache" => vec!["runtime", "proto"],
        "egress" => vec!["runtime"],
        "http" | "rpc" => vec!["matrix", "proto", "runtime"],
        "rooms" => vec!["store", "matrix", "runtime"],
        "accounts" => vec!["store", "runtime"],
        "loadtest" => vec!["testkit"],
        name if SERVICES.contains(&name) => LIBRARIES.into_iter().chain(["proto"]).collect(),
        "matrixon" => SERVICES.into_iter().chain(LIBRARIES).chain(["proto"]).collect(),
        name => panic!("`{name}` is new: give it its place in this table and in docs/architecture.md"),
    }
}

/// External crates that only these of ours may name.
const EXCLUSIVE: [(&str, &[&str]); 10] = [
    ("sqlx", &["store"]),
    ("redis", &["cache"]),
    ("async-nats", &["bus"]),
    ("prometheus", &["runtime"]),
    ("tracing-subscriber", &["runtime", "loadtest"]),
    ("hickory-resolver", &["rpc"]),
    ("argon2", &["auth"]),
    ("lettre", &["auth"]),
    ("reqwest", &["egress", "matrixon", "testkit"]),
    ("toml", &["runtime", "testkit", "loadtest"]),
];

struct Crate {
    name: String,
    directory: PathBuf,
    /// Without development dependencies; ours by their short name.
    ours: BTreeSet<String>,
    external: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).ancestors().nth(2).unwrap().to_owned()
}

fn short(name: &str) -> String {
    name.strip_prefix("matrixon-").unwrap_or(name).to_owned()
}

fn crates() -> BTreeMap<String, Crate> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(read_crate).map(|one| (one.name.clone(), one)).collect()
}

fn read_crate(package: &Value) -> Crate {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let mut one = Crate {
        name: short(package["name"].as_str().unwrap()),
        directory: manifest.parent().unwrap().to_owned(),
        ours: BTreeSet::new(),
        external: BTreeSet::new(),
    };
    for dependency in package["dependencies"].as_array().unwrap() {
        if dependency["kind"] == "dev" {
            continue;
        }
        let name = dependency["name"].as_str().unwrap();
        if dependency["path"].is_string() {
            one.ours.insert(short(name))
        } else {
            one.external.insert(name.to_owned())
        };
    }
    one
}

/// Every Rust file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Code lines that name `word` as a path's first segment: `use sqlx…` or `sqlx::…`, not comments.
fn naming(text: &str, word: &str) -> Vec<usize> {
    let named = |line: &str| {
        let line = line.split("//").next().unwrap_or_default();
        line.match_indices(word).any(|(at, _)| {
            let starts =
                !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':');
            let rest = &line[at + word.len()..];
            starts
                && (rest.starts_with("::") || (line.trim_start().starts_with("use ") && rest.starts_with([';', ' '])))
        })
    };
    text.lines().enumerate().filter(|(_, line)| named(line)).map(|(number, _)| number + 1).collect()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn crates_know_only_the_floors_below() {
    let mut problems = Vec::new();
    for one in crates().values() {
        let allowed = allowed(&one.name);
        for other in one.ours.iter().filter(|other| !allowed.contains(&other.as_str())) {
            problems.push(format!("{} must not depend on {other}", one.name));
        }
    }
    assert_none(&problems);
}

#[test]
fn some_libraries_belong_to_one_crate() {
    let mut problems = Vec::new();
    for one in crates().values() {
        for (library, owners) in EXCLUSIVE {
            if one.external.contains(library) && !owners.contains(&one.name.as_str()) {
                problems.push(format!("{} must not depend on {library}: {} owns it", one.name, owners.join(", ")));
            }
        }
        if one.name == "matrix" {
            for library in ["tokio", "axum", "hyper", "futures", "tracing"] {
                assert!(!one.external.contains(library), "matrix is pure: no I/O and no async, so no {library}");
            }
        }
    }
    assert_none(&problems);
}

/// `http, rpc, consumers → domain → store` within a service.
#[test]
fn within_a_service_only_store_names_sqlx_and_only_http_names_axum() {
    let mut problems = Vec::new();
    for service in SERVICES {
        let source = root().join("services").join(service).join("src");
        for path in files(&source) {
            let relative = path.strip_prefix(&source).unwrap();
            let area = relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
            let text = fs::read_to_string(&path).unwrap();
            let mut refuse = |word: &str, rule: &str| {
                for line in naming(&text, word) {
                    problems.push(format!("services/{service}/src/{}:{line} names {word}: {rule}", relative.display()));
                }
            };
            if area != "store" {
                refuse("sqlx", "only store modules do");
                refuse("matrixon_store::sqlx", "only store modules do");
            }
            // The gateway is the edge: all of it is HTTP. A service's lib.rs joins its HTTP and gRPC routers.
            if service != "gateway" && !["http", "rpc", "lib", "tests"].contains(&area) {
                refuse("axum", "only http modules do");
            }
            if area == "store" {
                for above in ["crate::http", "crate::rpc", "crate::consumers"] {
                    refuse(above, "store calls nothing above it");
                }
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn no_file_is_too_long() {
    let mut problems = Vec::new();
    for one in crates().values() {
        let parts = ["src", "tests", "benches"].map(|part| one.directory.join(part));
        for path in parts.iter().filter(|part| part.is_dir()).flat_map(|part| files(part)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            if lines > LONGEST_FILE {
                problems.push(format!("{} has {lines} lines, more than {LONGEST_FILE}: split it", path.display()));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn naming_is_recognised() {
    assert_eq!(
        naming("use sqlx::Row;\nlet a = sqlx::query();\n// sqlx::query\nmy_sqlx::x();\nuse sqlx;", "sqlx"),
        [1, 2, 5]
    );
}
