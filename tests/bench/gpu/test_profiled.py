"""A trace is read right: what is work, what kind it is, when nothing is under way."""

from typing import Any

import pytest

from bench.gpu.profiled import WORK, Work, busy_us, kind, summary, work_in


def event(name: str, start_us: float, end_us: float, cat: str = "kernel") -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "ts": start_us, "dur": end_us - start_us}


TRACE = {
    "traceEvents": [
        event("sm90_xmma_fprop_implicit_gemm_f16", 0, 40),
        event("triton_poi_fused_gelu_0", 50, 60),
        event("triton_poi_fused_gelu_0", 55, 75),  # on another stream
        event("Memcpy DtoH (Device -> Pinned)", 90, 100, "gpu_memcpy"),
        event("cudaGraphLaunch", 0, 500, "cuda_runtime"),
        event("aten::conv2d", 0, 30, "cpu_op"),
        event("aten::convolution", 5, 25, "cpu_op"),
        event("aten::relu", 30, 35, "cpu_op"),
        {"ph": "i", "name": "an instant", "ts": 3},
    ]
}


def test_the_work_of_a_device_is_its_kernels_and_copies() -> None:
    found = summary(list(work_in(TRACE, WORK["cuda"])))
    assert found["kernels"] == 4
    assert found["device_time_ms"] == pytest.approx(0.08)
    assert found["share_products"] == pytest.approx(40 / 80)
    assert found["share_memory_bound"] == pytest.approx(30 / 80)
    assert found["share_copies"] == pytest.approx(10 / 80)
    assert found["idle_share"] == pytest.approx(25 / 100)  # 40 to 50, 75 to 90
    assert found["top"] == pytest.approx(
        {
            "sm90_xmma_fprop_implicit_gemm_f16 (1 times)": 40 / 80,
            "triton_poi_fused_gelu_0 (2 times)": 30 / 80,
            "Memcpy DtoH (Device -> Pinned) (1 times)": 10 / 80,
        }
    )


def test_of_operators_the_outermost_count() -> None:
    assert list(work_in(TRACE, WORK["cpu"])) == [Work("aten::conv2d", 0, 30), Work("aten::relu", 30, 35)]


def test_work_that_overlaps_is_busy_once() -> None:
    assert busy_us([Work("", 0, 10), Work("", 2, 4), Work("", 8, 12), Work("", 20, 21)]) == 13


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("void cutlass::Kernel2<cutlass_80_tensorop_f16_s16816fprop_optimized>", "product"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NNT", "product"),
        ("sm80_xmma_wgrad_implicit_gemm_indexed_f16f16", "product"),
        ("ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_nn", "product"),
        ("triton_tem_fused_convolution_3", "product"),
        ("void cublasLt::splitKreduce_kernel<32, 16>", "product"),
        ("triton_red_fused__native_batch_norm_legit_functional_1", "memory"),
        ("triton_poi_fused__to_copy_convert_0", "memory"),
        ("_augment_kernel", "memory"),
        ("void at::native::vectorized_elementwise_kernel<4>", "memory"),
        ("Memset (Device)", "copy"),
        ("aten::conv2d", "product"),
        ("autograd::engine::evaluate_function: ConvolutionBackward0", "product"),
        ("aten::batch_norm", "memory"),
    ],
)
def test_kernels_are_told_apart_by_name(name: str, expected: str) -> None:
    assert kind(name) == expected
