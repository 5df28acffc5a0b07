#!/usr/bin/env python3
"""Builds the GPU images that the agent embeds, or proves that they are what the sources give.

    build.py            compiles and writes images/*.ptx, images/digests.rs, images/manifest.txt
    build.py --check    compiles into a temporary folder, compares every byte, assembles for
                        each GPU that an image is for, fails on a spilled register

LOADBANK_NVRTC names the library of the pinned NVRTC, LOADBANK_PTXAS the assembler;
`fetch-toolchain` brings both. Exit 0: as said; 1: stale or spilling; 2: the tools are missing
or are others.
"""

import ctypes
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NVRTC_PINNED = (12, 0)
OPTIONS = ["--std=c++17", "--fmad=false", "-I.", "-Igpu"]
# Image: source, what NVRTC compiles for, what ptxas must assemble it for without a spill.
IMAGES = {
    "base": ("base.cu", "compute_80", ["sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]),
    "hopper": ("hopper.cu", "compute_90a", ["sm_90a"]),
}
# C75..: the assembler gave up on overlapping products, or ignored a hint. A stack frame means
# an array that was meant for registers.
TROUBLE = re.compile(r"error|warning|\(C75\d\d\)|[1-9]\d* bytes stack frame")


class Refused(Exception):
    """What can't go on, with the exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def tool(variable):
    path = os.environ.get(variable, "")
    if not os.path.isfile(path):
        raise Refused(2, f"{variable} names no file: {path!r}; see fetch-toolchain")
    return path


class Nvrtc:
    """The run-time compiler, through its C interface."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.ask("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = (major.value, minor.value)
        if self.version != NVRTC_PINNED:
            raise Refused(2, f"NVRTC {self.version}, the images are made with {NVRTC_PINNED}")

    def ask(self, call, *arguments):
        code = getattr(self.lib, call)(*arguments)
        if code != 0:
            raise Refused(1, f"{call} failed with {code}")

    def text(self, program, what):
        size = ctypes.c_size_t()
        self.ask(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.ask(f"nvrtcGet{what}", program, buffer)
        return buffer.value

    def compile(self, source, target):
        program = ctypes.c_void_p()
        text = (HERE / source).read_bytes()
        self.ask("nvrtcCreateProgram", ctypes.byref(program), text, source.encode(), 0, None, None)
        options = [f"--gpu-architecture={target}", *OPTIONS]
        array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
        failed = self.lib.nvrtcCompileProgram(program, len(options), array)
        log = self.text(program, "ProgramLog").decode().strip()
        if failed or log:
            raise Refused(1, f"{source}:\n{log}")
        return self.text(program, "PTX")


def digest(data):
    return hashlib.sha256(data).hexdigest()


def sources():
    """Every file that an image is made of, in order."""
    found = [*HERE.glob("*.cu"), *HERE.glob("*.cuh"), *HERE.glob("gpu/*.cuh")]
    return sorted(path.relative_to(HERE).as_posix() for path in found)


def built(nvrtc):
    """All that lies under images/, by name."""
    files = {f"{name}.ptx": nvrtc.compile(source, target)
             for name, (source, target, _) in IMAGES.items()}
    constants = [f'pub(super) const {name.upper()}: &str =\n    "{digest(files[f"{name}.ptx"])}";'
                 for name in IMAGES]
    head = "// Written by build.py: the SHA-256 of each image.\n"
    lines = [f"# nvrtc {nvrtc.version[0]}.{nvrtc.version[1]} {' '.join(OPTIONS)}"]
    lines += [f"# images/{name}.ptx from {source} for {target}"
              for name, (source, target, _) in IMAGES.items()]
    lines += [f"{digest((HERE / path).read_bytes())}  {path}" for path in sources()]
    lines += [f"{digest(files[name])}  images/{name}" for name in sorted(files)]
    files["digests.rs"] = (head + "\n".join(constants) + "\n").encode()
    files["manifest.txt"] = ("\n".join(lines) + "\n").encode()
    return files


def assemble(ptxas, name, ptx):
    """Registers a kernel needs on each GPU; a spill or a warning is an error."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, f"{name}.ptx")
        path.write_bytes(ptx)
        for target in IMAGES[name][2]:
            command = [ptxas, "-v", "-warn-spills", "-Werror", f"-arch={target}", str(path),
                       "-o", os.path.join(folder, "out.cubin")]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            said = run.stdout + run.stderr
            trouble = [line for line in said.splitlines() if TROUBLE.search(line)]
            if run.returncode != 0 or trouble:
                raise Refused(1, f"{name} for {target}:\n" + "\n".join(trouble or [said]))
            kernels = re.findall(r"Compiling entry function '(\w+)'", said)
            registers = re.findall(r"Used (\d+) registers", said)
            pairs = sorted(zip(kernels, registers, strict=True))
            print(f"{name} {target}: " + ", ".join(f"{kernel} {used}" for kernel, used in pairs))


def check(files, ptxas):
    for name in IMAGES:
        assemble(ptxas, name, files[f"{name}.ptx"])
    stale = [name for name, data in files.items()
             if not (HERE / "images" / name).is_file()
             or (HERE / "images" / name).read_bytes() != data]
    if stale:
        raise Refused(1, f"stale: {', '.join(stale)}: run build.py and commit what it writes")
    print(f"{len(IMAGES)} images are what their sources give")


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        raise Refused(2, __doc__.strip())
    nvrtc = Nvrtc(tool("LOADBANK_NVRTC"))
    os.chdir(HERE)
    files = built(nvrtc)
    if sys.argv[1:] == ["--check"]:
        check(files, tool("LOADBANK_PTXAS"))
        return
    (HERE / "images").mkdir(exist_ok=True)
    for name, data in files.items():
        (HERE / "images" / name).write_bytes(data)
        print(f"images/{name}: {len(data)} bytes")


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        print(f"build.py: {refused}", file=sys.stderr)
        sys.exit(refused.code)
