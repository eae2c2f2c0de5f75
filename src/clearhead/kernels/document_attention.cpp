// Causal attention inside the documents of a row, forward and backward; document_attention.py says what is computed.
//
// A thread takes one key head of one row at a time. Its queries come in tiles of at most 32, one vector lane for each,
// so that a tile of scores is "keys x queries": a softmax over the keys goes down the lanes and never across them. A
// tile looks at the keys from the first one that it sees to its last query. What no query of it sees is never
// computed, and its weights never leave the cache: the backward pass makes them again from the logarithm of their sum
// (Dao 2023, section 3.1). All is summed in float32 and in an order that does not depend on the number of threads.
#include <ATen/cpu/vec/vec.h>  // which the prefix leaves out where there is no vector unit that it knows
#include <torch/csrc/inductor/cpp_prefix.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

using Vec = at::vec::Vectorized<float>;
using Pair = at::vec::VectorizedN<float, 2>;
constexpr int64_t W = Vec::size();
constexpr int64_t TILE = 32;               // queries; a multiple of 2 W
constexpr int64_t ROWS = W == 16 ? 8 : 4;  // with 2 vectors each, what the registers hold: there are 32 where W is 16
constexpr float HIDDEN = -std::numeric_limits<float>::infinity();

struct Sizes {
  int64_t B, T, H, G, C;
  int64_t q[3], k[3], v[3];  // strides of row, token and head
  int64_t window, threads;
};

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// to[0:n] = factor * from[0:n], and what lies `ahead` is on its way: the rows of a head are too far apart for the
// processor to guess the next one. Asking for memory beyond the end is harmless.
template <typename T>
inline void load_row(float* to, const T* from, int64_t n, int64_t ahead, float factor = 1) {
  for (int64_t c = 0; c < n; c += 2 * W) {
    const int64_t count = std::min(2 * W, n - c);
    __builtin_prefetch(from + c + ahead);
    Pair x;
    if constexpr (std::is_same_v<T, float>)
      x = Pair::loadu(from + c, count);
    else
      x = at::vec::convert<float, 2, T, 1>(at::vec::Vectorized<T>::loadu(from + c, count));
    (x * Pair(factor)).store(to + c);
  }
}

template <typename T>
inline void store_row(T* to, const float* from, int64_t n, float factor = 1) {
  for (int64_t c = 0; c < n; c += 2 * W) {
    const int64_t count = std::min(2 * W, n - c);
    const Pair x = Pair::loadu(from + c) * Pair(factor);
    if constexpr (std::is_same_v<T, float>)
      x.store(to + c, count);
    else
      at::vec::convert<T, 1, float, 2>(x).store(to + c, count);
  }
}

// out[i, 0:n] (+)= sum over l of a[i * a_row + l * a_inner] b[l, 0:n] for i < m, and for the rows that complete the
// last ROWS; n is a multiple of 2 W.
template <bool ADD>
inline void product(int64_t m, int64_t n, int64_t inner, const float* a, int64_t a_row, int64_t a_inner,
                    const float* b, int64_t b_row, float* out, int64_t out_row) {
  for (int64_t i = 0; i < m; i += ROWS) {
    for (int64_t j = 0; j < n; j += 2 * W) {
      Vec sum[ROWS][2];
      float* const corner = out + i * out_row + j;
#pragma GCC unroll 8
      for (int64_t r = 0; r < ROWS; r++) {
        sum[r][0] = ADD ? Vec::loadu(corner + r * out_row) : Vec(0);
        sum[r][1] = ADD ? Vec::loadu(corner + r * out_row + W) : Vec(0);
      }
      for (int64_t l = 0; l < inner; l++) {
        const Vec b0 = Vec::loadu(b + l * b_row + j), b1 = Vec::loadu(b + l * b_row + j + W);
#pragma GCC unroll 8
        for (int64_t r = 0; r < ROWS; r++) {
          const Vec x(a[(i + r) * a_row + l * a_inner]);
          sum[r][0] = at::vec::fmadd(x, b0, sum[r][0]);
          sum[r][1] = at::vec::fmadd(x, b1, sum[r][1]);
        }
      }
#pragma GCC unroll 8
      for (int64_t r = 0; r < ROWS; r++) {
        sum[r][0].store(corner + r * out_row);
        sum[r][1].store(corner + r * out_row + W);
      }
    }
  }
}

// "TILE x width" to "width x TILE"
void transpose(float* to, const float* from, int64_t width) {
  for (int64_t i = 0; i < TILE; i += W)
    for (int64_t c = 0; c < width; c += W)
      at::vec::transpose_mxn<float, W, W>(from + i * width + c, width, to + c * TILE + i, TILE);
}

// For each query of a row the first key that it sees; a document is a run of equal segments.
std::vector<int64_t> first_keys(const int64_t* segments, int64_t T, int64_t window) {
  std::vector<int64_t> start(T);
  int64_t document = 0;
  for (int64_t t = 0; t < T; t++) {
    if (t && segments[t] != segments[t - 1]) document = t;
    start[t] = window ? std::max(document, t - window + 1) : document;
  }
  return start;
}

