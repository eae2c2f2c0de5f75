// x Wᵀ with W in whole numbers of 8 or 4 bits; quantized.py says what is computed and how W lies in memory.
//
// A panel is 16 rows of W side by side, so that a lane of a vector is an output and nothing is ever summed across
// lanes. Every group of 32 inputs is summed in whole numbers, exactly, and then added as a float: the bits of an output
// depend on neither the processor, nor the number of threads, nor the rows of x that are multiplied beside it.
#include <omp.h>

#include <vector>

namespace {

constexpr int64_t PANEL = 16, GROUP = 32;
constexpr int PARTS = PANEL / LANES;  // vectors in the width of a panel

enum Scales { OF_ROW, OF_GROUP, AFFINE };  // one for a row of W, one for a group of it, and what 0 stands for beside

struct Weight {  // `Weight` of the Python file
  int64_t E, D, bits, scales;
  const uint8_t* blocks;
  const float* row_scale;
  const float* bias;
};

// Rows of x in whole numbers: x = scale q for each group, and the groups' sums of q.
struct Rows {
  int64_t groups;
  int8_t* q;
  float* scale;
  int32_t* sum;
  Rows at(int64_t t) const { return {groups, q + t * groups * GROUP, scale + t * groups, sum + t * groups}; }
};

void quantize_row(const float* x, int64_t D, Rows to) {
  for (int64_t g = 0; g < to.groups; g++) {
    alignas(64) float part[GROUP] = {};
    const int64_t count = std::min(GROUP, D - g * GROUP);
    std::memcpy(part, x + g * GROUP, count * sizeof(float));
    Floats most = all(0);
    for (int i = 0; i < GROUP; i += LANES) most = larger(most, magnitude(load(part + i)));
    float lanes[LANES], largest = 0;
    store(lanes, most);
    for (const float lane : lanes) largest = std::max(largest, lane);
    const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
    int8_t* const q = to.q + g * GROUP;
    for (int i = 0; i < GROUP; i += LANES) store_bytes(q + i, rounded(load(part + i) * all(inverse)));
    int32_t sum = 0;
    for (int i = 0; i < GROUP; i++) sum += q[i];
    to.scale[g] = largest / 127.0f;
    to.sum[g] = sum;
  }
}

inline int32_t four(const int8_t* p) {
  int32_t x;
  std::memcpy(&x, p, 4);
  return x;
}

#if defined(VNNI)
constexpr int MOST_ROWS = 12;  // of x at once: what the registers hold
template <int BITS, int ROWS, int COUNT>
inline void dot(const uint8_t* w, const int8_t* const* x, Wholes (*sum)[COUNT]) {
  if constexpr (BITS == 8) {
#pragma GCC unroll 8
    for (int k = 0; k < GROUP; k += 4, w += 64) {
      const __m512i v = _mm512_loadu_si512(w);
#pragma GCC unroll 12
      for (int t = 0; t < ROWS; t++)
        sum[t][0].v = _mm512_dpbusd_epi32(sum[t][0].v, v, _mm512_set1_epi32(four(x[t] + k)));
    }
  } else {
    const __m512i low = _mm512_set1_epi8(15);
#pragma GCC unroll 4
    for (int k = 0; k < GROUP; k += 8, w += 64) {
      const __m512i both = _mm512_loadu_si512(w);
      const __m512i a = _mm512_and_si512(both, low), b = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
#pragma GCC unroll 12
      for (int t = 0; t < ROWS; t++) {
        sum[t][0].v = _mm512_dpbusd_epi32(sum[t][0].v, a, _mm512_set1_epi32(four(x[t] + k)));
        sum[t][0].v = _mm512_dpbusd_epi32(sum[t][0].v, b, _mm512_set1_epi32(four(x[t] + k + 4)));
      }
    }
  }
}
#elif defined(AVX2)
constexpr int MOST_ROWS = 4;
template <int BITS, int ROWS, int COUNT>
inline void dot(const uint8_t* w, const int8_t* const* x, Wholes (*sum)[COUNT]) {
  // Two products of 8 bits do not fit into the words that maddubs adds them in; 16 of 4 bits and of 8 do. So 8 bits are
  // multiplied as two halves of 4, which are joined when a group is summed.
  const __m256i low = _mm256_set1_epi8(15);
  __m256i a[ROWS][COUNT] = {}, b[BITS == 8 ? ROWS : 1][COUNT] = {};
#pragma GCC unroll 8
  for (int k = 0; k < GROUP; k += 32 / BITS, w += 64)
#pragma GCC unroll 2
    for (int part = 0; part < COUNT; part++) {
      const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + part * 32));
      const __m256i lower = _mm256_and_si256(both, low), upper = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
#pragma GCC unroll 4
      for (int t = 0; t < ROWS; t++) {
        const __m256i first = _mm256_set1_epi32(four(x[t] + k));
        const __m256i second = BITS == 8 ? first : _mm256_set1_epi32(four(x[t] + k + 4));
        __m256i& sink = BITS == 8 ? b[t][part] : a[t][part];
        a[t][part] = _mm256_add_epi16(a[t][part], _mm256_maddubs_epi16(lower, first));
        sink = _mm256_add_epi16(sink, _mm256_maddubs_epi16(upper, second));
      }
    }
