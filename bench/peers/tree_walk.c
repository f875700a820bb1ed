/* Margins of a Booster whose trees are padded to complete ones of one depth. Bench-only: no missing values.
 *
 * Node i of a tree has its children at 2i+1 and 2i+2; the leaves follow the inner nodes. Leaf values are added in the
 * order of the trees, in float32, as XGBoost does. Trees do not depend on each other, so a core walks several at once.
 */
#include <stddef.h>
#include <stdint.h>

void margins(const float *rows, ptrdiff_t count, ptrdiff_t width, const int32_t *features, const float *thresholds,
             const float *leaves, ptrdiff_t trees, ptrdiff_t depth, float base, float *out)
{
    const ptrdiff_t inner = ((ptrdiff_t)1 << depth) - 1;
    for (ptrdiff_t r = 0; r < count; r++)
        out[r] = base;
    for (ptrdiff_t first = 0; first < count; first += 64) {
        const ptrdiff_t last = first + 64 < count ? first + 64 : count;
        for (ptrdiff_t t = 0; t < trees; t++) {
            const int32_t *feature = features + t * inner;
            const float *threshold = thresholds + t * inner, *leaf = leaves + t * (inner + 1);
            for (ptrdiff_t r = first; r < last; r++) {
                const float *row = rows + r * width;
                ptrdiff_t at = 0;
                for (ptrdiff_t level = 0; level < depth; level++)
                    at = 2 * at + 1 + !(row[feature[at]] < threshold[at]);
                out[r] += leaf[at - inner];
            }
        }
    }
}
