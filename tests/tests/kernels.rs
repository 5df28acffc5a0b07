//! The GPU kernels without a GPU: their sources run as C++ and must compute what the agent
//! expects of a GPU, bit by bit; the embedded images must be what the sources compile to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use agent::hardware::cuda::image::{
    CHUNK_BYTES, Fill, Flaw, Launch, MEMORY_PASSES, SLICE_BYTES, reference,
};
use model::load::Kernel;
use system_tests::skip;

fn kernels() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/kernels")
}

/// The kernels as a program of this machine, compiled once.
fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("kernels");
        let output = Command::new(&compiler)
            .args(["-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Werror"])
            .args(["-Wno-unknown-pragmas", "-I.", "-Ihost", "host/run.cpp", "-o"])
            .arg(&program)
            .current_dir(kernels())
            .output();
        match output {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                Some((folder, program))
            }
            Err(error) => {
                skip("c++", &format!("{compiler}: {error}"));
                None
            }
        }
    });
    built.as_ref().map(|(_, program)| program.as_path())
}

/// What a run printed.
#[derive(Debug, Default)]
struct Run {
    buffer: u64,
    fills: Vec<u64>,
    hashes: Vec<u64>,
    flaws_counted: u32,
    flaws: Vec<Flaw>,
}

/// Runs a kernel on the CPU; `more` are further arguments of `host/run.cpp`.
fn run(kernel: &str, launch: &Launch, more: &[&str]) -> Option<Run> {
    let output = Command::new(program()?)
        .arg(format!("kernel={kernel}"))
        .arg(format!("operand_bytes={}", launch.operand_bytes))
        .arg(format!("buffer_bytes={}", launch.buffer_bytes))
        .arg(format!("iterations={}", launch.iterations))
        .arg(format!("tiles={}", launch.tiles))
        .arg(format!("seed={}", launch.seed))
        .arg(format!("share={}", launch.share))
        .arg(format!("pass={}", launch.pass))
        .args(more)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut run = Run::default();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let hex = |i: usize| u64::from_str_radix(words[i], 16).expect("hexadecimal");
        let number = |i: usize| words[i].parse::<u64>().expect("a number");
        match words[0] {
            "buffer" => run.buffer = number(1),
            "fill" => run.fills.push(hex(2)),
            "hash" => run.hashes.push(hex(2)),
            "flaws" => run.flaws_counted = number(1) as u32,
            "flaw" => run.flaws.push(Flaw {
                kind: number(1) as u32,
                tile: number(2) as u32,
                warp_lane: number(3) as u32,
                expected: hex(4),
                got: hex(5),
                ..Flaw::default()
            }),
            _ => panic!("{line}"),
        }
    }
    Some(run)
}

fn launch() -> Launch {
    Launch {
        operand_bytes: 2 * SLICE_BYTES,
        buffer_bytes: 45 * CHUNK_BYTES,
        iterations: 2,
        tiles: 3,
        seed: 2026,
        share: 500,
        ..Launch::default()
    }
}

/// A clean run against the reference; `launch` and then again with another seed and length.
fn agrees(kernel: &str, launch: Launch, fill: &str, expected: impl Fn(&Launch) -> Vec<u64>) {
    for launch in [launch, Launch { seed: 7, iterations: launch.iterations + 1, ..launch }] {
        let Some(got) = run(kernel, &launch, &[&format!("fill={fill}")]) else { return };
        assert_eq!(got.hashes, expected(&launch), "{kernel} {launch:?}");
        assert_eq!(got.flaws_counted, 0, "{kernel}");
    }
}

fn golden(kernel: Kernel) -> impl Fn(&Launch) -> Vec<u64> {
    move |launch| reference::golden(kernel, launch).expect("a reference")
}

#[test]
fn fma_chains_are_those_of_the_reference() {
    // Ten tiles: more than there are variants.
    agrees("lb_fp32", Launch { tiles: 10, ..launch() }, "", golden(Kernel::FmaF32));
    agrees("lb_fp64", Launch { tiles: 10, ..launch() }, "", golden(Kernel::FmaF64));
}

#[test]
fn integer_products_are_those_of_the_reference() {
    agrees("lb_int8", Launch { iterations: 1, ..launch() }, "2", golden(Kernel::Int8));
}

#[test]
fn the_self_test_of_bf16_has_the_answer_of_the_reference() {
    let short = Launch { iterations: 1, ..launch() };
    agrees("lb_bf16", short, "1", reference::bf16_integers);
}

/// On the GPU's layouts as the PTX manual has them: all but the chip's own timing.
#[test]
fn the_self_test_of_warpgroups_has_the_answer_of_the_reference() {
    let short = Launch { operand_bytes: 6 * SLICE_BYTES, iterations: 1, tiles: 2, ..launch() };
    agrees("lb_bf16_sm90a", short, "1", reference::bf16_integers_hopper);
}

#[test]
fn streams_are_those_of_the_reference() {
    agrees("lb_stream", launch(), "3", golden(Kernel::Stream));
    agrees("lb_l2", Launch { pass: 3, iterations: 3, ..launch() }, "3", golden(Kernel::L2));
    // Fewer chunks than tiles: the last tiles have none.
    let few = Launch { buffer_bytes: 2 * CHUNK_BYTES, ..launch() };
    agrees("lb_stream", few, "3", golden(Kernel::Stream));
}

