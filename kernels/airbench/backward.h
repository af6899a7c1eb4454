// From the gradient of the features to those of weights and biases.
#pragma once
#include "network.h"

// The gradient of z, from that of the normalised result, at every position of the convolution before pooling.
static void gradient_of_convolution(const Net *net, const Layer *l, int block, bf16 *rows) {
    const float count = (float)net->batch * l->positions;
    const __mmask16 images = images_in(net, block);
    for (int c = 0; c < l->channels; c++) {
        const float rstd = l->rstd[c], by_z = -rstd * rstd * (float)(l->square[c] / count);
        const __m512 scale = _mm512_set1_ps(rstd), slope = _mm512_set1_ps(by_z);
        const __m512 level = _mm512_set1_ps(-rstd * (float)(l->sum[c] / count) - by_z * l->mean[c]);
        const long at = block * size_of(l) + (long)c * l->positions * LANES;
        const bf16 *z = l->z + at, *g = l->g + at;
        for (int p = 0; p < l->positions; p++, z += LANES, g += LANES) {
            const __m512 rest = _mm512_fmadd_ps(widen(z), slope, level);
            const __m256i dz = narrow(_mm512_maskz_fmadd_ps(images, widen(g), scale, rest));
            if (!l->pooled) {
                store(rows + row_at(l, c, p) * LANES, dz);
                continue;
            }
            const __m128i winner = _mm_load_si128((const __m128i *)(l->winner + at + (long)p * LANES));
            const long corner = (long)(p / l->width) * 2 * l->columns + p % l->width * 2;
            UNROLL
            for (int k = 0; k < POOL; k++) {
                const __mmask16 won = _mm_cmpeq_epi8_mask(winner, _mm_set1_epi8((char)k));
                store(rows + row_at(l, c, corner + k / 2 * l->columns + k % 2) * LANES,
                      _mm256_maskz_mov_epi16(won, dz));
            }
        }
    }
}

static void pairs_of_rows(const Layer *l, const bf16 *rows, __m512i *pairs) {
    const long positions = (long)l->rows * l->columns;
    for (int c = 0; c < l->channels; c += 2)
        for (long p = 0; p < positions; p++) {
            const __m256i *even = (const __m256i *)rows + row_at(l, c, p),
                          *odd = (const __m256i *)rows + row_at(l, c + 1, p);
            pairs[pair_at(c / 2, p, l->channels / 2, positions)] =
                interleave(_mm256_load_si256(even), _mm256_load_si256(odd));
        }
}

static void backward_features(Net *net, const float *gradient) {
    Layer *l = &net->layer[net->layers - 1];
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i offset = _mm512_mullo_epi32(lane, _mm512_set1_epi32(l->channels));
    forget(net, l);
    for (int block = 0; block < net->blocks; block++) {
        for (int c = 0; c < l->channels; c++) {
            const __m512 from_above =
                _mm512_mask_i32gather_ps(_mm512_setzero_ps(), images_in(net, block), offset,
                                         gradient + (long)block * LANES * l->channels + c, 4);
            const long at = block * size_of(l) + (long)c * l->positions * LANES;
            const __m512i top = _mm512_load_si512(net->top + ((long)block * l->channels + c) * LANES);
            for (int p = 0; p < l->positions; p++) {
                const __m512 z = widen(l->z + at + (long)p * LANES);
                __mmask16 passes = _mm512_cmpeq_epi32_mask(top, _mm512_set1_epi32(p));
                passes &= _mm512_cmp_ps_mask(activated(l, c, z), _mm512_setzero_ps(), _CMP_GT_OQ);
                bf16 *g = l->g + at + (long)p * LANES;
                store(g, narrow(_mm512_maskz_mov_ps(passes, from_above)));
                const __m512 rounded = widen(g), centred = _mm512_sub_ps(z, _mm512_set1_ps(l->mean[c]));
                add_to(net->lane_sum + c * LANES, rounded);
                add_to(net->lane_square + c * LANES,
                       _mm512_mul_ps(_mm512_mul_ps(rounded, centred), _mm512_set1_ps(l->rstd[c])));
            }
        }
        keep_sums(net, l);
    }
}

