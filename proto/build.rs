//! Compiles `loadbank/v1/*.proto` with protox: no protoc on any machine.
fn main() {}