/// Whatever was inverted how often, the next launch has the same hash.
#[test]
fn a_stream_needs_no_memory_of_the_launch_before() {
    let Some(got) = run("lb_stream", &launch(), &["fill=3", "passes=4"]) else { return };
    let expected: Vec<u64> =
        (0..4).flat_map(|pass| golden(Kernel::Stream)(&Launch { pass, ..launch() })).collect();
    assert_eq!(got.hashes, expected);
}

#[test]
fn fills_are_those_of_the_reference() {
    let kinds = [Fill::Bf16, Fill::Integers, Fill::Bytes, Fill::Stream];
    for what in kinds {
        let fill = format!("fill={}", what as u32);
        // The kernel behind the fill does nothing.
        let idle = Launch { iterations: 0, ..launch() };
        let Some(got) = run("lb_stream", &idle, &[&fill]) else { return };
        assert_eq!(got.fills, reference::fill(what, &launch()), "{what:?}");
    }
}

#[test]
fn every_memory_pattern_is_read_back_as_it_was_written() {
    let whole = Launch { iterations: 1, ..launch() };
    let passes = format!("passes={MEMORY_PASSES}");
    let Some(got) = run("lb_memory", &whole, &[&passes]) else { return };
    let expected: Vec<u64> = (0..MEMORY_PASSES)
        .flat_map(|pass| golden(Kernel::Memory)(&Launch { pass, ..whole }))
        .collect();
    assert_eq!(got.hashes, expected);
    assert_eq!(got.flaws_counted, 0);
}

#[test]
fn a_word_that_changed_in_memory_is_named_with_its_place() {
    let whole = Launch { iterations: 1, ..launch() };
    // Pass 1 finds the first word of tile 2 changed, before it writes it anew.
    let more = ["passes=3", "inject_kind=3", "inject_tile=2", "inject_pass=1"];
    let Some(got) = run("lb_memory", &whole, &more) else { return };
    let offset = got.flaws[0].word_offset(whole.tiles).expect("a word");
    let written = reference::memory_word(0, got.buffer + offset, whole.seed);
    assert_eq!((got.flaws_counted, offset), (1, 2 * CHUNK_BYTES));
    assert_eq!((got.flaws[0].expected, got.flaws[0].got), (written, written ^ 1 << 20));
    assert_ne!(got.hashes[5], golden(Kernel::Memory)(&Launch { pass: 1, ..whole })[2]);
}

/// Each kernel, each kind of injection: found on the GPU, in the tile that was spoiled only.
#[test]
fn every_injection_is_found() {
    let kernels = [
        ("lb_fp32", ""),
        ("lb_fp64", ""),
        ("lb_int8", "2"),
        ("lb_bf16", "0"),
        ("lb_stream", "3"),
        ("lb_l2", "3"),
        ("lb_mix", "03"),
        ("lb_bf16_sm90a", "0"),
    ];
    for (kernel, fill) in kernels {
        let tensor = matches!(kernel, "lb_int8" | "lb_bf16" | "lb_bf16_sm90a");
        let spoiled = Launch { iterations: if tensor { 1 } else { 2 }, tiles: 2, ..launch() };
        // Of the two iterations of a mix each half has one.
        let last = if tensor || kernel == "lb_mix" { 0 } else { 1 };
        for kind in 1..=3 {
            let more = [
                format!("fill={fill}"),
                format!("inject_kind={kind}"),
                "inject_tile=1".to_owned(),
                format!("inject_iteration={last}"),
            ];
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            let Some(got) = run(kernel, &spoiled, &more) else { return };
            assert!(got.flaws.iter().all(|flaw| flaw.tile == 1), "{kernel} {kind}: {got:?}");
            let hash = got.flaws.iter().filter(|flaw| flaw.kind == 0).count();
            assert_eq!(hash, 1, "{kernel} {kind}: {got:?}");
            let float =
                matches!(kernel, "lb_fp32" | "lb_fp64" | "lb_bf16" | "lb_bf16_sm90a" | "lb_mix");
            let strange = got.flaws.iter().filter(|flaw| flaw.kind == 2).count();
            assert_eq!(strange > 0, float && kind == 2, "{kernel} {kind}: {got:?}");
        }
    }
}

#[test]
fn a_stopped_tile_writes_no_hash() {
    for (kernel, fill) in
        [("lb_fp32", ""), ("lb_int8", "2"), ("lb_stream", "3"), ("lb_memory", ""), ("lb_mix", "03")]
    {
        let Some(got) = run(kernel, &launch(), &[&format!("fill={fill}"), "stop=1"]) else {
            return;
        };
        assert_eq!(got.hashes, [0; 3], "{kernel}");
        assert_eq!(got.flaws_counted, 0, "{kernel}");
    }
}

#[test]
fn the_embedded_images_are_what_the_sources_compile_to() {
    if ["LOADBANK_NVRTC", "LOADBANK_PTXAS"].iter().any(|name| std::env::var_os(name).is_none()) {
        skip(
            "nvrtc",
            "LOADBANK_NVRTC and LOADBANK_PTXAS name no tools (agent/kernels/fetch-toolchain)",
        );
        return;
    }
    let output = Command::new("python3")
        .args(["build.py", "--check"])
        .current_dir(kernels())
        .output()
        .expect("python3 starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    println!("{said}");
}