struct Tile {
  int64_t first, queries;
  int64_t key, keys;                         // the first key that a query of it sees; up to the last query
  alignas(64) float from[TILE], upto[TILE];  // the keys of each query, counted from `key`, both ends included
};

// The next queries, as long as they share keys with those before them or all their keys are few.
Tile tile_from(int64_t first, const std::vector<int64_t>& start) {
  const int64_t T = start.size(), key = start[first];
  int64_t end = first + 1;
  while (end < T && end < first + TILE && (start[end] < first || end < key + 2 * TILE)) end++;
  Tile tile{first, end - first, key, end - key, {}, {}};
  for (int64_t i = 0; i < TILE; i++) {  // a lane without a query sees all keys, which is finite, and is thrown away
    tile.from[i] = i < tile.queries ? start[first + i] - key : 0;
    tile.upto[i] = i < tile.queries ? first + i - key : tile.keys;
  }
  return tile;
}

// The scores of key j with the W queries from lane i on.
inline Vec seen(const Tile& tile, int64_t j, int64_t i, const float* scores) {
  const Vec key(static_cast<float>(j));
  const Vec mask = (Vec::loadu(tile.from + i) <= key) & (key <= Vec::loadu(tile.upto + i));
  return Vec::blendv(Vec(HIDDEN), Vec::loadu(scores + j * TILE + i), mask);
}

template <typename T>
void forward(const Sizes& s, const T* q, const T* k, const T* v, const int64_t* segments, T* out, float* log_sum) {
  const int64_t C = rounded_up(s.C, 2 * W), shared = s.H / s.G;
  const float scale = 1 / std::sqrt(static_cast<float>(s.C));
#pragma omp parallel num_threads(s.threads)
  {
    std::vector<float> K((s.T + ROWS) * C), V((s.T + ROWS) * C), S((s.T + ROWS) * TILE);
    std::vector<float> Q(TILE * C), Qt(C * TILE), O(TILE * C);
#pragma omp for
    for (int64_t bg = 0; bg < s.B * s.G; bg++) {
      const int64_t b = bg / s.G, g = bg % s.G;
      for (int64_t t = 0; t < s.T; t++) {
        load_row(&K[t * C], k + b * s.k[0] + t * s.k[1] + g * s.k[2], s.C, TILE * s.k[1]);
        load_row(&V[t * C], v + b * s.v[0] + t * s.v[1] + g * s.v[2], s.C, TILE * s.v[1]);
      }
      const auto start = first_keys(segments + b * s.T, s.T, s.window);
      for (int64_t h = g * shared; h < (g + 1) * shared; h++) {
        for (int64_t first = 0; first < s.T;) {
          const Tile tile = tile_from(first, start);
          for (int64_t i = 0; i < tile.queries; i++)
            load_row(&Q[i * C], q + b * s.q[0] + (first + i) * s.q[1] + h * s.q[2], s.C, TILE * s.q[1], scale);
          transpose(Qt.data(), Q.data(), C);
          product<false>(tile.keys, TILE, s.C, &K[tile.key * C], C, 1, Qt.data(), TILE, S.data(), TILE);
          alignas(64) float share[TILE], logs[TILE];
          for (int64_t i = 0; i < TILE; i += W) {
            Vec most(HIDDEN), sum(0);
            for (int64_t j = 0; j < tile.keys; j++) {
              const Vec score = seen(tile, j, i, S.data());
              score.store(&S[j * TILE + i]);
              most = at::vec::maximum(most, score);
            }
            for (int64_t j = 0; j < tile.keys; j++) {
              const Vec weight = (Vec::loadu(&S[j * TILE + i]) - most).exp();
              weight.store(&S[j * TILE + i]);
              sum = sum + weight;
            }
            (Vec(1) / sum).store(share + i);
            (most + sum.log()).store(logs + i);
          }
          product<false>(tile.queries, C, tile.keys, S.data(), 1, TILE, &V[tile.key * C], C, O.data(), C);
          std::copy_n(logs, tile.queries, log_sum + (b * s.H + h) * s.T + first);
          for (int64_t i = 0; i < tile.queries; i++)
            store_row(out + ((b * s.T + first + i) * s.H + h) * s.C, &O[i * C], s.C, share[i]);
          first += tile.queries;
        }
      }
    }
  }
}

