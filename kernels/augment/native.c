// Augmentation on a CPU, one pass: the bytes of an image in, its normalised numbers out, both touched once.
// A whole image is put together in a buffer of bytes, and then is arithmetic that compilers vectorise; wide
// loads of a row just stored byte by byte would wait for these stores.
#include <stdint.h>
#include <string.h>

enum { CHANNELS = 3, PERIOD = 48 }; // the channels of every 48 numbers are the same, in whole vectors of 16
enum { FLIP_NONE, FLIP_RANDOM, FLIP_ALTERNATING };

// ---- draws: `airbench_var.philox`, as `reference.draw` uses it

static void philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t words[4]) {
    uint32_t x0 = c0, x1 = c1, x2 = c2, x3 = 0, k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)x0 * 0xD2511F53u, p1 = (uint64_t)x2 * 0xCD9E8D57u;
        x0 = (uint32_t)(p1 >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)p1;
        x2 = (uint32_t)(p0 >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = x0, words[1] = x1, words[2] = x2, words[3] = x3;
}

static int64_t below(uint32_t word, int64_t bound) {
    return (int64_t)((uint64_t)word * (uint64_t)bound >> 32);
}

// What chance decides for each of n images, five numbers in n columns: flip, dy, dx, top, left.
void augment_draw(int64_t n, const int64_t *examples, uint64_t seed, uint32_t epoch, uint32_t stream,
                  int flip, int64_t translate, int64_t tops, int64_t lefts, int64_t *drawn) {
    const int64_t shifts = 2 * translate + 1;
    for (int64_t b = 0; b < n; b++) {
        uint32_t words[4], first[4];
        philox4x32(seed, (uint32_t)examples[b], epoch, stream, words);
        drawn[b] = flip == FLIP_RANDOM ? words[0] >> 31 : 0;
        if (flip == FLIP_ALTERNATING) {
            philox4x32(seed, (uint32_t)examples[b], 0, stream, first);
            drawn[b] = (first[0] >> 31) ^ (epoch & 1);
        }
        const int64_t shift = below(words[1], shifts * shifts), square = below(words[2], tops * lefts);
        drawn[n + b] = shift / shifts - translate;
        drawn[2 * n + b] = shift % shifts - translate;
        drawn[3 * n + b] = square / lefts;
        drawn[4 * n + b] = square % lefts;
    }
}

// ---- pixels

static int64_t reflected(int64_t position, int64_t size) {
    position = position < 0 ? -position : position;
    return position < size ? position : 2 * (size - 1) - position;
}

// One row of the output, in bytes: column x shows column x + dx of `row`, which may be mirrored before that.
static void gather(uint8_t *restrict pixels, const uint8_t *restrict row, int64_t width, int64_t dx, int flip,
                   int zero_padding) {
    const int64_t first = dx < 0 ? -dx : 0, end = dx > 0 ? width - dx : width; // between them is no padding
    if (flip)
        for (int64_t x = first; x < end; x++)
            memcpy(pixels + CHANNELS * x, row + CHANNELS * (width - 1 - x - dx), CHANNELS);
    else
        memcpy(pixels + CHANNELS * first, row + CHANNELS * (first + dx), (size_t)(CHANNELS * (end - first)));
    for (int64_t x = first ? 0 : end; x < (first ? first : width); x++) {
        const int64_t from = reflected(x + dx, width);
        if (zero_padding) memset(pixels + CHANNELS * x, 0, CHANNELS);
        else memcpy(pixels + CHANNELS * x, row + CHANNELS * (flip ? width - 1 - from : from), CHANNELS);
    }
}

static uint16_t to_bfloat16(float x) { // to the nearest, ties to even; x is finite
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float to_float32(float x) { return x; }

// The inner loop has a constant length, so that means and scales stay in registers.
#define NORMALISE(NAME, TYPE, ROUND)                                                                       \
    static void NAME(TYPE *restrict out, const uint8_t *restrict pixels, int64_t n,                        \
                     const float *restrict mean, const float *restrict inv_std) {                          \
        int64_t i = 0;                                                                                     \
        for (; i + PERIOD <= n; i += PERIOD)                                                               \
            for (int j = 0; j < PERIOD; j++) out[i + j] = ROUND((pixels[i + j] - mean[j]) * inv_std[j]);   \
        for (int j = 0; i + j < n; j++) out[i + j] = ROUND((pixels[i + j] - mean[j]) * inv_std[j]);        \
    }
NORMALISE(normalise_to_bfloat16, uint16_t, to_bfloat16)
NORMALISE(normalise_to_float32, float, to_float32)

// Arguments as in `augment`, drawn as above; mean and inv_std are of a channel, `pixels` has room for an
// image, and `out` is bfloat16 or float32.
void augment_apply(int64_t n, const uint8_t *images, const int64_t *rows, const int64_t *drawn,
                   int64_t height, int64_t width, int zero_padding, int64_t cutout, const float *mean,
                   const float *inv_std, uint8_t *pixels, int bfloat16, uint8_t *out) {
    const int64_t line = width * CHANNELS, numbers = height * line, size = bfloat16 ? 2 : 4;
    float means[PERIOD], inv_stds[PERIOD];
    for (int j = 0; j < PERIOD; j++) means[j] = mean[j % CHANNELS], inv_stds[j] = inv_std[j % CHANNELS];
    for (int64_t b = 0; b < n; b++, out += numbers * size) {
        const int64_t dy = drawn[n + b], dx = drawn[2 * n + b];
        const uint8_t *image = images + rows[b] * numbers;
        const uint8_t *next = images + rows[b + 1 < n ? b + 1 : b] * numbers;
        for (int64_t y = 0; y < height; y++) {
            uint8_t *to = pixels + y * line;
            for (int64_t byte = 0; byte < line; byte += 64) __builtin_prefetch(next + y * line + byte);
            if (zero_padding && (y + dy < 0 || y + dy >= height)) memset(to, 0, (size_t)line);
            else gather(to, image + reflected(y + dy, height) * line, width, dx, drawn[b] != 0, zero_padding);
        }
        if (bfloat16) normalise_to_bfloat16((uint16_t *)out, pixels, numbers, means, inv_stds);
        else normalise_to_float32((float *)out, pixels, numbers, means, inv_stds);
        const int64_t top = drawn[3 * n + b], left = drawn[4 * n + b];
        for (int64_t y = top; y < top + cutout; y++)
            memset(out + (y * line + left * CHANNELS) * size, 0, (size_t)(cutout * CHANNELS * size));
    }
}
