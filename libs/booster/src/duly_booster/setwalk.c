/* The hazard curves of invoices from a boosted tree model, bit for bit what XGBoost's own predictor gives.
 *
 * The rows of a curve differ only in the day group. So a tree is not walked once per day but once per invoice, with sets
 * of days: comparisons of static features leave a 64-bit mask of leaves still in reach; a leaf's day splits say which
 * days reach it: an interval (ramps such as days past due are whole numbers that rise with the day) cut with a calendar
 * condition. Every day is in exactly one leaf, and leaf values are added tree by tree: the same float32 additions in the
 * same order as XGBoost's.
 *
 * Nothing here allocates or keeps state; model and request belong to the caller, who has checked them. C99 with the
 * vector extensions of gcc and clang. Never compile it with -ffast-math or contracted multiply-adds.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "setwalk.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
/* Trees whose leaves are found before any is added: a branch on them then rarely waits for what it depends on. */
#define AHEAD 32
/* Invoices with equal dates that are walked together. */
#define GROUP 16

enum path { ANY, AVX2, AVX512 };

INLINE const void *part(const setwalk_tree *t, int split_bytes, int leaf_bytes) {
    return (const uint8_t *)(t + 1) + split_bytes * t->split_room + leaf_bytes * t->leaf_room;
}
INLINE const float *thresholds(const setwalk_tree *t) { return part(t, 0, 0); }
INLINE const uint64_t *keeps(const setwalk_tree *t, int right) { return part(t, right ? 12 : 4, 0); }
INLINE const int16_t *froms(const setwalk_tree *t, int origin) { return part(t, 20, 2 * origin); }
INLINE const int16_t *tos(const setwalk_tree *t, int origin) { return part(t, 20, 6 + 2 * origin); }
INLINE const float *values(const setwalk_tree *t) { return part(t, 20, 12); }
INLINE const uint16_t *conditions(const setwalk_tree *t) { return part(t, 20, 16); }
INLINE const uint8_t *features(const setwalk_tree *t) { return part(t, 20, 18); }
INLINE const setwalk_tree *next(const setwalk_tree *t) { return (const void *)((const uint8_t *)t + t->bytes); }

INLINE int sooner(int a, int b) { return a < b ? a : b; }

typedef float lanes __attribute__((vector_size(32)));
typedef uint32_t mask __attribute__((vector_size(32)));
typedef union {
    lanes eight[PADDED_DAYS / 8];
    float day[PADDED_DAYS];
} curve;

/* What an invoice adds to the days of leaves: days from the curve's first day to issue and due. */
typedef struct {
    int16_t issue, due;
} offsets;

static int16_t offset(int64_t origin, int64_t as_of) {
    int64_t first = as_of + 1;
    if (origin < first - MAX_OFFSET) return -MAX_OFFSET;
    if (origin > first + MAX_OFFSET) return MAX_OFFSET;
    return (int16_t)(origin - first);
}

/* The leaves of one tree that any day reaches, and between which days; the same for all invoices with equal dates. */
typedef struct {
    const setwalk_tree *tree;
    uint64_t leaves;
    uint8_t from[LEAVES], to[LEAVES];
} reach;

/* Invoices with equal dates: their rows and their curves, whose margins begin at the model's base. */
typedef struct {
    int n;
    offsets offset;
    const float *row[GROUP];
    curve margin[GROUP];
} group;

