//! Lists `migrations/{postgres,sqlite}/NNNN_name.sql` as a constant, so that adding a migration touches no code.
use std::{env, fmt::Write as _, fs, path::Path};

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../../migrations");
    let mut out = String::from("&[\n");
    for dir in ["postgres", "sqlite"] {
        println!("cargo::rerun-if-changed={}", root.join(dir).display());
    }
    let mut names: Vec<_> = fs::read_dir(root.join("postgres"))
        .expect("migrations/postgres exists")
        .map(|entry| entry.expect("readable directory").file_name().into_string().expect("UTF-8 file name"))
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "sql"))
        .collect();
    names.sort();
    for name in names {
        let (version, title) = name.trim_end_matches(".sql").split_once('_').expect("NNNN_name.sql");
        let version: i64 = version.parse().expect("NNNN_name.sql");
        let path = |dir: &str| {
            let path = root.join(dir).join(&name).canonicalize().expect("a migration exists in both dialects");
            path.into_os_string().into_string().expect("UTF-8 path")
        };
        writeln!(
            out,
            "Migration {{ version: {version}, name: {title:?}, postgres: include_str!({:?}), sqlite: include_str!({:?}) }},",
            path("postgres"),
            path("sqlite"),
        )
        .expect("writing to a string");
    }
    out.push(']');
    fs::write(Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("migrations.rs"), out)
        .expect("writable OUT_DIR");
}
