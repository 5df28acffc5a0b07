// Written by build.py: the SHA-256 of each image.
pub(super) const BASE: &str =
    "bf9be8e4f3180e8b0b89efd3bb1101e65c9a883985c154d8cf77eead942702e5";