#pragma GCC unroll 4
  for (int t = 0; t < ROWS; t++)
#pragma GCC unroll 2
    for (int part = 0; part < COUNT; part++) {
      Wholes& total = sum[t][part];
      total.v = _mm256_add_epi32(total.v, _mm256_madd_epi16(a[t][part], _mm256_set1_epi16(1)));
      if (BITS == 8) total.v = _mm256_add_epi32(total.v, _mm256_madd_epi16(b[t][part], _mm256_set1_epi16(16)));
    }
}
#else
constexpr int MOST_ROWS = 4;
template <int BITS, int ROWS, int COUNT>
inline void dot(const uint8_t* w, const int8_t* const* x, Wholes (*sum)[COUNT]) {
  for (int t = 0; t < ROWS; t++)
    for (int part = 0; part < COUNT; part++)
      for (int lane = 0; lane < LANES; lane++)
        for (int k = 0; k < GROUP; k++) {
          const int64_t row = part * LANES + lane;
          const int q = BITS == 8 ? w[k / 4 * 64 + row * 4 + k % 4]
                                  : w[k / 8 * 64 + row * 4 + k % 4] >> (k % 8 < 4 ? 0 : 4) & 15;
          sum[t][part].v[lane] += q * x[t][k];
        }
}
#endif

// y[t][0:16] (+)= a panel's outputs for ROWS rows of x. Of many rows, the registers hold one vector of outputs.
template <int BITS, Scales SCALES, int ROWS>
void panel(const uint8_t* blocks, const float* row_scale, const float* bias, const Rows& x, int64_t t0, float* y,
           int64_t y_row, bool add) {
  constexpr int COUNT = ROWS == 1 ? PARTS : 1;
  constexpr int64_t WIDTH = GROUP * PANEL * BITS / 8;
  constexpr int32_t ZERO = BITS == 8 ? 128 : 8;
  for (int part0 = 0; part0 < PARTS; part0 += COUNT) {
    const uint8_t* block = blocks;
    Floats total[ROWS][COUNT];
    const int8_t* q[ROWS];
#pragma GCC unroll 12
    for (int t = 0; t < ROWS; t++) {
      q[t] = x.at(t0 + t).q;
      for (int part = 0; part < COUNT; part++) total[t][part] = all(0);
    }
    for (int64_t g = 0; g < x.groups; g++) {
      const float* const of_x = x.scale + t0 * x.groups + g;
      const int32_t* const sum_of_x = x.sum + t0 * x.groups + g;
      Wholes sum[ROWS][COUNT];
#pragma GCC unroll 12
      for (int t = 0; t < ROWS; t++)
        for (int part = 0; part < COUNT; part++)
          sum[t][part] = all_whole(SCALES == AFFINE ? 0 : -ZERO * sum_of_x[t * x.groups]);
      dot<BITS, ROWS, COUNT>(block + part0 * 32, q, sum);
      block += WIDTH;
#pragma GCC unroll 2
      for (int part = 0; part < COUNT; part++) {
        const uint16_t* const scales = reinterpret_cast<const uint16_t*>(block) + (part0 + part) * LANES;
        const Floats scale = SCALES == OF_ROW ? all(1) : load_half(scales);
        const Floats least = SCALES == AFFINE ? load_half(scales + PANEL) : all(0);
#pragma GCC unroll 12
        for (int t = 0; t < ROWS; t++) {
          const float a = of_x[t * x.groups];
          Floats& sink = total[t][part];
          sink = add_product(to_floats(sum[t][part]), SCALES == OF_ROW ? all(a) : scale * all(a), sink);
          if (SCALES == AFFINE) sink = add_product(least, all(a * sum_of_x[t * x.groups]), sink);
        }
      }
      block += SCALES * PANEL * sizeof(uint16_t);
#pragma GCC unroll 12
      for (int t = 0; t < ROWS; t++) q[t] += GROUP;
    }
    for (int part = 0; part < COUNT; part++)
      for (int t = 0; t < ROWS; t++) {
        const int at = (part0 + part) * LANES;
        Floats found = total[t][part];
        if (SCALES == OF_ROW) found = found * load(row_scale + at);
        if (bias) found = found + load(bias + at);
        float* const to = y + t * y_row + at;
        store(to, add ? load(to) + found : found);
      }
  }
}

