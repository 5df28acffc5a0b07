// Written by build.py: the SHA-256 of each image.
pub(super) const BASE: &str =
    "45f8c7f8875510d22b06af7018ce5872967c9ca6b69f2a9d6de5dc1488ac464b";
pub(super) const HOPPER: &str =
    "0d9270c4d3d26541212508aa5e8e69303bdd7f6ad57accc20ecb3fdbe6c621b2";