/* Which days of the curve from as_of meet each calendar condition of the model. */
static void meet_conditions(const setwalk_model *m, int64_t as_of, day_set *met) {
    day_set *below[CALENDARS];
    for (int32_t c = 0; c < m->calendars; c++) {
        const uint8_t *rank = m->rank + (int64_t)c * m->calendar_days + as_of + 1;
        below[c] = met + m->conditions + c * (RANKS + 1);
        memset(below[c], 0, (size_t)(m->ranks[c] + 1) * sizeof(day_set));
        for (int j = 0; j < DAYS; j++) below[c][rank[j] + 1].word[m->bit[j] >> 6] |= (uint64_t)1 << (m->bit[j] & 63);
        for (int32_t r = 1; r <= m->ranks[c]; r++)
            for (int i = 0; i < 4; i++) below[c][r].word[i] |= below[c][r - 1].word[i];
    }
    for (int32_t k = 0; k < m->conditions; k++) {
        const uint8_t *range = m->condition_ranks + (int64_t)k * m->calendars * 2;
        day_set days = m->before[DAYS];
        for (int32_t c = 0; c < m->calendars; c++)
            for (int i = 0; i < 4; i++)
                days.word[i] &= below[c][range[2 * c + 1]].word[i] & ~below[c][range[2 * c]].word[i];
        met[k] = days;
    }
}

/* ---- any CPU; compiled a second time for AVX2 ---- */

#define L(n, i) ((n) >> (i) & 1 ? ~(uint32_t)0 : 0)
#define M1(n) {L(n, 0), L(n, 1), L(n, 2), L(n, 3), L(n, 4), L(n, 5), L(n, 6), L(n, 7)}
#define M4(n) M1(n), M1(n + 1), M1(n + 2), M1(n + 3)
#define M16(n) M4(n), M4(n + 4), M4(n + 8), M4(n + 12)
#define M64(n) M16(n), M16(n + 16), M16(n + 32), M16(n + 48)
static const mask masks[256] = {M64(0), M64(64), M64(128), M64(192)};

/* x: for each feature its value with missing as +inf, and as -inf: a split reads the one that goes its way. */
INLINE uint64_t in_reach(const setwalk_tree *t, const float (*x)[2]) {
    const float *threshold = thresholds(t), *both = *x;
    const uint64_t *if_left = keeps(t, 0), *if_right = keeps(t, 1);
    const uint8_t *feature = features(t);
    uint64_t leaves = ~(uint64_t)0;
    for (int s = 0; s < t->splits; s++) {
        uint64_t left = -(uint64_t)(both[2 * feature[s] + (t->missing_left >> s & 1)] < threshold[s]);
        leaves &= (if_left[s] & left) | (if_right[s] & ~left);
    }
    return leaves;
}

INLINE uint64_t spans(const setwalk_tree *t, offsets o, uint8_t *from, uint8_t *to) {
    const int16_t *f0 = froms(t, 0), *f1 = froms(t, 1), *f2 = froms(t, 2);
    const int16_t *t0 = tos(t, 0), *t1 = tos(t, 1), *t2 = tos(t, 2);
    uint8_t some[LEAVES];
    uint64_t leaves = 0;
    for (int l = 0; l < t->leaf_room; l++) {
        int16_t a = (int16_t)(f1[l] + o.issue), b = (int16_t)(f2[l] + o.due), first = f0[l];
        int16_t c = (int16_t)(t1[l] + o.issue), d = (int16_t)(t2[l] + o.due), end = t0[l];
        first = first > a ? first : a;
        first = first > b ? first : b;
        end = end < c ? end : c;
        end = end < d ? end : d;
        from[l] = (uint8_t)first;
        to[l] = (uint8_t)end;
        some[l] = first < end;
    }
    for (int l = 0; l < t->leaf_room; l += 8) { /* eight bytes of 0 or 1 to eight bits */
        uint64_t bits = 0;
        for (int i = 0; i < 8; i++) bits |= (uint64_t)some[l + i] << i;
        leaves |= bits << l;
    }
    return leaves;
}

INLINE void add_leaves(const setwalk_model *m, const reach *r, uint64_t leaves, const day_set *met, curve *margin) {
    for (; leaves; leaves &= leaves - 1) {
        int leaf = __builtin_ctzll(leaves), from = r->from[leaf], to = r->to[leaf];
        const day_set *upper = m->before + to, *lower = m->before + from, *calendar = met + conditions(r->tree)[leaf];
        uint64_t days[3];
        for (int i = 0; i < 3; i++) days[i] = upper->word[i] & ~lower->word[i] & calendar->word[i];
        float v = values(r->tree)[leaf];
        mask value = (mask)(lanes){v, v, v, v, v, v, v, v};
        for (int q = from >> 3; q <= (to - 1) >> 3; q++)
            margin->eight[q] += (lanes)(value & masks[days[q >> 3] >> (q & 7) * 8 & 255]);
    }
}

