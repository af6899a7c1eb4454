// Products by tiles: AMX. Included by network.h.
//
// A tile has up to sixteen rows of 64 bytes, and one instruction multiplies two of them. Everything that is
// cut into equal parts of at most sixteen is padded with zeros, or counted once where parts overlap.
//
// A 3x3 convolution with a border of zeros, at 2x2 positions: a tile of sums for each, outputs by images.
// Its filters are tiles too, [group of outputs][tap][part of the pairs of inputs][output][pair]. What it
// reads is pairs[position][channel / 2][lane][2], so that a tile of it is one piece of memory.
//
// For gradients of filters, sums over images and two positions, one side is the tile
// rows[position / 2][channel][position % 2][lane], the other rows[row][column][lane / 2][channel][lane % 2]
// with a column of zeros at both ends and channels padded to sixteens.
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_OUT = 16, ROWS_BEYOND = 2 * LANES * LANES * sizeof(bf16), TILE = 16 * 16 };
// Of a product: four tiles of sums, 0 to 3, its left side, 4, and then right sides.
enum { LEFT = 4, RIGHT = 5 };
// Compilers do not see that a tile is loaded from memory: what was stored must be there before.
#define ALL_STORED __asm__ volatile("" ::: "memory")

// Linux grants tiles on request, to the whole process.
INLINE int ready(void) {
    enum { REQUEST = 0x1023, TILE_DATA = 18 };
    return (int)syscall(SYS_arch_prctl, REQUEST, TILE_DATA);
}

INLINE int parts(int n) { return (n + 15) / 16; }
INLINE int part_of(int n) { return (n + parts(n) - 1) / parts(n); }
INLINE int padded(int n) { return 16 * parts(n); }
// Where a part of the pairs begins; the last may overlap with the one before.
INLINE int part_at(int k, int n) {
    return k * part_of(n) + part_of(n) <= n ? k * part_of(n) : n - part_of(n);
}

INLINE int out_at_once(int outs, int c) { return outs - c < part_of(outs) ? outs - c : part_of(outs); }
INLINE int fewer(int out) { return out; }
// Outputs whose filters are used one after the other at one place, before those at the next.
INLINE int outs_at_a_place(int outs) { return part_of(outs); }
INLINE long filters_before(int outs, int c, int ins) {
    return (long)((c + part_of(outs) - 1) / part_of(outs)) * TAPS * parts(ins / 2) * TILE;
}
INLINE long pair_at(int pair, long position, int pairs, long positions) {
    (void)positions;
    return position * pairs + pair;
}

// Rows of the sums and of what is left of the product; pairs of numbers in one of these; columns of the sums.
static void shape_tiles(int rows, int pairs, int columns) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        shape.rows[t] = (uint8_t)(t < RIGHT ? rows : pairs);
        shape.bytes[t] = (uint16_t)(4 * (t == LEFT ? pairs : columns));
    }
    ALL_STORED;
    _tile_loadconfig(&shape);
}
INLINE void begin_convolution(int ins, int outs) { shape_tiles(part_of(outs), part_of(ins / 2), LANES); }
INLINE void end(void) { _tile_release(); }

// Filters are `w[out * by_out + tap * by_tap + in * by_in]`.
static void order_filters(uint32_t *to, const float *w, int outs, int ins, long by_out, long by_tap,
                          long by_in) {
    const int pairs = ins / 2;
    for (int c = 0; c < outs; c += part_of(outs))
        for (int t = 0; t < TAPS; t++)
            for (int k = 0; k < parts(pairs); k++, to += TILE)
                for (int o = 0; o < out_at_once(outs, c); o++)
                    for (int i = k * part_of(pairs); i < pairs && i < (k + 1) * part_of(pairs); i++) {
                        const float *from = w + (c + o) * by_out + t * by_tap + 2 * i * by_in;
                        to[o * 16 + i - part_at(k, pairs)] = as_pair(from[0], from[by_in]);
                    }
}

INLINE void convolve(__m512 sum[POOL][MOST_OUT], const __m512i *pairs_at, const uint32_t *filters, int pairs,
                     int height, int width, int y, int x, int out) {
    (void)out;
    ALL_STORED;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int t = 0; t < TAPS; t++) {
        const int dy = t / 3 - 1, dx = t % 3 - 1;
        const int top = y + dy >= 0, bottom = y + dy + 1 < height, left = x + dx >= 0,
                  right = x + dx + 1 < width;
        for (int k = 0; k < parts(pairs); k++, filters += TILE) {
            const __m512i *at = pairs_at + ((long)(y + dy) * width + x + dx) * pairs + part_at(k, pairs);
            _tile_loadd(4, filters, 64);
            if (top && left) {
                _tile_loadd(5, at, 64);
                _tile_dpbf16ps(0, 4, 5);
            }
            if (top && right) {
                _tile_loadd(6, at + pairs, 64);
                _tile_dpbf16ps(1, 4, 6);
            }
            if (bottom && left) {
                _tile_loadd(7, at + width * pairs, 64);
                _tile_dpbf16ps(2, 4, 7);
            }
            if (bottom && right) {
                _tile_loadd(5, at + (width + 1) * pairs, 64);
                _tile_dpbf16ps(3, 4, 5);
            }
        }
    }
    _tile_stored(0, sum[0], 64);
    _tile_stored(1, sum[1], 64);
    _tile_stored(2, sum[2], 64);
    _tile_stored(3, sum[3], 64);
    ALL_STORED;
}

