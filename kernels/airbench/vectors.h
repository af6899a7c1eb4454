// Products by vectors: AVX512-BF16. Included by network.h.
//
// A 3x3 convolution with a border of zeros, at 2x2 positions and up to six channels at a time: their 24 sums
// stay in registers. Its filters are a stream of pairs, [six or four outputs][tap][pair of inputs][output].
// What it reads is pairs[channel / 2][position][lane][2].
//
// For gradients of filters, sums over images and positions, both sides are rows[channel][row][column][lane],
// and those of inputs have a column of zeros at both ends.
enum { MOST_OUT = 6, ROWS_BEYOND = 0 };

INLINE int ready(void) { return 0; }
INLINE int out_at_once(int outs, int c) { return (outs - c) % MOST_OUT ? 4 : MOST_OUT; }
INLINE int fewer(int out) { // as a constant, so that loops over them leave no trace
    (void)out;
    return 4;
}
// Outputs whose filters are used one after the other at one place, before those at the next.
INLINE int outs_at_a_place(int outs) { return outs; }
INLINE long filters_before(int outs, int c, int ins) {
    (void)outs;
    return (long)c * TAPS * ins / 2;
}
INLINE long pair_at(int pair, long position, int pairs, long positions) {
    (void)pairs;
    return pair * positions + position;
}
INLINE void begin_convolution(int in, int outs) { (void)in, (void)outs; }
INLINE void end(void) {}

// Filters are `w[out * by_out + tap * by_tap + in * by_in]`.
static void order_filters(uint32_t *to, const float *w, int outs, int ins, long by_out, long by_tap,
                          long by_in) {
    for (int c = 0, out; c < outs; c += out) {
        out = out_at_once(outs, c);
        for (int t = 0; t < TAPS; t++)
            for (int i = 0; i < ins; i += 2)
                for (int o = 0; o < out; o++) {
                    const float *from = w + (c + o) * by_out + t * by_tap + i * by_in;
                    *to++ = as_pair(from[0], from[by_in]);
                }
    }
}

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

INLINE long in_block(const Layer *l) { return (long)l->in * l->rows * (l->columns + 2) * LANES; }
INLINE long out_block(const Layer *l) { return (long)l->channels * l->rows * l->columns * LANES; }
// Which vector of the rows of outputs a channel has at a position.
INLINE long row_at(const Layer *l, int c, long position) { return (long)c * l->rows * l->columns + position; }

static void rows_of_activations(const Layer *l, int slot, __mmask16 images, bf16 *rows) {
    const bf16 *z = l->z + slot * size_of(l);
    for (int c = 0; c < l->channels; c++)
        for (int y = 0; y < l->height; y++) {
            store(rows, _mm256_setzero_si256());
            rows += LANES;
            for (int x = 0; x < l->width; x++, z += LANES, rows += LANES)
                store(rows, narrow(_mm512_maskz_mov_ps(images, activated(l, c, widen(z)))));
            store(rows, _mm256_setzero_si256());
            rows += LANES;
        }
}

// Gradients of 4 x 2 filters in one row of taps over some blocks; lanes are 16 images at two positions.
INLINE void few_filters(const Layer *l, const bf16 *in_rows, const bf16 *out_rows, int blocks, int dy,
                        float *gradient) {
    const int height = l->rows, width = l->columns, padded = width + 2;
    const long in_channel = (long)height * padded * LANES, out_channel = (long)height * width * LANES;
    __m512 sum[4][2][3];
    UNROLL
    for (int o = 0; o < 4; o++) UNROLL
    for (int i = 0; i < 2; i++) UNROLL
    for (int dx = 0; dx < 3; dx++) sum[o][i][dx] = _mm512_setzero_ps();
    const int from = dy < 0 ? 1 : 0, to = dy > 0 ? height - 1 : height;
    for (int b = 0; b < blocks; b++, in_rows += in_block(l), out_rows += out_block(l))
        for (int y = from; y < to; y++) {
            const bf16 *in = in_rows + (long)(y + dy) * padded * LANES,
                       *out = out_rows + (long)y * width * LANES;
            for (int x = 0; x < width; x += 2, in += 2 * LANES, out += 2 * LANES) {
                __m512i d[4];
                UNROLL
                for (int o = 0; o < 4; o++) d[o] = _mm512_load_si512(out + o * out_channel);
                UNROLL
                for (int i = 0; i < 2; i++) UNROLL
                for (int dx = 0; dx < 3; dx++) {
                    const __m512i v = _mm512_loadu_si512(in + i * in_channel + dx * LANES);
                    UNROLL
                    for (int o = 0; o < 4; o++) sum[o][i][dx] = dot(sum[o][i][dx], d[o], v);
                }
            }
        }
    for (int o = 0; o < 4; o++)
        for (int i = 0; i < 2; i++)
            for (int dx = 0; dx < 3; dx++)
                gradient[((long)o * TAPS + (dy + 1) * 3 + dx) * l->in + i] +=
                    _mm512_reduce_add_ps(sum[o][i][dx]);
}

static void add_gradients(const Layer *l, const bf16 *in_rows, const bf16 *out_rows, int blocks,
                          float *gradient) {
    const long in_channel = in_block(l) / l->in, out_channel = out_block(l) / l->channels;
    for (int o = 0; o < l->channels; o += 4)
        for (int i = 0; i < l->in; i += 2)
            for (int dy = -1; dy <= 1; dy++)
                few_filters(l, in_rows + i * in_channel, out_rows + o * out_channel, blocks, dy,
                            gradient + (long)o * TAPS * l->in + i);
}