INLINE void walk_lanes(const setwalk_model *m, const day_set *met, group *g) {
    float x[GROUP][FEATURES][2];
    for (int k = 0; k < g->n; k++)
        for (int32_t f = 0; f < m->features; f++) {
            float value = g->row[k][f];
            x[k][f][0] = value == value ? value : INFINITY;
            x[k][f][1] = value == value ? value : -INFINITY;
        }
    const setwalk_tree *t = m->tree;
    reach ahead[AHEAD];
    for (int32_t done = 0; done < m->trees; done += AHEAD) {
        int many = sooner(m->trees - done, AHEAD);
        for (int i = 0; i < many; i++, t = next(t)) {
            ahead[i].tree = t;
            ahead[i].leaves = spans(t, g->offset, ahead[i].from, ahead[i].to);
        }
        for (int k = 0; k < g->n; k++) {
            uint64_t leaves[AHEAD];
            for (int i = 0; i < many; i++) leaves[i] = ahead[i].leaves & in_reach(ahead[i].tree, (const float(*)[2])x[k]);
            for (int i = 0; i < many; i++) add_leaves(m, ahead + i, leaves[i], met, g->margin + k);
        }
    }
}

static void walk_any(const setwalk_model *m, const day_set *met, group *g) { walk_lanes(m, met, g); }

#if defined(__x86_64__)
__attribute__((target("avx2,bmi"))) static void walk_avx2(const setwalk_model *m, const day_set *met, group *g) {
    walk_lanes(m, met, g);
}

/* ---- x86 with AVX-512 F and BW ---- */

#define WIDE __attribute__((target("avx512f,avx512bw,bmi,popcnt")))
#define ZMM (PADDED_DAYS / 16)

/* x: up to 64 features, of which the last 32 count only if `more`. */
WIDE INLINE uint64_t in_reach_wide(const setwalk_tree *t, const __m512 *x, int more) {
    __m512i leaves = _mm512_set1_epi64(-1);
    for (int s = 0; s < t->splits; s += 16) {
        __m512i index = _mm512_cvtepu8_epi32(_mm_load_si128((const __m128i *)(features(t) + s)));
        __m512 value = _mm512_permutex2var_ps(x[0], index, x[1]);
        if (more) {
            __mmask16 upper = _mm512_test_epi32_mask(index, _mm512_set1_epi32(32));
            value = _mm512_mask_blend_ps(upper, value, _mm512_permutex2var_ps(x[2], index, x[3]));
        }
        __mmask16 left = _mm512_cmp_ps_mask(value, _mm512_load_ps(thresholds(t) + s), _CMP_LT_OQ);
        left |= _mm512_mask_cmp_ps_mask((__mmask16)(t->missing_left >> s), value, value, _CMP_UNORD_Q);
        for (int half = 0; half < 16; half += 8) {
            __m512i if_left = _mm512_load_si512(keeps(t, 0) + s + half);
            __m512i if_right = _mm512_load_si512(keeps(t, 1) + s + half);
            leaves = _mm512_and_si512(leaves, _mm512_mask_blend_epi64((__mmask8)(left >> half), if_right, if_left));
        }
    }
    return (uint64_t)_mm512_reduce_and_epi64(leaves);
}

