/* What setwalk.c is given. duly_booster/pack.py and native.py write these structures: change them together, and ABI. */
#ifndef DULY_SETWALK_H
#define DULY_SETWALK_H
#include <stdint.h>

#define ABI 1
#define DAYS 182
#define PADDED_DAYS 192
#define LEAVES 64
#define FEATURES 256
#define WIDE_FEATURES 64
#define RANKS 255
#define CALENDARS 4
#define MAX_OFFSET 15500 /* beyond any finite bound of a leaf (15,000): such a day is past all thresholds */

/* One bit per day of a curve; which bit is bit[] of the model. */
typedef struct {
    uint64_t word[4];
} day_set;

/* One tree, then its arrays, each from a cache line on, without gaps, so that all trees are one stream of memory.
 * s = splits of static features, l = leaves from left to right, rounded up to split_room and leaf_room:
 *   float threshold[s]        left is value < threshold
 *   uint64_t keep[2][s]       leaves that stay in reach after going left, right; all bits beyond the last split
 *   int16_t from[3][l]        first day of a leaf, counted from as-of, issue and due ...
 *   int16_t to[3][l]          ... and the day after its last; -17000, 17000 = no bound; from as-of 0..182; 182, 0
 *                             beyond the last leaf
 *   float value[l]
 *   uint16_t condition[l]     calendar condition
 *   uint8_t feature[s]
 */
typedef struct {
    int32_t splits, split_room; /* at most 63; multiple of 16 */
    int32_t leaves, leaf_room;  /* at most 64; multiple of 32 */
    int32_t bytes, unused;      /* of the whole, a multiple of 64 */
    uint64_t missing_left;      /* splits that send a missing value left */
    uint8_t padding[32];
} setwalk_tree;

typedef struct {
    int32_t trees, features, conditions, calendars, calendar_days;
    float base;                     /* margin before the first tree */
    const setwalk_tree *tree;       /* the first */
    const day_set *before;          /* (183,): days before day j */
    const uint8_t *bit;             /* (182,): bit of each day in a day_set */
    const int32_t *ranks;           /* (calendars,): thresholds + 1 */
    const uint8_t *rank;            /* (calendars, calendar_days): number of thresholds at or below the day's value */
    const uint8_t *condition_ranks; /* (conditions, calendars, 2): ranks from, to */
} setwalk_model;

typedef struct {
    int64_t n;
    const float *rows;                  /* (n, features) */
    const int64_t *as_of, *issue, *due; /* (n,) days since 1970-01-01; 0 <= as_of < calendar_days - 182 */
    const int64_t *order;               /* (n,) rows in the order to do them; neighbours with equal dates share work */
    day_set *room;                      /* (conditions + CALENDARS * (RANKS + 1),), anything inside */
    float *out;                         /* (n, 182) */
} setwalk_request;
#endif
