// Stochastic gradient descent on word vectors, one word after the other; word_vectors.py says what is computed.
//
// A step reads and writes a handful of rows, so the work is in fetching them: the negatives of a word are drawn once
// and serve all of its window, whose rows then find them in the nearest cache (Ji et al. 2016, section III). T is float
// for use and double for the tests that hold each step to its formula.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

// Vigna 2015, splitmix64: a state of 64 bits, all of which the numbers depend on.
struct Random {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t n) { return uint32_t((next() >> 32) * n >> 32); }
  float share() { return float(next() >> 40) * 0x1p-24f; }
};

// Draws from any distribution in O(1): a place, and by its threshold that word or its alias. Walker 1977, Vose 1991.
struct Noise {
  const float* threshold;
  const int32_t* alias;
  uint32_t V;
  int32_t draw(Random& random) const {
    const uint64_t bits = random.next();
    const uint32_t place = uint32_t((bits >> 32) * V >> 32);
    return float(uint32_t(bits) >> 8) * 0x1p-24f < threshold[place] ? int32_t(place) : alias[place];
  }
};

constexpr int STEPS = 4096;
constexpr float LIMIT = 8;

struct Table {  // the logistic function between -LIMIT and LIMIT, joined by straight lines: right to 2e-7
  float value[STEPS + 2];
  Table() {
    for (int i = 0; i < STEPS + 2; i++) value[i] = 1 / (1 + std::exp(-(2 * LIMIT * i / STEPS - LIMIT)));
  }
};

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
inline float sigmoid(float x) {
  static const Table table;
  if (!(x > -LIMIT)) return 1 / (1 + std::exp(-x));
  if (x >= LIMIT) return 1 / (1 + std::exp(-x));
  const float at = (x + LIMIT) * (STEPS / (2 * LIMIT));
  const int i = int(at);
  return table.value[i] + (at - i) * (table.value[i + 1] - table.value[i]);
}

template <typename T>
inline T dot(const T* a, const T* b, int64_t D) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t d = 0; d < D; d++) sum += a[d] * b[d];
  return sum;
}

// A true and K drawn words for h: both updates of each of their rows of `out`, and h's own step gathered in `back`.
template <typename T>
struct Step {
  T* out;
  int64_t D;
  const Noise& noise;
  int64_t negatives;
  T lr;
  Random& random;
  std::vector<int32_t> words;  // the true one first
  double loss = 0;
  int64_t losses = 0;

  void aim(int32_t target) {
    words.assign(1, target);
    for (int64_t k = 0; k < negatives; k++) {
      const int32_t word = noise.draw(random);
      if (word != target) words.push_back(word);
    }
  }

  void operator()(const T* h, T* back, bool measured) {
    for (size_t k = 0; k < words.size(); k++) {
      T* u = out + words[k] * D;
      const T x = dot(h, u, D), g = lr * (T(k == 0) - sigmoid(x));
      if (measured) loss += std::log1p(std::exp(k ? double(x) : -double(x)));
#pragma omp simd
      for (int64_t d = 0; d < D; d++) {
        back[d] += g * u[d];
        u[d] += g * h[d];
      }
    }
    losses += measured;
  }
};

template <typename T>
void skip_gram(const std::vector<int32_t>& text, int64_t window, T* in, T* back, Step<T>& step) {
  const int64_t n = text.size(), D = step.D;
  for (int64_t i = 0; i < n; i++) {
    const int64_t reach = window - step.random.below(window);
    step.aim(text[i]);
    for (int64_t j = std::max<int64_t>(0, i - reach); j < std::min(n, i + reach + 1); j++) {
      if (j == i) continue;
      T* v = in + text[j] * D;
      std::fill(back, back + D, T(0));
      step(v, back, i % 64 == 0);
#pragma omp simd
      for (int64_t d = 0; d < D; d++) v[d] += back[d];
    }
  }
}