WIDE INLINE uint64_t spans_wide(const setwalk_tree *t, __m512i issue, __m512i due, uint8_t *from, uint8_t *to) {
    uint64_t some = 0;
    for (int l = 0; l < LEAVES && l < t->leaves; l += 32) {
        __m512i first = _mm512_load_si512(froms(t, 0) + l), end = _mm512_load_si512(tos(t, 0) + l);
        first = _mm512_max_epi16(first, _mm512_add_epi16(_mm512_load_si512(froms(t, 1) + l), issue));
        end = _mm512_min_epi16(end, _mm512_add_epi16(_mm512_load_si512(tos(t, 1) + l), issue));
        first = _mm512_max_epi16(first, _mm512_add_epi16(_mm512_load_si512(froms(t, 2) + l), due));
        end = _mm512_min_epi16(end, _mm512_add_epi16(_mm512_load_si512(tos(t, 2) + l), due));
        some |= (uint64_t)_mm512_cmplt_epi16_mask(first, end) << l;
        _mm256_storeu_si256((__m256i *)(from + l), _mm512_cvtepi16_epi8(first));
        _mm256_storeu_si256((__m256i *)(to + l), _mm512_cvtepi16_epi8(end));
    }
    return some;
}

/* The values of 64 days, whose lanes stand in lane_of. Written out, as not every compiler unrolls a loop here. */
WIDE INLINE void add_values(__m512i lane_of, __m512 value, __m512 *margin) {
    margin[0] = _mm512_add_ps(margin[0], _mm512_permutexvar_ps(lane_of, value));
    margin[1] = _mm512_add_ps(margin[1], _mm512_permutexvar_ps(_mm512_srli_epi32(lane_of, 8), value));
    margin[2] = _mm512_add_ps(margin[2], _mm512_permutexvar_ps(_mm512_srli_epi32(lane_of, 16), value));
    margin[3] = _mm512_add_ps(margin[3], _mm512_permutexvar_ps(_mm512_srli_epi32(lane_of, 24), value));
}

/* Each day gets the lane of its leaf's value, four days in one 32-bit lane; a permutation by them gives all values. */
WIDE INLINE void add_leaves_wide(const setwalk_model *m, const reach *r, uint64_t leaves, const day_set *met,
                                 __m512 *margin) {
    do { /* once, but for a tree with more than 15 leaves in reach */
        int many = sooner(__builtin_popcountll(leaves), 15);
        __m512i value = _mm512_setzero_si512(); /* lane 0 stays 0, for days of no leaf of this round */
        __m512i lane = _mm512_set1_epi8((char)(16 - many));
        __m512i lane_of[3] = {value, value, value};
        for (int i = 0; i < many; i++, leaves &= leaves - 1) {
            int leaf = __builtin_ctzll(leaves);
            const day_set *upper = m->before + r->to[leaf], *lower = m->before + r->from[leaf];
            const day_set *calendar = met + conditions(r->tree)[leaf];
            for (int c = 0; c < 3; c++) {
                __mmask64 days = upper->word[c] & ~lower->word[c] & calendar->word[c];
                lane_of[c] = _mm512_mask_mov_epi8(lane_of[c], days, lane);
            }
            lane = _mm512_add_epi8(lane, _mm512_set1_epi8(1));
            value = _mm512_alignr_epi32(_mm512_castps_si512(_mm512_set1_ps(values(r->tree)[leaf])), value, 1);
        }
        add_values(lane_of[0], _mm512_castsi512_ps(value), margin);
        add_values(lane_of[1], _mm512_castsi512_ps(value), margin + 4);
        add_values(lane_of[2], _mm512_castsi512_ps(value), margin + 8);
    } while (leaves);
}

