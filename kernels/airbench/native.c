// The convolutional part of an Airbench network on a CPU with AVX512-BF16, and AMX when built with TILES:
// images to features, and back.
//
// Sixteen images side by side are the lanes of every vector, a "block". So one vector is one channel at one
// position, images meet only in sums, what lies outside an image is not computed, the maximum over a pool
// is three instructions, and every number of channels fills the vectors. Between two layers only the result
// of the convolution (and pooling) before its normalisation is stored, in bf16, as
// z[block][channel][position][lane]. What a convolution reads is made from it block by block, in cache:
//   pairs: a product instruction sums over two adjacent channels;
//   rows: the gradient of the weights sums over images and positions instead.
// Products are in vectors.h and tiles.h, which say how these lie in memory.
// Products are of bf16 numbers and sums are float, over the positions of one lane and block, then double.
#include "backward.h"
#include "forward.h"

// weights[out][tap][in]
static void load_weights(Layer *l, const float *weights) {
    const long filter = (long)TAPS * l->in;
    order_filters(l->forward, weights, l->channels, l->in, filter, l->in, 1);
    order_filters(l->backward, weights + filter - l->in, l->in, l->channels, 1, -(long)l->in, filter);
}

// Zero when the system lets this process use what the products need.
int airbench_ready(void) { return ready(); }

static void identity(Layer *l) {
    for (int c = 0; c < l->channels; c++) l->rstd[c] = 1, l->mean[c] = l->shift[c] = 0;
}

// images: bf16 (batch, height, width, 3). filters (white, 3, 2, 2), bias, weights (out, 3, 3, in) of each
// layer, biases, means and variances of each norm; the latter two are moved by `momentum` towards the
// batch's.
void airbench_forward(Net *net, const uint32_t *images, const float *filters, const float *bias,
                      const float *const *weights, const float *const *biases, float *const *means,
                      float *const *variances, float momentum, float epsilon, float *features) {
    identity(&net->layer[0]);
    for (int b = 0; b < net->blocks; b++) whiten(net, images, net->batch, b * LANES, b, filters, bias);
    for (int i = 1; i < net->layers; i++) {
        Layer *l = &net->layer[i];
        load_weights(l, weights[i - 1]);
        forget(net, l);
        for (int b = 0; b < net->blocks; b++) {
            pairs_of_activations(net, l - 1, b, images_in(net, b));
            forward_block(net, l, b);
            keep_sums(net, l);
        }
        const double count = (double)net->batch * l->positions;
        for (int c = 0; c < l->channels; c++) {
            const double mean = l->sum[c] / count, spread = l->square[c] / count - mean * mean;
            const double variance = spread > 0 ? spread : 0;
            l->mean[c] = (float)mean;
            l->rstd[c] = (float)(1 / sqrt(variance + epsilon));
            l->shift[c] = biases[i - 1][c] - l->mean[c] * l->rstd[c];
            means[i - 1][c] += momentum * (l->mean[c] - means[i - 1][c]);
            variances[i - 1][c] += momentum * ((float)(variance * count / (count - 1)) - variances[i - 1][c]);
        }
    }
    const Layer *last = &net->layer[net->layers - 1];
    for (int b = 0; b < net->blocks; b++)
        features_of(net, b, b * LANES, net->batch, features, net->top + (long)b * last->channels * LANES);
    end();
}

// After airbench_forward on the same net. Gradients have the shapes of what they are of; `bias` may be NULL.
void airbench_backward(Net *net, const float *features, float *bias, float *const *weights,
                       float *const *biases) {
    backward_features(net, features);
    for (int i = net->layers - 1; i > 0; i--) {
        Layer *l = &net->layer[i];
        for (int c = 0; c < l->channels; c++) biases[i - 1][c] = (float)l->sum[c];
        backward_layer(net, i, weights[i - 1], i > 1 || bias);
    }
    for (int c = 0; bias && c < net->layer[0].channels; c++) bias[c] = (float)net->layer[0].sum[c];
    end();
}

// Features of n images by the running means and variances, one block after another; forgets the last batch.
void airbench_evaluate(Net *net, const uint32_t *images, int n, const float *filters, const float *bias,
                       const float *const *weights, const float *const *biases, const float *const *means,
                       const float *const *variances, float epsilon, float *features) {
    identity(&net->layer[0]);
    for (int i = 1; i < net->layers; i++) {
        Layer *l = &net->layer[i];
        load_weights(l, weights[i - 1]);
        for (int c = 0; c < l->channels; c++) {
            l->rstd[c] = 1 / sqrtf(variances[i - 1][c] + epsilon);
            l->shift[c] = biases[i - 1][c] - means[i - 1][c] * l->rstd[c];
        }
    }
    for (int first = 0; first < n; first += LANES) {
        whiten(net, images, n, first, 0, filters, bias);
        for (int i = 1; i < net->layers; i++) {
            pairs_of_activations(net, &net->layer[i - 1], 0, 0xffff);
            forward_block(net, &net->layer[i], 0);
        }
        features_of(net, 0, first, n, features, NULL);
    }
    end();
}
