//! Compiles `proto/<service>/v1/*.proto` with protox, so that no protoc is needed.
use std::{env, fmt::Write as _, fs, path::Path};

/// What the administration speaks is JSON as well.
const ADMIN: &str = "matrixon.admin.v1";
/// Messages that hold passwords: they cannot be printed by mistake.
const SECRET: [&str; 5] =
    ["CreateUserRequest", "ResetPasswordRequest", "ReactivateUserRequest", "ImportUser", "ImportUsersRequest"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["admin/v1/admin.proto", "auth/v1/auth.proto", "bus/v1/bell.proto", "error/v1/error.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let secrets: Vec<String> = SECRET.iter().map(|name| format!("{ADMIN}.{name}")).collect();
    let mut builder = tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(secrets.iter().map(|name| format!(".{name}")).collect::<Vec<_>>());
    let mut methods = String::from("&[");
    for file in descriptors.file.iter().filter(|file| file.package() == ADMIN) {
        for message in &file.message_type {
            // what is sent to us must be understood; what is answered may grow
            let strict = message.name().ends_with("Request") || message.name() == "ImportUser";
            let rules = if strict { "default, deny_unknown_fields" } else { "default" };
            builder = builder.message_attribute(
                format!(".{ADMIN}.{}", message.name()),
                format!("#[derive(serde::Serialize, serde::Deserialize)]\n#[serde({rules})]"),
            );
            for field in message.field.iter().filter(|field| field.proto3_optional()) {
                // what is not there is left out, never null
                let path = format!(".{ADMIN}.{}.{}", message.name(), field.name());
                builder = builder.field_attribute(path, "#[serde(skip_serializing_if = \"Option::is_none\")]");
            }
        }
        for service in &file.service {
            for method in &service.method {
                write!(methods, "\"/{ADMIN}.{}/{}\", ", service.name(), method.name())?;
            }
        }
    }
    methods.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("admin_methods.rs"), methods)?;
    builder.compile_fds(descriptors)?;
    Ok(())
}