WIDE static void walk_wide(const setwalk_model *m, const day_set *met, group *g) {
    const __m512i issue = _mm512_set1_epi16(g->offset.issue), due = _mm512_set1_epi16(g->offset.due);
    const uint64_t columns = m->features ? ~(uint64_t)0 >> (64 - m->features) : 0;
    const setwalk_tree *t = m->tree;
    reach ahead[AHEAD];
    for (int32_t done = 0; done < m->trees; done += AHEAD) {
        int many = sooner(m->trees - done, AHEAD);
        for (int i = 0; i < many; i++, t = next(t)) {
            ahead[i].tree = t;
            ahead[i].leaves = spans_wide(t, issue, due, ahead[i].from, ahead[i].to);
        }
        for (int k = 0; k < g->n; k++) {
            uint64_t leaves[AHEAD];
            __m512 x[4], margin[ZMM];
            for (int i = 0; i < 4; i++) x[i] = _mm512_maskz_loadu_ps((__mmask16)(columns >> 16 * i), g->row[k] + 16 * i);
            for (int i = 0; i < many; i++)
                leaves[i] = ahead[i].leaves & in_reach_wide(ahead[i].tree, x, m->features > 32);
            for (int z = 0; z < ZMM; z++) margin[z] = _mm512_loadu_ps(g->margin[k].day + z * 16);
            for (int i = 0; i < many; i++) add_leaves_wide(m, ahead + i, leaves[i], met, margin);
            for (int z = 0; z < ZMM; z++) _mm512_storeu_ps(g->margin[k].day + z * 16, margin[z]);
        }
    }
}
#endif

/* ---- what Python calls ---- */

int32_t setwalk_abi(void) { return ABI; }

/* The widest path of this CPU and the system on it. Not __builtin_cpu_supports: zig's runtime leaves it at 0. */
int32_t setwalk_widest(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return ANY; /* the system saves no wide registers */
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b >> 3 & 1) || !(b >> 5 & 1) || (low & 6) != 6) return ANY;
    return (b >> 16 & 1) && (b >> 30 & 1) && (low & 0xe0) == 0xe0 ? AVX512 : AVX2;
#else
    return ANY;
#endif
}

/* XGBoost's base_score as a margin, and its sigmoid: the same float32 steps. */
float setwalk_margin_of(float probability) { return -logf(1.0f / probability - 1.0f); }

static float sigmoid(float margin) {
    float x = -margin < 88.7f ? -margin : 88.7f;
    return 1.0f / (expf(x) + 1.0f + 1e-16f);
}

/* The next invoices in order that have equal dates. */
static void gather(const setwalk_model *m, const setwalk_request *r, int64_t done, group *g) {
    const int64_t first = r->order[done];
    g->offset.issue = offset(r->issue[first], r->as_of[first]);
    g->offset.due = offset(r->due[first], r->as_of[first]);
    for (g->n = 0; g->n < GROUP && done + g->n < r->n; g->n++) {
        int64_t i = r->order[done + g->n];
        if (r->as_of[i] != r->as_of[first] || r->issue[i] != r->issue[first] || r->due[i] != r->due[first]) break;
        g->row[g->n] = r->rows + i * m->features;
        for (int j = 0; j < PADDED_DAYS; j++) g->margin[g->n].day[j] = m->base;
    }
}

/* path: at most setwalk_widest(). margins: leave the sigmoid away. Returns n, or the first row whose as_of is outside
 * the calendar, minus n. */
int64_t setwalk_curves(const setwalk_model *m, const setwalk_request *r, int32_t path, int32_t margins) {
    int64_t as_of = -1;
    group g;
    for (int64_t i = 0; i < r->n; i++)
        if (r->as_of[i] < 0 || r->as_of[i] >= (int64_t)m->calendar_days - DAYS) return i - r->n;
    for (int64_t done = 0; done < r->n; done += g.n) {
        const int64_t *order = r->order + done;
        gather(m, r, done, &g);
        if (r->as_of[*order] != as_of) meet_conditions(m, as_of = r->as_of[*order], r->room);
#if defined(__x86_64__)
        if (path == AVX512)
            walk_wide(m, r->room, &g);
        else if (path == AVX2)
            walk_avx2(m, r->room, &g);
        else
#endif
            walk_any(m, r->room, &g);
        for (int k = 0; k < g.n; k++) {
            float *out = r->out + order[k] * DAYS;
            for (int j = 0; j < DAYS; j++) out[j] = margins ? g.margin[k].day[j] : sigmoid(g.margin[k].day[j]);
        }
    }
    return r->n;
}
