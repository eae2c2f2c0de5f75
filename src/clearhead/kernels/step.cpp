// All blocks of a decoder in one call, for T tokens at once: step.py says which decoders, and what lies where.
//
// Norms, rotations and attention are floats of 32 bits. A token attends along its own path, so its numbers depend on
// its own text alone: the same bits alone or beside others, read with a prompt or one at a time.

namespace {

struct Layer {  // `_Layer` of the Python file
  Weight qkv, out, up, down;
  const float *attention_norm, *mlp_norm, *q_norm, *k_norm;  // null: all 1
  float *keys, *values;
  int64_t window, local;
};

struct Step {  // `_Step`
  int64_t T, D, H, G, C, F, layers, qk_norm, threads;
  int64_t slot_stride, head_stride;  // of keys and values
  int64_t path_stride;               // of a row's path
  double eps, q_scale;
  const Layer* layer;
  float* x;                                               // T D, changed in place
  const float *cosine, *sine, *local_cosine, *local_sine;  // T C/2; null: no rotation
  const int64_t* slots;                                   // where the T keys and values go
  const int32_t* paths;                                   // where each row's keys are; null: at 0, 1, 2, ...
  const int64_t* lengths;                                 // and how many
};

void norm_row(const float* x, const float* weight, int64_t D, float eps, float* out) {
  Floats sum[PARTS];
  for (int j = 0; j < PARTS; j++) sum[j] = all(0);
  for (int64_t d = 0; d < D; d += 16)
    for (int j = 0; j < PARTS; j++) {
      const Floats part = load(x + d + j * LANES);
      sum[j] = add_product(part, part, sum[j]);
    }
  const Floats scale = all(1.0f / std::sqrt(sum_of(sum) / static_cast<float>(D) + eps));
  for (int64_t d = 0; d < D; d += LANES) {
    const Floats normed = load(x + d) * scale;
    store(out + d, weight ? normed * load(weight + d) : normed);
  }
}

void rotate(float* head, const float* cosine, const float* sine, int64_t C) {
  for (int64_t i = 0; i < C / 2; i++) {
    const float a = head[i], b = head[i + C / 2];
    head[i] = a * cosine[i] - b * sine[i];
    head[i + C / 2] = b * cosine[i] + a * sine[i];
  }
}

// Queries and keys of a token as they are compared, and its keys and values put where they are kept.
void place_row(const Step& s, const Layer& l, int64_t t, float* qkv) {
  for (int64_t h = 0; s.qk_norm && h < s.H + s.G; h++)
    norm_row(qkv + h * s.C, h < s.H ? l.q_norm : l.k_norm, s.C, s.eps, qkv + h * s.C);
  const float* const cosine = l.local ? s.local_cosine : s.cosine;
  const float* const sine = l.local ? s.local_sine : s.sine;
  for (int64_t h = 0; cosine && h < s.H + s.G; h++)
    rotate(qkv + h * s.C, cosine + t * s.C / 2, sine + t * s.C / 2, s.C);
  for (int64_t i = 0; i < s.H * s.C; i++) qkv[i] *= static_cast<float>(s.q_scale);
  for (int64_t g = 0; g < s.G; g++) {
    const int64_t at = s.slots[t] * s.slot_stride + g * s.head_stride;
    std::copy_n(qkv + (s.H + g) * s.C, s.C, l.keys + at);
    std::copy_n(qkv + (s.H + s.G + g) * s.C, s.C, l.values + at);
  }
}

// Channels c to c + WIDTH of the sum of the values with these weights, times a share.
template <int WIDTH, typename Value>
inline void weighted_sum(int64_t n, const float* weights, const Value& value, int64_t c, Floats share, float* out) {
  constexpr int N = WIDTH / LANES;
  Floats sum[N];
#pragma GCC unroll 8
  for (int j = 0; j < N; j++) sum[j] = all(0);
  for (int64_t i = 0; i < n; i++) {
    const float* const v = value(i) + c;
    const Floats weight = all(weights[i]);
#pragma GCC unroll 8
    for (int j = 0; j < N; j++) sum[j] = add_product(weight, load(v + j * LANES), sum[j]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < N; j++) store(out + c + j * LANES, sum[j] * share);
}

// softmax(q kᵀ) v of the heads of row t that read key head g. `scores` has room for all keys and 16 more.
void attend_row(const Step& s, const Layer& l, int64_t t, int64_t g, const float* qkv, float* out, float* scores) {
  const int64_t end = s.lengths[t], first = l.window ? std::max<int64_t>(0, end - l.window) : 0, n = end - first;
  const int32_t* const path = s.paths ? s.paths + t * s.path_stride : nullptr;
  const auto place = [&](int64_t i) { return (path ? path[i] : i) * s.slot_stride + g * s.head_stride; };
  for (int64_t h = g * (s.H / s.G); h < (g + 1) * (s.H / s.G); h++) {
    const float* const q = qkv + h * s.C;
    float largest = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
      const float* const k = l.keys + place(first + i);
      Floats sum[PARTS];
      for (int j = 0; j < PARTS; j++) sum[j] = all(0);
      for (int64_t c = 0; c < s.C; c += 16)
        for (int j = 0; j < PARTS; j++) sum[j] = add_product(load(q + c + j * LANES), load(k + c + j * LANES), sum[j]);
      scores[i] = sum_of(sum);
      largest = std::max(largest, scores[i]);
    }
    std::fill_n(scores + n, 16, -INFINITY);  // exp(-87) changes no sum of at least 1
    Floats total[PARTS];
    for (int j = 0; j < PARTS; j++) total[j] = all(0);
    for (int64_t i = 0; i < n; i += 16)
      for (int j = 0; j < PARTS; j++) {
        const Floats part = exponential(load(scores + i + j * LANES) - all(largest));
        store(scores + i + j * LANES, part);
        total[j] = total[j] + part;
      }
    const Floats share = all(1.0f / sum_of(total));
    const auto value = [&](int64_t i) { return l.values + place(first + i); };
    float* const to = out + h * s.C;
    int64_t c = 0;
    for (; c + 64 <= s.C; c += 64) weighted_sum<64>(n, scores, value, c, share, to);
    for (; c < s.C; c += 16) weighted_sum<16>(n, scores, value, c, share, to);
  }
}

// silu(gate) · up
void gate_row(float* gate, const float* up, int64_t F) {
  for (int64_t f = 0; f < F; f += LANES) {
    const Floats x = load(gate + f);
    store(gate + f, x / (all(1) + exponential(all(0) - x)) * load(up + f));
  }
}

}  // namespace

