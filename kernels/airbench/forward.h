// From images to features.
#pragma once
#include "network.h"

static void pairs_of_activations(const Net *net, const Layer *l, int slot, __mmask16 images) {
    const bf16 *z = l->z + slot * size_of(l);
    for (int c = 0; c < l->channels; c += 2)
        for (int p = 0; p < l->positions; p++) {
            const bf16 *even = z + ((long)c * l->positions + p) * LANES,
                       *odd = even + (long)l->positions * LANES;
            const __m512 a = _mm512_maskz_mov_ps(images, activated(l, c, widen(even)));
            const __m512 b = _mm512_maskz_mov_ps(images, activated(l, c + 1, widen(odd)));
            net->pairs[pair_at(c / 2, p, l->channels / 2, l->positions)] = interleave(narrow(a), narrow(b));
        }
}

static void whiten(const Net *net, const uint32_t *images, int n, int first, int slot, const float *filters,
                   const float *bias) {
    const Layer *l = &net->layer[0];
    const int pairs_in_row = l->columns * 3 / 2; // of one image: three colours, two numbers a pair
    const long image = (long)l->rows * pairs_in_row;
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i there = _mm512_min_epi32(lane, _mm512_set1_epi32(n - 1 - first));
    const __m512i offset = _mm512_mullo_epi32(there, _mm512_set1_epi32((int)image));
    uint32_t w[64 * PATCH_PAIRS];
    for (int c = 0; c < l->channels; c++)
        for (int i = 0; i < PATCH_PAIRS; i++) { // filters[c][colour][y][x]; a patch row is x0 RGB, x1 RGB
            const int y = i / 3, even = i % 3 * 2, odd = even + 1;
            const float *f = filters + c * 12 + y * 2;
            w[c * PATCH_PAIRS + i] = as_pair(f[even % 3 * 4 + even / 3], f[odd % 3 * 4 + odd / 3]);
        }
    images += first * image;
    for (int y = 0; y < l->height; y++)
        for (int x = 0; x < l->width; x++) {
            __m512i patch[PATCH_PAIRS];
            UNROLL
            for (int i = 0; i < PATCH_PAIRS; i++)
                patch[i] = _mm512_i32gather_epi32(
                    offset, images + (2 * y + i / 3) * (long)pairs_in_row + 3 * x + i % 3, 4);
            bf16 *z = l->z + slot * size_of(l) + ((long)y * l->width + x) * LANES;
            for (int c = 0; c < l->channels; c++, z += (long)l->positions * LANES) {
                __m512 sum = _mm512_setzero_ps();
                UNROLL
                for (int i = 0; i < PATCH_PAIRS; i++)
                    sum = dot(sum, patch[i], _mm512_set1_epi32((int)w[c * PATCH_PAIRS + i]));
                store(z, narrow(_mm512_add_ps(sum, _mm512_set1_ps(bias[c]))));
            }
        }
}

INLINE void forward_tile(const Net *net, const Layer *l, int slot, int y, int x, int c,
                         const uint32_t *filters, const int out, const int pooled) {
    __m512 sum[POOL][MOST_OUT];
    convolve(sum, net->pairs, filters, l->in / 2, l->rows, l->columns, y, x, out);
    UNROLL
    for (int o = 0; o < out; o++) {
        const long at = slot * size_of(l) + (long)(c + o) * l->positions * LANES;
        float *lane_sum = net->lane_sum + (c + o) * LANES, *lane_square = net->lane_square + (c + o) * LANES;
        if (pooled) {
            const __m512 upper = _mm512_max_ps(sum[0][o], sum[1][o]),
                         lower = _mm512_max_ps(sum[2][o], sum[3][o]);
            const __mmask16 in_upper = _mm512_cmp_ps_mask(upper, lower, _CMP_GE_OQ);
            const __mmask16 right_up = _mm512_cmp_ps_mask(sum[1][o], sum[0][o], _CMP_GT_OQ);
            const __mmask16 right_down = _mm512_cmp_ps_mask(sum[3][o], sum[2][o], _CMP_GT_OQ);
            const __mmask16 right = (__mmask16)((in_upper & right_up) | (~in_upper & right_down));
            const __m128i winner =
                _mm_or_si128(_mm_maskz_set1_epi8((__mmask16)~in_upper, 2), _mm_maskz_set1_epi8(right, 1));
            const long p = at + ((long)(y / 2) * l->width + x / 2) * LANES;
            const __m256i z = narrow(_mm512_max_ps(upper, lower));
            store(l->z + p, z);
            _mm_store_si128((__m128i *)(l->winner + p), winner);
            const __m512 rounded = widen(l->z + p);
            add_to(lane_sum, rounded);
            add_to(lane_square, _mm512_mul_ps(rounded, rounded));
        } else {
            UNROLL
            for (int k = 0; k < POOL; k++) {
                bf16 *z = l->z + at + ((long)(y + k / 2) * l->width + x + k % 2) * LANES;
                store(z, narrow(sum[k][o]));
                const __m512 rounded = widen(z);
                add_to(lane_sum, rounded);
                add_to(lane_square, _mm512_mul_ps(rounded, rounded));
            }
        }
    }
}

static void forward_block(const Net *net, const Layer *l, int slot) {
    const int outs = outs_at_a_place(l->channels);
    begin_convolution(l->in, l->channels);
    for (int from = 0; from < l->channels; from += outs)
        for (int y = 0; y < l->rows; y += 2)
            for (int x = 0; x < l->columns; x += 2)
                for (int c = from, out; c < from + outs && c < l->channels; c += out) {
                    const uint32_t *filters = l->forward + filters_before(l->channels, c, l->in);
                    out = out_at_once(l->channels, c);
                    if (out == MOST_OUT && l->pooled)
                        forward_tile(net, l, slot, y, x, c, filters, MOST_OUT, 1);
                    if (out == MOST_OUT && !l->pooled)
                        forward_tile(net, l, slot, y, x, c, filters, MOST_OUT, 0);
                    if (out != MOST_OUT && l->pooled)
                        forward_tile(net, l, slot, y, x, c, filters, fewer(out), 1);
                    if (out != MOST_OUT && !l->pooled)
                        forward_tile(net, l, slot, y, x, c, filters, fewer(out), 0);
                }
}

static void features_of(const Net *net, int slot, int first, int n, float *features, int32_t *top) {
    const Layer *l = &net->layer[net->layers - 1];
    float lanes[LANES];
    for (int c = 0; c < l->channels; c++) {
        const bf16 *z = l->z + slot * size_of(l) + (long)c * l->positions * LANES;
        __m512 best = activated(l, c, widen(z));
        __m512i where = _mm512_setzero_si512();
        for (int p = 1; p < l->positions; p++) {
            const __m512 y = activated(l, c, widen(z + (long)p * LANES));
            const __mmask16 larger = _mm512_cmp_ps_mask(y, best, _CMP_GT_OQ);
            best = _mm512_mask_mov_ps(best, larger, y);
            where = _mm512_mask_set1_epi32(where, larger, p);
        }
        _mm512_storeu_ps(lanes, best);
        if (top) _mm512_store_si512(top + c * LANES, where);
        for (int i = 0; i < LANES && first + i < n; i++)
            features[(long)(first + i) * l->channels + c] = lanes[i];
    }
}
