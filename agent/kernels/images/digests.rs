// Written by build.py: the SHA-256 of each image.
pub(super) const BASE: &str =
    "45f8c7f8875510d22b06af7018ce5872967c9ca6b69f2a9d6de5dc1488ac464b";