extern "C" void decoder_step(const Step* step) {
  const Step& s = *step;
  const int64_t T = s.T, qkv_row = (s.H + 2 * s.G) * s.C, out_row = s.H * s.C;
  int64_t longest = 0;
  for (int64_t t = 0; t < T; t++) longest = std::max(longest, s.lengths[t]);
  RowsMemory narrow(T, std::max(s.D, out_row)), wide(T, s.F);
  std::vector<float> qkv(T * qkv_row), attended(T * out_row), hidden(T * 2 * s.F);
#pragma omp parallel num_threads(s.threads)
  {
    std::vector<float> scores(longest + 16), normed(s.D);
    for (int64_t i = 0; i < s.layers; i++) {
      const Layer& l = s.layer[i];
      const Rows of_x = narrow.rows(s.D), of_attended = narrow.rows(out_row), of_hidden = wide.rows(s.F);
#pragma omp for
      for (int64_t t = 0; t < T; t++) {
        norm_row(s.x + t * s.D, l.attention_norm, s.D, s.eps, normed.data());
        quantize_row(normed.data(), s.D, of_x.at(t));
      }
      product(l.qkv, of_x, T, qkv.data(), qkv_row, false);
#pragma omp barrier
#pragma omp for
      for (int64_t t = 0; t < T; t++) place_row(s, l, t, qkv.data() + t * qkv_row);
#pragma omp for schedule(dynamic)
      for (int64_t item = 0; item < T * s.G; item++) {
        const int64_t t = item / s.G;
        attend_row(s, l, t, item % s.G, qkv.data() + t * qkv_row, attended.data() + t * out_row, scores.data());
      }
#pragma omp for
      for (int64_t t = 0; t < T; t++) quantize_row(attended.data() + t * out_row, out_row, of_attended.at(t));
      product(l.out, of_attended, T, s.x, s.D, true);
#pragma omp barrier
#pragma omp for
      for (int64_t t = 0; t < T; t++) {
        norm_row(s.x + t * s.D, l.mlp_norm, s.D, s.eps, normed.data());
        quantize_row(normed.data(), s.D, of_x.at(t));
      }
      product(l.up, of_x, T, hidden.data(), 2 * s.F, false);
#pragma omp barrier
#pragma omp for
      for (int64_t t = 0; t < T; t++) {
        float* const gate = hidden.data() + t * 2 * s.F;
        gate_row(gate, gate + s.F, s.F);
        quantize_row(gate, s.F, of_hidden.at(t));
      }
      product(l.down, of_hidden, T, s.x, s.D, true);
#pragma omp barrier
    }
  }
}
