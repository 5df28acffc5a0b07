use std::path::{Path, PathBuf};

use model::load::Kernel;

use super::*;

fn kernels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels")
}

fn images() -> Vec<&'static Image> {
    images_for(9, 0)
}

/// Needs no compiler: a source changed without its image, or an image by hand, is told here.
#[test]
fn sources_and_images_are_those_of_the_manifest() {
    let manifest = std::fs::read_to_string(kernels().join("images/manifest.txt")).unwrap();
    let listed: Vec<(&str, &str)> = manifest
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once("  ").unwrap())
        .collect();
    for (sha256, path) in &listed {
        let data = std::fs::read(kernels().join(path)).unwrap();
        assert_eq!(sha256::hex(&data), *sha256, "{path}: run agent/kernels/build.py");
    }
    for folder in ["", "gpu"] {
        for entry in std::fs::read_dir(kernels().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "cu" || end == "cuh") {
                let name = path.strip_prefix(kernels()).unwrap().to_str().unwrap();
                assert!(listed.iter().any(|(_, listed)| *listed == name), "{name} is not listed");
            }
        }
    }
}

#[test]
fn an_embedded_image_has_the_digest_that_it_says() {
    for image in images() {
        assert_eq!(sha256::hex(image.ptx.as_bytes()), image.sha256, "{}", image.name);
    }
}

#[test]
fn every_kernel_is_in_its_image_with_the_threads_of_its_shape() {
    for image in images() {
        let shapes = Kernel::ALL.iter().filter_map(|kernel| shape(*kernel, image));
        let mut fills = (image.name == "base").then(fill_shape).into_iter();
        for shape in shapes.chain(fills.by_ref()) {
            let entry = format!(".visible .entry {}(", shape.entry);
            let from = image.ptx.find(&entry).expect(shape.entry);
            let head = &image.ptx[from..from + 400];
            let threads = format!(".maxntid {}, 1, 1", shape.block_threads);
            assert!(head.contains(&threads), "{}: {head}", shape.entry);
            assert!(head.contains("[104]"), "{}: the parameter's size: {head}", shape.entry);
        }
    }
}

#[test]
fn every_kernel_but_copies_has_a_shape_on_every_gpu_that_is_served() {
    assert!(images_for(7, 5).is_empty());
    for (major, minor) in [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 1)] {
        for kernel in Kernel::ALL {
            let shapes =
                images_for(major, minor).iter().filter(|i| shape(kernel, i).is_some()).count();
            assert_eq!(shapes > 0, kernel != Kernel::Copy, "{} on {major}.{minor}", kernel.word());
        }
    }
}

#[test]
fn a_wrong_word_says_where_it_lies() {
    // The second chunk of tile 2 of 5 is chunk 7.
    let flaw = Flaw { tile: 2, warp_lane: 4096 + 3, kind: 1, ..Flaw::default() };
    assert_eq!(flaw.word_offset(5), Some(7 * CHUNK_BYTES + 24));
    assert_eq!(Flaw { kind: 0, ..flaw }.word_offset(5), None);
    assert_eq!(Flaw { kind: 9, ..flaw }.kind(), None);
}
