//! Compiles `proto/<service>/v1/*.proto` with protox, so that no protoc is needed.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["auth/v1/auth.proto", "bus/v1/bell.proto", "error/v1/error.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
