// A 3x3 convolution with a border of zeros, at 2x2 positions and up to six channels at a time.
#pragma once
#include "network.h"

// One tap: `y0` says whether what it reads for the upper two positions is inside the image, and so on.
INLINE void tap(__m512 sum[POOL][MOST_OUT], const __m512i *at, const uint32_t *weights, int pairs,
                long channel, int width, const int out, const int y0, const int y1, const int x0,
                const int x1) {
    for (int i = 0; i < pairs; i++, at += channel, weights += out) {
        __m512i v00, v01, v10, v11;
        if (y0 && x0) v00 = _mm512_load_si512(at);
        if (y0 && x1) v01 = _mm512_load_si512(at + 1);
        if (y1 && x0) v10 = _mm512_load_si512(at + width);
        if (y1 && x1) v11 = _mm512_load_si512(at + width + 1);
        UNROLL
        for (int o = 0; o < out; o++) {
            const __m512i weight = _mm512_set1_epi32((int)weights[o]);
            if (y0 && x0) sum[0][o] = dot(sum[0][o], v00, weight);
            if (y0 && x1) sum[1][o] = dot(sum[1][o], v01, weight);
            if (y1 && x0) sum[2][o] = dot(sum[2][o], v10, weight);
            if (y1 && x1) sum[3][o] = dot(sum[3][o], v11, weight);
        }
    }
}

INLINE void convolve(__m512 sum[POOL][MOST_OUT], const __m512i *pairs_at, const uint32_t *weights, int pairs,
                     int height, int width, int y, int x, const int out) {
    const long channel = (long)height * width;
    UNROLL
    for (int p = 0; p < POOL; p++) UNROLL
    for (int o = 0; o < out; o++) sum[p][o] = _mm512_setzero_ps();
    for (int t = 0; t < TAPS; t++) {
        const int dy = t / 3 - 1, dx = t % 3 - 1;
        const int top = y + dy < 0, bottom = y + dy + 1 >= height, left = x + dx < 0,
                  right = x + dx + 1 >= width;
        const __m512i *at = pairs_at + (y + dy) * width + x + dx;
        const uint32_t *w = weights + (long)t * pairs * out;
#define TAP(...) tap(sum, at, w, pairs, channel, width, out, __VA_ARGS__)
        if (top) {
            if (left) TAP(0, 1, 0, 1);
            else if (right) TAP(0, 1, 1, 0);
            else TAP(0, 1, 1, 1);
        } else if (bottom) {
            if (left) TAP(1, 0, 0, 1);
            else if (right) TAP(1, 0, 1, 0);
            else TAP(1, 0, 1, 1);
        } else {
            if (left) TAP(1, 1, 0, 1);
            else if (right) TAP(1, 1, 1, 0);
            else TAP(1, 1, 1, 1);
        }
#undef TAP
    }
}
