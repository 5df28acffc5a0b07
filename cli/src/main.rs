//! The binary of the operator: see the library of this package.

fn main() {}
