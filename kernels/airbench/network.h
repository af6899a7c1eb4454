// A network, its memory, and vectors of sixteen images. What multiplies is in vectors.h or tiles.h.
#pragma once
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
enum { LANES = 16, TAPS = 9, POOL = 4, PATCH_PAIRS = 6, MOST_LAYERS = 17, CACHE = 400000 };
typedef uint16_t bf16;

typedef struct {
    int channels, height, width, positions; // of what it puts out, after pooling
    int in, rows, columns, pooled;          // channels, height and width of what its convolution reads
    uint32_t *forward, *backward; // weights as pairs in the order of use: to convolve, and for gradients
    bf16 *z, *g;                  // result; gradient of its normalised result, before the activation
    uint8_t *winner;              // which of the four positions of a pool was the largest
    float *mean, *rstd, *shift;   // normalised: z * rstd + shift
    double *sum, *square;         // over a batch, of z and z * z; later of g and g * (z - mean) * rstd
} Layer;

typedef struct {
    int layers, batch, blocks;
    Layer layer[MOST_LAYERS]; // the first is whitening: its shift is 0 and its z contains the bias
    int32_t *top;             // position of the largest feature
    __m512i *pairs;           // of one block
    bf16 *in_rows, *out_rows; // of as many blocks as fit a core's cache
    float *lane_sum, *lane_square;
    void *owned[12 * MOST_LAYERS];
    int owns;
} Net;

INLINE __m512 widen(const bf16 *p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_load_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
INLINE __m256i narrow(__m512 x) { return (__m256i)_mm512_cvtneps_pbh(x); }
INLINE void store(bf16 *p, __m256i x) { _mm256_store_si256((__m256i *)p, x); }
INLINE __m512i interleave(__m256i even, __m256i odd) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
}
INLINE __m512 dot(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}
INLINE uint32_t as_pair(float even, float odd) {
    return (uint32_t)_mm_cvtsi128_si32((__m128i)_mm_cvtneps_pbh(_mm_set_ps(0, 0, odd, even)));
}
INLINE __m512 activated(const Layer *l, int c, __m512 z) {
    const __m512 y = _mm512_fmadd_ps(z, _mm512_set1_ps(l->rstd[c]), _mm512_set1_ps(l->shift[c]));
    return _mm512_max_ps(_mm512_setzero_ps(), y); // NaN is what comes out when it is the second
}
INLINE void add_to(float *sums, __m512 x) { _mm512_store_ps(sums, _mm512_add_ps(_mm512_load_ps(sums), x)); }
// Lanes of a block that are images; the last block may have fewer.
INLINE __mmask16 images_in(const Net *net, int block) {
    const int left = net->batch - block * LANES;
    return left >= LANES ? 0xffff : (__mmask16)((1 << left) - 1);
}
INLINE size_t larger(size_t a, size_t b) { return a > b ? a : b; }
INLINE long size_of(const Layer *l) { return (long)l->channels * l->positions * LANES; }

#ifdef TILES
#include "tiles.h"
#else
#include "vectors.h"
#endif

// ---- memory

static int blocks_at_once(const Layer *l, int blocks) {
    const long bytes = 2 * (in_block(l) + out_block(l));
    return bytes * blocks <= CACHE ? blocks : bytes > CACHE ? 1 : (int)(CACHE / bytes);
}

static void *own(Net *net, size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, 64, (bytes + 127) / 64 * 64)) return NULL;
    memset(memory, 0, (bytes + 127) / 64 * 64);
    return net->owned[net->owns++] = memory;
}

void airbench_free(Net *net) {
    for (int i = 0; i < net->owns; i++) free(net->owned[i]);
    free(net);
}

// Channel counts: of whitening, then of each group; all multiples of 4. Height and width: of an image,
// multiples of 2 at every pool. Returns NULL when memory lacks.
Net *airbench_new(int groups, const int *channels, int height, int width, int batch) {
    Net *net = calloc(1, sizeof(Net));
    if (!net) return NULL;
    net->layers = 1 + 2 * groups;
    net->batch = batch;
    net->blocks = (batch + LANES - 1) / LANES;
    size_t pairs = 0, in_rows = 0, out_rows = 0, most = 0;
    int ok = 1;
    for (int i = 0; i < net->layers; i++) {
        Layer *l = &net->layer[i];
        l->channels = channels[(i + 1) / 2];
        l->in = i ? channels[i / 2] : 3;
        l->rows = i ? net->layer[i - 1].height : height;
        l->columns = i ? net->layer[i - 1].width : width;
        l->pooled = i % 2;
        l->height = i == 0 || l->pooled ? l->rows / 2 : l->rows;
        l->width = i == 0 || l->pooled ? l->columns / 2 : l->columns;
        l->positions = l->height * l->width;
        const size_t c = (size_t)l->channels, all = (size_t)net->blocks * size_of(l);
        ok = ok && (l->z = own(net, all * sizeof(bf16))) && (l->mean = own(net, c * 4)) &&
             (l->rstd = own(net, c * 4)) && (l->shift = own(net, c * 4)) && (l->sum = own(net, c * 8)) &&
             (l->square = own(net, c * 8));
        if (i) {
            const size_t to = (size_t)filters_before(l->channels, l->channels, l->in) * sizeof(uint32_t),
                         back = (size_t)filters_before(l->in, l->in, l->channels) * sizeof(uint32_t);
            ok = ok && (l->g = own(net, all * sizeof(bf16))) && (l->forward = own(net, to)) &&
                 (l->backward = own(net, back)) && (!l->pooled || (l->winner = own(net, all)));
            const size_t n = (size_t)blocks_at_once(l, net->blocks) * sizeof(bf16);
            const size_t paired = sizeof(bf16) * LANES * (size_t)l->rows * (size_t)l->columns;
            in_rows = larger(in_rows, n * (size_t)in_block(l));
            out_rows = larger(out_rows, n * (size_t)out_block(l) + ROWS_BEYOND);
            pairs = larger(pairs, paired * larger(c, (size_t)l->in));
        }
        most = larger(most, c);
    }
    const Layer *last = &net->layer[net->layers - 1];
    ok = ok && (net->pairs = own(net, pairs)) && (net->in_rows = own(net, in_rows)) &&
         (net->out_rows = own(net, out_rows)) && (net->lane_sum = own(net, most * LANES * 4)) &&
         (net->lane_square = own(net, most * LANES * 4)) &&
         (net->top = own(net, (size_t)net->blocks * last->channels * LANES * sizeof(int32_t)));
    if (ok) return net;
    airbench_free(net);
    return NULL;
}

// ---- sums over a batch

static void forget(const Net *net, Layer *l) {
    memset(l->sum, 0, (size_t)l->channels * sizeof(double));
    memset(l->square, 0, (size_t)l->channels * sizeof(double));
    memset(net->lane_sum, 0, (size_t)l->channels * LANES * sizeof(float));
    memset(net->lane_square, 0, (size_t)l->channels * LANES * sizeof(float));
}

static void keep_sums(const Net *net, Layer *l) {
    for (int c = 0; c < l->channels; c++) {
        l->sum[c] += _mm512_reduce_add_ps(_mm512_load_ps(net->lane_sum + c * LANES));
        l->square[c] += _mm512_reduce_add_ps(_mm512_load_ps(net->lane_square + c * LANES));
    }
    memset(net->lane_sum, 0, (size_t)l->channels * LANES * sizeof(float));
    memset(net->lane_square, 0, (size_t)l->channels * LANES * sizeof(float));
}
