// Augmentation on a CPU, one pass: the bytes of an image in, its normalised numbers out, both touched once.
// A row of pixels is put together in a buffer of bytes, and then is arithmetic that compilers vectorise.
#include <stdint.h>
#include <string.h>

enum { CHANNELS = 3 };
enum { FLIP_NONE, FLIP_RANDOM, FLIP_ALTERNATING };
enum { BFLOAT16, FLOAT16, FLOAT32 };

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

// `source` says which column of a row each pixel shows, negative for none.
static void gather(const uint8_t *row, const int64_t *source, int64_t width, uint8_t *restrict pixels) {
    for (int64_t x = 0; x < width; x++)
        for (int c = 0; c < CHANNELS; c++)
            pixels[x * CHANNELS + c] = source[x] < 0 ? 0 : row[source[x] * CHANNELS + c];
}

static uint16_t to_bfloat16(float x) { // to the nearest, ties to even; x is finite
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// The same for float16, by hand: gcc has a type for it on x86 since version 12.
static uint16_t to_float16(float x) {
    uint32_t bits, half;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t size = bits & 0x7fffffff;
    if (size >= 0x47800000) half = 0x7c00; // 65536 and more: infinity
    else if (size >= 0x38800000) half = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    else { // below 2^-14: the last bit of its sum with 0.5 is 2^-24, as that of the result
        float sum;
        memcpy(&sum, &size, sizeof sum);
        sum += 0.5f;
        memcpy(&half, &sum, sizeof half);
        half -= 0x3f000000;
    }
    return (uint16_t)((bits >> 16 & 0x8000) | half);
}

static void normalise(const uint8_t *restrict pixels, const float *restrict mean,
                      const float *restrict inv_std, int64_t n, int dtype, void *restrict out) {
    if (dtype == BFLOAT16)
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)out)[i] = to_bfloat16((pixels[i] - mean[i]) * inv_std[i]);
    else if (dtype == FLOAT16)
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)out)[i] = to_float16((pixels[i] - mean[i]) * inv_std[i]);
    else
        for (int64_t i = 0; i < n; i++) ((float *)out)[i] = (pixels[i] - mean[i]) * inv_std[i];
}

// Arguments as in `augment`; mean and inv_std are of each number of a row, drawn as above.
void augment_apply(int64_t n, const uint8_t *images, const int64_t *rows, const int64_t *drawn,
                   int64_t height, int64_t width, int zero_padding, int64_t cutout, const float *mean,
                   const float *inv_std, int dtype, uint8_t *out) {
    const int64_t numbers = width * CHANNELS, bytes = numbers * (dtype == FLOAT32 ? 4 : 2);
    int64_t source[width];
    uint8_t pixels[numbers];
    for (int64_t b = 0; b < n; b++) {
        const int64_t flip = drawn[b], dy = drawn[n + b], dx = drawn[2 * n + b];
        const int64_t top = drawn[3 * n + b], left = drawn[4 * n + b];
        const uint8_t *image = images + rows[b] * height * numbers;
        for (int64_t x = 0; x < width; x++) {
            const int64_t from = reflected(x + dx, width), outside = x + dx < 0 || x + dx >= width;
            source[x] = zero_padding && outside ? -1 : flip ? width - 1 - from : from;
        }
        for (int64_t y = 0; y < height; y++, out += bytes) {
            const int64_t from = reflected(y + dy, height);
            if (zero_padding && (y + dy < 0 || y + dy >= height)) memset(pixels, 0, sizeof pixels);
            else gather(image + from * numbers, source, width, pixels);
            normalise(pixels, mean, inv_std, numbers, dtype, out);
            if (y >= top && y < top + cutout)
                memset(out + left * bytes / width, 0, (size_t)(cutout * bytes / width));
        }
    }
}
