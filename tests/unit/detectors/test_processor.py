"""Which processors multiply bytes without losing any."""

from __future__ import annotations

import pytest

from agent.detectors.processor import tells_exact

_HASWELL = "processor\t: 0\nmodel name\t: Intel Core i5-4590\nflags\t\t: fpu sse4_2 avx avx2 fma\n"
_N100 = "processor\t: 0\nmodel name\t: Intel N100\nflags\t\t: fpu sse4_2 avx avx2 fma avx_vnni\n"
_ZEN4 = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: avx2 avx512f avx512_vnni avx512_bf16\n"
_PI = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid asimddp\n"


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "exact"),
    [
        (_HASWELL, "x86_64", False),
        (_N100, "x86_64", True),
        (_ZEN4, "x86_64", True),
        (_PI, "aarch64", True),
        ("", "x86_64", False),
    ],
    ids=["an old PC", "N100", "a new server", "Raspberry Pi", "an x86 that tells nothing"],
)
def test_sums_of_bytes_are_whole_with_vnni_and_on_arm(cpuinfo: str, machine: str, *, exact: bool) -> None:
    assert tells_exact(cpuinfo, machine) is exact