INLINE long in_block(const Layer *l) { return (long)padded(l->in) * l->rows * (l->columns + 2) * LANES; }
INLINE long out_block(const Layer *l) { return (long)l->channels * l->rows * l->columns * LANES; }
// Which vector of the rows of outputs a channel has at a position.
INLINE long row_at(const Layer *l, int c, long position) {
    return (position / 2 * l->channels + c) * 2 + position % 2;
}

// Sixteen channels of sixteen images, from one vector a channel to one a pair of images, `stride` apart.
INLINE void transpose(const __m256i channel[16], __m512i *pairs, long stride) {
    const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13),
                  odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    __m512i both[8], twos[8], fours[8];
    UNROLL
    for (int c = 0; c < 8; c++)
        both[c] = _mm512_inserti64x4(_mm512_castsi256_si512(channel[c]), channel[c + 8], 1);
    UNROLL
    for (int c = 0; c < 8; c += 2) {
        twos[c] = _mm512_unpacklo_epi32(both[c], both[c + 1]);
        twos[c + 1] = _mm512_unpackhi_epi32(both[c], both[c + 1]);
    }
    UNROLL
    for (int c = 0; c < 8; c += 4) UNROLL
    for (int i = 0; i < 2; i++) {
        fours[c + 2 * i] = _mm512_unpacklo_epi64(twos[c + i], twos[c + 2 + i]);
        fours[c + 2 * i + 1] = _mm512_unpackhi_epi64(twos[c + i], twos[c + 2 + i]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        _mm512_store_si512(pairs + i * stride, _mm512_permutex2var_epi64(fours[i], even, fours[i + 4]));
        _mm512_store_si512(pairs + (i + 4) * stride, _mm512_permutex2var_epi64(fours[i], odd, fours[i + 4]));
    }
}

static void rows_of_activations(const Layer *l, int slot, __mmask16 images, bf16 *rows) {
    const bf16 *z = l->z + slot * size_of(l);
    const long sixteens = parts(l->channels);
    const size_t column = (size_t)sixteens * LANES / 2;
    __m512i *to = (__m512i *)rows;
    __m256i channel[16];
    for (int y = 0; y < l->height; y++) {
        memset(to, 0, column * sizeof(*to));
        to += column;
        for (int x = 0; x < l->width; x++, to += column) {
            const bf16 *at = z + ((long)y * l->width + x) * LANES;
            for (int c = 0; c < l->channels; c += 16) {
                for (int i = 0; i < 16; i++)
                    channel[i] =
                        c + i < l->channels
                            ? narrow(_mm512_maskz_mov_ps(
                                  images,
                                  activated(l, c + i, widen(at + (c + i) * (long)l->positions * LANES))))
                            : _mm256_setzero_si256();
                transpose(channel, to + c / 16, sixteens);
            }
        }
        memset(to, 0, column * sizeof(*to));
        to += column;
    }
}

// Adds the gradients of filters over some blocks: three taps of up to sixteen outputs by sixteen inputs at
// a time.
static void add_gradients(const Layer *l, const bf16 *in_rows, const bf16 *out_rows, int blocks,
                          float *gradient) {
    const int height = l->rows, width = l->columns, out = part_of(l->channels);
    const long column = (long)padded(l->in) * LANES, bytes = column / 8 * (long)sizeof(bf16);
    float sum[3][16][16] __attribute__((aligned(64)));
    shape_tiles(out, 16, 16);
    ALL_STORED;
    for (int o = 0; o < l->channels; o += out)
        for (int i = 0; i < l->in; i += 16)
            for (int dy = -1; dy <= 1; dy++) {
                const int from = dy < 0 ? 1 : 0, to = dy > 0 ? height - 1 : height;
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                for (int b = 0; b < blocks; b++)
                    for (int y = from; y < to; y++) {
                        const bf16 *in = in_rows + b * in_block(l) + (long)(y + dy) * (width + 2) * column +
                                         2 * i,
                                   *outs =
                                       out_rows + b * out_block(l) + row_at(l, o, (long)y * width) * LANES;
                        for (int x = 0; x < width;
                             x += 2, in += 2 * column, outs += 2L * LANES * l->channels) {
                            _tile_loadd(4, outs, 64);
                            _tile_loadd(5, in, bytes);
                            _tile_dpbf16ps(0, 4, 5);
                            _tile_loadd(6, in + column, bytes);
                            _tile_dpbf16ps(1, 4, 6);
                            _tile_loadd(7, in + 2 * column, bytes);
                            _tile_dpbf16ps(2, 4, 7);
                        }
                    }
                _tile_stored(0, sum[0], 64);
                _tile_stored(1, sum[1], 64);
                _tile_stored(2, sum[2], 64);
                ALL_STORED;
                for (int c = 0; c < out_at_once(l->channels, o); c++)
                    for (int dx = 0; dx < 3; dx++) {
                        float *at = gradient + ((long)(o + c) * TAPS + (dy + 1) * 3 + dx) * l->in + i;
                        for (int j = 0; j < 16 && i + j < l->in; j++) at[j] += sum[dx][c][j];
                    }
            }
}