// The mean of a query's dP under its weights P is what the textbooks write as the product of dO and O: no O is needed.
template <typename T>
void backward(const Sizes& s, const T* gradient, const T* q, const T* k, const T* v, const float* log_sum,
              const int64_t* segments, T* dq, T* dk, T* dv) {
  const int64_t C = rounded_up(s.C, 2 * W), shared = s.H / s.G;
  const float scale = 1 / std::sqrt(static_cast<float>(s.C));
#pragma omp parallel num_threads(s.threads)
  {
    std::vector<float> K((s.T + ROWS) * C), V((s.T + ROWS) * C), dK((s.T + ROWS) * C), dV((s.T + ROWS) * C);
    std::vector<float> P((s.T + ROWS) * TILE), dP((s.T + ROWS) * TILE);
    std::vector<float> Q(TILE * C), Qt(C * TILE), dO(TILE * C), dOt(C * TILE), dQ(TILE * C);
#pragma omp for
    for (int64_t bg = 0; bg < s.B * s.G; bg++) {
      const int64_t b = bg / s.G, g = bg % s.G;
      for (int64_t t = 0; t < s.T; t++) {
        load_row(&K[t * C], k + b * s.k[0] + t * s.k[1] + g * s.k[2], s.C, TILE * s.k[1]);
        load_row(&V[t * C], v + b * s.v[0] + t * s.v[1] + g * s.v[2], s.C, TILE * s.v[1]);
      }
      std::fill(dK.begin(), dK.end(), 0.0f);
      std::fill(dV.begin(), dV.end(), 0.0f);
      const auto start = first_keys(segments + b * s.T, s.T, s.window);
      for (int64_t h = g * shared; h < (g + 1) * shared; h++) {
        for (int64_t first = 0; first < s.T;) {
          const Tile tile = tile_from(first, start);
          for (int64_t i = 0; i < tile.queries; i++) {
            load_row(&Q[i * C], q + b * s.q[0] + (first + i) * s.q[1] + h * s.q[2], s.C, TILE * s.q[1], scale);
            load_row(&dO[i * C], gradient + ((b * s.T + first + i) * s.H + h) * s.C, s.C, TILE * s.H * s.C);
          }
          alignas(64) float logs[TILE] = {};
          std::copy_n(log_sum + (b * s.H + h) * s.T + first, tile.queries, logs);
          transpose(Qt.data(), Q.data(), C);
          transpose(dOt.data(), dO.data(), C);
          product<false>(tile.keys, TILE, s.C, &K[tile.key * C], C, 1, Qt.data(), TILE, P.data(), TILE);
          product<false>(tile.keys, TILE, s.C, &V[tile.key * C], C, 1, dOt.data(), TILE, dP.data(), TILE);
          for (int64_t i = 0; i < TILE; i += W) {
            Vec mean(0);
            for (int64_t j = 0; j < tile.keys; j++) {
              const Vec weight = (seen(tile, j, i, P.data()) - Vec::loadu(logs + i)).exp();
              weight.store(&P[j * TILE + i]);
              mean = at::vec::fmadd(weight, Vec::loadu(&dP[j * TILE + i]), mean);
            }
            for (int64_t j = 0; j < tile.keys; j++)
              (Vec::loadu(&P[j * TILE + i]) * (Vec::loadu(&dP[j * TILE + i]) - mean)).store(&dP[j * TILE + i]);
          }
          const int64_t beyond = rounded_up(tile.keys, ROWS) - tile.keys;  // whose gradients are added to, too
          std::fill_n(&P[tile.keys * TILE], beyond * TILE, 0.0f);
          std::fill_n(&dP[tile.keys * TILE], beyond * TILE, 0.0f);
          product<true>(tile.keys, C, tile.queries, P.data(), TILE, 1, dO.data(), C, &dV[tile.key * C], C);
          product<true>(tile.keys, C, tile.queries, dP.data(), TILE, 1, Q.data(), C, &dK[tile.key * C], C);
          product<false>(tile.queries, C, tile.keys, dP.data(), 1, TILE, &K[tile.key * C], C, dQ.data(), C);
          for (int64_t i = 0; i < tile.queries; i++)
            store_row(dq + ((b * s.T + first + i) * s.H + h) * s.C, &dQ[i * C], s.C, scale);
          first += tile.queries;
        }
      }
      for (int64_t t = 0; t < s.T; t++) {
        store_row(dk + ((b * s.T + t) * s.G + g) * s.C, &dK[t * C], s.C);
        store_row(dv + ((b * s.T + t) * s.G + g) * s.C, &dV[t * C], s.C);
      }
    }
  }
}

}  // namespace

#define EXPORT(NAME, T)                                                                                               \
  extern "C" void forward_##NAME(const Sizes* s, const T* q, const T* k, const T* v, const int64_t* segments, T* out, \
                                 float* log_sum) {                                                                    \
    forward(*s, q, k, v, segments, out, log_sum);                                                                     \
  }                                                                                                                   \
  extern "C" void backward_##NAME(const Sizes* s, const T* gradient, const T* q, const T* k, const T* v,              \
                                  const float* log_sum, const int64_t* segments, T* dq, T* dk, T* dv) {               \
    backward(*s, gradient, q, k, v, log_sum, segments, dq, dk, dv);                                                   \
  }

EXPORT(float32, float)
EXPORT(bfloat16, at::BFloat16)
