// Vectors of floats and of whole numbers: what the kernels for quantized weights need, and no more.
//
// `VNNI` or `AVX2` is defined by who compiles this, or neither. All three compute the same bits: a sum of products of
// whole numbers is exact, and floats are multiplied and added in one order, each with one rounding.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(VNNI) || defined(AVX2)
#include <immintrin.h>
#endif

namespace {

#if defined(VNNI)
constexpr int LANES = 16;
struct Floats { __m512 v; };
struct Wholes { __m512i v; };
inline Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Floats x) { _mm512_storeu_ps(p, x.v); }
inline Floats all(float x) { return {_mm512_set1_ps(x)}; }
inline Wholes all_whole(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline Floats operator+(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Floats add_product(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Floats larger(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Floats smaller(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Floats magnitude(Floats a) { return {_mm512_abs_ps(a.v)}; }
inline Wholes rounded(Floats a) { return {_mm512_cvtps_epi32(a.v)}; }
inline Floats to_floats(Wholes a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline Floats power_of_two(Wholes n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n.v, _mm512_set1_epi32(127)), 23))};
}
inline Floats load_half(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline void store_bytes(int8_t* p, Wholes a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}
#elif defined(AVX2)
constexpr int LANES = 8;
struct Floats { __m256 v; };
struct Wholes { __m256i v; };
inline Floats load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void store(float* p, Floats x) { _mm256_storeu_ps(p, x.v); }
inline Floats all(float x) { return {_mm256_set1_ps(x)}; }
inline Wholes all_whole(int32_t x) { return {_mm256_set1_epi32(x)}; }
inline Floats operator+(Floats a, Floats b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Floats operator-(Floats a, Floats b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Floats operator*(Floats a, Floats b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Floats operator/(Floats a, Floats b) { return {_mm256_div_ps(a.v, b.v)}; }
inline Floats add_product(Floats a, Floats b, Floats c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Floats larger(Floats a, Floats b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Floats smaller(Floats a, Floats b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Floats magnitude(Floats a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline Wholes rounded(Floats a) { return {_mm256_cvtps_epi32(a.v)}; }
inline Floats to_floats(Wholes a) { return {_mm256_cvtepi32_ps(a.v)}; }
inline Floats power_of_two(Wholes n) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n.v, _mm256_set1_epi32(127)), 23))};
}
inline Floats load_half(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
}
inline void store_bytes(int8_t* p, Wholes a) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a.v), _mm256_extracti128_si256(a.v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
#else
constexpr int LANES = 8;
struct Floats { float v[LANES]; };
struct Wholes { int32_t v[LANES]; };
template <typename To, typename Make>
inline To made(Make make) {
  To found;
  for (int i = 0; i < LANES; i++) found.v[i] = make(i);
  return found;
}
inline Floats load(const float* p) { return made<Floats>([&](int i) { return p[i]; }); }
inline void store(float* p, Floats x) { std::copy(x.v, x.v + LANES, p); }
inline Floats all(float x) { return made<Floats>([&](int) { return x; }); }
inline Wholes all_whole(int32_t x) { return made<Wholes>([&](int) { return x; }); }
inline Floats operator+(Floats a, Floats b) { return made<Floats>([&](int i) { return a.v[i] + b.v[i]; }); }
inline Floats operator-(Floats a, Floats b) { return made<Floats>([&](int i) { return a.v[i] - b.v[i]; }); }
inline Floats operator*(Floats a, Floats b) { return made<Floats>([&](int i) { return a.v[i] * b.v[i]; }); }
inline Floats operator/(Floats a, Floats b) { return made<Floats>([&](int i) { return a.v[i] / b.v[i]; }); }
inline Floats add_product(Floats a, Floats b, Floats c) {
  return made<Floats>([&](int i) { return std::fma(a.v[i], b.v[i], c.v[i]); });
}
inline Floats larger(Floats a, Floats b) { return made<Floats>([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; }); }
inline Floats smaller(Floats a, Floats b) { return made<Floats>([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; }); }
inline Floats magnitude(Floats a) { return made<Floats>([&](int i) { return std::fabs(a.v[i]); }); }
inline Wholes rounded(Floats a) {
  return made<Wholes>([&](int i) { return static_cast<int32_t>(std::nearbyint(a.v[i])); });
}
inline Floats to_floats(Wholes a) { return made<Floats>([&](int i) { return static_cast<float>(a.v[i]); }); }
inline Floats power_of_two(Wholes n) { return made<Floats>([&](int i) { return std::ldexp(1.0f, n.v[i]); }); }
inline float whole_of_half(uint16_t h) {
  const int sign = h >> 15, exponent = h >> 10 & 31, mantissa = h & 1023;
  const float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                     : exponent     ? std::ldexp(1024.0f + mantissa, exponent - 25)
                                    : std::ldexp(static_cast<float>(mantissa), -24);
  return sign ? -size : size;
}
inline Floats load_half(const uint16_t* p) { return made<Floats>([&](int i) { return whole_of_half(p[i]); }); }
inline void store_bytes(int8_t* p, Wholes a) {
  for (int i = 0; i < LANES; i++) p[i] = static_cast<int8_t>(a.v[i]);
}
#endif

// The sum of 16 numbers, whatever the lanes: the two halves are added, and the halves of that, to the end.
inline float sum_of(const Floats* x) {
#if defined(VNNI)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x[0].v), _mm512_extractf32x8_ps(x[0].v, 1));
#elif defined(AVX2)
  const __m256 eight = _mm256_add_ps(x[0].v, x[1].v);
#endif
#if defined(VNNI) || defined(AVX2)
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
  float lanes[16];
  store(lanes, x[0]);
  store(lanes + 8, x[1]);
  for (int width = 8; width; width /= 2)
    for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
  return lanes[0];
#endif
}

// exp(x), within 2 units of the last place: 2^n times a polynomial in what is left (Cody and Waite 1980, chapter 6).
inline Floats exponential(Floats x) {
  x = smaller(larger(x, all(-87.0f)), all(88.0f));
  const Wholes n = rounded(x * all(1.44269504f));
  const Floats whole = to_floats(n);
  Floats r = add_product(whole, all(-0.693359375f), x);
  r = add_product(whole, all(2.12194440e-4f), r);
  Floats p = all(1.9875691500e-4f);
  for (const float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = add_product(p, r, all(c));
  p = add_product(p, r * r, r) + all(1.0f);
  return p * power_of_two(n);
}

}  // namespace
