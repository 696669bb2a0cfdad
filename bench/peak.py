"""The fused multiply-adds that this machine does at most, measured: GFLOP/s of one core or all.

    python bench/peak.py

The loop is written in LLVM's own language: independent chains of vector FMAs that never leave
the registers, as wide as the processor's vectors. No compiler can shorten it and no memory is
touched, so nothing that computes in float64 on this machine, at the clock of that moment, is
faster. A float32 vector holds twice as many numbers: its peak is twice this one.
"""

import ctypes
import functools
import os
import platform
import statistics
import threading
import time

import numba
from llvmlite import binding

LOOP = """
attributes #0 = {{ "prefer-vector-width"="512" "min-legal-vector-width"="512" }}
declare {vec} @llvm.fma.v{width}f64({vec}, {vec}, {vec})
define double @fma_loop(i64 %n, double %seed) #0 {{
entry:
  %one = insertelement {vec} undef, double %seed, i32 0
  %a = shufflevector {vec} %one, {vec} undef, <{width} x i32> zeroinitializer
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{phis}
{fmas}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
{sums}
  %result = extractelement {vec} %s{last}, i32 0
  ret double %result
}}
"""


def vector_shape():
    """(doubles in a vector, independent chains): enough to hide the latency, all in registers."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return 2, 20
    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 8, 20
    return (4 if features.get("avx2") else 2), 12


def loop_source(width, chains):
    """The loop as LLVM source; the sums use every chain."""
    vec = f"<{width} x double>"
    phi = "  %c{0} = phi {vec} [ %a, %entry ], [ %d{0}, %loop ]"
    fma = "  %d{0} = call {vec} @llvm.fma.v{width}f64({vec} %c{0}, {vec} %a, {vec} %a)"
    total = "  %s{0} = fadd {vec} %d{0}, {before}"
    lines = {name: [] for name in ("phis", "fmas", "sums")}
    for j in range(chains):
        before = f"%s{j - 1}" if j else "%a"
        for one, name in ((phi, "phis"), (fma, "fmas"), (total, "sums")):
            lines[name].append(one.format(j, vec=vec, width=width, before=before))
    parts = {name: "\n".join(each) for name, each in lines.items()}
    return LOOP.format(vec=vec, width=width, last=chains - 1, **parts)


@functools.cache
def fma_loop():
    """(compiled loop, operations of one turn); the caller's thread runs it without the GIL."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    width, chains = vector_shape()
    target = binding.Target.from_triple(binding.get_process_triple())
    machine = target.create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
    )
    module = binding.parse_assembly(loop_source(width, chains))
    module.verify()
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    address = engine.get_function_address("fma_loop")
    function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int64, ctypes.c_double)(address)
    function.engine = engine  # the code lives as long as it
    return function, 2 * width * chains


def _rate(turns):
    """GFLOP/s of the calling thread."""
    function, operations = fma_loop()
    started = time.perf_counter()
    function(turns, 0.5)  # the chains settle at 1: no infinities, no subnormals
    return turns * operations / (time.perf_counter() - started) / 1e9


def _member(number, turns, barrier, rates):
    """One of several threads, on a core of its own: the system needs too long to part them."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})  # of this thread, which ends soon
    barrier.wait()
    rates.append(_rate(turns))


def peak(threads=1, seconds=0.03):
    """GFLOP/s of that many threads at once, for about that long."""
    _, operations = fma_loop()
    turns = max(1000, int(seconds * _rate(200_000) * 1e9 / operations))
    if threads == 1:
        return _rate(turns)
    barrier, rates = threading.Barrier(threads), []
    team = [
        threading.Thread(target=_member, args=(number, turns, barrier, rates))
        for number in range(threads)
    ]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return sum(rates)


def main():
    for count in dict.fromkeys((1, numba.config.NUMBA_NUM_THREADS)):
        found = [peak(count) for _ in range(9)]
        low, mid, high = (f(found) for f in (min, statistics.median, max))
        print(f"{count} thread(s): {mid:.1f} GFLOP/s [{low:.1f}, {high:.1f}]")


if __name__ == "__main__":
    main()