INLINE void backward_tile(const Net *net, const Layer *l, Layer *before, int block, int y, int x, int c,
                          const uint32_t *filters, const int out, const int keep) {
    __m512 sum[POOL][MOST_OUT];
    convolve(sum, net->pairs, filters, l->channels / 2, l->rows, l->columns, y, x, out);
    UNROLL
    for (int o = 0; o < out; o++) {
        const long at = block * size_of(before) + (long)(c + o) * before->positions * LANES;
        const __m512 mean = _mm512_set1_ps(before->mean[c + o]), rstd = _mm512_set1_ps(before->rstd[c + o]);
        __m512 total = _mm512_setzero_ps(), weighted = _mm512_setzero_ps();
        UNROLL
        for (int k = 0; k < POOL; k++) {
            const long p = at + ((long)(y + k / 2) * before->width + x + k % 2) * LANES;
            const __m512 z = widen(before->z + p);
            const __mmask16 passes =
                _mm512_cmp_ps_mask(activated(before, c + o, z), _mm512_setzero_ps(), _CMP_GT_OQ);
            const __m256i g = _mm256_maskz_mov_epi16(passes, narrow(sum[k][o]));
            if (keep) store(before->g + p, g);
            const __m512 rounded = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(g), 16));
            total = _mm512_add_ps(total, rounded);
            weighted = _mm512_fmadd_ps(rounded, _mm512_mul_ps(_mm512_sub_ps(z, mean), rstd), weighted);
        }
        add_to(net->lane_sum + (c + o) * LANES, total);
        add_to(net->lane_square + (c + o) * LANES, weighted);
    }
}

static void backward_inputs(const Net *net, const Layer *l, Layer *before, int block, int keep) {
    const int outs = outs_at_a_place(l->in);
    begin_convolution(l->channels, l->in);
    for (int from = 0; from < l->in; from += outs)
        for (int y = 0; y < l->rows; y += 2)
            for (int x = 0; x < l->columns; x += 2)
                for (int c = from, out; c < from + outs && c < l->in; c += out) {
                    const uint32_t *filters = l->backward + filters_before(l->in, c, l->channels);
                    out = out_at_once(l->in, c);
                    if (out == MOST_OUT && keep)
                        backward_tile(net, l, before, block, y, x, c, filters, MOST_OUT, 1);
                    if (out == MOST_OUT && !keep)
                        backward_tile(net, l, before, block, y, x, c, filters, MOST_OUT, 0);
                    if (out != MOST_OUT && keep)
                        backward_tile(net, l, before, block, y, x, c, filters, fewer(out), 1);
                    if (out != MOST_OUT && !keep)
                        backward_tile(net, l, before, block, y, x, c, filters, fewer(out), 0);
                }
}

static void backward_layer(const Net *net, int index, float *gradient, int inputs) {
    const Layer *l = &net->layer[index];
    Layer *before = (Layer *)&net->layer[index - 1];
    const int at_once = blocks_at_once(l, net->blocks);
    memset(gradient, 0, (size_t)l->channels * TAPS * l->in * sizeof(float));
    forget(net, before);
    for (int first = 0; first < net->blocks; first += at_once) {
        const int blocks = net->blocks - first < at_once ? net->blocks - first : at_once;
        for (int b = 0; b < blocks; b++) {
            bf16 *out_rows = net->out_rows + b * out_block(l);
            gradient_of_convolution(net, l, first + b, out_rows);
            rows_of_activations(before, first + b, images_in(net, first + b), net->in_rows + b * in_block(l));
            if (!inputs) continue;
            pairs_of_rows(l, out_rows, net->pairs);
            backward_inputs(net, l, before, first + b, index > 1);
            keep_sums(net, before);
        }
        add_gradients(l, net->in_rows, net->out_rows, blocks, gradient);
    }
}