template <int BITS, Scales SCALES, int ROWS = MOST_ROWS, typename... Rest>
void some_rows(int64_t rows, Rest... rest) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS)
      panel<BITS, SCALES, ROWS>(rest...);
    else
      some_rows<BITS, SCALES, ROWS - 1>(rows, rest...);
  }
}

template <int BITS, Scales SCALES>
void panels(const Weight& w, const Rows& x, int64_t T, float* y, int64_t y_row, bool add, int64_t first, int64_t end) {
  const int64_t size = x.groups * (GROUP * PANEL * BITS / 8 + SCALES * PANEL * 2);
  for (int64_t p = first; p < end; p++) {
    const int64_t width = std::min(PANEL, w.E - p * PANEL);
    const float* const row_scale = w.row_scale ? w.row_scale + p * PANEL : nullptr;
    const float* const bias = w.bias ? w.bias + p * PANEL : nullptr;
    for (int64_t t = 0; t < T; t += MOST_ROWS) {
      const int64_t rows = std::min<int64_t>(MOST_ROWS, T - t);
      float* const to = y + t * y_row + p * PANEL;
      if (width == PANEL) {
        some_rows<BITS, SCALES>(rows, w.blocks + p * size, row_scale, bias, x, t, to, y_row, add);
        continue;
      }
      alignas(64) float edge[MOST_ROWS * PANEL];  // the last panel may have fewer than 16 outputs
      for (int64_t i = 0; i < rows; i++) std::copy(to + i * y_row, to + i * y_row + width, edge + i * PANEL);
      some_rows<BITS, SCALES>(rows, w.blocks + p * size, row_scale, bias, x, t, &edge[0], PANEL, add);
      for (int64_t i = 0; i < rows; i++) std::copy(edge + i * PANEL, edge + i * PANEL + width, to + i * y_row);
    }
  }
}

// y (+)= x Wᵀ + bias, by the threads of the region that this is called in; each has a run of neighboring panels.
void product(const Weight& w, const Rows& x, int64_t T, float* y, int64_t y_row, bool add) {
  const int64_t n = (w.E + PANEL - 1) / PANEL, threads = omp_get_num_threads(), me = omp_get_thread_num();
  const int64_t first = n * me / threads, end = n * (me + 1) / threads;
  const auto work = w.bits == 8 ? (w.scales == OF_ROW     ? panels<8, OF_ROW>
                                   : w.scales == OF_GROUP ? panels<8, OF_GROUP>
                                                          : panels<8, AFFINE>)
                                : (w.scales == OF_GROUP ? panels<4, OF_GROUP> : panels<4, AFFINE>);
  work(w, x, T, y, y_row, add, first, end);
}

int64_t groups_of(int64_t D) { return (D + GROUP - 1) / GROUP; }

// Memory for T rows of x.
struct RowsMemory {
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<int32_t> sum;
  RowsMemory(int64_t T, int64_t D)
      : q(T * groups_of(D) * GROUP), scale(T * groups_of(D)), sum(T * groups_of(D)) {}
  Rows rows(int64_t D) { return {groups_of(D), q.data(), scale.data(), sum.data()}; }
};

}  // namespace

extern "C" void quantized_product(const Weight* w, const float* x, float* y, int64_t T, int64_t threads) {
  RowsMemory memory(T, w->D);
  const Rows rows = memory.rows(w->D);
#pragma omp parallel num_threads(threads)
  {
#pragma omp for
    for (int64_t t = 0; t < T; t++) quantize_row(x + t * w->D, w->D, rows.at(t));
    product(*w, rows, T, y, w->E, false);
  }
}