template <typename T>
void cbow(const std::vector<int32_t>& text, int64_t window, T* in, T* back, Step<T>& step) {
  const int64_t n = text.size(), D = step.D;
  std::vector<T> h(D);
  for (int64_t i = 0; i < n; i++) {
    const int64_t reach = window - step.random.below(window);
    const int64_t first = std::max<int64_t>(0, i - reach), end = std::min(n, i + reach + 1);
    if (end - first < 2) continue;
    const T share = T(1) / T(end - first - 1);
    std::fill(h.begin(), h.end(), T(0));
    std::fill(back, back + D, T(0));
    for (int64_t j = first; j < end; j++)
      if (j != i)
#pragma omp simd
        for (int64_t d = 0; d < D; d++) h[d] += share * in[text[j] * D + d];
    step.aim(text[i]);
    step(h.data(), back, i % 64 == 0);
    for (int64_t j = first; j < end; j++)
      if (j != i)
#pragma omp simd
        for (int64_t d = 0; d < D; d++) in[text[j] * D + d] += share * back[d];
  }
}

struct Sizes {  // word_vectors.py has the same
  int64_t n, V, D, window, negatives, is_cbow;
  double lr;
};

template <typename T>
void train(const Sizes* s, const int32_t* ids, const float* keep, const float* threshold, const int32_t* alias, T* in,
           T* out, uint64_t* state, double* told) {
  Random random{*state};
  const Noise noise{threshold, alias, uint32_t(s->V)};
  Step<T> step{out, s->D, noise, s->negatives, T(s->lr), random, {}};
  std::vector<T> back(s->D);
  std::vector<int32_t> text;
  for (int64_t i = 0; i <= s->n; i++) {
    if (i < s->n && ids[i] >= 0) {
      if (keep[ids[i]] >= 1 || random.share() < keep[ids[i]]) text.push_back(ids[i]);
      continue;
    }
    (s->is_cbow ? cbow<T> : skip_gram<T>)(text, s->window, in, back.data(), step);
    text.clear();
  }
  *state = random.state;
  told[0] += step.loss;
  told[1] += double(step.losses);
}

// AdaGrad on the cells of a table in the order given. Pennington, Socher and Manning 2014, section 4.2.
template <typename T>
void glove(const Sizes* s, const int64_t* order, const int32_t* rows, const int32_t* columns, const T* logs,
           const T* weights, T* w, T* u, T* b, T* c, T* w2, T* u2, T* b2, T* c2, double* told) {
  const int64_t D = s->D;
  const T lr = T(s->lr);
  for (int64_t n = 0; n < s->n; n++) {
    const int64_t cell = order[n], i = rows[cell], j = columns[cell];
    T *wi = w + i * D, *uj = u + j * D, *wi2 = w2 + i * D, *uj2 = u2 + j * D;
    const T residual = dot(wi, uj, D) + b[i] + c[j] - logs[cell];
    const T g = 2 * weights[cell] * residual;
    told[0] += double(weights[cell]) * double(residual) * double(residual);
#pragma omp simd
    for (int64_t d = 0; d < D; d++) {
      const T gw = g * uj[d], gu = g * wi[d];
      wi2[d] += gw * gw;
      uj2[d] += gu * gu;
      wi[d] -= lr * gw / std::sqrt(wi2[d]);
      uj[d] -= lr * gu / std::sqrt(uj2[d]);
    }
    b2[i] += g * g;
    c2[j] += g * g;
    b[i] -= lr * g / std::sqrt(b2[i]);
    c[j] -= lr * g / std::sqrt(c2[j]);
  }
}

}  // namespace

extern "C" {
void train_float32(const Sizes* s, const int32_t* ids, const float* keep, const float* threshold, const int32_t* alias,
                   float* in, float* out, uint64_t* state, double* told) {
  train(s, ids, keep, threshold, alias, in, out, state, told);
}
void train_float64(const Sizes* s, const int32_t* ids, const float* keep, const float* threshold, const int32_t* alias,
                   double* in, double* out, uint64_t* state, double* told) {
  train(s, ids, keep, threshold, alias, in, out, state, told);
}
void glove_float32(const Sizes* s, const int64_t* order, const int32_t* rows, const int32_t* columns, const float* logs,
                   const float* weights, float* w, float* u, float* b, float* c, float* w2, float* u2, float* b2,
                   float* c2, double* told) {
  glove(s, order, rows, columns, logs, weights, w, u, b, c, w2, u2, b2, c2, told);
}
void glove_float64(const Sizes* s, const int64_t* order, const int32_t* rows, const int32_t* columns,
                   const double* logs, const double* weights, double* w, double* u, double* b, double* c, double* w2,
                   double* u2, double* b2, double* c2, double* told) {
  glove(s, order, rows, columns, logs, weights, w, u, b, c, w2, u2, b2, c2, told);
}
}
