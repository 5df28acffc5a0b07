//! Compiles `loadbank/v1/*.proto` with protox: no protoc on any machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files =
        ["record", "agent", "operator", "worker", "join"].map(|f| format!("loadbank/v1/{f}.proto"));
    println!("cargo:rerun-if-changed=loadbank/v1");
    let descriptors = protox::compile(&files, ["."])?;
    // Only GPUs have one: every other record stays small.
    let config = tonic_prost_build::configure().boxed(".loadbank.v1.Sample.gpu");
    config.compile_fds(descriptors)?;
    Ok(())
}
