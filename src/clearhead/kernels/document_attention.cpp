// Causal attention inside the documents of a row, forward and backward: document_attention.py says what it computes.
//
// One thread takes one key head of one row. Its queries come in tiles of at most 32, one vector lane for each, so that
// a score tile is "keys x queries": a softmax over keys then goes down the lanes and never across them. A tile looks
// at the keys from the first one it sees to its last query; what no query of it sees is never computed, and the
// weights never leave the cache. The backward pass makes them again from the log of their sum (Dao et al. 2022).
// Everything is summed in float32, in an order that does not depend on the number of threads.
#include <torch/csrc/inductor/cpp_prefix.h>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

namespace {

using Vec = at::vec::Vectorized<float>;
constexpr int64_t W = Vec::size();
constexpr int64_t TILE = 32;                 // queries; a multiple of W
constexpr int64_t ROWS = W == 16 ? 8 : 4;    // rows x 2 vectors of sums fill half of the registers, or all of fewer
constexpr int64_t AHEAD = 16;
constexpr float NONE = -std::numeric_limits<float>::infinity();

int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// to[0:n] = factor * from[0:n], from one type into the other, 2 W numbers at a time
template <typename T>
inline void load_row(float* to, const T* from, int64_t n, int64_t ahead, float factor = 1) {
  for (int64_t c = 0; c < n; c += 2 * W) {
    __builtin_prefetch(from + ahead + c);
    const int64_t count = std::min(2 * W, n - c);
    at::vec::VectorizedN<float, 2> x;
    if constexpr (std::is_same_v<T, float>)
      x = at::vec::VectorizedN<float, 2>::loadu(from + c, count);
    else
      x = at::vec::convert<float, 2, T, 1>(at::vec::Vectorized<T>::loadu(from + c, count));
    (x * at::vec::VectorizedN<float, 2>(factor)).store(to + c);
  }
}

template <typename T>
inline void store_row(T* to, const float* from, int64_t n, float factor = 1) {
  for (int64_t c = 0; c < n; c += 2 * W) {
    const int64_t count = std::min(2 * W, n - c);
    const auto x = at::vec::VectorizedN<float, 2>::loadu(from + c) * at::vec::VectorizedN<float, 2>(factor);
    if constexpr (std::is_same_v<T, float>)
      x.store(to + c, count);
    else
      at::vec::convert<T, 1, float, 2>(x).store(to + c, count);
  }
}

// out[m, 0:n] (+)= sum over k of a[m * a_m + k * a_k] b[k, 0:n]; n a multiple of 2 W, M rows
template <int64_t M, bool ADD>
inline void product_rows(int64_t n, int64_t inner, const float* a, int64_t a_m, int64_t a_k, const float* b,
                         int64_t b_row, float* out, int64_t out_row) {
  for (int64_t j = 0; j < n; j += 2 * W) {
    Vec sum[M][2];
#pragma GCC unroll 8
    for (int64_t m = 0; m < M; m++) {
      sum[m][0] = ADD ? Vec::loadu(out + m * out_row + j) : Vec(0);
      sum[m][1] = ADD ? Vec::loadu(out + m * out_row + j + W) : Vec(0);
    }
    for (int64_t k = 0; k < inner; k++) {
      const Vec b0 = Vec::loadu(b + k * b_row + j), b1 = Vec::loadu(b + k * b_row + j + W);
#pragma GCC unroll 8
      for (int64_t m = 0; m < M; m++) {
        const Vec x(a[m * a_m + k * a_k]);
        sum[m][0] = at::vec::fmadd(x, b0, sum[m][0]);
        sum[m][1] = at::vec::fmadd(x, b1, sum[m][1]);
      }
    }
#pragma GCC unroll 8
    for (int64_t m = 0; m < M; m++) {
      sum[m][0].store(out + m * out_row + j);
      sum[m][1].store(out + m * out_row + j + W);
    }
  }
}

// The same for any number of rows; the buffers have room for a multiple of ROWS.
template <bool ADD>
void product(int64_t m, int64_t n, int64_t inner, const float* a, int64_t a_m, int64_t a_k, const float* b,
             int64_t b_row, float* out, int64_t out_row) {
  for (int64_t i = 0; i < m; i += ROWS)
    product_rows<ROWS, ADD>(n, inner, a + i * a_m, a_m, a_k, b, b_row, out + i * out_row, out_row);
}

// "TILE x width" to "width x TILE"
void transpose(float* to, const float* from, int64_t width) {
  for (int64_t i = 0; i < TILE; i += W)
    for (int64_t c = 0; c < width; c += W)
      at::vec::transpose_mxn<float, W, W>(from + i * width + c, width, to + c * TILE + i, TILE);
}

struct Sizes {
  int64_t B, T, H, G, C;
  int64_t q[3], k[3], v[3];  // strides of row, token and head
  int64_t window, threads;
};

struct Tile {
  int64_t first, end;  // queries
  int64_t key, keys;   // the first key that one of them sees, and how many there are up to the last query
  alignas(64) float from[TILE], to[TILE];  // of each query, the keys it sees, counted from `key`; both belong to it
};

// For each query of a row the first key it sees.
std::vector<int64_t> starts(const int64_t* segments, int64_t T, int64_t window) {
  std::vector<int64_t> start(T);
  int64_t document = 0;
  for (int64_t t = 0; t < T; t++) {
    if (t && segments[t] != segments[t - 1]) document = t;
    start[t] = window ? std::max(document, t - window + 1) : document;
  }
  return start;
}

// The queries from `first` on that share most of their keys.
Tile tile_from(int64_t first, const std::vector<int64_t>& start) {
  Tile tile;
  const int64_t T = start.size();
  tile.first = first, tile.key = start[first], tile.end = first + 1;
  while (tile.end < T && tile.end < first + TILE &&
         (start[tile.end] < first || tile.end < tile.key + 2 * TILE)) tile.end++;
  tile.keys = tile.end - tile.key;
  for (int64_t i = 0; i < TILE; i++) {  // a lane without a query sees every key: it is thrown away, and it is finite
    const bool there = first + i < tile.end;
    tile.from[i] = there ? start[first + i] - tile.key : 0;
    tile.to[i] = there ? first + i - tile.key : tile.keys;
  }
  return tile;
}

// The score of key j with W queries from lane i on: what is not seen becomes -infinity.
inline Vec seen(const Tile& tile, int64_t j, int64_t i, Vec score) {
  const Vec key(static_cast<float>(j));
  const Vec mask = (Vec::loadu(tile.from + i) <= key) & (key <= Vec::loadu(tile.to + i));
  return Vec::blendv(Vec(NONE), score, mask);
}

template <typename T>
void forward(const Sizes& s, const T* q, const T* k, const T* v, const int64_t* segments, T* out, float* log_sum) {
  const int64_t C = rounded_up(s.C, 2 * W), shared = s.H / s.G;
  const float scale = 1 / std::sqrt(static_cast<float>(s.C));
#pragma omp parallel num_threads(s.threads)
  {
    std::vector<float> K((s.T + ROWS) * C), V((s.T + ROWS) * C), S((s.T + ROWS) * TILE);
    std::vector<float> Q(TILE * C), Qt(TILE * C), O(TILE * C);
#pragma omp for
    for (int64_t bg = 0; bg < s.B * s.G; bg++) {
      const int64_t b = bg / s.G, g = bg % s.G;
      for (int64_t t = 0; t < s.T; t++) {
        load_row(&K[t * C], k + b * s.k[0] + t * s.k[1] + g * s.k[2], s.C, AHEAD * s.k[1]);
        load_row(&V[t * C], v + b * s.v[0] + t * s.v[1] + g * s.v[2], s.C, AHEAD * s.v[1]);
      }
      const auto start = starts(segments + b * s.T, s.T, s.window);
      for (int64_t h = g * shared; h < (g + 1) * shared; h++) {
        for (int64_t first = 0; first < s.T;) {
          const Tile tile = tile_from(first, start);
          const int64_t queries = tile.end - tile.first;
          for (int64_t i = 0; i < queries; i++)
            load_row(&Q[i * C], q + b * s.q[0] + (first + i) * s.q[1] + h * s.q[2], s.C, TILE * s.q[1], scale);
          transpose(Qt.data(), Q.data(), C);
          product<false>(tile.keys, TILE, s.C, &K[tile.key * C], C, 1, Qt.data(), TILE, S.data(), TILE);
          alignas(64) float inverse[TILE];
          for (int64_t i = 0; i < TILE; i += W) {
            Vec most(NONE), sum(0);
            for (int64_t j = 0; j < tile.keys; j++) {
              const Vec score = seen(tile, j, i, Vec::loadu(&S[j * TILE + i]));
              score.store(&S[j * TILE + i]);
              most = at::vec::maximum(most, score);
            }
            for (int64_t j = 0; j < tile.keys; j++) {
              const Vec weight = (Vec::loadu(&S[j * TILE + i]) - most).exp();
              weight.store(&S[j * TILE + i]);
              sum = sum + weight;
            }
            (Vec(1) / sum).store(inverse + i);
            alignas(64) float logs[W];
            (most + sum.log()).store(logs);
            for (int64_t l = 0; l < W && i + l < queries; l++) log_sum[(b * s.H + h) * s.T + first + i + l] = logs[l];
          }
          product<false>(queries, C, tile.keys, S.data(), 1, TILE, &V[tile.key * C], C, O.data(), C);
          for (int64_t i = 0; i < queries; i++)
            store_row(out + ((b * s.T + first + i) * s.H + h) * s.C, &O[i * C], s.C, inverse[i]);
          first = tile.end;
        }
      }
    }
  }
}

// D[i] = sum over c of dO[i, c] O[i, c] is also the sum over keys of weight times gradient of the weight: no O needed.
template <typename T>
void backward(const Sizes& s, const T* gradient, const T* q, const T* k, const T* v, const float* log_sum,
              const int64_t* segments, T* dq, T* dk, T* dv) {
  const int64_t C = rounded_up(s.C, 2 * W), shared = s.H / s.G;
  const float scale = 1 / std::sqrt(static_cast<float>(s.C));
#pragma omp parallel num_threads(s.threads)
  {
    std::vector<float> K((s.T + ROWS) * C), V((s.T + ROWS) * C), dK((s.T + ROWS) * C), dV((s.T + ROWS) * C);
    std::vector<float> P((s.T + ROWS) * TILE), dP((s.T + ROWS) * TILE);
    std::vector<float> Q(TILE * C), Qt(TILE * C), dO(TILE * C), dOt(TILE * C), dQ(TILE * C);
#pragma omp for
    for (int64_t bg = 0; bg < s.B * s.G; bg++) {
      const int64_t b = bg / s.G, g = bg % s.G;
      for (int64_t t = 0; t < s.T; t++) {
        load_row(&K[t * C], k + b * s.k[0] + t * s.k[1] + g * s.k[2], s.C, AHEAD * s.k[1]);
        load_row(&V[t * C], v + b * s.v[0] + t * s.v[1] + g * s.v[2], s.C, AHEAD * s.v[1]);
      }
      std::fill(dK.begin(), dK.end(), 0.0f);
      std::fill(dV.begin(), dV.end(), 0.0f);
      const auto start = starts(segments + b * s.T, s.T, s.window);
      for (int64_t h = g * shared; h < (g + 1) * shared; h++) {
        for (int64_t first = 0; first < s.T;) {
          const Tile tile = tile_from(first, start);
          const int64_t queries = tile.end - tile.first;
          alignas(64) float logs[TILE] = {};
          for (int64_t i = 0; i < queries; i++) {
            load_row(&Q[i * C], q + b * s.q[0] + (first + i) * s.q[1] + h * s.q[2], s.C, TILE * s.q[1], scale);
            load_row(&dO[i * C], gradient + ((b * s.T + first + i) * s.H + h) * s.C, s.C, TILE * s.H * s.C);
            logs[i] = log_sum[(b * s.H + h) * s.T + first + i];
          }
          transpose(Qt.data(), Q.data(), C);
          transpose(dOt.data(), dO.data(), C);
          product<false>(tile.keys, TILE, s.C, &K[tile.key * C], C, 1, Qt.data(), TILE, P.data(), TILE);
          product<false>(tile.keys, TILE, s.C, &V[tile.key * C], C, 1, dOt.data(), TILE, dP.data(), TILE);
          for (int64_t i = 0; i < TILE; i += W) {
            const Vec log = Vec::loadu(logs + i);
            Vec mean(0);
            for (int64_t j = 0; j < tile.keys; j++) {
              const Vec weight = (seen(tile, j, i, Vec::loadu(&P[j * TILE + i])) - log).exp();
              weight.store(&P[j * TILE + i]);
              mean = at::vec::fmadd(weight, Vec::loadu(&dP[j * TILE + i]), mean);
            }
            for (int64_t j = 0; j < tile.keys; j++) {
              const Vec d = Vec::loadu(&P[j * TILE + i]) * (Vec::loadu(&dP[j * TILE + i]) - mean);
              d.store(&dP[j * TILE + i]);
            }
          }
          const int64_t beyond = rounded_up(tile.keys, ROWS) - tile.keys;  // these rows are summed too
          std::fill_n(&P[tile.keys * TILE], beyond * TILE, 0.0f);
          std::fill_n(&dP[tile.keys * TILE], beyond * TILE, 0.0f);
          product<true>(tile.keys, C, queries, P.data(), TILE, 1, dO.data(), C, &dV[tile.key * C], C);
          product<true>(tile.keys, C, queries, dP.data(), TILE, 1, Q.data(), C, &dK[tile.key * C], C);
          product<false>(queries, C, tile.keys, dP.data(), 1, TILE, &K[tile.key * C], C, dQ.data(), C);
          for (int64_t i = 0; i < queries; i++)
            store_row(dq + ((b * s.T + first + i) * s.H + h) * s.C, &dQ[i * C], s.C, scale);
          first = tile.end;
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

#define EXPORT(NAME, T)                                                                                             \
  extern "C" void forward_##NAME(const Sizes* s, const T* q, const T* k, const T* v, const int64_t* segments, T* out, \
                                 float* log_sum) {                                                                  \
    forward(*s, q, k, v, segments, out, log_sum);                                                                   \
  }                                                                                                                 \
  extern "C" void backward_##NAME(const Sizes* s, const T* gradient, const T* q, const T* k, const T* v,            \
                                  const float* log_sum, const int64_t* segments, T* dq, T* dk, T* dv) {             \
    backward(*s, gradient, q, k, v, log_sum, segments, dq, dk, dv);                                                 \
  }

EXPORT(float32, float)
EXPORT(bfloat16, at::BFloat16)
